//! A picture of one frame.

use std::sync::Arc;

use crate::{
    Error, Thumbnail, ThumbnailTask,
    clip::SPAN_SLACK,
    cut::{open_at, threads},
    ffmpeg::{Decoder, Frame, jpeg},
    host::Host,
    source::{SpanReader, pts},
};

/// Decodes the first frame at or after the asked instant, and writes it as JPEG.
///
/// # Errors
/// `NoMedia` if there is no such frame.
pub(crate) fn thumbnail(task: &ThumbnailTask, host: Arc<dyn Host>) -> Result<Thumbnail, Error> {
    for span in task.input.spans.iter().filter(|span| span.range.end > task.at) {
        let mut reader = SpanReader::open(&host, span, false)?;
        let Some(video) = reader.video() else {
            return Err(Error::Unsupported("the recording has no video".into()));
        };
        let opening = open_at(&mut reader, task.at.max(span.range.start.saturating_add_nanos(-SPAN_SLACK)))?;
        let Some(base) = opening.base else { continue };
        let mut decoder = Decoder::open(reader.stream(video), threads())?;
        let mut found = None;
        let mut each = |frame: Frame| {
            if found.is_none() && frame.pts().is_some_and(|pts| pts >= base) {
                found = Some(frame);
            }
            Ok(())
        };
        for packet in &opening.video {
            decoder.skip_unreferenced(pts(packet) < base);
            decoder.decode(packet, &mut each)?;
        }
        decoder.finish(&mut each)?;
        if let Some(frame) = found {
            let at = reader.clock(video).wall(frame.pts().unwrap_or(base));
            let (image, width, height) = jpeg(&frame, task.height)?;
            return Ok(Thumbnail { image, width, height, at });
        }
        return Err(Error::Unusable(format!("the frame at {} can't be decoded", reader.clock(video).wall(base))));
    }
    Err(Error::NoMedia(format!("the recording has no frame at or after {}", task.at)))
}
