//! One span of a track beside the video, while it is cut.

use crate::{
    Error,
    audio::{AudioCutter, SoundRun, SoundTrack},
    ffmpeg::Packet,
    source::Clock,
    time::WallTime,
};

/// One span of a track beside the video.
pub(crate) enum Passage {
    /// Whole frames are copied. Their times are the source's.
    Frames(Clock, AudioCutter),
    /// Samples are copied, or encoded. Times are the file's.
    Sound(Box<SoundRun>),
}

impl Passage {
    /// Whether its packets have the times of the file already.
    pub(crate) fn is_placed(&self) -> bool {
        matches!(self, Self::Sound(_))
    }

    /// Whether nothing more is wanted of the span.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Frames(_, cutter) => cutter.done,
            Self::Sound(run) => run.is_done(),
        }
    }

    /// When in the file `packet` begins, in nanoseconds, where what comes before is to be filled.
    pub(crate) fn begins(&self, packet: &Packet) -> Option<i64> {
        match self {
            Self::Sound(run) => Some(run.begins(packet)),
            Self::Frames(..) => None,
        }
    }

    /// Up to when there is sound by now.
    pub(crate) fn reached(&self, track: &SoundTrack) -> Option<WallTime> {
        match self {
            Self::Sound(run) => Some(run.reached(track)),
            Self::Frames(..) => None,
        }
    }

    /// Takes the next packet of the source, and appends what belongs to the clip to `out`.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn push(
        &mut self,
        packet: Packet,
        track: Option<&mut SoundTrack>,
        out: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        match (self, track) {
            (Self::Frames(_, cutter), _) => cutter.push(packet, out),
            (Self::Sound(run), Some(track)) => return run.push(packet, track, out),
            (Self::Sound(_), None) => return Err(Error::Internal("sound without a track to go to".into())),
        }
        Ok(())
    }

    /// Says where the span really ends; not before where it was meant to.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn settle(
        &mut self,
        mark_out: WallTime,
        track: Option<&mut SoundTrack>,
        out: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        match (self, track) {
            (Self::Frames(clock, cutter), _) => cutter.settle(clock.nearest(mark_out), out),
            (Self::Sound(run), Some(track)) => return run.settle(mark_out, track, out),
            (Self::Sound(_), None) => return Err(Error::Internal("sound without a track to go to".into())),
        }
        Ok(())
    }

    /// Ends the span: what is held comes out.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn finish(&mut self, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        match self {
            Self::Sound(run) => run.finish(track, out),
            Self::Frames(..) => Ok(()),
        }
    }
}
