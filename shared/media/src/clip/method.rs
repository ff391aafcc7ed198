//! Which way a clip's video is made, and which spans of the recording it is made of.

use std::sync::Arc;

use super::layout::Known;
use crate::{
    ClipTask, Compatibility, Container, Cut, Error, Fallback, GapFill, Part, Span, TrackFate, TrackReport, VideoTarget,
    carry::carry,
    cut::{Encode, Opened, Opening, Reframe, SmartStyle, Target, full_settings},
    ffmpeg::VideoShape,
    host::Host,
    nal::{Codec, Framing},
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
    /// The one before, touched by the range or not.
    pub(crate) before: Option<&'a Span>,
    pub(crate) mark_in: WallTime,
    /// Whether the range begins inside the span.
    pub(crate) is_marked: bool,
    /// Absent where the span's own end is the bound.
    pub(crate) mark_out: Option<WallTime>,
}

impl Wanted<'_> {
    /// Opens the span, whose bytes `reader` reads, where it is wanted from.
    ///
    /// # Errors
    /// As [`Opened::at`].
    pub(crate) fn open(&self, reader: SpanReader, host: &Arc<dyn Host>) -> Result<Opened, Error> {
        Opened::at(reader, host, (self.span, self.before), (self.mark_in, self.is_marked))
    }

    /// Where it ends, as far as is known beforehand.
    pub(crate) fn end(&self) -> WallTime {
        self.mark_out.unwrap_or(self.span.range.end)
    }
}

/// The spans that the range touches.
pub(crate) fn wanted_spans(task: &ClipTask) -> Vec<Wanted<'_>> {
    let spans = &task.input.spans;
    let is_touched = |(_, span): &(usize, &Span)| span.range.intersection(&task.range).is_some();
    let before = |index: usize| index.checked_sub(1).map(|before| &spans[before]);
    let touched = spans.iter().enumerate().filter(is_touched);
    touched.map(|(index, span)| wanted(span, before(index), &task.range)).collect()
}

fn wanted<'a>(span: &'a Span, before: Option<&'a Span>, range: &TimeRange) -> Wanted<'a> {
    let is_marked = range.start >= span.range.start;
    let mark_in = if is_marked { range.start } else { span.range.start.saturating_add_nanos(-SPAN_SLACK) };
    // A span that ends inside its last segment ends just there; one that ends with it ends with its last frame.
    let last = |part: &Part| part.segments.last().map(|segment| segment.range.end);
    let is_inside = |end: WallTime| end.nanos_since(span.range.end) > SPAN_SLACK;
    let ends_inside = span.parts.first().and_then(last).is_some_and(is_inside);
    let mark_out = match range.end <= span.range.end {
        true => Some(range.end),
        false => ends_inside.then_some(span.range.end),
    };
    Wanted { span, before, mark_in, is_marked, mark_out }
}

/// How the video of a span is made.
#[derive(Clone)]
pub(crate) enum Method {
    /// Copied; reframed if its codec is one of NAL units.
    Copy(Option<Box<Reframe>>),
    /// Copied but for the edges.
    Smart(Box<SmartStyle>),
    /// Encoded.
    Encode(Box<Encode>),
}

impl Method {
    /// How packets of the source go out, where that is more than as they are.
    pub(crate) fn reframe(&self) -> Option<&Reframe> {
        match self {
            Self::Copy(reframe) => reframe.as_deref(),
            Self::Smart(style) => Some(&style.source),
            Self::Encode(encode) => encode.style.as_ref().map(|style| &style.source),
        }
    }
}

/// How the video of a clip is made.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) method: Method,
    /// The cut that is made: that which was asked for, or what had to take its place.
    pub(crate) cut: Cut,
    /// Why it isn't as asked.
    pub(crate) warning: Option<String>,
    /// How black is encoded where gaps are filled.
    pub(crate) black: Option<Encode>,
}

/// Chooses how the video of the first span is made; the others follow it ([`follow`]).
///
/// # Errors
/// `Unsupported` if it can't be as asked, nor as the task's fallback allows.
pub(crate) fn choose(
    task: &ClipTask,
    reader: &SpanReader,
    video: usize,
    opening: &Opening,
    known: &Known,
) -> Result<Chosen, Error> {
    let stream = reader.stream(video);
    let codec = &stream.info.codec;
    let shape = VideoShape::of_parameters(&stream.parameters);
    let target = |framing| target(task.container, framing, known.in_band);
    let style = || {
        let source = Reframe::of(stream, opening.video.first(), target)?;
        SmartStyle::of(stream, source, known.sets.as_ref())
    };
    let encode = |target, warning: Option<String>| {
        let shape = shape
            .clone()
            .ok_or_else(|| Error::Unusable(format!("the {codec} video has no pixel format; it can't be decoded")))?;
        let shape = if task.compatibility == Compatibility::Broadest { shape.broadest() } else { shape };
        let encode = Encode { shape, settings: full_settings(target, stream), style: None };
        let black = (task.gaps == GapFill::Black).then(|| encode.clone());
        Ok(Chosen { method: Method::Encode(Box::new(encode)), cut: Cut::Exact, warning, black })
    };
    if task.video != VideoTarget::Keep {
        return encode(task.video, None);
    }
    if task.compatibility == Compatibility::Broadest {
        let is_broad = shape.as_ref().is_some_and(VideoShape::is_broadest);
        if !is_broad || Codec::of(codec).is_none() {
            let reason = format!("the whole video is encoded: not every player takes this {codec}");
            return encode(VideoTarget::H264, Some(reason));
        }
    }
    let copy = |cut, warning| {
        let reframe = Reframe::of(stream, opening.video.first(), target).ok().map(Box::new);
        let black = match task.gaps {
            GapFill::Close => None,
            GapFill::Black => Some(black(style().map_err(|error| {
                Error::Unsupported(format!("gaps can't be filled in a copy: {error}; encode it, or close them"))
            })?)),
        };
        Ok(Chosen { method: Method::Copy(reframe), cut, warning, black })
    };
    match task.cut {
        Cut::EditList if task.container == Container::Ts => {
            Err(Error::Unsupported("a TS has no edit list; choose MOV or MP4, or another cut".into()))
        }
        Cut::Keyframe | Cut::EditList => copy(task.cut, None),
        Cut::Exact => {
            let refusal = match style() {
                Ok(style) => {
                    let black = (task.gaps == GapFill::Black).then(|| black(style.clone()));
                    return Ok(Chosen {
                        method: Method::Smart(Box::new(style)),
                        cut: Cut::Exact,
                        warning: None,
                        black,
                    });
                }
                Err(Error::Unsupported(reason)) => reason,
                Err(error) => return Err(error),
            };
            match task.fallback {
                Fallback::Encode => {
                    let target = if codec == "hevc" { VideoTarget::H265 } else { VideoTarget::H264 };
                    encode(target, Some(format!("the whole video is encoded: {refusal}")))
                }
                Fallback::Keyframe => copy(Cut::Keyframe, Some(format!("cut at keyframes: {refusal}"))),
                Fallback::Fail => {
                    Err(Error::Unsupported(format!("the video can't be cut to the frame by copying: {refusal}")))
                }
            }
        }
    }
}

/// How black is encoded to go between copied frames.
fn black(style: SmartStyle) -> Encode {
    Encode { shape: style.shape.clone(), settings: style.settings.clone(), style: Some(style) }
}

/// How the video of a span behind the first is made, and what there is to say about that.
///
/// # Errors
/// `Unsupported` if it is coded in another way than the first, and a copy was asked for.
pub(crate) fn follow(
    task: &ClipTask,
    first: &Chosen,
    reader: &SpanReader,
    video: usize,
    opening: &Opening,
    known: &Known,
) -> Result<(Method, Option<String>), Error> {
    let stream = reader.stream(video);
    let framing = |own| first.method.reframe().map_or(own, Reframe::framing);
    let reframe =
        || Reframe::of(stream, opening.video.first(), |own| target(task.container, framing(own), known.in_band));
    let shape = VideoShape::of_parameters(&stream.parameters);
    match &first.method {
        Method::Encode(encode) => Ok((Method::Encode(Box::new(encode.in_timebase(stream.timebase))), None)),
        Method::Copy(reframed) => {
            Ok((Method::Copy(reframed.as_ref().and_then(|_| reframe().ok()).map(Box::new)), None))
        }
        Method::Smart(style) => {
            let is_alike = shape.as_ref().is_some_and(|shape| shape.fits(&style.shape));
            if is_alike
                && let Ok(source) = reframe()
                && source.is_like(&style.source)
                && let Ok(style) = SmartStyle::of(stream, source, known.sets.as_ref())
            {
                return Ok((Method::Smart(Box::new(style)), None));
            }
            let (width, height) = style.shape.size();
            let warning = format!(
                "from {} on the recording is coded differently; it is encoded to match what is before, at {width}x{height}",
                opening.first_time(reader, video)
            );
            Ok((Method::Encode(Box::new(black((**style).clone()).in_timebase(stream.timebase))), Some(warning)))
        }
    }
}

fn target(container: Container, framing: Framing, in_band: bool) -> Target {
    match container {
        Container::Ts => Target::Stream,
        Container::Mov | Container::Mp4 => Target::Samples { framing, in_band },
    }
}

/// Whether libav must read ahead to learn what choosing and encoding need.
pub(crate) fn needs_thorough(task: &ClipTask) -> bool {
    task.video != VideoTarget::Keep
        || task.cut == Cut::Exact
        || task.gaps == GapFill::Black
        || task.compatibility == Compatibility::Broadest
}

/// What becomes of each track of the source.
pub(crate) fn track_reports(task: &ClipTask, reader: &SpanReader, chosen: &Chosen) -> Vec<TrackReport> {
    let used = (0..reader.tracks().len()).map(|track| {
        let stream = reader.stream(track);
        let codec = stream.info.codec.as_str();
        let because = || chosen.warning.clone().unwrap_or_default();
        let (fate, codec, reason) = match &chosen.method {
            _ if Some(track) != reader.video() => carry(stream, task.container, task.compatibility).report(codec),
            Method::Copy(_) => (TrackFate::Copied, codec.to_owned(), because()),
            Method::Smart(_) => (TrackFate::SmartCut, codec.to_owned(), String::new()),
            Method::Encode(encode) => (TrackFate::Encoded, encode.settings.codec().to_owned(), because()),
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
