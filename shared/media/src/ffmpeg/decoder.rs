//! Decoding video and audio.

use ff::codec::threading;
use ffmpeg_next as ff;

use super::{Packet, Stream, VideoShape, demuxer::MAX_PIXELS, source_error};
use crate::Error;

/// A decoded picture, or decoded sound.
pub(crate) struct Frame(pub(super) ff::Frame);

impl Frame {
    /// A black picture.
    ///
    /// # Errors
    /// `Limit` if there is no memory for it; `Unsupported` if its pixel format knows no black.
    pub(crate) fn black(shape: &VideoShape) -> Result<Self, Error> {
        super::picture::black(shape).map(Self)
    }

    /// Presentation time in ticks of the track, as the decoder settles it.
    pub(crate) fn pts(&self) -> Option<i64> {
        self.0.timestamp().or_else(|| self.0.pts())
    }

    /// Whether the decoder had to make up a part of it.
    pub(crate) fn is_damaged(&self) -> bool {
        self.0.is_corrupt() || self.0.has_decode_errors()
    }
}

/// Whether this build can decode a track.
pub(crate) fn can_decode(parameters: &ff::codec::Parameters) -> bool {
    ff::decoder::find(parameters.id()).is_some()
}

/// A decoder of one track.
pub(crate) struct Decoder {
    inner: ff::decoder::Opened,
    frame: ff::Frame,
}

impl Decoder {
    /// Opens a decoder for `stream`, on `threads` threads.
    ///
    /// # Errors
    /// `Unsupported` if this build can't decode the codec.
    pub(crate) fn open(stream: &Stream, threads: usize) -> Result<Self, Error> {
        let name = &stream.info.codec;
        let mut context = ff::codec::Context::from_parameters(stream.parameters.clone())
            .map_err(|error| source_error("opening the decoder", error))?;
        context.set_threading(threading::Config {
            kind: threading::Type::Frame,
            count: threads,
            ..threading::Config::default()
        });
        // SAFETY: the context is ours alone and not open yet; only numbers are set.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).max_pixels = MAX_PIXELS;
            (*raw).pkt_timebase = ff::ffi::AVRational { num: stream.timebase.num(), den: stream.timebase.den() };
        }
        let codec = ff::decoder::find(stream.parameters.id())
            .ok_or_else(|| Error::Unsupported(format!("this build of FFmpeg can't decode {name}")))?;
        let inner = context
            .decoder()
            .open_as(codec)
            .map_err(|error| Error::Unsupported(format!("{name} can't be decoded: {error}")))?;
        Ok(Self { inner, frame: empty_frame() })
    }

    /// Whether frames that no other refers to are passed over: they cost time, and nothing is lost but themselves.
    pub(crate) fn skip_unreferenced(&mut self, skip: bool) {
        self.inner.skip_frame(if skip { ff::Discard::NonReference } else { ff::Discard::Default });
    }

    /// Feeds `packet`, then hands every frame that is ready to `each`.
    ///
    /// # Errors
    /// What `each` says. Damaged packets are passed over; the caller counts frames.
    pub(crate) fn decode(
        &mut self,
        packet: &Packet,
        each: &mut dyn FnMut(Frame) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.inner.send_packet(packet) {
            Ok(()) | Err(ff::Error::InvalidData) => self.drain(each),
            Err(error) => Err(source_error("decoding the source", error)),
        }
    }

    /// Hands the frames that the decoder still holds to `each`. Nothing can be fed afterwards.
    ///
    /// # Errors
    /// What `each` says.
    pub(crate) fn finish(&mut self, each: &mut dyn FnMut(Frame) -> Result<(), Error>) -> Result<(), Error> {
        match self.inner.send_eof() {
            Ok(()) | Err(ff::Error::Eof) => self.drain(each),
            Err(error) => Err(source_error("decoding the source", error)),
        }
    }

    fn drain(&mut self, each: &mut dyn FnMut(Frame) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            match self.inner.receive_frame(&mut self.frame) {
                Ok(()) => each(Frame(std::mem::replace(&mut self.frame, empty_frame())))?,
                Err(ff::Error::InvalidData) => {}
                Err(ff::Error::Eof) => return Ok(()),
                Err(ff::Error::Other { errno }) if errno == ff::error::EAGAIN => return Ok(()),
                Err(error) => return Err(source_error("decoding the source", error)),
            }
        }
    }
}

pub(super) fn empty_frame() -> ff::Frame {
    // SAFETY: it allocates a blank frame, which the wrapper owns and frees; libav fills it before anyone looks inside.
    unsafe { ff::Frame::empty() }
}
