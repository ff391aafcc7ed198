//! Samples: ten seconds in one layout, coding and sound, such as `hls_ts/hevc_open/aac`. Made when they are asked for, by
//! `tests/fixtures/samples.py`, and kept.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::fixtures::script;

/// A sample. Its frames are numbered from 0, and its sound carries the time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sample {
    /// The folder that holds it and nothing else.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Where the recording is, relative to `folder`.
    pub uid: String,
    /// A file with the same packets, which other programs can read whatever the layout.
    pub source: PathBuf,
    /// How it lies on disk.
    pub layout: String,
    /// How its pictures are coded.
    pub coding: String,
    /// How its sound is coded.
    pub sound: String,
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// Whether every GOP can be decoded by itself.
    pub closed: bool,
    /// How far the layout's times may be off, in nanoseconds.
    pub precision: i64,
    /// Wall time of frame 0, in milliseconds since 1970; absent if the layout can't say.
    pub origin_ms: Option<i64>,
    /// The frames that are there: their numbers, and when they are shown, in nanoseconds from frame 0, rounded down.
    pub shown: Vec<(u32, i64)>,
    /// Language of each track of sound (ISO 639-2/T); `und` where none is stated.
    pub languages: Vec<String>,
    /// What is missing, in nanoseconds from frame 0: start and end.
    pub missing: Vec<(i64, i64)>,
}

impl Sample {
    /// Its name in the library that [`library`] is.
    pub fn uid(&self) -> String {
        let folder = self.folder.file_name().expect("it was made in a folder of its own").to_string_lossy();
        format!("{folder}/{}", self.uid)
    }

    /// The frames that are shown in a half-open range of nanoseconds from frame 0, and when.
    pub fn frames_in(&self, range: Range<i64>) -> Vec<(u32, i64)> {
        self.shown.iter().filter(|(_, time)| range.contains(time)).copied().collect()
    }
}

/// The folder that samples are made in; a library as the services expect it.
///
/// # Errors
/// If it can't be made.
pub fn library() -> Result<PathBuf> {
    Ok(PathBuf::from(script(&["library"])?.trim_end()))
}

/// The names of all samples that can be made.
///
/// # Errors
/// If the script fails.
pub fn names() -> Result<Vec<String>> {
    Ok(script(&["samples"])?.lines().map(str::to_owned).collect())
}

/// The sample with this name, made if it isn't there.
///
/// # Errors
/// If it can't be made.
pub fn named(name: &str) -> Result<Sample> {
    let folder = script(&["sample", name])?;
    let folder = Path::new(folder.trim_end());
    let path = folder.join("sample.json");
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(Sample { folder: folder.to_owned(), ..serde_json::from_slice(&text)? })
}
