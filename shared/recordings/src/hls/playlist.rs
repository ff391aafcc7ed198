//! Media playlists, as tables. m3u8-rs reads multivariant playlists; of a media playlist it would make a structure of
//! several hundred bytes per segment, with the duration in an `f32`. Here a playlist is read in passing, and of one that
//! has become longer only what is new.

use std::ops::Range;

use media::Format;

use super::{reader::Reader, rows::Table};
use crate::{
    Error, MAX_MANIFEST_BYTES,
    coverage::Notices,
    error::excerpt,
    library::Reading,
    name,
    track::{Address, Track},
};

/// How much is read at once, in bytes.
const CHUNK: u64 = 1 << 20;

/// How much of the start and of the end of what was read must still be the same for the rest to be taken as the same.
const HEAD: usize = 1 << 10;
const TAIL: usize = 16 << 10;

/// How often a playlist is read that is replaced while it is read.
const ATTEMPTS: usize = 4;

/// A media playlist, as far as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Playlist {
    pub(super) name: String,
    reader: Reader,
    /// How many bytes were read: whole lines.
    consumed: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// What comes after the last whole line.
    rest: Vec<u8>,
}

/// What a media playlist says.
pub(super) struct Media {
    /// Whether any segment has a date.
    pub(super) has_dates: bool,
    /// Whether nothing will be added.
    pub(super) is_ended: bool,
    pub(super) track: Track,
    pub(super) notices: Notices,
}

impl Playlist {
    /// Reads the playlist `name`; `old` is what was read of it before.
    ///
    /// # Errors
    /// `NotFound`, `Io`; `Unusable` names the line; `Unsupported`, for instance if segments are encrypted.
    pub(super) fn read(reading: &Reading<'_>, name: &str, old: Option<&Self>) -> Result<Self, Error> {
        let mut known = old;
        for _ in 0..ATTEMPTS {
            let before = reading.version(name)?;
            if before.size > MAX_MANIFEST_BYTES {
                return Err(Error::unusable(name, format!("is longer than {MAX_MANIFEST_BYTES} bytes")));
            }
            let mut playlist = match known.take().map(|old| old.is_continued(reading, before.size)).transpose()? {
                Some(true) => old.cloned().unwrap_or_default(),
                _ => Self { name: name.into(), reader: Reader::new(name), ..Self::default() },
            };
            let read = playlist.read_up_to(reading, before.size);
            let after = reading.version(name)?;
            if after == before || after.identity == before.identity && after.size > before.size {
                reading.remember(name, before);
                return read.map(|()| playlist);
            }
        }
        Err(Error::unusable(name, "is replaced faster than it can be read"))
    }

    /// Whether the playlist, which has `size` bytes now, goes on where this one ends.
    fn is_continued(&self, reading: &Reading<'_>, size: u64) -> Result<bool, Error> {
        if size < self.consumed {
            return Ok(false);
        }
        let is = |range: Range<u64>, bytes: &[u8]| Ok(reading.bytes(&self.name, range)? == bytes);
        let tail = self.consumed - self.tail.len() as u64..self.consumed;
        Ok(is(0..self.head.len() as u64, &self.head)? && is(tail, &self.tail)?)
    }

    fn read_up_to(&mut self, reading: &Reading<'_>, size: u64) -> Result<(), Error> {
        self.rest.clear();
        let mut at = self.consumed;
        while at < size {
            let bytes = reading.bytes(&self.name, at..size.min(at + CHUNK))?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            self.rest.extend_from_slice(&bytes);
            self.take_lines()?;
        }
        if self.consumed == 0 && !self.rest.is_empty() {
            check_start(&self.name, &self.rest)?;
        }
        Ok(())
    }

    /// Reads the whole lines of the rest.
    fn take_lines(&mut self) -> Result<(), Error> {
        let Some(last) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let rest = self.rest.split_off(last + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        if self.consumed == 0 {
            check_start(&self.name, &lines)?;
            self.head = lines[..lines.len().min(HEAD)].to_vec();
        }
        self.reader.lines(text(&self.name, &lines, self.consumed)?)?;
        self.consumed += lines.len() as u64;
        self.tail.extend_from_slice(&lines[lines.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(())
    }

    /// What it says.
    pub(super) fn media(&self) -> Result<Media, Error> {
        let mut reader = self.reader.clone();
        // A line without its end may still be in the writing, unless nothing is being written any more.
        let rest = String::from_utf8_lossy(&self.rest);
        if rest.trim() == "#EXT-X-ENDLIST" || reader.is_ended {
            reader.lines(text(&self.name, &self.rest, self.consumed)?)?;
        }
        reader.finish()?;
        let Reader { rows, inits, stretches, clocks, declared, has_dates, is_ended, notices, .. } = reader;
        let is_empty = rows.len() == 0;
        let segments = Box::new(Table { name: self.name.clone(), rows });
        let mut track = Track { format: Format::MpegTs, language: None, segments, inits, stretches, clocks, declared };
        if !is_empty {
            track.format = format(&track)?;
        }
        Ok(Media { has_dates, is_ended, track, notices })
    }
}

fn check_start(name: &str, bytes: &[u8]) -> Result<(), Error> {
    let start = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match start.starts_with(b"#EXTM3U") {
        true => Ok(()),
        false => Err(Error::unusable(name, "is not an HLS playlist: it does not begin with #EXTM3U")),
    }
}

fn text<'a>(name: &str, bytes: &'a [u8], at: u64) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes)
        .map_err(|error| Error::unusable(name, format!("is not UTF-8 at byte {}", at + error.valid_up_to() as u64)))
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
fn format(track: &Track) -> Result<Format, Error> {
    let telling: Address = match track.inits.first() {
        Some(init) => init.clone(),
        None => track.segments.address(0)?,
    };
    Ok(match name::extension(&telling.name).as_deref() {
        Some("ts" | "m2ts" | "mts") => Format::MpegTs,
        Some("mp4" | "m4s" | "m4v" | "m4a" | "cmfv" | "cmfa") => Format::Mp4,
        _ if track.inits.is_empty() => Format::MpegTs,
        _ => Format::Mp4,
    })
}
