//! Where a clip begins: the keyframe to decode from, and the first frame to show.

use std::collections::VecDeque;

use crate::{
    Error, TrackKind,
    ffmpeg::Packet,
    plan::settle_start,
    source::{SpanReader, TrackPacket, dts, pts},
    time::{NANOS, WallTime},
};

/// How far before mark-in a search begins, in seconds; the next is tried if no keyframe lies between.
const BACK: [i64; 5] = [0, 2, 10, 60, 600];
/// Audio is kept from so long before the keyframe: enough for any codec's priming.
const AUDIO_LEAD: i64 = NANOS;
/// Text is kept from so much longer before it: it may still be shown.
const TEXT_LEAD: i64 = 60 * NANOS;
/// A GOP with more frames than this is no recording's.
const MAX_GOP: usize = 100_000;

/// A clip's beginning.
pub(crate) struct Opening {
    /// The video packets from the keyframe on, in decoding order, and one or more behind the first frame shown.
    pub(crate) video: Vec<Packet>,
    /// Packets of the other tracks that were read on the way.
    pub(crate) others: VecDeque<TrackPacket>,
    /// The first frame shown; `None` if the span ends before mark-in, or has no video.
    pub(crate) base: Option<i64>,
}

impl Opening {
    /// When the first frame shown is.
    pub(crate) fn first_time(&self, reader: &SpanReader, video: usize) -> WallTime {
        let first = self.base.or_else(|| self.video.first().map(pts)).unwrap_or_default();
        reader.clock(video).wall(first)
    }

    /// How long frames are held back from decoding to showing, in ticks of the video.
    pub(crate) fn delay(&self) -> i64 {
        self.video.first().map_or(0, |key| (pts(key) - dts(key)).max(0))
    }
}

/// Reads up to the first frame at or after `instant`.
///
/// # Errors
/// As [`SpanReader::next`].
pub(crate) fn open_at(reader: &mut SpanReader, instant: WallTime) -> Result<Opening, Error> {
    let Some(video) = reader.video() else { return open_without_video(reader, instant) };
    let ticks = reader.clock(video).at_or_after(instant);
    if !reader.can_seek() {
        return read_opening(reader, video, ticks);
    }
    let mut opening = None;
    for seconds in BACK {
        reader.seek(instant.saturating_add_nanos(-seconds * NANOS - reader.text_lead()))?;
        let found = read_opening(reader, video, ticks)?;
        let reaches = found.video.first().is_some_and(|key| pts(key) <= ticks);
        let is_start = reader.clock(video).at_or_after(instant.saturating_add_nanos(-seconds * NANOS))
            <= reader.stream(video).start.unwrap_or(i64::MIN);
        opening = Some(found);
        if reaches || is_start {
            break;
        }
    }
    opening.ok_or_else(|| Error::Internal("no search was made".into()))
}

fn open_without_video(reader: &mut SpanReader, instant: WallTime) -> Result<Opening, Error> {
    reader.seek(instant.saturating_add_nanos(-AUDIO_LEAD))?;
    Ok(Opening { video: Vec::new(), others: VecDeque::new(), base: None })
}

fn read_opening(reader: &mut SpanReader, video: usize, mark_in: i64) -> Result<Opening, Error> {
    let mut opening = Opening { video: Vec::new(), others: VecDeque::new(), base: None };
    let mut times = Vec::new();
    while let Some(next) = reader.next()? {
        if next.track != video {
            opening.others.push_back(next);
            continue;
        }
        let packet = next.packet;
        let restarts = packet.is_key() && pts(&packet) <= mark_in;
        if restarts {
            let keep_from = reader.clock(video).wall(pts(&packet)).saturating_add_nanos(-AUDIO_LEAD);
            opening.others.retain(|other| {
                let is_text = reader.stream(other.track).info.kind == TrackKind::Subtitle;
                let lead = if is_text { TEXT_LEAD } else { 0 };
                let end = reader.clock(other.track).wall(other.pts() + other.packet.duration().max(0));
                end >= keep_from.saturating_add_nanos(-lead)
            });
            opening.video.clear();
            times.clear();
        }
        if opening.video.is_empty() && !packet.is_key() {
            continue;
        }
        let settled = settle(&opening.video, &times, mark_in, Some(dts(&packet)));
        times.push(pts(&packet));
        opening.video.push(packet);
        if settled.is_some() {
            opening.base = settled;
            return Ok(opening);
        }
        if times.len() > MAX_GOP {
            return Err(Error::Limit(format!("no keyframe within {MAX_GOP} frames of the source")));
        }
    }
    opening.base = settle(&opening.video, &times, mark_in, None);
    Ok(opening)
}

/// The first frame to show. Pictures before a keyframe that nothing came before can't be decoded, so none is asked for.
fn settle(packets: &[Packet], times: &[i64], mark_in: i64, next_dts: Option<i64>) -> Option<i64> {
    let key = pts(packets.first()?);
    settle_start(times, mark_in.max(key), next_dts).map(|start| start.base)
}
