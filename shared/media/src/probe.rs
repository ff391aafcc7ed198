//! What a source holds.

use std::sync::Arc;

use crate::{
    Error, Format, Input, Part, Probe, TrackKind,
    chain::Chain,
    ffmpeg::{Demuxer, empty_packet},
    fragments::last_fragments,
    host::Host,
    source::{Front, front},
};

/// How many packets at the end of a source are looked at for the last frame: a long GOP, and the sound beside it.
const MAX_LAST: usize = 100_000;

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
    let mut demuxer = Demuxer::open(Chain::of_part(host.clone(), part), part.format, part.format != Format::Mp4)?;
    if part.format == Format::Mp4 && demuxer.duration_micros().is_none() {
        demuxer.read_ahead()?;
    }
    let tracks: Vec<_> = demuxer.streams().iter().map(|stream| stream.info.clone()).collect();
    if !tracks.iter().any(|track| matches!(track.kind, TrackKind::Video | TrackKind::Audio)) {
        return Err(Error::Unusable("the source has neither video nor audio".into()));
    }
    let creation_time = demuxer.creation_time();
    let stated = stated_duration(&demuxer);
    let front = front(&mut demuxer);
    let lead = front.as_ref().map_or(0, Front::lead_nanos);
    let (start, end) = match part.format {
        Format::Mp4 => match end_of_fragments(&host, part)? {
            Some(end) => (front?.nanos(), Some(end)),
            // Edit lists are applied, so presentation begins at 0 (ISO/IEC 14496-12 §8.6.6).
            None => (0, None),
        },
        // What it states is when it ends, or how long it is: writers differ.
        Format::Matroska => {
            let front = front?;
            (front.nanos(), matroska_end(&mut demuxer, &front)?)
        }
        Format::MpegTs => (front?.nanos(), None),
    };
    let duration = end.map_or(stated, |end| end.saturating_sub(start));
    Ok(Probe { tracks, start, duration, lead, creation_time })
}

/// The length of the video, or of the whole, as the container states it.
fn stated_duration(demuxer: &Demuxer) -> i64 {
    let whole = demuxer.duration_micros().map_or(0, |micros| micros.saturating_mul(1000));
    let videos = demuxer.streams().iter().filter(|stream| stream.info.kind == TrackKind::Video);
    videos.filter_map(|stream| Some(stream.timebase.nanos(stream.duration?))).max().unwrap_or(whole)
}

/// The end of the last frame of an MP4 that is made of fragments, in nanoseconds: its index says nothing of them.
fn end_of_fragments(host: &Arc<dyn Host>, part: &Part) -> Result<Option<i64>, Error> {
    let [segment] = part.segments.as_slice() else { return Ok(None) };
    let Some(pieces) = last_fragments(host, segment.piece)? else { return Ok(None) };
    // Only reading ahead tells how long packets are.
    let last = Demuxer::open(Chain::new(host.clone(), pieces.into()), part.format, true);
    match last.and_then(|mut last| last_end(&mut last)) {
        // Damage at the end doesn't spoil what is before it.
        Err(Error::Unusable(_)) => Ok(None),
        end => end,
    }
}

/// The end of the last frame of a Matroska file, in nanoseconds, as far as that can be found.
fn matroska_end(demuxer: &mut Demuxer, front: &Front) -> Result<Option<i64>, Error> {
    // Without an index the search itself reads to the end.
    if demuxer.seek(front.stream, i64::MAX / 2).is_err() {
        return Ok(None);
    }
    last_end(demuxer)
}

/// The end of the last frame that is left to read of the video, in nanoseconds, or of the sound of a source without.
/// `None` if nothing is left, or too much.
fn last_end(demuxer: &mut Demuxer) -> Result<Option<i64>, Error> {
    let has_video = demuxer.streams().iter().any(|stream| stream.info.kind == TrackKind::Video && !stream.is_cover);
    let wanted = if has_video { TrackKind::Video } else { TrackKind::Audio };
    let (mut packet, mut end) = (empty_packet(), None);
    for _ in 0..MAX_LAST {
        if !demuxer.read(&mut packet)? {
            return Ok(end);
        }
        let stream = demuxer.streams().get(packet.stream()).filter(|stream| stream.info.kind == wanted);
        if let (Some(stream), Some(pts)) = (stream, packet.pts().or(packet.dts())) {
            end = end.max(Some(stream.timebase.nanos(pts.saturating_add(packet.duration().max(0)))));
        }
    }
    Ok(None)
}
