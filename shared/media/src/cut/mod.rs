//! Cutting the video of one span: packets of the source in, packets of the clip out. The three ways share where they
//! begin ([`opening`]) and what they are told ([`Bounds`]).

mod continuation;
mod copy;
mod encode;
mod opening;
mod reframe;
mod smart;
mod style;

pub(crate) use continuation::{Continuation, Opened};
pub(crate) use copy::CopyCutter;
pub(crate) use encode::{Encode, EncodeCutter, dressed, full_settings, threads};
pub(crate) use opening::{Opening, open_at};
pub(crate) use reframe::{Reframe, Target};
pub(crate) use smart::SmartCutter;
pub(crate) use style::SmartStyle;

use crate::{Error, ffmpeg::Packet, nal::ParameterSets};

/// What a cut is about, in ticks of the video track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The first frame shown.
    pub(crate) base: i64,
    /// The first instant not wanted; `i64::MAX` where the span itself ends the clip.
    pub(crate) mark_out: i64,
}

/// A packet of the clip, its times still those of the source.
pub(crate) struct CutPacket {
    /// The packet.
    pub(crate) packet: Packet,
    /// Whether it was encoded for the clip.
    pub(crate) encoded: bool,
}

/// A way of cutting.
pub(crate) trait Cutter {
    /// Takes the next packet of the source in decoding order, beginning with a keyframe. False once it needs no more.
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error>;

    /// Parameter sets that packets of the source brought along and that it didn't have at the start.
    fn news(&self) -> Option<&ParameterSets> {
        None
    }

    /// Encoded frames that the decoder had to make up in part.
    fn damaged(&self) -> u64 {
        0
    }

    /// Whether all was copied up to the last packet of the source, so that the next span can be copied on.
    fn copies_to_end(&self) -> bool {
        false
    }

    /// Ends the clip: `push` said false, or the source has ended.
    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error>;
}
