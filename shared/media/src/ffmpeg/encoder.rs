//! Encoding video.

use ff::{Rational, codec::Parameters};
use ffmpeg_next as ff;

use super::{Frame, Packet, captions::Captions, decoder::empty_frame};
use crate::{Error, time::Timebase};

/// Pixel formats that x264 and x265 take as they are.
const DIRECT: [ff::format::Pixel; 9] = [
    ff::format::Pixel::YUV420P,
    ff::format::Pixel::YUVJ420P,
    ff::format::Pixel::YUV422P,
    ff::format::Pixel::YUVJ422P,
    ff::format::Pixel::YUV444P,
    ff::format::Pixel::YUVJ444P,
    ff::format::Pixel::YUV420P10LE,
    ff::format::Pixel::YUV422P10LE,
    ff::format::Pixel::YUV444P10LE,
];

/// What the pictures to encode are like; all of it is carried over, so that a player can't tell where encoding began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VideoShape {
    width: i32,
    height: i32,
    format: ff::ffi::AVPixelFormat,
    aspect: (i32, i32),
    range: ff::ffi::AVColorRange,
    primaries: ff::ffi::AVColorPrimaries,
    transfer: ff::ffi::AVColorTransferCharacteristic,
    space: ff::ffi::AVColorSpace,
    chroma: ff::ffi::AVChromaLocation,
}

impl VideoShape {
    /// The shape of a track, if its parameters tell the pixel format.
    pub(crate) fn of_parameters(parameters: &Parameters) -> Option<Self> {
        // SAFETY: the parameters are valid; only numbers are read. The format is one libav wrote itself.
        unsafe {
            let raw = &*parameters.as_ptr();
            if raw.format < 0 {
                return None;
            }
            Some(Self {
                width: raw.width,
                height: raw.height,
                format: std::mem::transmute::<i32, ff::ffi::AVPixelFormat>(raw.format),
                aspect: (raw.sample_aspect_ratio.num, raw.sample_aspect_ratio.den),
                range: raw.color_range,
                primaries: raw.color_primaries,
                transfer: raw.color_trc,
                space: raw.color_space,
                chroma: raw.chroma_location,
            })
        }
    }

    /// Whether pictures of both can follow each other in one track.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        (self.width, self.height, self.format) == (other.width, other.height, other.format)
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (i32, i32) {
        (self.width, self.height)
    }

    pub(super) fn format(&self) -> ff::ffi::AVPixelFormat {
        self.format
    }

    pub(super) fn range(&self) -> ff::ffi::AVColorRange {
        self.range
    }

    /// The nearest shape that every player takes: 8 bit 4:2:0, even sides.
    pub(crate) fn broadest(mut self) -> Self {
        self.format = ff::format::Pixel::YUV420P.into();
        self.width = (self.width + 1) & !1;
        self.height = (self.height + 1) & !1;
        self
    }

    /// Whether it is what [`Self::broadest`] would make of it.
    pub(crate) fn is_broadest(&self) -> bool {
        self.chroma() == "420" && self.depth() == 8 && self.width % 2 == 0 && self.height % 2 == 0
    }

    /// Chroma subsampling: `420`, `422`, `444`; something else for what isn't YUV.
    pub(crate) fn chroma(&self) -> &'static str {
        let Some((components, width, height, _)) = self.layout() else { return "?" };
        match (components, width, height) {
            (1, ..) => "400",
            (3, 1, 1) => "420",
            (3, 1, 0) => "422",
            (3, 0, 0) => "444",
            _ => "?",
        }
    }

    /// Bits of a luma sample; 0 if unknown.
    pub(crate) fn depth(&self) -> i32 {
        self.layout().map_or(0, |(.., depth)| depth)
    }

    /// Components, the binary logarithms of the chroma subsampling, and bits of a sample.
    fn layout(&self) -> Option<(u8, u8, u8, i32)> {
        // SAFETY: the call takes any number, and answers with a null pointer or an entry of a static table.
        let description = unsafe { ff::ffi::av_pix_fmt_desc_get(self.format).as_ref() }?;
        let depth = description.comp[0].depth;
        Some((description.nb_components, description.log2_chroma_w, description.log2_chroma_h, depth))
    }

    /// The same shape in a pixel format that the encoders take.
    fn encodable(mut self) -> Self {
        if !DIRECT.iter().any(|format| ff::ffi::AVPixelFormat::from(*format) == self.format) {
            self.format = ff::format::Pixel::YUV420P.into();
        }
        self
    }
}

/// How to encode.
#[derive(Debug, Clone)]
pub(crate) struct EncoderSettings {
    /// FFmpeg's name of the encoder: `libx264`.
    pub(crate) encoder: &'static str,
    /// Options of the encoder, as key and value.
    pub(crate) options: Vec<(&'static str, String)>,
    /// Codec level, as the codec numbers it.
    pub(crate) level: Option<i32>,
    /// Interlaced coding.
    pub(crate) interlaced: bool,
    /// Seconds in a tick of the frames' times.
    pub(crate) timebase: Timebase,
    /// Frames in a second, for rate control; the times rule.
    pub(crate) frame_rate: Option<(i32, i32)>,
}

impl EncoderSettings {
    /// FFmpeg's short name of the codec: `h264`.
    pub(crate) fn codec(&self) -> &'static str {
        match self.encoder {
            "libx265" => "hevc",
            _ => "h264",
        }
    }
}

/// Pixel format, width and height.
type Picture = (ff::ffi::AVPixelFormat, (i32, i32));

/// An encoder of one video track.
pub(crate) struct Encoder {
    inner: ff::encoder::video::Encoder,
    shape: VideoShape,
    packet: Packet,
    /// What converts pictures of another format or size, and which.
    scaler: Option<(Picture, ff::software::scaling::Context)>,
    /// Captions inside the pictures, where the encoder doesn't write them itself.
    captions: Option<Captions>,
}

impl Encoder {
    /// Opens an encoder. Its parameter sets are kept out of the packets, in [`Self::parameters`].
    ///
    /// # Errors
    /// `Unsupported` if the encoder doesn't take such pictures.
    pub(crate) fn open(shape: &VideoShape, settings: &EncoderSettings) -> Result<Self, Error> {
        let shape = shape.clone().encodable();
        let fail = |error: ff::Error| {
            Error::Unsupported(format!(
                "{} can't encode pictures of {}x{}: {error}",
                settings.encoder, shape.width, shape.height
            ))
        };
        let codec = ff::encoder::find_by_name(settings.encoder).ok_or_else(|| {
            Error::Unsupported(format!("the encoder {} is missing from this build of FFmpeg", settings.encoder))
        })?;
        let mut video = ff::codec::Context::new_with_codec(codec).encoder().video().map_err(fail)?;
        video.set_time_base(Rational(settings.timebase.num(), settings.timebase.den()));
        video.set_frame_rate(settings.frame_rate.map(|(num, den)| Rational(num, den)));
        video.set_flags(
            // Players seek to keyframes, and clips are cut again: nothing should refer back across one.
            ff::codec::Flags::GLOBAL_HEADER
                | ff::codec::Flags::CLOSED_GOP
                | if settings.interlaced {
                    ff::codec::Flags::INTERLACED_DCT | ff::codec::Flags::INTERLACED_ME
                } else {
                    ff::codec::Flags::empty()
                },
        );
        // SAFETY: the context is ours alone and not open yet; only numbers are set.
        unsafe {
            let raw = video.as_mut_ptr();
            (*raw).width = shape.width;
            (*raw).height = shape.height;
            (*raw).pix_fmt = shape.format;
            (*raw).sample_aspect_ratio = ff::ffi::AVRational { num: shape.aspect.0, den: shape.aspect.1.max(1) };
            (*raw).color_range = shape.range;
            (*raw).color_primaries = shape.primaries;
            (*raw).color_trc = shape.transfer;
            (*raw).colorspace = shape.space;
            (*raw).chroma_sample_location = shape.chroma;
            if let Some(level) = settings.level {
                (*raw).level = level;
            }
        }
        let mut options = ff::Dictionary::new();
        for (key, value) in &settings.options {
            options.set(key, value);
        }
        let inner = video.open_with(options).map_err(fail)?;
        let captions = (settings.encoder == "libx265").then(Captions::default);
        Ok(Self { inner, shape, packet: Packet::empty(), scaler: None, captions })
    }

    /// What a muxer needs to know of the encoded track, parameter sets included.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::from(&self.inner)
    }

    /// Encodes `frame`, shown at `pts`, and hands the packets that are ready to `each`.
    ///
    /// # Errors
    /// `Unusable` if the frame can't be converted; what `each` says.
    pub(crate) fn encode(
        &mut self,
        frame: &mut Frame,
        pts: i64,
        each: &mut dyn FnMut(&mut Packet) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut converted = self.conform(frame)?;
        let raw = converted.as_mut().unwrap_or(&mut frame.0);
        raw.set_pts(Some(pts));
        if let Some(captions) = &mut self.captions {
            captions.keep(raw, pts);
        }
        // SAFETY: the frame is valid and ours. The source's picture type would force the encoder's.
        unsafe { (*raw.as_mut_ptr()).pict_type = ff::ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
        self.inner.send_frame(raw).map_err(encode_error)?;
        self.drain(each)
    }

    /// Ends the track and hands the remaining packets to `each`.
    ///
    /// # Errors
    /// What `each` says.
    pub(crate) fn finish(&mut self, each: &mut dyn FnMut(&mut Packet) -> Result<(), Error>) -> Result<(), Error> {
        self.inner.send_eof().map_err(encode_error)?;
        self.drain(each)
    }

    fn drain(&mut self, each: &mut dyn FnMut(&mut Packet) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            match self.inner.receive_packet(&mut self.packet) {
                Ok(()) => match self.captions.as_mut().and_then(|captions| captions.add(&self.packet)) {
                    Some(mut packet) => each(&mut packet)?,
                    None => each(&mut self.packet)?,
                },
                Err(ff::Error::Eof) => return Ok(()),
                Err(ff::Error::Other { errno }) if errno == ff::error::EAGAIN => return Ok(()),
                Err(error) => return Err(encode_error(error)),
            }
        }
    }

    /// The frame in the encoder's pixel format and size, if it has others.
    fn conform(&mut self, frame: &Frame) -> Result<Option<ff::Frame>, Error> {
        // SAFETY: the frame is valid; only numbers are read, and the format is one that libav wrote.
        let (width, height, format) = unsafe {
            let raw = &*frame.0.as_ptr();
            (raw.width, raw.height, std::mem::transmute::<i32, ff::ffi::AVPixelFormat>(raw.format))
        };
        let target = self.shape.size();
        if (format, (width, height)) == (self.shape.format, target) {
            return Ok(None);
        }
        let scaler = match &mut self.scaler {
            Some((from, scaler)) if *from == (format, (width, height)) => scaler,
            other => {
                let scaler = super::picture::scaler(format, self.shape.format, (width, height), target)?;
                &mut other.insert(((format, (width, height)), scaler)).1
            }
        };
        let mut converted = empty_frame();
        super::picture::scale(scaler, &frame.0, &mut converted)?;
        Ok(Some(converted))
    }
}

fn encode_error(error: ff::Error) -> Error {
    match error {
        ff::Error::Other { errno } if errno == ff::error::ENOMEM => Error::Limit("encoding: out of memory".into()),
        other => Error::Internal(format!("encoding: {other}")),
    }
}
