//! How frames must be encoded to pass as a stream's own, and how the packets of both go out.

use super::CutPacket;
use crate::{
    Error,
    ffmpeg::{Encoder, EncoderSettings, Packet, Stream, VideoShape, extradata, new_packet, share},
    nal::{self, Access, Codec, CodingStyle, Framing, ParameterSets, Renaming},
};

/// Constant rate factor of the encoded edges: even noise keeps more than 40 dB.
const EDGE_CRF: &str = "10";

/// How the encoded frames of a stream must be, and how its packets go out.
#[derive(Clone)]
pub(crate) struct SmartStyle {
    pub(super) shape: VideoShape,
    pub(super) settings: EncoderSettings,
    codec: Codec,
    source_framing: Framing,
    output_framing: Framing,
    source_sets: ParameterSets,
    edge_sets: ParameterSets,
    renaming: Renaming,
    extradata: Vec<u8>,
}

impl SmartStyle {
    /// The style for `stream`, whose first keyframe is `key`; `annex_b` if the output wants start codes.
    ///
    /// # Errors
    /// `Unsupported`, with the reason, if frames that match can't be made: the clip can only be encoded as a whole.
    pub(crate) fn of(stream: &Stream, key: Option<&Packet>, annex_b: bool) -> Result<Self, Error> {
        let name = &stream.info.codec;
        let codec = Codec::of(name).ok_or_else(|| Error::Unsupported(format!("{name} can't be smart cut")))?;
        let source = extradata(&stream.parameters);
        let source_framing = Framing::of(codec, source);
        // Streams of the forms `avc3` and `hev1` carry their sets in the frames alone.
        let data = key.and_then(Packet::data).unwrap_or_default();
        let in_band = ParameterSets::in_band(codec, source_framing, data);
        let up_front = ParameterSets::of(codec, source);
        let source_sets = if up_front.conflicts_with(&in_band) { in_band } else { up_front.with(&in_band) };
        if !source_sets.is_complete() {
            return Err(Error::Unsupported("the stream has no parameter sets before its first frame".into()));
        }
        let style = source_sets.style().map_err(|error| Error::Unsupported(error.to_string()))?;
        let renaming = source_sets.renaming();
        let renaming = renaming.ok_or_else(|| Error::Unsupported("all parameter set ids are taken".into()))?;
        let shape = VideoShape::of_parameters(&stream.parameters)
            .ok_or_else(|| Error::Unsupported("the pixel format isn't known".into()))?;
        let settings = edge_settings(stream, &shape, &style, &renaming)?;
        // Opened once to learn the parameter sets, which an MP4 wants before the first frame.
        let encoder = Encoder::open(&shape, &settings)?;
        let edge_sets = renaming.sets(&ParameterSets::of(codec, extradata(&encoder.parameters())))?;
        let output_framing = if annex_b { Framing::AnnexB } else { source_framing };
        let extradata = source_sets.with(&edge_sets).extradata(if annex_b { &[] } else { source });
        Ok(Self { shape, settings, codec, source_framing, output_framing, source_sets, edge_sets, renaming, extradata })
    }

    /// Codec configuration with the parameter sets of both.
    pub(crate) fn extradata(&self) -> &[u8] {
        &self.extradata
    }

    /// What can begin with a packet of the source.
    pub(crate) fn access(&self, packet: &Packet) -> Access {
        match packet.is_key() {
            true => self.codec.access(self.source_framing, packet.data().unwrap_or_default()),
            false => Access::None,
        }
    }

    /// A packet of the source as the output wants it.
    pub(super) fn copied(&self, packet: &Packet) -> CutPacket {
        let packet = match self.output_framing {
            Framing::AnnexB => {
                let data = packet.data().unwrap_or_default();
                new_packet(&nal::to_annex_b(self.source_framing, data, packet.is_key(), &self.source_sets), packet)
            }
            Framing::Length(_) => share(packet),
        };
        CutPacket { packet, encoded: false }
    }

    /// A packet of the encoder as the output wants it, decoded `delay` before it is shown, as the source's are.
    pub(super) fn encoded(&self, packet: &Packet, delay: i64) -> Result<CutPacket, Error> {
        let data = packet.data().unwrap_or_default();
        let data = nal::from_encoder(data, self.output_framing, packet.is_key(), &self.edge_sets, &self.renaming)?;
        let mut packet = new_packet(&data, packet);
        packet.set_dts(packet.pts().map(|pts| pts - delay));
        Ok(CutPacket { packet, encoded: true })
    }

    /// Ends the sequence of frames whose last is `packet`, so that a keyframe behind it can begin one of its own.
    pub(super) fn end_sequence(&self, packet: &mut Packet) {
        if let Some(data) = nal::ended(self.codec, self.output_framing, packet.data().unwrap_or_default()) {
            *packet = new_packet(&data, packet);
        }
    }
}

fn edge_settings(
    stream: &Stream,
    shape: &VideoShape,
    style: &CodingStyle,
    renaming: &Renaming,
) -> Result<EncoderSettings, Error> {
    let (encoder, level, options) = match renaming {
        Renaming::Avc(id) => ("libx264", Some(style.level.into()), avc_options(style, *id)?),
        Renaming::Hevc(_) => ("libx265", None, hevc_options(shape, style)?),
    };
    Ok(EncoderSettings {
        encoder,
        options,
        level,
        interlaced: style.interlaced,
        timebase: stream.timebase,
        frame_rate: stream.info.frame_rate,
    })
}

type Options = Vec<(&'static str, String)>;

fn avc_options(style: &CodingStyle, id: u32) -> Result<Options, Error> {
    let profile = match style.profile {
        66 => "baseline",
        77 => "main",
        100 => "high",
        110 => "high10",
        122 => "high422",
        244 => "high444",
        other => return Err(Error::Unsupported(format!("H.264 profile {other} can't be matched"))),
    };
    // One B-frame would change the reordering depth, and with it the decoding times of the copied frames.
    let tuning = format!("sps-id={id}:bframes=0:open-gop=0:aud=0:ref={}", style.references.clamp(1, 16));
    Ok(vec![
        ("preset", "veryfast".into()),
        ("crf", EDGE_CRF.into()),
        ("bf", "0".into()),
        ("profile", profile.into()),
        ("x264-params", tuning),
    ])
}

fn hevc_options(shape: &VideoShape, style: &CodingStyle) -> Result<Options, Error> {
    if style.interlaced {
        return Err(Error::Unsupported("interlaced HEVC can't be matched".into()));
    }
    let profile = match (shape.chroma(), shape.depth()) {
        ("420", 8) => "main",
        ("420", 10) => "main10",
        ("422", 8 | 10) => "main422-10",
        ("444", 8) => "main444-8",
        ("444", 10) => "main444-10",
        (chroma, depth) => return Err(Error::Unsupported(format!("HEVC of {depth} bit 4:{chroma} can't be matched"))),
    };
    let tuning = "log-level=none:bframes=0:open-gop=0:repeat-headers=0:info=0:hrd=0:aud=0:wpp=0:pmode=0";
    Ok(vec![
        ("preset", "veryfast".into()),
        ("crf", EDGE_CRF.into()),
        ("profile", profile.into()),
        ("x265-params", tuning.into()),
    ])
}
