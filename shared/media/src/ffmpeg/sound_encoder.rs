//! Encoding sound.

use ff::codec::Parameters;
use ffmpeg_next as ff;

use super::{Packet, SoundShape, decoder::empty_frame};
use crate::Error;

/// How to encode sound.
#[derive(Debug, Clone)]
pub(crate) struct SoundSettings {
    /// FFmpeg's name of the encoder: `aac`.
    pub(crate) encoder: &'static str,
    /// Samples in a second, and channels.
    pub(crate) shape: SoundShape,
    /// Bits in a second.
    pub(crate) bit_rate: i64,
    /// Options of the encoder, as key and value.
    pub(crate) options: Vec<(&'static str, String)>,
}

/// An encoder of one audio track.
pub(crate) struct SoundEncoder {
    inner: ff::encoder::audio::Encoder,
    shape: SoundShape,
    format: ff::ffi::AVSampleFormat,
    packet: Packet,
}

impl SoundEncoder {
    /// Opens an encoder. Its times are in samples.
    ///
    /// # Errors
    /// `Unsupported` if it doesn't take such sound.
    pub(crate) fn open(settings: &SoundSettings) -> Result<Self, Error> {
        let (name, shape) = (settings.encoder, settings.shape);
        let fail = |error: ff::Error| {
            let SoundShape { rate, channels, .. } = shape;
            Error::Unsupported(format!("{name} can't encode {channels} channels at {rate} Hz: {error}"))
        };
        let codec = ff::encoder::find_by_name(name)
            .ok_or_else(|| Error::Unsupported(format!("the encoder {name} is missing from this build of FFmpeg")))?;
        let mut audio = ff::codec::Context::new_with_codec(codec).encoder().audio().map_err(fail)?;
        audio.set_flags(ff::codec::Flags::GLOBAL_HEADER);
        audio.set_time_base(ff::Rational(1, shape.rate));
        // SAFETY: the context is ours alone and not open yet; only numbers are set, and the layout owns no memory. An
        // encoder of sound names at least one format.
        let format = unsafe {
            let raw = audio.as_mut_ptr();
            let format = *(*codec.as_ptr()).sample_fmts;
            (*raw).sample_fmt = format;
            (*raw).sample_rate = shape.rate;
            (*raw).ch_layout = shape.layout();
            (*raw).bit_rate = settings.bit_rate;
            (*raw).strict_std_compliance = ff::ffi::FF_COMPLIANCE_EXPERIMENTAL;
            format
        };
        let mut options = ff::Dictionary::new();
        for (key, value) in &settings.options {
            options.set(key, value);
        }
        let inner = audio.open_with(options).map_err(fail)?;
        Ok(Self { inner, shape, format, packet: Packet::empty() })
    }

    /// What a muxer needs to know of the encoded track.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::from(&self.inner)
    }

    /// Samples in each frame but the last.
    pub(crate) fn frame_samples(&self) -> usize {
        usize::try_from(self.inner.frame_size()).ok().filter(|samples| *samples > 0).unwrap_or(1024)
    }

    /// Encodes the first `count` samples of `planes`, or silence without planes, heard from sample `at` on.
    ///
    /// # Errors
    /// `Internal` if the encoder doesn't take them.
    pub(crate) fn encode(
        &mut self,
        planes: Option<&[Vec<f32>]>,
        count: usize,
        at: i64,
        out: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        let is_planar = self.format == ff::ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
        if planes.is_some_and(|planes| !is_planar || planes.iter().any(|plane| plane.len() < count)) {
            return Err(Error::Internal("the encoder takes no such samples".into()));
        }
        let frame = self.frame(planes, count, at)?;
        self.inner.send_frame(&frame).map_err(encode_error)?;
        self.drain(out)
    }

    /// Ends the track.
    ///
    /// # Errors
    /// `Internal` if the encoder fails.
    pub(crate) fn finish(&mut self, out: &mut Vec<Packet>) -> Result<(), Error> {
        self.inner.send_eof().map_err(encode_error)?;
        self.drain(out)
    }

    fn frame(&self, planes: Option<&[Vec<f32>]>, count: usize, at: i64) -> Result<ff::Frame, Error> {
        let samples = i32::try_from(count).map_err(|_| Error::Internal(format!("a frame of {count} samples")))?;
        let mut frame = empty_frame();
        // SAFETY: the frame is blank, and gets its shape before its buffers, as libav asks for. There is a plane for each
        // channel, of `count` samples, both here and there; `encode` has checked ours.
        unsafe {
            let raw = frame.as_mut_ptr();
            (*raw).nb_samples = samples;
            (*raw).format = self.format as i32;
            (*raw).sample_rate = self.shape.rate;
            (*raw).ch_layout = self.shape.layout();
            (*raw).pts = at;
            if ff::ffi::av_frame_get_buffer(raw, 0) < 0 {
                return Err(Error::Limit("encoding sound: out of memory".into()));
            }
            let data = (*raw).extended_data;
            match planes {
                Some(planes) => {
                    for (channel, plane) in planes.iter().take(self.shape.channels.unsigned_abs() as usize).enumerate()
                    {
                        std::ptr::copy_nonoverlapping(plane.as_ptr(), (*data.add(channel)).cast(), count);
                    }
                }
                None => {
                    ff::ffi::av_samples_set_silence(data, 0, samples, self.shape.channels, self.format);
                }
            }
        }
        Ok(frame)
    }

    fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), Error> {
        loop {
            match self.inner.receive_packet(&mut self.packet) {
                Ok(()) => out.push(std::mem::replace(&mut self.packet, Packet::empty())),
                Err(ff::Error::Eof) => return Ok(()),
                Err(ff::Error::Other { errno }) if errno == ff::error::EAGAIN => return Ok(()),
                Err(error) => return Err(encode_error(error)),
            }
        }
    }
}

fn encode_error(error: ff::Error) -> Error {
    match error {
        ff::Error::Other { errno } if errno == ff::error::ENOMEM => {
            Error::Limit("encoding sound: out of memory".into())
        }
        other => Error::Internal(format!("encoding sound: {other}")),
    }
}
