//! One media file, as one segment.

use media::{
    Format,
    time::{NANOS, TimeRange, WallTime},
};

use crate::{
    Error, Probe, Recording,
    coverage::Notices,
    shelf::{Content, Shelf},
    timeline::Section,
    track::{Address, Clock, Track},
};

/// The recording in the file `uid`, which began at `start`, or else when its metadata says.
pub(crate) fn read(
    uid: &str,
    format: Format,
    start: Option<WallTime>,
    shelf: &Shelf,
    probe: &dyn Probe,
) -> Result<Recording, Error> {
    let extent = match shelf.content(uid, format, probe)? {
        Content::Media(extent) => extent,
        Content::NotFinished => return Err(Error::unusable(uid, "is not finished: its index is not there")),
        Content::Unusable(reason) => return Err(Error::unusable(uid, reason)),
    };
    let start = start.or(extent.creation_time);
    let wall = start.unwrap_or(WallTime::EPOCH);
    let end = wall.checked_add_nanos(extent.duration);
    let end = end.ok_or_else(|| Error::unusable(uid, "runs beyond the year 2262"))?;
    let clock = match format {
        Format::Mp4 => Clock::Ticks { ticks: extent.start, timescale: NANOS as u32, wall },
        Format::MpegTs | Format::Matroska => Clock::FirstKeyframe { segment: 0, wall },
    };
    let address = Address { name: uid.into(), offset: 0, length: extent.bytes };
    let main = Track::whole(format, address, TimeRange::new(wall, end), clock);
    let sections = vec![Section { main, audio: Vec::new() }];
    Recording::of_sections(uid, sections, start.is_some(), extent.is_growing, Notices::default())
}
