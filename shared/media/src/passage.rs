//! One span of a track beside the video, while it is cut.

use crate::{
    Error,
    audio::{AudioCutter, SoundRun, SoundTrack},
    ffmpeg::{Packet, Parameters},
    source::Clock,
    text::{EventCutter, TextRun, TextTrack},
    time::WallTime,
};

/// What a track beside the video keeps from span to span.
pub(crate) enum Lane {
    /// Nothing: packets are copied.
    Packets,
    /// Where samples go.
    Sound(Box<SoundTrack>),
    /// What text goes through.
    Text(TextTrack),
}

impl Lane {
    /// What a muxer needs to know of the track; `None` where the source's parameters stay as they are.
    pub(crate) fn parameters(&self) -> Option<Parameters> {
        match self {
            Self::Packets => None,
            Self::Sound(track) => track.parameters(),
            Self::Text(track) => track.parameters(),
        }
    }
}

/// One span of a track beside the video.
pub(crate) enum Passage {
    /// Whole frames are copied. Their times are the source's.
    Frames(Clock, AudioCutter),
    /// Samples are copied, or encoded. Times are the file's.
    Sound(Box<SoundRun>),
    /// Cues are cut. Times are the file's.
    Text(TextRun),
    /// What has no length is copied. Times are the source's.
    Events(Clock, EventCutter),
}

impl Passage {
    /// Whether its packets have the times of the file already.
    pub(crate) fn is_placed(&self) -> bool {
        matches!(self, Self::Sound(_) | Self::Text(_))
    }

    /// Whether nothing more is to be waited for. Text and events come when they come.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Frames(_, cutter) => cutter.done,
            Self::Sound(run) => run.is_done(),
            Self::Text(_) | Self::Events(..) => true,
        }
    }

    /// When in the file `packet` begins, in nanoseconds, where what comes before is to be filled.
    pub(crate) fn begins(&self, packet: &Packet) -> Option<i64> {
        match self {
            Self::Sound(run) => Some(run.begins(packet)),
            Self::Frames(..) | Self::Text(_) | Self::Events(..) => None,
        }
    }

    /// Up to when there are samples by now.
    pub(crate) fn reached(&self, lane: &Lane) -> Option<WallTime> {
        match (self, lane) {
            (Self::Sound(run), Lane::Sound(track)) => Some(run.reached(track)),
            _ => None,
        }
    }

    /// Takes the next packet of the source, and appends what belongs to the clip to `out`.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn push(&mut self, packet: Packet, lane: &mut Lane, out: &mut Vec<Packet>) -> Result<(), Error> {
        match (self, lane) {
            (Self::Frames(_, cutter), _) => cutter.push(packet, out),
            (Self::Events(_, cutter), _) => cutter.push(packet, out),
            (Self::Sound(run), Lane::Sound(track)) => return run.push(packet, track, out),
            (Self::Text(run), Lane::Text(track)) => return run.push(&packet, track, out),
            (Self::Sound(_) | Self::Text(_), _) => return Err(stray()),
        }
        Ok(())
    }

    /// Says where the span really ends; not before where it was meant to.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn settle(&mut self, mark_out: WallTime, lane: &mut Lane, out: &mut Vec<Packet>) -> Result<(), Error> {
        match (self, lane) {
            (Self::Frames(clock, cutter), _) => cutter.settle(clock.nearest(mark_out), out),
            (Self::Events(clock, cutter), _) => cutter.settle(clock.nearest(mark_out), out),
            (Self::Text(run), _) => run.settle(mark_out, out),
            (Self::Sound(run), Lane::Sound(track)) => return run.settle(mark_out, track, out),
            (Self::Sound(_), _) => return Err(stray()),
        }
        Ok(())
    }

    /// Ends the span, whose pictures or sound last up to `end`: what is held comes out.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn finish(&mut self, end: WallTime, lane: &mut Lane, out: &mut Vec<Packet>) -> Result<(), Error> {
        match (self, lane) {
            (Self::Sound(run), Lane::Sound(track)) => run.finish(track, out),
            (Self::Text(run), _) => {
                run.finish(end, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn stray() -> Error {
    Error::Internal("a packet of a track that goes nowhere".into())
}
