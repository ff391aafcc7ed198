//! Cutting by decoding and encoding everything.

use super::{Bounds, CutPacket, Cutter};
use crate::{
    Error, VideoTarget,
    ffmpeg::{Decoder, Encoder, EncoderSettings, Frame, Packet, Stream, VideoShape, share},
};

/// Threads of a decoder or encoder: what the machine has, within reason.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(16))
}

/// How a whole clip is encoded.
pub(crate) fn full_settings(target: VideoTarget, stream: &Stream) -> EncoderSettings {
    let (encoder, options) = match target {
        VideoTarget::H265 => (
            "libx265",
            vec![
                ("preset", "veryfast".into()),
                ("crf", "23".into()),
                ("x265-params", "log-level=none:open-gop=0".into()),
            ],
        ),
        _ => ("libx264", vec![("preset", "veryfast".into()), ("crf", "20".into())]),
    };
    EncoderSettings {
        encoder,
        options,
        level: None,
        interlaced: false,
        timebase: stream.timebase,
        frame_rate: stream.info.frame_rate,
    }
}

/// Takes the packets of an encoder.
pub(super) type Emit<'a> = dyn FnMut(&Packet) -> Result<(), Error> + 'a;

/// Decodes what it is fed, and encodes the frames inside its bounds.
pub(super) struct Recoder {
    pub(super) bounds: Bounds,
    decoder: Decoder,
    encoder: Encoder,
    last: Option<i64>,
    pub(super) reached_end: bool,
    /// Whether a frame that the decoder had to make up in part is refused.
    pub(super) strict: bool,
}

impl Recoder {
    /// # Errors
    /// `Unsupported` if the source can't be decoded, or its pictures can't be encoded so.
    pub(super) fn new(
        stream: &Stream,
        shape: &VideoShape,
        settings: &EncoderSettings,
        bounds: Bounds,
    ) -> Result<Self, Error> {
        let decoder = Decoder::open(stream, threads())?;
        let encoder = Encoder::open(shape, settings)?;
        Ok(Self { bounds, decoder, encoder, last: None, reached_end: false, strict: false })
    }

    /// Takes the next packet, or `None` at the end of the source, and hands encoded packets to `emit`.
    pub(super) fn feed(&mut self, packet: Option<&Packet>, emit: &mut Emit<'_>) -> Result<(), Error> {
        let Self { bounds, decoder, encoder, last, reached_end, strict } = self;
        let mut each = |mut frame: Frame| {
            let Some(pts) = frame.pts() else { return Ok(()) };
            *reached_end |= pts >= bounds.mark_out;
            // A decoder that has lost its place can repeat a time; two frames can't be shown at once.
            if pts < bounds.base || pts >= bounds.mark_out || last.is_some_and(|last| pts <= last) {
                return Ok(());
            }
            if *strict && frame.is_damaged() {
                return Err(Error::Unusable("a frame at the edge of the range can't be decoded".into()));
            }
            *last = Some(pts);
            encoder.encode(&mut frame, pts, &mut |packet| emit(packet))
        };
        match packet {
            Some(packet) => decoder.decode(packet, &mut each),
            None => decoder.finish(&mut each),
        }
    }

    /// Ends the run: no more packets come, and the encoder gives up what it holds.
    pub(super) fn finish(mut self, emit: &mut Emit<'_>) -> Result<(), Error> {
        self.feed(None, emit)?;
        self.encoder.finish(&mut |packet| emit(packet))
    }
}

/// Decodes from the keyframe before mark-in, and encodes the frames in the range.
pub(crate) struct EncodeCutter(Option<Recoder>);

impl EncodeCutter {
    /// # Errors
    /// `Unsupported` if the source can't be decoded, or its pictures can't be encoded so.
    pub(crate) fn new(
        stream: &Stream,
        shape: &VideoShape,
        settings: &EncoderSettings,
        bounds: Bounds,
    ) -> Result<Self, Error> {
        Recoder::new(stream, shape, settings, bounds).map(|recoder| Self(Some(recoder)))
    }
}

fn encoded(packet: &Packet) -> CutPacket {
    CutPacket { packet: share(packet), encoded: true }
}

impl Cutter for EncodeCutter {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let Some(recoder) = &mut self.0 else { return Ok(false) };
        recoder.feed(Some(&packet), &mut |packet| {
            out.push(encoded(packet));
            Ok(())
        })?;
        Ok(!recoder.reached_end)
    }

    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        let Some(recoder) = self.0.take() else { return Ok(()) };
        recoder.finish(&mut |packet| {
            out.push(encoded(packet));
            Ok(())
        })
    }
}
