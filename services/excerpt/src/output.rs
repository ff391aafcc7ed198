//! Where the client's words go: bars and sentences for people, JSON lines for programs.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::{
    export::v1::{Export, ExportPlan},
    job::v1::{JobState, JobStatus},
    recording::v1::{Coverage, GapReason, Source},
};

use crate::{
    download::files,
    failure::Failure,
    lines::{self, DownloadLine, Line},
    units::{instant, length, printable},
};

/// Positions of a progress bar; the wire speaks in fractions.
const POSITIONS: u64 = 1000;

/// Where the client's words go.
pub(crate) struct Output {
    json: bool,
    sink: Box<dyn Write + Send>,
    bar: ProgressBar,
    /// When the last line about a download was printed.
    said: Option<Instant>,
}

impl Output {
    /// For people on a terminal, for programs elsewhere or if `json` says so.
    pub(crate) fn new(json: bool) -> Self {
        Self::to(json || !io::stdout().is_terminal(), Box::new(io::stdout()))
    }

    /// To `sink`; the bar is drawn on standard error all the same.
    pub(crate) fn to(json: bool, sink: Box<dyn Write + Send>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(POSITIONS), ProgressDrawTarget::hidden());
        Self { json, sink, bar, said: None }
    }

    /// Prints a line: as JSON, or as `sentence`.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn say(
        &mut self,
        line: impl FnOnce() -> Line,
        sentence: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.line(&line()) } else { self.print(&sentence()) }
    }

    /// Prints a sentence that a program needn't read.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn tell(&mut self, sentence: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.print(&sentence()) }
    }

    /// Says something on standard error.
    pub(crate) fn remark(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{}", printable(text)));
    }

    /// Shows an export that changed.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn update(&mut self, export: &Export) -> Result<(), Failure> {
        if self.json {
            return self.line(&Line::Export(Box::new(export.into())));
        }
        let status = export.status.clone().unwrap_or_default();
        let fraction = status.progress.as_ref().map_or(0.0, |progress| progress.fraction.clamp(0.0, 1.0));
        self.draw("{prefix:9} {bar:40} {percent:>3} %  {msg}", POSITIONS);
        self.bar.set_prefix(doing(&status));
        self.bar.set_message(prospects(&status));
        self.bar.set_position((fraction * POSITIONS as f64) as u64);
        Ok(())
    }

    /// Shows how far a download is; a program is told once a second.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn download(&mut self, line: DownloadLine) -> Result<(), Failure> {
        if self.json {
            let is_due = self.said.is_none_or(|said| said.elapsed() >= Duration::from_secs(1));
            if !is_due {
                return Ok(());
            }
            self.said = Some(Instant::now());
            return self.line(&Line::Download(line));
        }
        self.draw(
            "download  {bar:40} {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            line.size_bytes,
        );
        self.bar.set_position(line.done_bytes);
        Ok(())
    }

    /// Takes the bar away.
    pub(crate) fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        let text =
            serde_json::to_string(line).map_err(|error| Failure::new(format!("no JSON can be made: {error}")))?;
        self.print(&text)
    }

    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let printed = self.bar.suspend(|| writeln!(self.sink, "{text}"));
        printed.map_err(|error| Failure::new(format!("standard output can't be written: {error}")))
    }

    /// Makes the bar visible, with this look. `bar` is standard error's: what is piped on is only what was asked for.
    fn draw(&mut self, template: &str, whole: u64) {
        if self.bar.is_finished() || self.bar.is_hidden() {
            self.bar = ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(template).expect("the templates are constants of this file");
            self.bar.set_style(style.progress_chars("━╸ "));
        }
    }
}

fn doing(status: &JobStatus) -> String {
    let phase = status.progress.as_ref().and_then(|progress| lines::phase(progress.phase()));
    let word = match (status.state(), phase) {
        (JobState::Running, Some(phase)) => phase,
        (state, _) => lines::state(state),
    };
    word.to_lowercase()
}

/// What a person waiting wants to know beside the bar.
fn prospects(status: &JobStatus) -> String {
    let progress = status.progress.unwrap_or_default();
    let mut words = Vec::new();
    if status.state() == JobState::Queued && status.queue_position > 0 {
        words.push(format!("{} before it", status.queue_position));
    }
    if status.state() == JobState::Running && progress.speed > 0.0 {
        words.push(format!("{:.1}×", progress.speed));
    }
    if let Some(remaining) = progress.remaining.filter(|_| status.state() == JobState::Running) {
        words.push(format!("{} left", length(&remaining)));
    }
    if let Some(failure) = &status.last_failure {
        let next = format!("attempt {} of {}", status.attempts.max(1), status.max_attempts);
        words.push(format!("{next}; the last one failed: {}", printable(&failure.message)));
    }
    if status.cancel_requested {
        words.push("being cancelled".to_owned());
    }
    words.join(", ")
}

/// An export in full, for people.
pub(crate) fn describe(export: &Export) -> String {
    let status = export.status.clone().unwrap_or_default();
    let mut rows = vec![("export", export.id.clone()), ("state", lines::state(status.state()).to_lowercase())];
    if let Some(spec) = &export.spec {
        rows.push(("recording", spec.uid.clone()));
    }
    if let Some(failure) = &status.failure {
        rows.push(("failure", format!("{} ({})", failure.message, failure.reason)));
    }
    let progress = prospects(&status);
    if !progress.is_empty() {
        rows.push(("progress", progress));
    }
    if let Some(plan) = &export.result {
        rows.extend(plan_rows(plan));
    }
    for file in files(export) {
        rows.extend([("file", file.name.clone()), ("url", file.url.clone()), ("sha256", file.sha256.clone())]);
    }
    if let Some(expiry) = &status.expire_time {
        rows.push(("kept until", instant(expiry)));
    }
    table(&rows)
}

/// A plan in full, for people.
pub(crate) fn describe_plan(plan: &ExportPlan) -> String {
    table(&plan_rows(plan))
}

fn plan_rows(plan: &ExportPlan) -> Vec<(&'static str, String)> {
    let range = |from: &Option<_>, to: &Option<_>| {
        let side = |time: &Option<_>| time.as_ref().map_or_else(|| "?".to_owned(), instant);
        format!("{} to {}", side(from), side(to))
    };
    let mut rows = vec![("asked for", range(&plan.requested_mark_in, &plan.requested_mark_out))];
    rows.push(("in the file", range(&plan.actual_mark_in, &plan.actual_mark_out)));
    let playing = plan.duration.as_ref().map_or_else(String::new, length);
    rows.push(("length", format!("{playing}, {} frames, {} of them encoded again", plan.frames, plan.encoded_frames)));
    rows.push(("size", format!("{} bytes", plan.size_bytes)));
    for track in &plan.tracks {
        let fate = track.fate().as_str_name().trim_start_matches("TRACK_FATE_").to_lowercase().replace('_', " ");
        let reason = if track.reason.is_empty() { String::new() } else { format!(": {}", track.reason) };
        rows.push(("track", format!("{} {}, {fate}{reason}", track.codec, track.kind)));
    }
    for gap in &plan.gaps {
        let from = gap.start_time.as_ref().map_or_else(String::new, instant);
        let lasting = gap.duration.as_ref().map_or_else(String::new, length);
        rows.push(("gap", format!("{lasting} from {from}: {}", why(gap.reason(), &gap.detail))));
    }
    let several = if plan.files.len() > 1 { &plan.files[..] } else { &[] };
    for file in several {
        let range = range(&file.actual_mark_in, &file.actual_mark_out);
        rows.push(("file", format!("{}: {range}, {} frames", file.name, file.frames)));
    }
    rows.extend(plan.warnings.iter().map(|warning| ("note", warning.clone())));
    rows
}

/// A recording in one row, for people.
pub(crate) fn source_row(source: &Source) -> String {
    let layout = source.layout().as_str_name().trim_start_matches("LAYOUT_").to_lowercase();
    format!("{layout:6}  {}", printable(&source.uid))
}

/// What of a recording there is, for people: spans and gaps as they follow one another. The first page says what it is.
pub(crate) fn describe_coverage(coverage: &Coverage, is_first: bool) -> String {
    let time = |time: &Option<_>| time.as_ref().map_or_else(|| "?".to_owned(), instant);
    let mut rows = Vec::new();
    if is_first {
        let growing = if coverage.growing { ", still growing" } else { "" };
        let clocked = if coverage.clocked { "" } else { ", counted from 1970: it knows no wall clock" };
        let range = format!("{} to {}{growing}{clocked}", time(&coverage.start_time), time(&coverage.end_time));
        rows.push(("recording", range));
    }
    let nanos = |time: &Option<prost_types::Timestamp>| time.as_ref().map_or((0, 0), |time| (time.seconds, time.nanos));
    let spans = coverage.spans.iter().map(|span| {
        (nanos(&span.start_time), ("recorded", format!("{} to {}", time(&span.start_time), time(&span.end_time))))
    });
    let gaps = coverage.gaps.iter().map(|gap| {
        let lasting = gap.duration.as_ref().map_or_else(String::new, length);
        let text = format!("{lasting} from {}: {}", time(&gap.start_time), why(gap.reason(), &gap.detail));
        (nanos(&gap.start_time), ("gap", text))
    });
    let mut events: Vec<_> = spans.chain(gaps).collect();
    events.sort_by_key(|(at, _)| *at);
    rows.extend(events.into_iter().map(|(_, row)| row));
    rows.extend(coverage.notices.iter().map(|notice| ("note", notice.clone())));
    table(&rows)
}

/// Why nothing was recorded, in words.
fn why(reason: GapReason, detail: &str) -> String {
    let reason = reason.as_str_name().trim_start_matches("GAP_REASON_").to_lowercase().replace('_', " ");
    if detail.is_empty() { reason } else { format!("{reason}: {detail}") }
}

fn table(rows: &[(&str, String)]) -> String {
    let lines: Vec<_> = rows.iter().map(|(name, value)| format!("{name:12} {}", printable(value))).collect();
    lines.join("\n")
}

/// An export in one row, for people.
pub(crate) fn row(export: &Export) -> String {
    let status = export.status.clone().unwrap_or_default();
    let percent = status.progress.as_ref().map_or(0.0, |progress| progress.fraction * 100.0);
    let created = status.create_time.as_ref().map_or_else(String::new, instant);
    let name = match (&export.file, &export.spec) {
        (Some(file), _) => &file.name,
        (None, Some(spec)) => &spec.uid,
        (None, None) => "",
    };
    let state = lines::state(status.state()).to_lowercase();
    format!("{:36}  {state:9}  {percent:3.0} %  {created:27}  {}", printable(&export.id), printable(name))
}
