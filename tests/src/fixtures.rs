//! The sample recordings: made once by `tests/fixtures/make.py`, listed by its catalogue.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A sample recording. Its frames are numbered from 0 without a break, and its sound carries the time (see [`crate::audio`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fixture {
    /// Where it is, relative to [`dir`].
    pub uid: String,
    /// `dash`, `hls_ts`, `hls_fmp4`, `mp4`, `mkv` or `ts`.
    pub layout: String,
    /// How its video is coded: `closed_b0`, `closed_b3`, `open_b3` or `long_gop`.
    pub encoding: String,
    /// Frames per second, as a fraction.
    pub rate: (u32, u32),
    /// How many frames it was made of, those in the gap included.
    pub frames: u32,
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// Wall time of frame 0, in milliseconds since 1970; absent if the layout can't say.
    pub origin_ms: Option<i64>,
    /// What is missing from it, in milliseconds from frame 0: start and end.
    pub gap_ms: Option<(i64, i64)>,
}

impl Fixture {
    /// Where the recording is on disk.
    pub fn path(&self) -> PathBuf {
        dir().join(&self.uid)
    }

    /// When a frame is shown, in nanoseconds from frame 0, rounded down.
    pub fn frame_nanos(&self, number: u32) -> i64 {
        i64::from(number) * i64::from(self.rate.1) * 1_000_000_000 / i64::from(self.rate.0)
    }
}

/// The folder of the sample recordings; a library as the services expect it. The first call of all makes them, which takes
/// some seconds.
pub fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| make("fixtures").expect("the sample media could not be made"))
}

/// Every sample recording.
pub fn all() -> &'static [Fixture] {
    static ALL: OnceLock<Vec<Fixture>> = OnceLock::new();
    ALL.get_or_init(|| catalogue().expect("the catalogue of the sample media is unreadable"))
}

/// The sample recording with this uid.
pub fn named(uid: &str) -> &'static Fixture {
    all().iter().find(|fixture| fixture.uid == uid).unwrap_or_else(|| panic!("no fixture is called {uid}"))
}

/// The folder with `source.mp4`, ten minutes of 1080p to measure with. The first call of all makes it, which takes a minute.
pub fn bench_dir() -> Result<PathBuf> {
    make("bench")
}

fn catalogue() -> Result<Vec<Fixture>> {
    let path = dir().join("catalogue.json");
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

fn make(what: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/make.py");
    let output = Command::new("python3").arg(&script).arg(what).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} {what} failed: {}", script.display(), output.status);
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}
