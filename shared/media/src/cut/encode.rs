//! Cutting by decoding and encoding everything.

use super::{Bounds, Continuation, CutPacket, Cutter, SmartStyle};
use crate::{
    Error, VideoTarget,
    ffmpeg::{Decoder, Encoder, EncoderSettings, Frame, Packet, Stream, VideoShape, is_interlaced, share},
    time::Timebase,
};

/// Threads of a decoder or encoder: what the machine has, within reason.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(16))
}

/// How video is encoded as a whole.
#[derive(Clone)]
pub(crate) struct Encode {
    /// What the pictures become.
    pub(crate) shape: VideoShape,
    /// How.
    pub(crate) settings: EncoderSettings,
    /// What the frames must pass as, where others of the file are copied.
    pub(crate) style: Option<SmartStyle>,
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
        interlaced: is_interlaced(&stream.parameters) && encoder == "libx264",
        timebase: stream.timebase,
        frame_rate: stream.info.frame_rate,
    }
}

impl Encode {
    /// The same for pictures whose times are in `timebase`.
    pub(crate) fn in_timebase(&self, timebase: Timebase) -> Self {
        let settings = EncoderSettings { timebase, ..self.settings.clone() };
        Self { settings, ..self.clone() }
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
    /// How many of these were let through.
    pub(super) damaged: u64,
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
        Ok(Self { bounds, decoder, encoder, last: None, reached_end: false, strict: false, damaged: 0 })
    }

    /// Takes the next packet, or `None` at the end of the source, and hands encoded packets to `emit`.
    pub(super) fn feed(&mut self, packet: Option<&Packet>, emit: &mut Emit<'_>) -> Result<(), Error> {
        let Self { bounds, decoder, encoder, last, reached_end, strict, damaged } = self;
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
            *damaged += u64::from(frame.is_damaged());
            *last = Some(pts);
            encoder.encode(&mut frame, pts, &mut |packet| emit(packet))
        };
        match packet {
            Some(packet) => decoder.decode(packet, &mut each),
            None => decoder.finish(&mut each),
        }
    }

    /// Ends the run: no more packets come, and the encoder gives up what it holds.
    /// Returns how many frames were damaged.
    pub(super) fn finish(mut self, emit: &mut Emit<'_>) -> Result<u64, Error> {
        self.feed(None, emit)?;
        self.encoder.finish(&mut |packet| emit(packet))?;
        Ok(self.damaged)
    }
}

/// Decodes from the keyframe before mark-in, and encodes the frames in the range.
pub(crate) struct EncodeCutter<'a> {
    recoder: Option<Recoder>,
    /// What the frames must pass as, where others of the file are copied.
    style: Option<&'a SmartStyle>,
    damaged: u64,
    preroll: Vec<Packet>,
}

impl<'a> EncodeCutter<'a> {
    /// # Errors
    /// `Unsupported` if the source can't be decoded, or its pictures can't be encoded so.
    pub(crate) fn new(
        stream: &Stream,
        encode: &'a Encode,
        bounds: Bounds,
        continuation: Option<Continuation>,
    ) -> Result<Self, Error> {
        let preroll = continuation.map(|continuation| continuation.preroll).unwrap_or_default();
        let recoder = Recoder::new(stream, &encode.shape, &encode.settings, bounds)?;
        Ok(Self { recoder: Some(recoder), style: encode.style.as_ref(), damaged: 0, preroll })
    }
}

/// A packet of an encoder, as the file wants it.
pub(crate) fn dressed(style: Option<&SmartStyle>, packet: &Packet) -> Result<CutPacket, Error> {
    match style {
        Some(style) => style.encoded(packet, 0),
        None => Ok(CutPacket { packet: share(packet), encoded: true }),
    }
}

impl Cutter for EncodeCutter<'_> {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let Some(recoder) = &mut self.recoder else { return Ok(false) };
        let style = self.style;
        for packet in self.preroll.drain(..).chain([packet]) {
            recoder.feed(Some(&packet), &mut |packet| {
                out.push(dressed(style, packet)?);
                Ok(())
            })?;
        }
        Ok(!recoder.reached_end)
    }

    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        let Some(recoder) = self.recoder.take() else { return Ok(()) };
        let style = self.style;
        self.damaged += recoder.finish(&mut |packet| {
            out.push(dressed(style, packet)?);
            Ok(())
        })?;
        Ok(())
    }

    fn damaged(&self) -> u64 {
        self.damaged
    }
}
