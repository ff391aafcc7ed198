//! Media playlists, as tables. m3u8-rs reads multivariant playlists; of a media playlist it would make a structure of
//! several hundred bytes per segment, with the duration in an `f32`. Here a segment takes 24 bytes, and its URI stays
//! in the text.

use media::{
    Format,
    time::{TimeRange, WallTime},
};

use super::reader::Reader;
use crate::{
    Error,
    error::excerpt,
    name,
    track::{Address, Segments, Track},
};

/// A media playlist.
#[derive(Debug)]
pub(crate) struct Playlist {
    /// Whether any segment has a date.
    pub(crate) has_dates: bool,
    /// Whether nothing will be added.
    pub(crate) is_ended: bool,
    /// Its segments.
    pub(crate) track: Track,
}

impl Playlist {
    /// Reads a playlist called `name`.
    ///
    /// # Errors
    /// `Unusable` names the line; `Unsupported`, for instance if segments are encrypted.
    pub(crate) fn parse(name: &str, text: String) -> Result<Self, Error> {
        let Reader { rows, byte_ranges, inits, stretches, clocks, has_dates, is_ended, .. } =
            Reader::read(name, &text)?;
        let table = Table { name: name.into(), text, rows, byte_ranges };
        let format = format(&table, &inits)?;
        let track = Track { format, language: None, segments: Box::new(table), inits, stretches, clocks };
        Ok(Self { has_dates, is_ended, track })
    }
}

/// The segments of a playlist.
#[derive(Debug)]
struct Table {
    name: String,
    text: String,
    rows: Vec<Row>,
    byte_ranges: Vec<Option<(u64, u64)>>,
}

/// A segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) start: WallTime,
    pub(super) end: WallTime,
    /// Where the line of its URI begins in the text.
    pub(super) uri: u32,
}

impl Segments for Table {
    fn range(&self, index: usize) -> TimeRange {
        let Row { start, end, .. } = self.rows[index];
        TimeRange { start, end }
    }

    fn address(&self, index: usize) -> Result<Address, Error> {
        let rest = self.text.get(self.rows[index].uri as usize..).unwrap_or_default();
        let name = locate(&self.name, rest.lines().next().unwrap_or_default().trim())?;
        Ok(match self.byte_ranges.get(index) {
            Some(Some((offset, length))) => Address { name, offset: *offset, length: Some(*length) },
            _ => Address::whole(name),
        })
    }
}

/// The file that a URI of a playlist stands for.
pub(super) fn locate(playlist: &str, uri: &str) -> Result<String, Error> {
    let refused = |reason| Error::unusable(playlist, format!("the segment {} {reason}", excerpt(uri)));
    let name = name::resolve_file(playlist, uri).map_err(refused)?;
    match name::extension(&name).as_deref() {
        Some(kind @ ("aac" | "ac3" | "ec3" | "mp3" | "vtt" | "webvtt" | "m3u8" | "m3u")) => {
            Err(Error::unsupported(playlist, format!("the segment {} is of the kind {kind}", excerpt(uri))))
        }
        _ => Ok(name),
    }
}

/// The container of the segments. No tag says it: an init segment is what MP4 needs, and a name has an extension.
fn format(table: &Table, inits: &[Address]) -> Result<Format, Error> {
    let telling = match inits.first() {
        Some(init) => init.clone(),
        None if table.rows.is_empty() => return Ok(Format::MpegTs),
        None => table.address(0)?,
    };
    Ok(match name::extension(&telling.name).as_deref() {
        Some("ts" | "m2ts" | "mts") => Format::MpegTs,
        Some("mp4" | "m4s" | "m4v" | "m4a" | "cmfv" | "cmfa") => Format::Mp4,
        _ if inits.is_empty() => Format::MpegTs,
        _ => Format::Mp4,
    })
}
