//! What a source holds.

use std::sync::Arc;

use crate::{
    Error, Format, Input, Probe, TrackKind, chain::Chain, ffmpeg::Demuxer, host::Host, source::first_keyframe,
};

/// Opens the first part of `input` and says what is in it.
///
/// # Errors
/// See [`Demuxer::open`].
pub(crate) fn probe(input: &Input, host: Arc<dyn Host>) -> Result<Probe, Error> {
    let part = input
        .spans
        .first()
        .and_then(|span| span.parts.first())
        .ok_or_else(|| Error::Internal("a probe of nothing was asked for".into()))?;
    // An MP4's header says all that is asked; reading ahead would decode pictures.
    let mut demuxer = Demuxer::open(Chain::of_part(host, part), part.format, part.format != Format::Mp4)?;
    if part.format == Format::Mp4 && demuxer.duration_micros().is_none() {
        demuxer.read_ahead()?;
    }
    let tracks: Vec<_> = demuxer.streams().iter().map(|stream| stream.info.clone()).collect();
    if !tracks.iter().any(|track| matches!(track.kind, TrackKind::Video | TrackKind::Audio)) {
        return Err(Error::Unusable("the source has neither video nor audio".into()));
    }
    let creation_time = demuxer.creation_time();
    let whole = demuxer.duration_micros().map_or(0, |micros| micros.saturating_mul(1000));
    let longest = demuxer
        .streams()
        .iter()
        .filter(|stream| stream.info.kind == TrackKind::Video)
        .filter_map(|stream| Some(stream.timebase.nanos(stream.duration?)))
        .max();
    let start = match part.format {
        // Edit lists are applied, so presentation begins at 0 (ISO/IEC 14496-12 §8.6.6).
        Format::Mp4 => 0,
        Format::MpegTs | Format::Matroska => {
            let (ticks, timebase) = first_keyframe(&mut demuxer)?;
            timebase.nanos(ticks)
        }
    };
    Ok(Probe { tracks, start, duration: longest.unwrap_or(whole), creation_time })
}
