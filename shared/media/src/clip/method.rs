//! Which way a clip's video is made, and which spans of the recording it is made of.

use crate::{
    ClipTask, Container, Cut, Error, Span, TrackFate, TrackReport, VideoTarget,
    carry::carry,
    cut::{SmartStyle, full_settings},
    ffmpeg::{EncoderSettings, VideoShape},
    source::SpanReader,
    time::{TimeRange, WallTime},
};

/// Manifests round: a span may begin so much before it is said to. Less than half a frame.
pub(crate) const SPAN_SLACK: i64 = 4_000_000;

/// A span of which something is wanted. A bound that the range sets is exact; one that a gap sets is where the span begins
/// or ends by itself, as well as the manifest can tell.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) span: &'a Span,
    pub(crate) mark_in: WallTime,
    /// Absent where the span's own end is the bound.
    pub(crate) mark_out: Option<WallTime>,
}

impl Wanted<'_> {
    /// Where it ends, as far as is known beforehand.
    pub(crate) fn end(&self) -> WallTime {
        self.mark_out.unwrap_or(self.span.range.end)
    }
}

/// The spans that the range touches.
pub(crate) fn wanted_spans(task: &ClipTask) -> Vec<Wanted<'_>> {
    let is_touched = |span: &&Span| span.range.intersection(&task.range).is_some();
    task.input.spans.iter().filter(is_touched).map(|span| wanted(span, &task.range)).collect()
}

fn wanted<'a>(span: &'a Span, range: &TimeRange) -> Wanted<'a> {
    let is_marked = range.start >= span.range.start;
    let mark_in = if is_marked { range.start } else { span.range.start.saturating_add_nanos(-SPAN_SLACK) };
    Wanted { span, mark_in, mark_out: (range.end <= span.range.end).then_some(range.end) }
}

/// How the video of a clip is made.
pub(crate) enum Method {
    Copy,
    Smart(Box<SmartStyle>),
    Encode(Box<(VideoShape, EncoderSettings)>),
}

/// Chooses how the video is made, and says why if it isn't as asked.
pub(crate) fn choose(task: &ClipTask, reader: &SpanReader, video: usize) -> Result<(Method, Option<String>), Error> {
    let stream = reader.stream(video);
    let encode = |target| {
        let shape = VideoShape::of_parameters(&stream.parameters).ok_or_else(|| {
            Error::Unusable(format!("the {} video has no pixel format; it can't be decoded", stream.info.codec))
        })?;
        Ok::<_, Error>(Method::Encode(Box::new((shape, full_settings(target, stream)))))
    };
    match (task.video, task.cut) {
        (VideoTarget::H264 | VideoTarget::H265, _) => Ok((encode(task.video)?, None)),
        (VideoTarget::Keep, Cut::EditList) if task.container == Container::Ts => {
            Err(Error::Unsupported("a TS has no edit list; choose MOV or MP4, or another cut".into()))
        }
        (VideoTarget::Keep, Cut::Keyframe | Cut::EditList) => Ok((Method::Copy, None)),
        (VideoTarget::Keep, Cut::Exact) => {
            let refusal = if stream.info.codec == "h264" {
                match SmartStyle::of(stream, task.container == Container::Ts) {
                    Ok(style) => return Ok((Method::Smart(Box::new(style)), None)),
                    Err(Error::Unsupported(reason)) => reason,
                    Err(error) => return Err(error),
                }
            } else {
                format!("{} can't be smart cut", stream.info.codec)
            };
            let target = if stream.info.codec == "hevc" { VideoTarget::H265 } else { VideoTarget::H264 };
            Ok((encode(target)?, Some(format!("the whole video is encoded: {refusal}"))))
        }
    }
}

/// Whether libav must read ahead to learn what choosing and encoding need.
pub(crate) fn needs_thorough(task: &ClipTask) -> bool {
    task.video != VideoTarget::Keep || task.cut == Cut::Exact
}

/// What becomes of each track of the source.
pub(crate) fn track_reports(
    task: &ClipTask,
    reader: &SpanReader,
    method: &Method,
    warning: Option<&str>,
) -> Vec<TrackReport> {
    let used = (0..reader.tracks().len()).map(|track| {
        let stream = reader.stream(track);
        let codec = stream.info.codec.as_str();
        let because = || warning.unwrap_or_default().to_owned();
        let (fate, codec, reason) = match method {
            _ if Some(track) != reader.video() => carry(stream, task.container, task.compatibility).report(codec),
            Method::Copy => (TrackFate::Copied, codec.to_owned(), String::new()),
            Method::Smart(_) => (TrackFate::SmartCut, codec.to_owned(), String::new()),
            Method::Encode(encode) => (TrackFate::Encoded, encode.1.codec().to_owned(), because()),
        };
        TrackReport { track: stream.info.clone(), fate, codec, reason }
    });
    let dropped = reader.dropped().iter().map(|(info, reason)| TrackReport {
        track: info.clone(),
        fate: TrackFate::Dropped,
        codec: String::new(),
        reason: reason.clone(),
    });
    used.chain(dropped).collect()
}
