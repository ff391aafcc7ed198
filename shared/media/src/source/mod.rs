//! A span of a recording, open: its tracks, and their packets from all its parts in order of time.
//!
//! ```text
//! part.rs         one demuxer's packets, their times mended
//! anchor.rs       where media time and wall time meet, and what a source begins with
//! clock.rs        between wall time and media time
//! continuity.rs   packets whose times don't go on from those before
//! decoding.rs     decoding times, where a container has none
//! ```

mod anchor;
mod clock;
mod continuity;
mod decoding;
mod part;

use std::{collections::VecDeque, sync::Arc};

use crate::{
    Anchor, Error, Format, Part, Span, TrackInfo, TrackKind,
    carry::refusal,
    chain::{Bytes, Chain},
    ffmpeg::{Demuxer, Packet, Parameters, Stream, VideoShape},
    host::Host,
    time::{NANOS, Rounding, WallTime},
    ts::synchronous_pids,
};

use anchor::resolve_anchor;
pub(crate) use anchor::{Front, front};
pub(crate) use clock::Clock;
use continuity::Continuity;
use decoding::DecodingTimes;
use part::{OpenPart, blame_first, decoding_times, longest_gap};

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

/// Nanoseconds of one frame at `rate` frames in a second.
pub(crate) fn frame_nanos(rate: Option<(i32, i32)>) -> Option<i64> {
    let (num, den) = rate.filter(|(num, den)| *num > 0 && *den > 0)?;
    Some(NANOS * i64::from(den) / i64::from(num))
}
