//! One media file, as one segment.

use media::{
    Anchor, Format, Input, Part, Piece, Segment, Span, TrackKind,
    time::{TimeRange, WallTime},
};

use crate::{
    Error, Probe, Recording,
    recording::Section,
    track::{Clock, Track},
};

/// The recording in the file `uid`, which began at `start`, or else when its metadata says.
pub(crate) fn read(uid: &str, format: Format, start: Option<WallTime>, probe: &dyn Probe) -> Result<Recording, Error> {
    let found = probe.probe(&whole(uid, format)).map_err(|source| Error::Probe { name: uid.into(), source })?;
    if !found.tracks.iter().any(|track| matches!(track.kind, TrackKind::Video | TrackKind::Audio)) {
        return Err(Error::unusable(uid, "has neither video nor audio"));
    }
    let start = start.or(found.creation_time);
    let wall = start.unwrap_or(WallTime::EPOCH);
    let end = wall.checked_add_nanos(found.duration).filter(|end| *end > wall);
    let end = end.ok_or_else(|| Error::unusable(uid, format!("has a duration of {} ns", found.duration)))?;
    let range = TimeRange::new(wall, end);
    let clock = match format {
        Format::Mp4 => Clock::Ticks { ticks: 0, timescale: 1, wall },
        Format::MpegTs | Format::Matroska => Clock::FirstKeyframe { segment: 0, wall },
    };
    let main = Track::whole(format, uid.into(), range, clock);
    Recording::new(uid, vec![Section { main, audio: None }], start.is_some(), false)
}

/// All of a file, as a probe takes it.
fn whole(uid: &str, format: Format) -> Input {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::EPOCH);
    let segment = Segment { piece: Piece { source: 0, offset: 0, length: None }, range };
    let anchor = Anchor::Ticks { ticks: 0, timescale: 1, wall: WallTime::EPOCH };
    let part = Part { format, init: None, segments: vec![segment], anchor, language: None };
    Input { sources: vec![uid.into()], spans: vec![Span { range, parts: vec![part] }] }
}
