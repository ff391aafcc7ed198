//! How frames must be encoded to pass as a stream's own.

use super::{Bounds, CutPacket, Reframe, reframe::Target};
use crate::{
    Error,
    ffmpeg::{Encoder, EncoderSettings, Packet, Stream, VideoShape, extradata, new_packet},
    nal::{self, Access, Codec, CodingStyle, ParameterSets, Renaming},
    source::{frame_nanos, pts},
    time::{NANOS, Rounding, Timebase},
};

/// Constant rate factor of the encoded edges: even noise keeps more than 40 dB.
const EDGE_CRF: &str = "10";

/// Fewer frames of HEVC than this aren't copied, but encoded: FFmpeg, decoding on as many threads, loses the last
/// frame of a file where a sequence as short is followed by one of a single frame (seen with 5.1 on 2 to 8 threads).
const MIN_SEQUENCE: i64 = 16;

/// How the encoded frames of a stream must be, and how its packets go out.
#[derive(Clone)]
pub(crate) struct SmartStyle {
    pub(crate) shape: VideoShape,
    pub(crate) settings: EncoderSettings,
    /// How the packets of the source go out.
    pub(crate) source: Reframe,
    edge_sets: ParameterSets,
    renaming: Renaming,
    /// The least that is copied, in ticks.
    min_copied: i64,
}

impl SmartStyle {
    /// The style for `stream`, whose packets go out as `source` says. `others` are parameter sets that the file holds
    /// besides.
    ///
    /// # Errors
    /// `Unsupported`, with the reason, if frames that match can't be made: the clip can only be encoded as a whole.
    pub(crate) fn of(stream: &Stream, source: Reframe, others: Option<&ParameterSets>) -> Result<Self, Error> {
        let style = source.sets.style().map_err(|error| Error::Unsupported(error.to_string()))?;
        let taken = others.map(|others| source.sets.with(others));
        let renaming = taken.as_ref().unwrap_or(&source.sets).renaming();
        let renaming = renaming.ok_or_else(|| Error::Unsupported("all parameter set ids are taken".into()))?;
        let shape = VideoShape::of_parameters(&stream.parameters)
            .ok_or_else(|| Error::Unsupported("the pixel format isn't known".into()))?;
        let settings = edge_settings(stream, &shape, &style, &renaming)?;
        // Opened once to learn the parameter sets, which an MP4 wants before the first frame.
        let encoder = Encoder::open(&shape, &settings)?;
        let edge_sets = renaming.sets(&ParameterSets::of(source.codec, extradata(&encoder.parameters())))?;
        let frame = frame_nanos(stream.info.frame_rate).unwrap_or(NANOS / 25);
        let min_copied = match source.codec {
            Codec::Avc => 0,
            Codec::Hevc => Timebase::NANOS.rescale(MIN_SEQUENCE * frame, stream.timebase, Rounding::Nearest),
        };
        Ok(Self { shape, settings, source, edge_sets, renaming, min_copied })
    }

    /// The parameter sets of both.
    pub(crate) fn sets(&self) -> ParameterSets {
        self.source.sets.with(&self.edge_sets)
    }

    /// Whether copying can begin with a packet of the source inside `bounds`.
    pub(crate) fn access(&self, packet: &Packet, bounds: Bounds) -> Access {
        let (time, Bounds { base, mark_out }) = (pts(packet), bounds);
        let is_worth_it = mark_out.saturating_sub(time) >= self.min_copied;
        if time >= base && time < mark_out && is_worth_it { self.source.access(packet) } else { Access::None }
    }

    /// A packet of the source as the output wants it.
    pub(super) fn copied(&self, packet: &Packet) -> CutPacket {
        self.source.copied(packet)
    }

    /// A packet of the encoder as the output wants it, decoded `delay` before it is shown, as the source's are.
    ///
    /// # Errors
    /// `Internal` if the encoder wrote what can't be read.
    pub(crate) fn encoded(&self, packet: &Packet, delay: i64) -> Result<CutPacket, Error> {
        let data = packet.data().unwrap_or_default();
        let (is_delimited, in_band) = match self.source.to {
            Target::Stream => (true, true),
            Target::Samples { in_band, .. } => (false, in_band),
        };
        let before = (in_band && packet.is_key()).then_some(&self.edge_sets);
        let framing = self.source.framing();
        let data = nal::from_encoder(self.source.codec, data, framing, is_delimited, before, &self.renaming)?;
        let mut packet = new_packet(&data, packet);
        packet.set_dts(packet.pts().map(|pts| pts - delay));
        Ok(CutPacket { packet, encoded: true })
    }

    /// Ends the sequence of frames whose last is `packet`, so that a keyframe behind it can begin one of its own.
    pub(super) fn end_sequence(&self, packet: &mut Packet) {
        let data = packet.data().unwrap_or_default();
        if let Some(data) = nal::ended(self.source.codec, self.source.framing(), data) {
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
