//! Scaling, and JPEG.

use ff::{format::Pixel, software::scaling};
use ffmpeg_next as ff;

use super::{Frame, Packet, VideoShape, decoder::empty_frame, source_error};
use crate::Error;

/// A scaler from one format and size to another.
pub(super) fn scaler(
    from: ff::ffi::AVPixelFormat,
    to: ff::ffi::AVPixelFormat,
    source: (i32, i32),
    target: (i32, i32),
) -> Result<scaling::Context, Error> {
    let size = |value: i32| value.unsigned_abs();
    scaling::Context::get(
        Pixel::from(from),
        size(source.0),
        size(source.1),
        Pixel::from(to),
        size(target.0),
        size(target.1),
        scaling::Flags::BICUBIC,
    )
    .map_err(|error| source_error("converting the picture", error))
}

/// Scales `frame` into `target`, which is blank, and keeps its properties.
pub(super) fn scale(scaler: &mut scaling::Context, frame: &ff::Frame, target: &mut ff::Frame) -> Result<(), Error> {
    let output = *scaler.output();
    // SAFETY: both frames are valid. `target` is blank, so setting its format and size before its buffers are allocated
    // is what libav asks for; the scaler was made for these formats and sizes.
    let result = unsafe {
        let raw = target.as_mut_ptr();
        (*raw).format = ff::ffi::AVPixelFormat::from(output.format) as i32;
        (*raw).width = i32::try_from(output.width).unwrap_or(0);
        (*raw).height = i32::try_from(output.height).unwrap_or(0);
        match ff::ffi::av_frame_get_buffer(raw, 0) {
            error if error < 0 => error,
            _ => {
                ff::ffi::av_frame_copy_props(raw, frame.as_ptr());
                ff::ffi::sws_scale(
                    scaler.as_mut_ptr(),
                    (*frame.as_ptr()).data.as_ptr().cast(),
                    (*frame.as_ptr()).linesize.as_ptr(),
                    0,
                    (*frame.as_ptr()).height,
                    (*raw).data.as_ptr(),
                    (*raw).linesize.as_ptr(),
                )
            }
        }
    };
    if result < 0 { Err(source_error("converting the picture", ff::Error::from(result))) } else { Ok(()) }
}

/// A black picture of `shape`.
pub(super) fn black(shape: &VideoShape) -> Result<ff::Frame, Error> {
    let mut frame = empty_frame();
    let (width, height) = shape.size();
    // SAFETY: the frame is blank, so setting its format and size before its buffers are allocated is what libav asks for;
    // afterwards its planes are as large as the format and size say, and are filled within that.
    let result = unsafe {
        let raw = frame.as_mut_ptr();
        (*raw).format = shape.format() as i32;
        (*raw).width = width;
        (*raw).height = height;
        (*raw).color_range = shape.range();
        match ff::ffi::av_frame_get_buffer(raw, 0) {
            error if error < 0 => error,
            _ => {
                let lines = (*raw).linesize.map(|line| line as isize);
                ff::ffi::av_image_fill_black(
                    (*raw).data.as_mut_ptr(),
                    lines.as_ptr(),
                    shape.format(),
                    shape.range(),
                    width,
                    height,
                )
            }
        }
    };
    if result < 0 { Err(source_error("making a black picture", ff::Error::from(result))) } else { Ok(frame) }
}

/// `frame` as JPEG with square pixels, `height` pixels high (its own height if absent): the bytes, width and height.
///
/// # Errors
/// `Unsupported` if the picture can't be written as JPEG.
pub(crate) fn jpeg(frame: &Frame, height: Option<u32>) -> Result<(Vec<u8>, u32, u32), Error> {
    // SAFETY: the frame is valid; only numbers are read, and the format is one that libav wrote.
    let (source, format, aspect) = unsafe {
        let raw = &*frame.0.as_ptr();
        let format = std::mem::transmute::<i32, ff::ffi::AVPixelFormat>(raw.format);
        ((raw.width, raw.height), format, raw.sample_aspect_ratio)
    };
    let target = display_size(source, (aspect.num, aspect.den), height)?;
    let full_range = ff::ffi::AVPixelFormat::from(Pixel::YUVJ420P);
    let mut scaled = empty_frame();
    scale(&mut scaler(format, full_range, source, target)?, &frame.0, &mut scaled)?;
    scaled.set_pts(Some(0));

    let fail = |error: ff::Error| Error::Unsupported(format!("the frame can't be written as JPEG: {error}"));
    let codec = ff::encoder::find(ff::codec::Id::MJPEG).ok_or_else(|| fail(ff::Error::EncoderNotFound))?;
    let mut video = ff::codec::Context::new_with_codec(codec).encoder().video().map_err(fail)?;
    let (width, height) = (target.0.unsigned_abs(), target.1.unsigned_abs());
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::YUVJ420P);
    video.set_time_base((1, 25));
    video.set_flags(ff::codec::Flags::QSCALE);
    // Fixed quality, near what cameras and photo tools call 90.
    video.set_global_quality(3 * ff::ffi::FF_QP2LAMBDA);
    let mut encoder = video.open().map_err(fail)?;
    // SAFETY: as above; the frame is ours.
    unsafe { (*scaled.as_mut_ptr()).quality = 3 * ff::ffi::FF_QP2LAMBDA };
    encoder.send_frame(&scaled).map_err(fail)?;
    encoder.send_eof().map_err(fail)?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet).map_err(fail)?;
    Ok((packet.data().unwrap_or_default().to_vec(), width, height))
}

/// The size at which a picture is shown with square pixels; both sides even, as 4:2:0 needs.
fn display_size(source: (i32, i32), aspect: (i32, i32), height: Option<u32>) -> Result<(i32, i32), Error> {
    let (num, den) = if aspect.0 > 0 && aspect.1 > 0 { aspect } else { (1, 1) };
    let (source_width, source_height) = (i64::from(source.0), i64::from(source.1));
    if source_width < 1 || source_height < 1 {
        return Err(Error::Unusable(format!("the picture is {source_width}x{source_height}")));
    }
    let height = height.map_or(source_height, i64::from);
    let width = source_width * i64::from(num) * height / (i64::from(den) * source_height);
    let even = |side: i64| i32::try_from((side + 1) / 2 * 2).ok().filter(|side| (2..=16_384).contains(side));
    match (even(width), even(height)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(Error::Limit(format!("a picture of {width}x{height} is too large for a thumbnail"))),
    }
}
