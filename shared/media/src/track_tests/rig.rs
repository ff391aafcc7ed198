//! Sources made with the ffmpeg program, clips of them, and what it reads in those.

use std::{
    fs::File,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    Anchor, ClipReport, ClipTask, Container, Error, Format, Input, Outcome, Part, Piece, Progress, Segment, Span, Task,
    TrackKind, TrackReport,
    host::{Host, Source},
    sandbox,
    time::{TimeRange, WallTime},
    verbs,
};

/// Samples in a second of the reference sound.
pub(super) const RATE: usize = 48_000;
/// Length of a source.
pub(super) const SECONDS: usize = 6;

struct TestHost(Vec<PathBuf>, PathBuf);

impl Host for TestHost {
    fn open(&self, source: u32) -> Result<Box<dyn Source>, Error> {
        let file = File::open(&self.0[source as usize]).map_err(|error| Error::Io(error.to_string()))?;
        Ok(Box::new(file))
    }

    fn output(&self) -> Result<File, Error> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        options.open(&self.1).map_err(|error| Error::Io(error.to_string()))
    }

    fn report(&self, _: Progress) -> Result<(), Error> {
        Ok(())
    }
}

/// Files that were opened before the sandbox was closed.
struct OpenHost(File, File);

impl Host for OpenHost {
    fn open(&self, _: u32) -> Result<Box<dyn Source>, Error> {
        let file = self.0.try_clone().map_err(|error| Error::Io(error.to_string()))?;
        Ok(Box::new(file))
    }

    fn output(&self) -> Result<File, Error> {
        self.1.try_clone().map_err(|error| Error::Io(error.to_string()))
    }

    fn report(&self, _: Progress) -> Result<(), Error> {
        Ok(())
    }
}

/// Runs a program, which must succeed, and returns what it wrote.
pub(super) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

pub(super) fn text(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(run(program, arguments)).expect("text")
}

/// A folder with a reference sound in it.
pub(super) struct Rig {
    pub(super) folder: TempDir,
    /// Noise: it is like itself at one place only.
    pub(super) noise: Vec<i16>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut state = 20_260_106_u64;
        let mut low = 0f64;
        let noise: Vec<i16> = (0..SECONDS * RATE)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Little above 5 kHz, so that every encoder keeps it.
                low += 0.4 * ((state >> 33) as f64 / f64::from(1u32 << 30) - 1.0 - low);
                (low * 12_000.0) as i16
            })
            .collect();
        let bytes: Vec<u8> = noise.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        std::fs::write(folder.path().join("noise.raw"), bytes).expect("written");
        Self { folder, noise }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path of text").to_owned()
    }

    /// Makes a source of a moving picture, the noise, and what `options` add.
    pub(super) fn make(&self, name: &str, options: &str) -> String {
        let (path, noise) = (self.path(name), self.path("noise.raw"));
        let picture = format!("testsrc2=s=192x96:r=25:d={SECONDS}");
        let mut arguments = vec!["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", &picture];
        arguments.extend(["-f", "s16le", "-ar", "48000", "-ac", "1", "-i", &noise]);
        let options: Vec<String> = options.split_whitespace().map(|word| word.replace("DIR", &self.path(""))).collect();
        let (inputs, outputs) = match options.iter().position(|word| word == "--") {
            Some(at) => (&options[..at], &options[at + 1..]),
            None => (&options[..0], &options[..]),
        };
        arguments.extend(inputs.iter().map(String::as_str));
        arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"]);
        arguments.extend(outputs.iter().map(String::as_str));
        arguments.push(&path);
        run("ffmpeg", &arguments);
        path
    }

    /// Cuts a clip of `source`, from and to milliseconds, after `change` has changed the task.
    pub(super) fn clip(
        &self,
        source: &str,
        range: (i64, i64),
        container: Container,
        change: impl FnOnce(&mut ClipTask),
    ) -> (String, ClipReport) {
        self.clip_spans(&[(source, 0, SECONDS as i64 * 1_000)], range, container, change)
    }

    /// Cuts an MP4 as a worker does: warmed up, and in the sandbox.
    pub(super) fn clip_in_sandbox(&self, source: &str, range: (i64, i64)) -> String {
        verbs::warm_up();
        let output = self.path("sandboxed.mp4");
        let file = File::options().read(true).write(true).create_new(true).open(&output).expect("created");
        let host = Arc::new(OpenHost(File::open(source).expect("opened"), file));
        let input =
            Input { sources: vec![source.into()], spans: vec![span(0, source, millis(0, SECONDS as i64 * 1_000))] };
        let task = Task::Clip(ClipTask::new(input, millis(range.0, range.1)));
        let (channel, _peer) = UnixStream::pair().expect("a channel");
        let made = std::thread::scope(|scope| {
            let inside = || {
                sandbox::close(channel.as_fd()).expect("the sandbox closes");
                verbs::execute(&task, host)
            };
            scope.spawn(inside).join().expect("no panic")
        });
        assert!(made.is_ok(), "{made:?}");
        output
    }

    /// Cuts a clip of a recording that is made of several files, each with its own first and last millisecond.
    pub(super) fn clip_spans(
        &self,
        spans: &[(&str, i64, i64)],
        range: (i64, i64),
        container: Container,
        change: impl FnOnce(&mut ClipTask),
    ) -> (String, ClipReport) {
        let sources = spans.iter().map(|(source, ..)| (*source).to_owned()).collect();
        let whole = (0..).zip(spans).map(|(index, (source, start, end))| span(index, source, millis(*start, *end)));
        let input = Input { sources, spans: whole.collect() };
        let mut task = ClipTask { container, ..ClipTask::new(input, millis(range.0, range.1)) };
        change(&mut task);
        let name = Path::new(spans[0].0).file_name().and_then(|name| name.to_str()).expect("a name");
        let output = self.path(&format!("clip-{name}.{container:?}").to_lowercase());
        let host = Arc::new(TestHost(spans.iter().map(|span| span.0.into()).collect(), output.clone().into()));
        let Ok(Outcome::Clip(plan)) = verbs::execute(&Task::Plan(task.clone()), host.clone()) else { panic!("{name}") };
        match verbs::execute(&Task::Clip(task), host) {
            Ok(Outcome::Clip(report)) => {
                assert_eq!(plan.tracks, report.tracks, "the plan says what the clip does");
                (output, report)
            }
            other => panic!("{name} to {container:?}: {other:?}"),
        }
    }
}

fn format(source: &str) -> Format {
    match source.rsplit('.').next() {
        Some("ts") => Format::MpegTs,
        Some("mkv") => Format::Matroska,
        _ => Format::Mp4,
    }
}

fn millis(start: i64, end: i64) -> TimeRange {
    let instant = |value: i64| WallTime::from_nanos(value * 1_000_000);
    TimeRange::new(instant(start), instant(end))
}

fn span(source: u32, path: &str, range: TimeRange) -> Span {
    let piece = Piece { source, offset: 0, length: None };
    let format = format(path);
    let anchor = match format {
        Format::Mp4 => Anchor::Ticks { ticks: 0, timescale: 1, wall: range.start },
        _ => Anchor::FirstKeyframe { piece, wall: range.start },
    };
    let part = Part { format, init: None, segments: vec![Segment { piece, range }], anchor, language: None };
    Span { range, parts: vec![part] }
}

pub(super) fn tracks(report: &ClipReport, kind: TrackKind) -> Vec<&TrackReport> {
    report.tracks.iter().filter(|track| track.track.kind == kind).collect()
}

/// When the first frame of `stream` is shown or heard, in seconds.
fn first_time(path: &str, stream: &str) -> f64 {
    let entries = ["-show_entries", "frame=pts_time", "-read_intervals", "%+#80", "-of", "csv=p=0", path];
    let lines = text("ffprobe", &[&["-v", "error", "-select_streams", stream][..], &entries].concat());
    let first = lines.lines().find_map(|line| line.trim_matches(',').parse().ok());
    first.unwrap_or_else(|| panic!("{path} has no {stream}: {lines}"))
}

/// When the last packet of `stream` ends, in samples of the reference.
pub(super) fn end(path: &str, stream: &str) -> i64 {
    let entries = ["-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0", path];
    let lines = text("ffprobe", &[&["-v", "error", "-select_streams", stream][..], &entries].concat());
    let last = lines.lines().last().expect("packets");
    let end: f64 = last.split(',').filter_map(|field| field.parse::<f64>().ok()).sum();
    (end * RATE as f64).round() as i64
}

/// The sound of `path`, at the reference's rate, and at which sample after the first picture it begins.
pub(super) fn sound(path: &str, stream: &str) -> (Vec<i16>, i64) {
    let start = (first_time(path, stream) - first_time(path, "v:0")) * RATE as f64;
    let map = format!("0:{stream}");
    let command = ["-v", "error", "-i", path, "-map", &map, "-f", "s16le", "-ac", "1", "-ar", "48000", "-"];
    let bytes = run("ffmpeg", &command);
    let samples = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    (samples.collect(), start.round() as i64)
}

/// How many samples too late `found`, which begins at `start` of `reference`, is heard `at` a sample of `reference`.
pub(super) fn lateness(reference: &[i16], found: &[i16], start: i64, at: usize) -> i64 {
    const WINDOW: usize = 1_500;
    const REACH: i64 = 1_200;
    let wanted = &reference[at..at + WINDOW];
    let likeness = |late: i64| -> f64 {
        let from = usize::try_from(at as i64 - start + late).unwrap_or(usize::MAX);
        let heard = found.get(from..from.saturating_add(WINDOW)).unwrap_or_default();
        wanted.iter().zip(heard).map(|(wanted, heard)| f64::from(*wanted) * f64::from(*heard)).sum()
    };
    (-REACH..=REACH).max_by(|left, right| likeness(*left).total_cmp(&likeness(*right))).unwrap_or(REACH)
}
