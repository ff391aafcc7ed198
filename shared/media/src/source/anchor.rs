//! Where media time and wall time meet, and what a source begins with.

use std::sync::Arc;

use super::{Clock, best_video, part::MAX_LEADING};
use crate::{
    Anchor, Error, Part, Piece, TrackKind,
    chain::Chain,
    ffmpeg::{Demuxer, empty_packet},
    host::Host,
    time::Timebase,
};

/// How many packets may come before the first keyframe of a segment that tells the time.
const MAX_ANCHOR_PACKETS: usize = 20_000;

/// The clock that the anchor of `part` sets.
///
/// # Errors
/// `Unusable`, or `Damaged` where another segment may set it as well; `Io`.
pub(super) fn resolve_anchor(host: &Arc<dyn Host>, part: &Part) -> Result<Clock, Error> {
    match &part.anchor {
        Anchor::Ticks { ticks, timescale, wall } => {
            let timebase = i32::try_from(*timescale).ok().and_then(|timescale| Timebase::new(1, timescale));
            let timebase =
                timebase.ok_or_else(|| Error::Unusable(format!("the timescale {timescale} is out of range")))?;
            Ok(Clock { anchor: *ticks, wall: *wall, timebase })
        }
        Anchor::FirstKeyframe { piece, wall } => {
            let pieces = part.init.into_iter().chain([*piece]).collect();
            let demuxer = Demuxer::open(Chain::new(host.clone(), pieces), part.format, false);
            let mut demuxer = demuxer.map_err(|error| blame_anchor(error, part, piece))?;
            let (ticks, timebase) = first_keyframe(&mut demuxer).map_err(|error| blame_anchor(error, part, piece))?;
            Ok(Clock { anchor: ticks, wall: *wall, timebase })
        }
    }
}

/// Says that the segment that sets the clock is at fault, where others can.
fn blame_anchor(error: Error, part: &Part, piece: &Piece) -> Error {
    match error {
        Error::Unusable(problem) if part.segments.len() > 1 => {
            Error::Damaged { source_index: piece.source, offset: piece.offset, problem }
        }
        error => error,
    }
}

/// What a source begins with.
pub(crate) struct Front {
    /// The stream whose times these are.
    pub(crate) stream: usize,
    timebase: Timebase,
    /// When the first keyframe of the video is shown, or the first packet of a source without video.
    first: i64,
    /// When the first picture is shown, which may lead that keyframe.
    earliest: i64,
}

impl Front {
    pub(crate) fn nanos(&self) -> i64 {
        self.timebase.nanos(self.first)
    }

    /// How long before the keyframe the first picture is shown, in nanoseconds.
    pub(crate) fn lead_nanos(&self) -> i64 {
        self.timebase.nanos(self.first.saturating_sub(self.earliest))
    }
}

/// Reads up to the first keyframe and what leads it.
///
/// # Errors
/// As [`Demuxer::read`]; `Unusable` if there is no frame.
pub(crate) fn front(demuxer: &mut Demuxer) -> Result<Front, Error> {
    let (stream, first, timebase) = first_packet(demuxer)?;
    let mut front = Front { stream, timebase, first, earliest: first };
    if best_video(demuxer.streams()) != Some(stream) {
        return Ok(front);
    }
    let (mut packet, mut following) = (empty_packet(), 0);
    for _ in 0..MAX_ANCHOR_PACKETS {
        if following == MAX_LEADING || !demuxer.read(&mut packet)? {
            break;
        }
        if packet.stream() == stream
            && let Some(pts) = packet.pts()
        {
            following += 1;
            front.earliest = front.earliest.min(pts);
            // What is decoded when the keyframe is shown, or later, doesn't lead it.
            if packet.dts().is_some_and(|dts| dts >= first) {
                break;
            }
        }
    }
    Ok(front)
}

/// When the first keyframe of the video is shown, or the first packet of a source without video.
fn first_keyframe(demuxer: &mut Demuxer) -> Result<(i64, Timebase), Error> {
    first_packet(demuxer).map(|(_, ticks, timebase)| (ticks, timebase))
}

/// The same, with its stream.
fn first_packet(demuxer: &mut Demuxer) -> Result<(usize, i64, Timebase), Error> {
    let mut packet = empty_packet();
    let mut first = None;
    for _ in 0..MAX_ANCHOR_PACKETS {
        if !demuxer.read(&mut packet)? {
            break;
        }
        let video = best_video(demuxer.streams());
        let Some(stream) = demuxer.streams().get(packet.stream()) else { continue };
        let Some(pts) = packet.pts().or(packet.dts()) else { continue };
        let found = (stream.index, pts, stream.timebase);
        match video {
            Some(video) if video == stream.index && packet.is_key() => return Ok(found),
            None if stream.info.kind == TrackKind::Audio => return Ok(found),
            _ => first = first.or(Some(found)),
        }
    }
    first.ok_or_else(|| Error::Unusable("no frame was found at the start of the source".into()))
}
