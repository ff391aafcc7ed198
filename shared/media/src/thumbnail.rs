//! A picture of one frame.

use std::sync::Arc;

use crate::{
    Error, Thumbnail, ThumbnailTask,
    clip::SPAN_SLACK,
    cut::{Opened, threads},
    ffmpeg::{Decoder, Frame, jpeg},
    host::Host,
    source::{SpanReader, pts},
};

/// Decodes the first frame at or after the asked instant, and writes it as JPEG.
///
/// # Errors
/// `NoMedia` if there is no such frame.
pub(crate) fn thumbnail(task: &ThumbnailTask, host: Arc<dyn Host>) -> Result<Thumbnail, Error> {
    let spans = &task.input.spans;
    for (index, span) in spans.iter().enumerate().filter(|(_, span)| span.range.end > task.at) {
        let reader = SpanReader::open(&host, span, false)?;
        let Some(video) = reader.video() else {
            return Err(Error::Unsupported("the recording has no video".into()));
        };
        let is_marked = task.at >= span.range.start;
        let at = if is_marked { task.at } else { span.range.start.saturating_add_nanos(-SPAN_SLACK) };
        let before = index.checked_sub(1).map(|before| &spans[before]);
        let opened = Opened::at(reader, &host, (span, before), (at, is_marked))?;
        let Opened { reader, opening, continuation, .. } = opened;
        let Some(base) = opening.base else { continue };
        let mut decoder = Decoder::open(reader.stream(video), threads())?;
        let mut found = None;
        let mut each = |frame: Frame| {
            if found.is_none() && frame.pts().is_some_and(|pts| pts >= base) {
                found = Some(frame);
            }
            Ok(())
        };
        let preroll = continuation.iter().flat_map(|continuation| &continuation.preroll);
        for packet in preroll.chain(&opening.video) {
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
