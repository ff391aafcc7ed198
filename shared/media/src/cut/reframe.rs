//! How copied packets go out: framed as the container wants them, their parameter sets where it wants those.

use super::CutPacket;
use crate::{
    Error,
    ffmpeg::{Packet, Stream, extradata, new_packet, share},
    nal::{self, Access, Codec, Framing, ParameterSets},
};

/// What a container wants of streams of NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A byte stream, each frame delimited, with parameter sets before each keyframe, as in TS.
    Stream,
    /// Samples in this framing, as in MP4. `in_band`: the header can't name all parameter sets, so each keyframe brings
    /// its own (`avc3`, `hev1`).
    Samples { framing: Framing, in_band: bool },
}

/// Adds what a packet brought to what others did.
pub(super) fn keep_news(known: &mut Option<ParameterSets>, brought: Option<ParameterSets>) {
    if let Some(brought) = brought {
        *known = Some(known.as_ref().map_or_else(|| brought.clone(), |known| known.with(&brought)));
    }
}

/// How copied packets go out.
#[derive(Clone)]
pub(crate) struct Reframe {
    pub(super) codec: Codec,
    pub(super) from: Framing,
    pub(super) to: Target,
    pub(super) sets: ParameterSets,
}

impl Reframe {
    /// For `stream`, whose first keyframe is `key`; `target` says what the container wants, given the stream's own framing.
    ///
    /// # Errors
    /// `Unsupported` if the codec isn't one of NAL units, or no parameter sets are to be found.
    pub(crate) fn of(
        stream: &Stream,
        key: Option<&Packet>,
        target: impl FnOnce(Framing) -> Target,
    ) -> Result<Self, Error> {
        let name = &stream.info.codec;
        let codec = Codec::of(name).ok_or_else(|| Error::Unsupported(format!("{name} can't be smart cut")))?;
        let source = extradata(&stream.parameters);
        let from = Framing::of(codec, source);
        // Streams of the forms `avc3` and `hev1` carry their sets in the frames alone.
        let in_band = ParameterSets::in_band(codec, from, key.and_then(Packet::data).unwrap_or_default());
        let up_front = ParameterSets::of(codec, source);
        let sets = if up_front.conflicts_with(&in_band) { in_band } else { up_front.with(&in_band) };
        if !sets.is_complete() {
            return Err(Error::Unsupported("the stream has no parameter sets before its first frame".into()));
        }
        Ok(Self { codec, from, to: target(from), sets })
    }

    /// The parameter sets of the stream.
    pub(crate) fn sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// Whether packets come out as a byte stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.to == Target::Stream
    }

    /// Whether frames of both can follow each other in one track.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.codec == other.codec
    }

    /// The framing of the packets that come out.
    pub(crate) fn framing(&self) -> Framing {
        match self.to {
            Target::Stream => Framing::AnnexB,
            Target::Samples { framing, .. } => framing,
        }
    }

    /// What can begin with a packet of the source.
    pub(super) fn access(&self, packet: &Packet) -> Access {
        match packet.is_key() {
            true => self.codec.access(self.from, packet.data().unwrap_or_default()),
            false => Access::None,
        }
    }

    /// A packet of the source as the output wants it.
    pub(crate) fn copied(&self, packet: &Packet) -> CutPacket {
        let data = packet.data().unwrap_or_default();
        let packet = match self.to {
            Target::Stream => new_packet(&nal::to_annex_b(self.from, data, packet.is_key(), &self.sets), packet),
            // Nothing to take out or to put in: what isn't a keyframe brings no sets.
            Target::Samples { framing, .. }
                if framing == self.from && !packet.is_key() && framing != Framing::AnnexB =>
            {
                share(packet)
            }
            Target::Samples { framing, in_band } => {
                let sets = (in_band && packet.is_key()).then_some(&self.sets);
                new_packet(&nal::to_sample(self.codec, self.from, framing, data, in_band, sets), packet)
            }
        };
        CutPacket { packet, encoded: false }
    }

    /// Parameter sets that a packet of the source brings and that the stream didn't have so far.
    pub(crate) fn news(&self, packet: &Packet) -> Option<ParameterSets> {
        // Finding them in samples takes a look at keyframes only; a byte stream may hold them anywhere.
        let may_bring = matches!(self.to, Target::Samples { .. }) && (packet.is_key() || self.from == Framing::AnnexB);
        if !may_bring {
            return None;
        }
        let brought = ParameterSets::in_band(self.codec, self.from, packet.data().unwrap_or_default());
        (!self.sets.contains(&brought)).then_some(brought)
    }
}
