//! Reads an MP4 or a QuickTime movie as a player would, box by box, and says what is wrong with it: ISO/IEC 14496-12,
//! 14496-14, 14496-15. It shares nothing with FFmpeg.

mod boxes;
mod config;
mod tables;

use std::path::Path;

use anyhow::{Context, Result};
use boxes::{Box, number};
use tables::Tables;

/// More violations than these say nothing new.
const MOST: usize = 20;
/// How far a sound may begin before or after the picture: the priming of any codec is less, in milliseconds.
const PRIMING_MS: i64 = 100;

/// What was read of a movie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Movie {
    /// What is wrong with it; empty if nothing is.
    pub violations: Vec<String>,
    /// The types of the boxes in the video's sample entry: `avcC`, `colr`, `pasp` and others.
    pub video_boxes: Vec<String>,
    /// The types of all sample entries, track by track: `avc1`, `mp4a`.
    pub entries: Vec<String>,
}

impl Movie {
    fn add(&mut self, violation: String) {
        if self.violations.len() < MOST {
            self.violations.push(violation);
        }
    }
}

/// What a movie holds, and what is wrong with it.
///
/// # Errors
/// If the file can't be read.
pub fn check(path: &Path) -> Result<Movie> {
    Ok(read(&std::fs::read(path).with_context(|| path.display().to_string())?))
}

fn read(bytes: &[u8]) -> Movie {
    let mut movie = Movie::default();
    if let Err(problem) = read_file(bytes, &mut movie) {
        movie.add(problem);
    }
    movie
}

/// A track, as far as all tracks have to fit together.
struct Track<'a> {
    name: String,
    is_video: bool,
    timescale: i64,
    tables: Tables,
    /// Its edits: length in ticks of the movie, and where each begins in the media; -1 shows nothing.
    edits: Vec<(i64, i64)>,
    /// Length in ticks of the movie, of the media in ticks of its own.
    durations: (i64, i64),
    entry: Box<'a>,
}

fn read_file(bytes: &[u8], movie: &mut Movie) -> Result<(), String> {
    let top = boxes::all(bytes, 0)?;
    let place = |kind: &[u8; 4]| top.iter().position(|found| found.kind == *kind);
    if place(b"ftyp") != Some(0) {
        movie.add("it doesn't begin with ftyp".into());
    }
    let (Some(moov), Some(mdat)) = (place(b"moov"), place(b"mdat")) else {
        return Err("moov or mdat is missing".into());
    };
    if moov > mdat {
        movie.add("moov comes after mdat: it can't be played while it is fetched".into());
    }
    check_brands(&top[0], movie);
    let media: Vec<_> = top.iter().filter(|found| found.kind == *b"mdat").map(Box::content_range).collect();
    let moov = &top[moov];
    let head = moov.child("mvhd")?;
    let (timescale, duration) = times(&head)?;
    if timescale <= 0 {
        return Err(format!("mvhd says a timescale of {timescale}"));
    }
    let mut tracks = Vec::new();
    for trak in moov.children()?.iter().filter(|child| child.kind == *b"trak") {
        tracks.extend(read_track(trak, movie)?);
    }
    let mut chunks = Vec::new();
    for track in &tracks {
        let problems = track.tables.check(&media, bytes, &track.entry);
        problems.into_iter().for_each(|problem| movie.add(format!("{}: {problem}", track.name)));
        check_presentation(track, timescale, movie);
        chunks.extend(track.tables.chunks());
    }
    chunks.sort_unstable();
    if chunks.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        movie.add("chunks overlap".into());
    }
    let longest = tracks.iter().map(|track| track.durations.0).max().unwrap_or(0);
    if duration.abs_diff(longest) > 1 {
        movie.add(format!("mvhd says {duration} ticks, the longest track {longest}"));
    }
    if !tracks.iter().any(|track| track.is_video) {
        movie.add("there is no video".into());
    }
    Ok(())
}

fn check_brands(ftyp: &Box<'_>, movie: &mut Movie) {
    let brands: Vec<_> = ftyp.content.as_chunks::<4>().0.iter().enumerate().filter(|(at, _)| *at != 1).collect();
    let knows = |brand: &[u8; 4]| brands.iter().any(|(_, known)| *known == brand);
    if !knows(b"qt  ") && !(knows(b"isom") && (knows(b"mp41") || knows(b"mp42"))) {
        movie.add(format!("no player knows the brands {:?}", String::from_utf8_lossy(ftyp.content)));
    }
}

/// Timescale and duration of mvhd and mdhd (ISO/IEC 14496-12 §8.2.2, §8.4.2).
fn times(head: &Box<'_>) -> Result<(i64, i64), String> {
    match head.content.first() {
        Some(1) => Ok((number(head.content, 20, 4)?, number(head.content, 24, 8)?)),
        _ => Ok((number(head.content, 12, 4)?, number(head.content, 16, 4)?)),
    }
}

fn read_track<'a>(trak: &Box<'a>, movie: &mut Movie) -> Result<Option<Track<'a>>, String> {
    let (tkhd, mdia) = (trak.child("tkhd")?, trak.child("mdia")?);
    let (timescale, media) = times(&mdia.child("mdhd")?)?;
    let length =
        if tkhd.content.first() == Some(&1) { number(tkhd.content, 28, 8)? } else { number(tkhd.content, 20, 4)? };
    let handler = mdia.child("hdlr")?.content.get(8..12).ok_or("hdlr is cut off")?.to_vec();
    let stbl = mdia.child("minf")?.child("stbl")?;
    let entry = stbl.child("stsd")?.entries()?.into_iter().next().ok_or("stsd is empty")?;
    let name = format!("{} track {}", String::from_utf8_lossy(&handler), entry.name());
    movie.entries.push(entry.name());
    let is_video = handler == b"vide";
    if is_video {
        movie.video_boxes = config::check_video(&entry, movie)?;
    }
    if media <= 0 || timescale <= 0 {
        movie.add(format!("{name}: {media} ticks of 1/{timescale} s"));
        return Ok(None);
    }
    let edits = match trak.child("edts") {
        Ok(edts) => edits(&edts.child("elst")?)?,
        Err(_) => vec![(length, 0)],
    };
    let tables = Tables::read(&stbl)?;
    Ok(Some(Track { name, is_video, timescale, tables, edits, durations: (length, media), entry }))
}

/// The edits of elst (§8.6.6): each its length, and where it begins.
fn edits(elst: &Box<'_>) -> Result<Vec<(i64, i64)>, String> {
    let width = if elst.content.first() == Some(&1) { 8 } else { 4 };
    let count = number(elst.content, 4, 4)?;
    let sign = |value: i64| if width == 4 { i64::from(value as u32 as i32) } else { value };
    let edit = |at: usize| {
        let at = 8 + at * (2 * width + 4);
        Ok((number(elst.content, at, width)?, sign(number(elst.content, at + width, width)?)))
    };
    (0..usize::try_from(count).map_err(|_| "elst is too long")?).map(edit).collect()
}

/// Durations agree, and what is shown begins at the start.
fn check_presentation(track: &Track<'_>, movie_scale: i64, movie: &mut Movie) {
    let name = &track.name;
    let (length, media) = track.durations;
    // §8.4.2: of decoding, or of what is shown; they differ where the last frames shown aren't the last decoded.
    let (first, last) = track.tables.shown();
    let decoded = track.tables.duration();
    if media != decoded && media != last.saturating_sub(first) {
        movie.add(format!("{name}: mdhd says {media} ticks, stts {decoded}, and shown is {first} to {last}"));
    }
    let edited = track.edits.iter().fold(0_i64, |sum, edit| sum.saturating_add(edit.0));
    // Each is rounded by itself.
    if edited.abs_diff(length) > track.edits.len() as u64 {
        movie.add(format!("{name}: tkhd says {length} ticks, the edits {edited}"));
    }
    let empty = track.edits.iter().take_while(|edit| edit.1 < 0);
    let delay = empty.fold(0_i64, |sum, edit| sum.saturating_add(edit.0));
    let Some((shown, from)) = track.edits.iter().find(|edit| edit.1 >= 0).copied() else {
        movie.add(format!("{name}: nothing of it is shown"));
        return;
    };
    // A tick of the movie, and one of the media.
    let millis = |ticks: i64, scale: i64| ticks.saturating_mul(1000) / scale;
    if millis(shown, movie_scale) > millis(last.saturating_sub(from), track.timescale) + 2 {
        movie.add(format!("{name}: an edit of {shown}/{movie_scale} s from {from}, but the media ends at {last}"));
    }
    let start = millis(delay, movie_scale).saturating_add(millis(first.saturating_sub(from), track.timescale));
    if track.is_video && (delay > 0 || first > from) {
        movie.add(format!("{name}: its first picture is shown at {start} ms"));
    }
    if !track.is_video && start.saturating_abs() > PRIMING_MS && millis(first.saturating_sub(from), track.timescale) > 0
    {
        movie.add(format!("{name}: its first sample is at {start} ms"));
    }
}

#[cfg(test)]
mod tests;
