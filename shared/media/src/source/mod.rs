//! A span of a recording, open: its tracks, and their packets from all its parts in order of time.
//!
//! ```text
//! clock.rs        between wall time and media time
//! continuity.rs   packets whose times don't go on from those before
//! decoding.rs     decoding times, where a container has none
//! ```

mod clock;
mod continuity;
mod decoding;

use std::{collections::VecDeque, sync::Arc};

use crate::{
    Anchor, Error, Format, Part, Piece, Segment, Span, TrackInfo, TrackKind,
    carry::refusal,
    chain::{Bytes, Chain},
    ffmpeg::{Demuxer, Packet, Parameters, Stream, VideoShape, empty_packet},
    host::Host,
    time::{NANOS, Rounding, Timebase, WallTime},
    ts::synchronous_pids,
};

pub(crate) use clock::Clock;
use continuity::{Continuity, Step};
use decoding::DecodingTimes;

/// MPEG time stamps have so many bits (ISO/IEC 13818-1 §2.4.3.7).
const TS_WRAP: i64 = 1 << 33;
/// How many packets behind a keyframe its leading pictures are looked for among: as many as a decoder can hold back.
const MAX_LEADING: usize = 16;
/// Segments end so much before they are said to, at most, in nanoseconds.
const HALF_FRAME: i64 = NANOS / 50;
/// How many packets may come before the first keyframe of a segment that tells the time.
const MAX_ANCHOR_PACKETS: usize = 20_000;

/// Text is shown for no longer than this, but for what is meant to stay.
const TEXT_LEAD: i64 = 10 * NANOS;
/// A track that is read.
pub(crate) struct SourceTrack {
    part: usize,
    /// The stream in its part.
    pub(crate) stream: usize,
    /// Its clock.
    pub(crate) clock: Clock,
}

/// A packet of a track, its times in ticks of the track's clock.
pub(crate) struct TrackPacket {
    /// Index into the tracks of the reader.
    pub(crate) track: usize,
    /// The packet; its PTS and DTS are set.
    pub(crate) packet: Packet,
}

impl TrackPacket {
    pub(crate) fn pts(&self) -> i64 {
        pts(&self.packet)
    }
}

/// PTS of a packet that came out of a [`SpanReader`].
pub(crate) fn pts(packet: &Packet) -> i64 {
    packet.pts().unwrap_or_default()
}

/// DTS of a packet that came out of a [`SpanReader`].
pub(crate) fn dts(packet: &Packet) -> i64 {
    packet.dts().unwrap_or_default()
}

/// A span, open.
pub(crate) struct SpanReader {
    parts: Vec<OpenPart>,
    tracks: Vec<SourceTrack>,
    video: Option<usize>,
    dropped: Vec<(TrackInfo, String)>,
    /// The clock of the first part, where all share one: the renditions of an HLS presentation do (RFC 8216 §6.2.4).
    shared: Option<Clock>,
}

struct OpenPart {
    demuxer: Demuxer,
    format: Format,
    /// Added to all times, to undo a wrap of the clock between the anchor and what is read.
    shift: i64,
    /// Index of the track of each stream, if it is read.
    track_of: Vec<Option<usize>>,
    continuity: Continuity,
    /// Decoding times of the video, where the container has none.
    decoding: Option<DecodingTimes>,
    /// The segments, to tell which of them is at fault.
    segments: Vec<Segment>,
    ahead: VecDeque<TrackPacket>,
    /// When, by its own clock, the last packet of video or sound was; all tracks of a TS have the same.
    near: Option<i64>,
    ended: bool,
    /// Whether it is a single file that can be searched.
    seekable: bool,
    has_moved: bool,
    /// Whether it is made of fragments behind an init segment.
    is_fragmented: bool,
    /// Wall time of the first byte, to tell how often the clock has wrapped.
    start: WallTime,
}

impl SpanReader {
    /// Opens the parts of `span`. `thorough` as in [`Demuxer::open`].
    ///
    /// # Errors
    /// As [`Demuxer::open`]; `Unusable` if there is neither video nor audio.
    pub(crate) fn open(host: &Arc<dyn Host>, span: &Span, thorough: bool) -> Result<Self, Error> {
        let mut reader = Self { parts: Vec::new(), tracks: Vec::new(), video: None, dropped: Vec::new(), shared: None };
        for part in &span.parts {
            reader.add_part(host, part, thorough)?;
        }
        let is_media = |kind| matches!(kind, TrackKind::Video | TrackKind::Audio);
        if !(0..reader.tracks.len()).any(|track| is_media(reader.stream(track).info.kind)) {
            return Err(Error::Unusable("the source has neither video nor audio".into()));
        }
        Ok(reader)
    }

    fn add_part(&mut self, host: &Arc<dyn Host>, part: &Part, thorough: bool) -> Result<(), Error> {
        // Without an MP4 header's tables, parameters and frame rates are known only by reading ahead.
        let thorough = thorough || part.format != Format::Mp4;
        let chain = Chain::of_part(host.clone(), part);
        let seekable = chain.is_seekable();
        let mut gaps = longest_gap(&part.segments);
        let mut start = part.segments.first().map_or(WallTime::EPOCH, |segment| segment.range.start);
        let mut demuxer = Demuxer::open(chain, part.format, thorough).map_err(|error| blame_first(error, part))?;
        if let Anchor::FirstKeyframe { piece, wall } = &part.anchor
            && part.format == Format::MpegTs
            && lacks_parameters(&demuxer)
        {
            // Parameter sets may be sent at the very start only, where IDR frames are rare: then everything is read as a
            // player reads it, behind the first segment.
            let pieces = [*piece].into_iter().chain(part.segments.iter().map(|segment| segment.piece)).collect();
            demuxer = Demuxer::open(Chain::new(host.clone(), pieces), part.format, thorough)?;
            start = *wall;
            gaps = None;
        }
        if part.format == Format::MpegTs && demuxer.has_klv() {
            let mut chain = Chain::of_part(host.clone(), part);
            // What can't be read here can't be read below either, and is told there.
            demuxer.mark_synchronous(&synchronous_pids(&mut chain).unwrap_or_default());
        }
        if let Some(language) = &part.language {
            demuxer.assume_language(language);
        }
        let index = self.parts.len();
        let best_video = best_video(demuxer.streams()).filter(|_| self.video.is_none());
        let mut track_of = vec![None; demuxer.streams().len()];
        let mut found_anchor = None;
        for stream in demuxer.streams() {
            let reason = match stream.info.kind {
                TrackKind::Video if Some(stream.index) == best_video => None,
                TrackKind::Video if stream.is_cover => Some("a cover picture is no part of the recording".into()),
                TrackKind::Video => Some("another video track was chosen".into()),
                TrackKind::Audio | TrackKind::Subtitle | TrackKind::Data => refusal(&stream.info),
            };
            if let Some(reason) = reason {
                self.dropped.push((stream.info.clone(), reason));
                continue;
            }
            let anchor = match &mut found_anchor {
                Some(anchor) => anchor,
                none => none.insert(match self.shared {
                    Some(shared) => shared,
                    None => resolve_anchor(host, part)?,
                }),
            };
            if matches!(part.anchor, Anchor::FirstKeyframe { .. }) {
                self.shared = Some(*anchor);
            }
            let clock = Clock {
                anchor: anchor.timebase.rescale(anchor.anchor, stream.timebase, Rounding::Nearest),
                wall: anchor.wall,
                timebase: stream.timebase,
            };
            if stream.info.kind == TrackKind::Video {
                self.video = Some(self.tracks.len());
            }
            track_of[stream.index] = Some(self.tracks.len());
            self.tracks.push(SourceTrack { part: index, stream: stream.index, clock });
        }
        self.parts.push(OpenPart {
            continuity: Continuity::new(demuxer.streams(), gaps),
            segments: part.segments.clone(),
            decoding: (part.format == Format::Matroska)
                .then(|| best_video.map(|video| decoding_times(&demuxer.streams()[video])))
                .flatten(),
            demuxer,
            format: part.format,
            shift: 0,
            track_of,
            ahead: VecDeque::new(),
            near: None,
            ended: false,
            seekable,
            has_moved: false,
            is_fragmented: part.init.is_some(),
            start,
        });
        Ok(())
    }

    pub(crate) fn tracks(&self) -> &[SourceTrack] {
        &self.tracks
    }

    /// The index of the video track, if there is one.
    pub(crate) fn video(&self) -> Option<usize> {
        self.video
    }

    /// The index of the first audio track; 0 if there is none.
    pub(crate) fn first_sound(&self) -> usize {
        let is_sound = |track: &usize| self.stream(*track).info.kind == TrackKind::Audio;
        (0..self.tracks.len()).find(is_sound).unwrap_or(0)
    }

    /// Tracks that are not read, and why.
    pub(crate) fn dropped(&self) -> &[(TrackInfo, String)] {
        &self.dropped
    }

    /// What was odd about the packets read so far.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        let parts = self.parts.iter_mut();
        parts.flat_map(|part| part.continuity.take_notices(|track| self.tracks[track].clock, &part.track_of)).collect()
    }

    /// What the container says of a track.
    pub(crate) fn stream(&self, track: usize) -> &Stream {
        let track = &self.tracks[track];
        &self.parts[track.part].demuxer.streams()[track.stream]
    }

    /// Codec parameters of a track.
    pub(crate) fn parameters(&self, track: usize) -> &Parameters {
        &self.stream(track).parameters
    }

    /// The clock of a track.
    pub(crate) fn clock(&self, track: usize) -> Clock {
        self.tracks[track].clock
    }

    /// Continues at or before `instant`, where a part can be searched; segments are read from their front.
    ///
    /// # Errors
    /// As [`Demuxer::seek`].
    pub(crate) fn seek(&mut self, instant: WallTime) -> Result<(), Error> {
        for (index, part) in self.parts.iter_mut().enumerate().filter(|(_, part)| part.seekable) {
            let lead = |track: &&SourceTrack| track.part == index;
            let video = self.video.map(|video| &self.tracks[video]).filter(lead);
            let Some(track) = video.or_else(|| self.tracks.iter().find(lead)) else { continue };
            let ticks = track.clock.at_or_after(instant);
            let first = part.demuxer.streams()[track.stream].start.unwrap_or(i64::MIN);
            // A fresh part stands at its front already.
            if ticks > first {
                part.demuxer.seek(track.stream, ticks)?;
            } else if part.has_moved {
                // Searched for by its time, the first keyframe of a TS can be missed.
                match part.format {
                    Format::MpegTs => part.demuxer.rewind()?,
                    Format::Mp4 | Format::Matroska => part.demuxer.seek(track.stream, first)?,
                }
            }
            part.has_moved = true;
            part.continuity.restart();
            part.decoding.iter_mut().for_each(DecodingTimes::restart);
            part.ahead.clear();
            part.ended = false;
        }
        Ok(())
    }

    /// How long before an instant text may begin that is still shown then, where seeking doesn't find it: an MP4's index
    /// says how long each cue lasts.
    pub(crate) fn text_lead(&self) -> i64 {
        let is_text = |track: &SourceTrack| {
            let part = &self.parts[track.part];
            part.format != Format::Mp4 && part.demuxer.streams()[track.stream].info.kind == TrackKind::Subtitle
        };
        if self.tracks.iter().any(is_text) { TEXT_LEAD } else { 0 }
    }

    /// Whether [`Self::seek`] does anything.
    pub(crate) fn can_seek(&self) -> bool {
        self.parts.iter().any(|part| part.seekable)
    }

    /// The packet that is to be decoded next, over all parts; `None` at the end.
    ///
    /// # Errors
    /// `Unusable` for a damaged source, `Io` for one that can't be read.
    pub(crate) fn next(&mut self) -> Result<Option<TrackPacket>, Error> {
        for part in &mut self.parts {
            if part.ahead.is_empty() && !part.ended {
                part.fill(&self.tracks, self.video).map_err(|error| part.blame(error, &self.tracks))?;
            }
        }
        let due = |part: &&mut OpenPart| {
            let next = part.ahead.front()?;
            Some(self.tracks[next.track].clock.wall(dts(&next.packet)))
        };
        let first = self.parts.iter_mut().filter(|part| !part.ahead.is_empty()).min_by_key(due);
        Ok(first.and_then(|part| part.ahead.pop_front()))
    }
}

impl OpenPart {
    /// Says which segment an error is about, where there are several: the one whose turn it was.
    fn blame(&self, error: Error, tracks: &[SourceTrack]) -> Error {
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
    fn fill(&mut self, tracks: &[SourceTrack], video: Option<usize>) -> Result<(), Error> {
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
            if self.continuity.place(&mut packet) == Step::Drop {
                continue;
            }
            self.ahead.push_back(TrackPacket { track, packet });
            return Ok(());
        }
    }
}

/// The longest time between two segments that follow each other, in nanoseconds; `None` if there is but one.
fn longest_gap(segments: &[Segment]) -> Option<i64> {
    segments.windows(2).map(|pair| pair[1].range.start.nanos_since(pair[0].range.end).max(0)).max()
}

/// Says that the first of several segments is at fault: behind it there may be what can be read.
fn blame_first(error: Error, part: &Part) -> Error {
    match (error, part.segments.as_slice()) {
        (Error::Unusable(problem), [first, _, ..]) => {
            Error::Damaged { source_index: first.piece.source, offset: first.piece.offset, problem }
        }
        (error, _) => error,
    }
}

fn decoding_times(stream: &Stream) -> DecodingTimes {
    let frame = frame_nanos(stream.info.frame_rate).unwrap_or(NANOS / 25);
    DecodingTimes::new(stream.delay, Timebase::NANOS.rescale(frame, stream.timebase, Rounding::Nearest).max(1))
}

/// How many times the 33-bit clock went round in `distance`, to the nearest.
fn wraps(distance: i64) -> i64 {
    (distance.saturating_add(TS_WRAP / 2)).div_euclid(TS_WRAP)
}

/// Whether there is video that nothing is known of but its codec.
fn lacks_parameters(demuxer: &Demuxer) -> bool {
    let video = best_video(demuxer.streams());
    video.is_some_and(|video| VideoShape::of_parameters(&demuxer.streams()[video].parameters).is_none())
}

fn best_video(streams: &[Stream]) -> Option<usize> {
    let pixels = |stream: &Stream| stream.info.size.map_or(0, |(width, height)| u64::from(width) * u64::from(height));
    streams
        .iter()
        .filter(|stream| stream.info.kind == TrackKind::Video && !stream.is_cover)
        // The first of equals.
        .min_by_key(|stream| (!stream.is_default, std::cmp::Reverse(pixels(stream))))
        .map(|stream| stream.index)
}

fn resolve_anchor(host: &Arc<dyn Host>, part: &Part) -> Result<Clock, Error> {
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

/// Nanoseconds of one frame at `rate` frames in a second.
pub(crate) fn frame_nanos(rate: Option<(i32, i32)>) -> Option<i64> {
    let (num, den) = rate.filter(|(num, den)| *num > 0 && *den > 0)?;
    Some(NANOS * i64::from(den) / i64::from(num))
}
