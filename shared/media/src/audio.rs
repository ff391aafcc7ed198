//! Cutting audio to the same instants as the video: whole frames where they are copied, else to the sample.
//!
//! ```text
//! audio.rs   whole frames
//! sound.rs   one span that goes through its samples
//! track.rs   the track of the file that samples go to: encoded, or as they are
//! pcm.rs     sound that is not compressed
//! silence.rs silence in the codec of a track that is copied
//! ```

pub(crate) mod pcm;
mod silence;
mod sound;
mod track;

use std::collections::VecDeque;

pub(crate) use silence::Silence;
pub(crate) use sound::SoundRun;
pub(crate) use track::{FILL_STEP, SoundTrack};

use crate::{
    Error,
    ffmpeg::Packet,
    source::{dts, pts},
};

/// How the container treats a frame that a mark falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edges {
    /// It is in the file, and one more to prime the decoder; an edit list hides what is before mark-in, and the length of
    /// the last frame says where sound ends.
    Hidden,
    /// It is in the file if more than half of it is in the range.
    Shown,
}

/// Cuts one audio track of one span.
pub(crate) struct AudioCutter {
    edges: Edges,
    /// The instant that is to be the clip's zero, in ticks of the track.
    base: i64,
    /// The first instant not wanted. Until it is final, what lies beyond is held.
    mark_out: i64,
    is_final: bool,
    /// Ticks of a frame that doesn't say.
    frame_ticks: i64,
    primer: Option<Packet>,
    held: VecDeque<Packet>,
    started: bool,
    /// Whether the whole range has been seen.
    pub(crate) done: bool,
}

impl AudioCutter {
    pub(crate) fn new(edges: Edges, base: i64, mark_out: i64, frame_ticks: i64) -> Self {
        let (primer, held) = (None, VecDeque::new());
        Self { edges, base, mark_out, is_final: false, frame_ticks, primer, held, started: false, done: false }
    }

    /// Takes the next packet of the track, and appends those that belong to the clip to `out`.
    pub(crate) fn push(&mut self, packet: Packet, out: &mut Vec<Packet>) {
        if pts(&packet) >= self.mark_out {
            if self.is_final {
                self.done = true;
            } else {
                self.held.push_back(packet);
            }
            return;
        }
        self.take(packet, out);
    }

    /// Says where the clip really ends; not before where it was meant to.
    pub(crate) fn settle(&mut self, mark_out: i64, out: &mut Vec<Packet>) {
        self.mark_out = mark_out;
        self.is_final = true;
        while let Some(packet) = self.held.pop_front() {
            self.push(packet, out);
        }
    }

    fn take(&mut self, mut packet: Packet, out: &mut Vec<Packet>) {
        if packet.duration() <= 0 {
            packet.set_duration(self.frame_ticks);
        }
        let (start, end) = (pts(&packet), pts(&packet) + packet.duration());
        let middle = start + packet.duration() / 2;
        if !self.started && !self.begins(&packet) {
            self.primer = Some(packet);
            return;
        }
        if self.edges == Edges::Shown && end > self.mark_out && middle >= self.mark_out {
            return;
        }
        if !self.started && self.edges == Edges::Hidden {
            // Only the frame just before primes; a gap would have it heard at the wrong time.
            out.extend(self.primer.take().filter(|primer| pts(primer) + primer.duration() * 2 > start));
        }
        self.started = true;
        if self.edges == Edges::Hidden && end > self.mark_out {
            packet.set_duration(self.mark_out - start);
        }
        out.push(packet);
    }

    fn begins(&self, packet: &Packet) -> bool {
        match self.edges {
            Edges::Hidden => pts(packet) + packet.duration() > self.base,
            Edges::Shown => pts(packet) + packet.duration() / 2 >= self.base,
        }
    }
}

/// Keeps what is written of one track in order: each packet behind the one before, none twice.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last_dts: Option<i64>,
    last_end: i64,
}

impl Order {
    /// Has an event follow those before, however many come at once; they have no length to overlap with.
    pub(crate) fn admit_event(&mut self, packet: &mut Packet) {
        if let Some(last) = self.last_dts
            && dts(packet).min(pts(packet)) <= last
        {
            packet.set_pts(Some(last + 1));
            packet.set_dts(Some(last + 1));
        }
        self.last_dts = packet.dts();
        self.last_end = pts(packet) + packet.duration();
    }

    /// Where what was written ends, in ticks of the track.
    pub(crate) fn end(&self) -> i64 {
        self.last_end
    }

    /// Whether `packet` may follow; its DTS is moved by as little as makes it follow.
    ///
    /// # Errors
    /// `Unusable` for a picture whose time goes backwards: none may be lost without a word.
    pub(crate) fn admit(&mut self, packet: &mut Packet, is_audio: bool) -> Result<bool, Error> {
        if let Some(last) = self.last_dts {
            // Sound on both sides of a seam overlaps by less than a frame: what began first is kept.
            if is_audio && pts(packet) + packet.duration() / 2 < self.last_end {
                return Ok(false);
            }
            if dts(packet) <= last {
                if pts(packet) <= last {
                    return Err(Error::Unusable("time stamps of the source go backwards inside the range".into()));
                }
                packet.set_dts(Some(last + 1));
            }
        }
        self.last_dts = packet.dts();
        self.last_end = pts(packet) + packet.duration();
        Ok(true)
    }
}
