//! Sound as samples: what a track's are like, and converting decoded frames to those that an encoder takes.

use std::ptr;

use ff::codec::Parameters;
use ffmpeg_next as ff;

use super::Frame;
use crate::Error;

/// 7.1, and no more: what the AAC encoder takes.
pub(crate) const MAX_CHANNELS: i32 = 8;
/// More channels than this are no recording's.
const MAX_SOURCE_CHANNELS: i32 = 64;
/// Samples in a second that are read.
const RATES: std::ops::RangeInclusive<i32> = 1_000..=768_000;

/// How many samples in a second there are, of which channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SoundShape {
    /// Samples in a second.
    pub(crate) rate: i32,
    /// How many channels.
    pub(crate) channels: i32,
    /// `AV_CH_*` bits; 0 where the channels have no names.
    mask: u64,
}

impl SoundShape {
    /// The shape of a track, if its parameters tell, and it is one that can be worked with.
    pub(crate) fn of_parameters(parameters: &Parameters) -> Option<Self> {
        // SAFETY: the parameters are valid; only numbers are read, and the mask only where the layout is one.
        unsafe { Self::of((*parameters.as_ptr()).sample_rate, &(*parameters.as_ptr()).ch_layout) }
    }

    /// # Safety
    /// `layout` was written by libav.
    unsafe fn of(rate: i32, layout: &ff::ffi::AVChannelLayout) -> Option<Self> {
        let is_native = layout.order == ff::ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
        // SAFETY: the order says which member of the union is set.
        let mask = if is_native { unsafe { layout.u.mask } } else { 0 };
        let is_sound = RATES.contains(&rate) && (1..=MAX_SOURCE_CHANNELS).contains(&layout.nb_channels);
        is_sound.then_some(Self { rate, channels: layout.nb_channels, mask })
    }

    /// The shape with another rate, and no more channels than an encoder takes.
    pub(crate) fn encodable(self, rate: i32) -> Self {
        if self.channels > MAX_CHANNELS {
            return self.stereo(rate);
        }
        // Surround is encoded as the layout that needs no description of its own, whichever name its rear channels have.
        const SIDE: u64 = ff::ffi::AV_CH_SIDE_LEFT | ff::ffi::AV_CH_SIDE_RIGHT;
        const BACK: u64 = ff::ffi::AV_CH_BACK_LEFT | ff::ffi::AV_CH_BACK_RIGHT;
        let is_surround = matches!(self.channels, 5 | 6) && self.mask & (SIDE | BACK) == SIDE;
        Self { rate, mask: if is_surround { self.mask & !SIDE | BACK } else { self.mask }, ..self }
    }

    /// Two channels of another rate.
    pub(crate) fn stereo(self, rate: i32) -> Self {
        Self { rate, channels: 2, mask: 0 }
    }

    /// The layout as libav wants it. It owns no memory.
    pub(super) fn layout(&self) -> ff::ffi::AVChannelLayout {
        // SAFETY: all zeros is how libav wants it before it is set; the calls write numbers only.
        unsafe {
            let mut layout: ff::ffi::AVChannelLayout = std::mem::zeroed();
            if self.mask == 0 || ff::ffi::av_channel_layout_from_mask(&mut layout, self.mask) < 0 {
                ff::ffi::av_channel_layout_default(&mut layout, self.channels);
            }
            layout
        }
    }
}

impl Frame {
    /// The shape of decoded sound; `None` if it is none.
    pub(crate) fn sound_shape(&self) -> Option<SoundShape> {
        // SAFETY: the frame is valid, and its layout was written by the decoder.
        unsafe { SoundShape::of((*self.0.as_ptr()).sample_rate, &(*self.0.as_ptr()).ch_layout) }
    }

    /// How many samples of each channel there are.
    pub(crate) fn samples(&self) -> usize {
        // SAFETY: the frame is valid; a number is read.
        usize::try_from(unsafe { (*self.0.as_ptr()).nb_samples }).unwrap_or(0)
    }

    fn sample_format(&self) -> ff::ffi::AVSampleFormat {
        // SAFETY: the frame is valid, and its format one that a decoder of sound wrote.
        unsafe { std::mem::transmute::<i32, ff::ffi::AVSampleFormat>((*self.0.as_ptr()).format) }
    }
}

/// Samples of each channel, as floating-point numbers.
pub(crate) type Planes = Vec<Vec<f32>>;

/// Turns decoded sound of one shape into planes of another.
pub(crate) struct Resampler {
    context: *mut ff::ffi::SwrContext,
    from: (SoundShape, ff::ffi::AVSampleFormat),
    to: SoundShape,
}

impl Resampler {
    /// A resampler for frames like `frame`.
    ///
    /// # Errors
    /// `Unsupported` if there is no way from one shape to the other.
    pub(crate) fn new(frame: &Frame, to: SoundShape) -> Result<Self, Error> {
        let fail = || Error::Unsupported("the sound's channels can't be converted".into());
        let from = (frame.sound_shape().ok_or_else(fail)?, frame.sample_format());
        let (mut input, mut output) = (from.0.layout(), to.layout());
        let mut context = ptr::null_mut();
        // SAFETY: libav allocates the context, or leaves null; the layouts are valid and copied. On failure it is freed
        // by the destructor, which knows null.
        let (made, resampler) = unsafe {
            let made = ff::ffi::swr_alloc_set_opts2(
                &mut context,
                &mut output,
                ff::ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP,
                to.rate,
                &mut input,
                from.1,
                from.0.rate,
                0,
                ptr::null_mut(),
            );
            let resampler = Self { context, from, to };
            (if made < 0 { made } else { ff::ffi::swr_init(context) }, resampler)
        };
        if made < 0 { Err(fail()) } else { Ok(resampler) }
    }

    /// Whether `frame` is of the shape that this was made for.
    pub(crate) fn takes(&self, frame: &Frame) -> bool {
        frame.sound_shape() == Some(self.from.0) && frame.sample_format() == self.from.1
    }

    /// Converts `frame`, or, without one, what is still held.
    ///
    /// # Errors
    /// `Unusable` if it can't be converted.
    pub(crate) fn convert(&mut self, frame: Option<&Frame>) -> Result<Planes, Error> {
        let count = frame.map_or(0, |frame| i32::try_from(frame.samples()).unwrap_or(0));
        // SAFETY: the context is open. The planes are as long as is said, one for each channel of the output; the frame's
        // data has the samples and channels that it says, in the format that the context was made for (`takes`).
        unsafe {
            let room = ff::ffi::swr_get_out_samples(self.context, count).max(0);
            let length = usize::try_from(room).unwrap_or(0);
            let mut planes = vec![vec![0f32; length]; usize::try_from(self.to.channels).unwrap_or(0)];
            let mut pointers: Vec<*mut u8> = planes.iter_mut().map(|plane| plane.as_mut_ptr().cast()).collect();
            let input = frame.map_or(ptr::null_mut(), |frame| (*frame.0.as_ptr()).extended_data);
            let made = ff::ffi::swr_convert(self.context, pointers.as_mut_ptr(), room, input.cast(), count);
            let made = usize::try_from(made).map_err(|_| Error::Unusable("the sound can't be resampled".into()))?;
            planes.iter_mut().for_each(|plane| plane.truncate(made));
            Ok(planes)
        }
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: the context is ours, or null; it is freed once.
        unsafe { ff::ffi::swr_free(&mut self.context) }
    }
}
