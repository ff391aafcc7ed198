//! Going on from the span before. Pictures that lead the first keyframe of a span refer to what came before it: where
//! files are cut at the keyframes of open GOPs, that is in another file.

use std::sync::Arc;

use super::{Opening, open_at};
use crate::{
    Error, Span,
    ffmpeg::{Packet, Stream, extradata, show},
    host::Host,
    nal::{Access, Codec, Framing},
    source::{SpanReader, frame_nanos, pts},
    time::{NANOS, TimeRange, WallTime},
};

/// Assumed where a source doesn't state its frame rate.
const USUAL_FRAME: i64 = NANOS / 25;

/// What a span goes on from.
pub(crate) struct Continuation {
    /// The span before from its last keyframe on, its times in ticks of this one: what its first pictures refer to.
    pub(crate) preroll: Vec<Packet>,
    /// Whether what is before was copied to its very end, so that copying goes on with the first packet.
    pub(crate) is_copied: bool,
}

/// A span, open where it is wanted from.
pub(crate) struct Opened {
    pub(crate) reader: SpanReader,
    pub(crate) opening: Opening,
    pub(crate) continuation: Option<Continuation>,
    /// Pictures that are there, and can't be shown without what is before them.
    pub(crate) lost: Option<TimeRange>,
}

impl Opened {
    /// Opens `reader`'s span at `mark_in`, before which the span `before` is, if there is one. Where the range begins
    /// inside of the span, `is_marked`, nothing before `mark_in` is wanted; else what leads the first keyframe is, too.
    ///
    /// # Errors
    /// As [`SpanReader::next`].
    pub(crate) fn at(
        mut reader: SpanReader,
        host: &Arc<dyn Host>,
        (span, before): (&Span, Option<&Span>),
        (mark_in, is_marked): (WallTime, bool),
    ) -> Result<Self, Error> {
        let opening = open_at(&mut reader, mark_in)?;
        let mut opened = Self { reader, opening, continuation: None, lost: None };
        let Some((video, before)) = opened.reader.video().zip(before) else { return Ok(opened) };
        let half_frame = frame_nanos(opened.reader.stream(video).info.frame_rate).unwrap_or(USUAL_FRAME) / 2;
        if span.range.start.nanos_since(before.range.end).abs() > half_frame {
            return Ok(opened);
        }
        let clock = opened.reader.clock(video);
        // A manifest may have the time of a keyframe for the start of what leads it.
        let from = if is_marked { clock.at_or_after(mark_in) } else { i64::MIN };
        let lead = opened.opening.lead(from);
        if lead.is_none() && opened.opening.begins_anew(opened.reader.stream(video)) {
            return Ok(opened);
        }
        opened.continuation = match preroll(host, before, &opened.reader, video) {
            Ok(preroll) => preroll.map(|preroll| Continuation { preroll, is_copied: false }),
            // Told where that span is cut itself.
            Err(Error::Unusable(_) | Error::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        match &opened.continuation {
            Some(_) => {
                opened.opening.base = lead.or(opened.opening.base);
                // Where an MP4 was cut at a keyframe, its edit list hides what leads it.
                opened.opening.video.iter_mut().for_each(show);
            }
            None => opened.note_lost(from),
        }
        Ok(opened)
    }

    /// Says whether what is before was copied to its very end. Only then can a copy that encodes nothing go on from it.
    pub(crate) fn go_on(&mut self, is_copied: bool, encodes_nothing: bool) {
        match &mut self.continuation {
            Some(_) if encodes_nothing && !is_copied => self.begin_anew(),
            Some(continuation) => continuation.is_copied = is_copied,
            None => {}
        }
    }

    /// Does without what is before: what leads the first keyframe can't be shown.
    fn begin_anew(&mut self) {
        self.continuation = None;
        if let Some((base, key)) = self.opening.base.zip(self.opening.video.first().map(pts)) {
            self.opening.base = Some(base.max(key));
            self.note_lost(base);
        }
    }

    fn note_lost(&mut self, from: i64) {
        let key = self.opening.video.first().map(pts);
        if let Some(((lead, key), video)) = self.opening.lead(from).zip(key).zip(self.reader.video()) {
            let clock = self.reader.clock(video);
            self.lost = Some(TimeRange::new(clock.wall(lead), clock.wall(key)));
        }
    }
}

impl Opening {
    /// The first picture from `from` on that leads the keyframe at the front; `None` if none does, or the keyframe is
    /// before `from` itself.
    pub(crate) fn lead(&self, from: i64) -> Option<i64> {
        let key = pts(self.video.first()?);
        self.video.iter().map(pts).filter(|time| (from..key).contains(time)).min()
    }

    /// Whether decoding can begin with the first packet, and copying behind whatever is there before.
    fn begins_anew(&self, stream: &Stream) -> bool {
        let Some((codec, key)) = Codec::of(&stream.info.codec).zip(self.video.first()) else { return true };
        let framing = Framing::of(codec, extradata(&stream.parameters));
        codec.access(framing, key.data().unwrap_or_default()) != Access::None
    }
}

/// The packets of `before` from its last keyframe on, in the times of the video of `reader`. `None` if they are coded
/// otherwise.
fn preroll(
    host: &Arc<dyn Host>,
    before: &Span,
    reader: &SpanReader,
    video: usize,
) -> Result<Option<Vec<Packet>>, Error> {
    let mut source = SpanReader::open(host, before, true)?;
    let Some(track) = source.video() else { return Ok(None) };
    if !is_alike(source.stream(track), reader.stream(video)) {
        return Ok(None);
    }
    let (from, to) = (source.clock(track), reader.clock(video));
    let mut packets = open_at(&mut source, before.range.end)?.video;
    for packet in &mut packets {
        let map = |ticks| to.nearest(from.wall(ticks));
        packet.set_pts(packet.pts().map(map));
        packet.set_dts(packet.dts().map(map));
    }
    Ok((!packets.is_empty()).then_some(packets))
}

/// Whether one decoder takes the packets of both, one behind the other.
fn is_alike(one: &Stream, other: &Stream) -> bool {
    let like = |stream: &Stream| (stream.info.codec.clone(), stream.info.size);
    like(one) == like(other) && extradata(&one.parameters) == extradata(&other.parameters)
}
