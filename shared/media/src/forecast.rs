//! What a clip would be, without making it: the edges are read, nothing between.

use std::sync::Arc;

use crate::{
    ClipReport, ClipTask, Cut, Error, Gap, GapFill, Span, TrackKind,
    clip::{
        Chosen, Hole, Known, Method, Wanted, choose, exclude, follow, gaps, needs_thorough, track_reports, wanted_spans,
    },
    cut::{Bounds, Continuation, Opened, Opening, SmartStyle, open_at},
    ffmpeg::Packet,
    host::Host,
    nal::Access,
    plan::cut_tail,
    source::{SpanReader, dts, frame_nanos, pts},
    time::{NANOS, TimeRange, WallTime},
};

/// How many segments are measured for the estimate of the size.
const SAMPLES: usize = 8;

/// Says what [`crate::clip::clip`] would do.
///
/// # Errors
/// As `clip`.
pub(crate) fn plan(task: &ClipTask, host: Arc<dyn Host>) -> Result<ClipReport, Error> {
    let mut report: Option<ClipReport> = None;
    let mut state = State { reached: task.range.start, ..State::default() };
    for wanted in wanted_spans(task) {
        let Some(part) = plan_span(task, &host, wanted, &mut state)? else { continue };
        state.reached = part.actual.end;
        report = Some(match report {
            None => part,
            Some(whole) => ClipReport {
                actual: TimeRange::new(whole.actual.start, part.actual.end),
                duration: whole.duration + part.duration,
                frames: whole.frames + part.frames,
                encoded_frames: whole.encoded_frames + part.encoded_frames,
                size_bytes: whole.size_bytes + part.size_bytes,
                warnings: [whole.warnings, part.warnings].concat(),
                ..whole
            },
        });
    }
    let mut task = task.clone();
    let lost: Vec<_> = state.lost.iter().map(|hole| exclude(&mut task.input, hole)).collect();
    let report = report.map(|report| filled(&task, ClipReport { gaps: gaps(&task, &lost), ..report }));
    report.ok_or_else(|| {
        Error::NoMedia(format!("no frame of the recording lies between {} and {}", task.range.start, task.range.end))
    })
}

/// `report` with the black that its gaps become, if they are filled.
fn filled(task: &ClipTask, mut report: ClipReport) -> ClipReport {
    let video = report.tracks.iter().find(|track| track.track.kind == TrackKind::Video);
    let Some(frame) = video.and_then(|video| frame_nanos(video.track.frame_rate)) else { return report };
    if task.gaps == GapFill::Black {
        let length = |gap: &Gap| gap.range.end.nanos_since(gap.range.start).max(0);
        let frames: i64 = report.gaps.iter().map(|gap| (length(gap) + frame / 2) / frame).sum();
        report.duration += report.gaps.iter().map(length).sum::<i64>();
        report.frames += frames.unsigned_abs();
        report.encoded_frames += frames.unsigned_abs();
        report.actual = report.gaps.iter().fold(report.actual, |actual, gap| {
            TimeRange::new(actual.start.min(gap.range.start), actual.end.max(gap.range.end))
        });
    }
    report
}

/// What is known from the spans before.
#[derive(Default)]
struct State {
    chosen: Option<Chosen>,
    /// Up to when there are frames.
    reached: WallTime,
    /// Whether the span before is copied to its very end.
    is_copied: bool,
    /// Pictures that can't be shown.
    lost: Vec<Hole>,
}

fn plan_span(
    task: &ClipTask,
    host: &Arc<dyn Host>,
    wanted: Wanted<'_>,
    state: &mut State,
) -> Result<Option<ClipReport>, Error> {
    let Wanted { span, mark_out, .. } = wanted;
    let was_copied = std::mem::take(&mut state.is_copied);
    let reader = SpanReader::open(host, span, needs_thorough(task))?;
    let Some(video) = reader.video() else { return plan_sound(task, host, &reader, span).map(Some) };
    let mut opened = wanted.open(reader, host)?;
    let known = Known::default();
    let Opened { reader, opening, .. } = &opened;
    let (chosen, method, warning) = match &mut state.chosen {
        None => {
            let chosen = state.chosen.insert(choose(task, reader, video, opening, &known)?);
            (&*chosen, chosen.method.clone(), chosen.warning.clone())
        }
        Some(chosen) => {
            let (method, warning) = follow(task, chosen, reader, video, opening, &known)?;
            (&*chosen, method, warning)
        }
    };
    opened.go_on(was_copied, matches!(method, Method::Copy(_)));
    let Opened { mut reader, opening, continuation, lost } = opened;
    state.lost.extend(lost.map(|range| Hole::unled(span, range)));
    let clock = reader.clock(video);
    let bound = mark_out.map_or(i64::MAX, |mark_out| clock.at_or_after(mark_out));
    let Some(base) = opening.base.filter(|base| *base < bound) else { return Ok(None) };
    let frame = frame_nanos(reader.stream(video).info.frame_rate).unwrap_or(NANOS / 25).max(1);
    let head = match (&method, &continuation) {
        (Method::Smart(_), Some(Continuation { is_copied: true, .. })) => Head { frames: 0, is_over: true },
        (Method::Smart(style), _) => {
            let bounds = Bounds { base, mark_out: bound };
            let count = HeadCount { style, bounds, frames: 0, begun: continuation.is_some(), key: None };
            count.run(&mut reader, video, &opening)?
        }
        (Method::Copy(_) | Method::Encode(_), _) => Head { frames: 0, is_over: true },
    };
    state.is_copied = mark_out.is_none() && head.is_over && !matches!(method, Method::Encode(_));
    let (end, tail) = match mark_out {
        Some(mark_out) => plan_tail(host, task, span, (mark_out, continuation.is_some()))?,
        None => (span.range.end, 0),
    };
    let key = clock.wall(opening.video.first().map_or(base, pts));
    let first = clock.wall(base);
    let start = if matches!(method, Method::Copy(_)) && chosen.cut == Cut::Keyframe { key.min(first) } else { first };
    // What goes on from the span before may begin before its end is said to be.
    let start = if continuation.is_some() { start.max(state.reached) } else { start };
    let duration = end.nanos_since(start).max(0);
    let frames = (duration + frame / 2) / frame;
    let encoded = match method {
        Method::Copy(_) => 0,
        Method::Smart(_) => (head.frames + tail).min(frames),
        Method::Encode(_) => frames,
    };
    let is_hidden = matches!(method, Method::Copy(_)) && chosen.cut == Cut::EditList;
    Ok(Some(ClipReport {
        actual: TimeRange::new(start, end),
        duration,
        gaps: Vec::new(),
        tracks: track_reports(task, &reader, chosen),
        frames: frames.unsigned_abs(),
        encoded_frames: encoded.unsigned_abs(),
        hidden_lead_in: if is_hidden { first.nanos_since(key) } else { 0 },
        size_bytes: estimate(host, span, end.nanos_since(start))?,
        sha256: String::new(),
        warnings: warning.into_iter().collect(),
    }))
}

fn sound_only(task: &ClipTask) -> Chosen {
    Chosen { method: Method::Copy(None), cut: task.cut, warning: None, black: None }
}

fn plan_sound(task: &ClipTask, host: &Arc<dyn Host>, reader: &SpanReader, span: &Span) -> Result<ClipReport, Error> {
    let actual = span.range.intersection(&task.range).unwrap_or(TimeRange::new(task.range.start, task.range.start));
    let duration = actual.end.nanos_since(actual.start);
    Ok(ClipReport {
        actual,
        duration,
        gaps: Vec::new(),
        tracks: track_reports(task, reader, &sound_only(task)),
        frames: 0,
        encoded_frames: 0,
        hidden_lead_in: 0,
        size_bytes: estimate(host, span, duration)?,
        sha256: String::new(),
        warnings: Vec::new(),
    })
}

/// What is encoded before copying begins.
struct Head {
    frames: i64,
    /// Whether copying begins at all.
    is_over: bool,
}

/// Counts the frames that a [`crate::cut::SmartCutter`] encodes before it copies.
struct HeadCount<'a> {
    style: &'a SmartStyle,
    bounds: Bounds,
    frames: i64,
    /// Whether anything was read: then leading pictures of a keyframe are decodable.
    begun: bool,
    /// The keyframe whose leading pictures are being counted.
    key: Option<i64>,
}

impl HeadCount<'_> {
    /// Reads up to the first frame that copying can begin with.
    fn run(mut self, reader: &mut SpanReader, video: usize, opening: &Opening) -> Result<Head, Error> {
        for packet in &opening.video {
            if !self.take(packet) {
                return Ok(Head { frames: self.frames, is_over: true });
            }
        }
        while let Some(next) = reader.next()? {
            if next.track != video {
                continue;
            }
            if !self.take(&next.packet) {
                return Ok(Head { frames: self.frames, is_over: true });
            }
            if dts(&next.packet) >= self.bounds.mark_out {
                break;
            }
        }
        // The pictures that lead a keyframe may be the last of the span.
        Ok(Head { frames: self.frames, is_over: self.key.is_some() })
    }

    /// Takes the next packet; false once copying has begun.
    fn take(&mut self, packet: &Packet) -> bool {
        let (time, Bounds { base, mark_out }) = (pts(packet), self.bounds);
        let is_shown = time >= base && time < mark_out;
        if let Some(key) = self.key {
            self.frames += i64::from(is_shown && time < key);
            return time < key;
        }
        let begun = std::mem::replace(&mut self.begun, true);
        match self.style.access(packet, self.bounds) {
            Access::Clean => return false,
            Access::Leading if !begun => return false,
            Access::Leading => self.key = Some(time),
            Access::None => self.frames += i64::from(is_shown),
        }
        true
    }
}

/// Where the clip ends, and how many frames before that are encoded.
fn plan_tail(
    host: &Arc<dyn Host>,
    task: &ClipTask,
    span: &Span,
    (mark_out, is_led): (WallTime, bool),
) -> Result<(WallTime, i64), Error> {
    let mut span = span.clone();
    // Segments long before mark-out needn't be read.
    for part in &mut span.parts {
        let last = part.segments.iter().rposition(|segment| segment.range.start <= mark_out).unwrap_or(0);
        part.segments.drain(..last.saturating_sub(1));
    }
    let mut reader = SpanReader::open(host, &span, needs_thorough(task))?;
    let Some(video) = reader.video() else { return Ok((mark_out, 0)) };
    let clock = reader.clock(video);
    let opening = open_at(&mut reader, mark_out)?;
    let times: Vec<i64> = opening.video.iter().map(pts).collect();
    let tail = cut_tail(&times, clock.at_or_after(mark_out));
    let lead = opening.lead(clock.at_or_after(mark_out)).filter(|_| is_led);
    // The range may end while the last frame is shown.
    let last = opening.video.iter().map(|packet| pts(packet) + packet.duration().max(0)).max();
    let last = last.map_or(span.range.end, |last| clock.wall(last).max(span.range.end));
    let end = lead.or(opening.base).map_or(last, |base| clock.wall(base));
    Ok((end, tail.encoded as i64))
}

/// Bytes of `length` nanoseconds of the span, by the size of some of its segments.
fn estimate(host: &Arc<dyn Host>, span: &Span, length: i64) -> Result<u64, Error> {
    let mut total = 0;
    for part in &span.parts {
        let step = (part.segments.len() / SAMPLES).max(1);
        let (mut bytes, mut nanos) = (0u64, 0i64);
        for segment in part.segments.iter().step_by(step) {
            let size = match segment.piece.length {
                Some(length) => length,
                None => {
                    let source = host.open(segment.piece.source)?;
                    let size = source.size().map_err(|error| Error::Io(error.to_string()))?;
                    size.saturating_sub(segment.piece.offset)
                }
            };
            bytes += size;
            nanos += segment.range.end.nanos_since(segment.range.start).max(1);
        }
        if nanos > 0 {
            let share = u128::from(bytes) * u128::from(length.max(0).unsigned_abs()) / u128::from(nanos.unsigned_abs());
            total += u64::try_from(share).unwrap_or(u64::MAX / 4);
        }
    }
    Ok(total)
}
