//! A part of a span, open: one demuxer's packets, their times mended.

use std::collections::VecDeque;

use super::{
    SourceTrack, TrackPacket,
    continuity::{Continuity, Step},
    decoding::DecodingTimes,
    frame_nanos, pts,
};
use crate::{
    Error, Format, Part, Segment, TrackKind,
    ffmpeg::{Demuxer, Stream, empty_packet},
    time::{NANOS, Rounding, Timebase, WallTime},
};

/// MPEG time stamps have so many bits (ISO/IEC 13818-1 §2.4.3.7).
const TS_WRAP: i64 = 1 << 33;
/// How many packets behind a keyframe its leading pictures are looked for among: as many as a decoder can hold back.
pub(super) const MAX_LEADING: usize = 16;
/// Segments end so much before they are said to, at most, in nanoseconds.
const HALF_FRAME: i64 = NANOS / 50;

/// A part of a span, open.
pub(super) struct OpenPart {
    pub(super) demuxer: Demuxer,
    pub(super) format: Format,
    /// Added to all times, to undo a wrap of the clock between the anchor and what is read.
    pub(super) shift: i64,
    /// Index of the track of each stream, if it is read.
    pub(super) track_of: Vec<Option<usize>>,
    pub(super) continuity: Continuity,
    /// Decoding times of the video, where the container has none.
    pub(super) decoding: Option<DecodingTimes>,
    /// The segments, to tell which of them is at fault.
    pub(super) segments: Vec<Segment>,
    pub(super) ahead: VecDeque<TrackPacket>,
    /// When, by its own clock, the last packet of video or sound was; all tracks of a TS have the same.
    pub(super) near: Option<i64>,
    pub(super) ended: bool,
    /// Whether it is a single file that can be searched.
    pub(super) seekable: bool,
    pub(super) has_moved: bool,
    /// Whether it is made of fragments behind an init segment.
    pub(super) is_fragmented: bool,
    /// Wall time of the first byte, to tell how often the clock has wrapped.
    pub(super) start: WallTime,
}

impl OpenPart {
    /// Says which segment an error is about, where there are several: the one whose turn it was.
    pub(super) fn blame(&self, error: Error, tracks: &[SourceTrack]) -> Error {
        let Error::Unusable(problem) = error else { return error };
        let reached = self.continuity.reached().filter_map(|(stream, ticks)| {
            let track = self.track_of.get(stream).copied().flatten()?;
            Some(tracks[track].clock.wall(ticks))
        });
        let reached = reached.max().unwrap_or(WallTime::EPOCH).saturating_add_nanos(HALF_FRAME);
        let next = self.segments.partition_point(|segment| segment.range.start <= reached).saturating_sub(1);
        match self.segments.get(next) {
            Some(segment) if self.segments.len() > 1 => {
                Error::Damaged { source_index: segment.piece.source, offset: segment.piece.offset, problem }
            }
            _ => Error::Unusable(problem),
        }
    }

    /// Reads until there is a packet of a wanted track, and of video keyframes in fragments those that tell its time.
    pub(super) fn fill(&mut self, tracks: &[SourceTrack], video: Option<usize>) -> Result<(), Error> {
        self.read_packet(tracks)?;
        let is_key = |next: &TrackPacket| Some(next.track) == video && next.packet.is_key();
        if self.is_fragmented && self.ahead.back().is_some_and(is_key) {
            let track = self.ahead.back().map_or(0, |next| next.track);
            let mut following = 0;
            while following < MAX_LEADING && !self.ended {
                self.read_packet(tracks)?;
                following += usize::from(self.ahead.back().is_some_and(|next| next.track == track));
            }
            self.repair_keyframe();
        }
        Ok(())
    }

    /// Gives a keyframe its own time where it has that of a picture which leads it: FFmpeg's DASH and HLS muxers write the
    /// first sample of a fragment so where the GOP is open. The keyframe belongs where the leading pictures leave a hole.
    fn repair_keyframe(&mut self) {
        let Some(TrackPacket { track, packet }) = self.ahead.front() else { return };
        let (track, time, length) = (*track, pts(packet), packet.duration());
        let others = self.ahead.iter().skip(1).filter(|next| next.track == track);
        let times: Vec<i64> = others.map(TrackPacket::pts).collect();
        if length <= 0 || !times.contains(&time) {
            return;
        }
        let hole = (1..)
            .map(|frames| time + frames * length)
            .find(|hole| !times.iter().any(|time| (time - hole).abs() < length / 2));
        if let Some(next) = self.ahead.front_mut() {
            next.packet.set_pts(hole);
        }
    }

    fn read_packet(&mut self, tracks: &[SourceTrack]) -> Result<(), Error> {
        loop {
            let mut packet = empty_packet();
            if !self.demuxer.read(&mut packet)? {
                self.ended = true;
                return Ok(());
            }
            let Some(track) = self.track_of.get(packet.stream()).copied().flatten() else { continue };
            let kind = self.demuxer.streams()[packet.stream()].info.kind;
            let is_side = matches!(kind, TrackKind::Subtitle | TrackKind::Data);
            if is_side && packet.pts().or(packet.dts()).is_none() {
                // Metadata in a TS may have no time but that of what it came with; elsewhere it can't be told.
                let Some(near) = self.near else { continue };
                packet.set_pts(Some(near));
            }
            let (Some(pts), Some(dts)) = (packet.pts().or(packet.dts()), packet.dts().or(packet.pts())) else {
                return Err(Error::Unusable("a packet of the source has no time stamp".into()));
            };
            let dts = match &mut self.decoding {
                Some(decoding) if kind == TrackKind::Video => decoding.next(pts),
                _ => dts,
            };
            if self.format == Format::MpegTs && self.shift == 0 {
                self.shift = wraps(tracks[track].clock.nearest(self.start).saturating_sub(dts)) * TS_WRAP;
            }
            if self.format == Format::MpegTs && !is_side {
                self.near = Some(dts);
            }
            packet.set_pts(Some(pts.saturating_add(self.shift)));
            packet.set_dts(Some(dts.saturating_add(self.shift)));
            // Text and data may have any time.
            if !is_side && self.continuity.place(&mut packet) == Step::Drop {
                continue;
            }
            self.ahead.push_back(TrackPacket { track, packet });
            return Ok(());
        }
    }
}

/// The longest time between two segments that follow each other, in nanoseconds; `None` if there is but one.
pub(super) fn longest_gap(segments: &[Segment]) -> Option<i64> {
    segments.windows(2).map(|pair| pair[1].range.start.nanos_since(pair[0].range.end).max(0)).max()
}

/// Says that the first of several segments is at fault: behind it there may be what can be read.
pub(super) fn blame_first(error: Error, part: &Part) -> Error {
    match (error, part.segments.as_slice()) {
        (Error::Unusable(problem), [first, _, ..]) => {
            Error::Damaged { source_index: first.piece.source, offset: first.piece.offset, problem }
        }
        (error, _) => error,
    }
}

/// Decoding times of a video track that has none.
pub(super) fn decoding_times(stream: &Stream) -> DecodingTimes {
    let frame = frame_nanos(stream.info.frame_rate).unwrap_or(NANOS / 25);
    DecodingTimes::new(stream.delay, Timebase::NANOS.rescale(frame, stream.timebase, Rounding::Nearest).max(1))
}

/// How many times the 33-bit clock went round in `distance`, to the nearest.
fn wraps(distance: i64) -> i64 {
    (distance.saturating_add(TS_WRAP / 2)).div_euclid(TS_WRAP)
}
