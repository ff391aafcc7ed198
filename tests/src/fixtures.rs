//! The sample recordings: made once by `tests/fixtures/make.py`, listed by its catalogue.

use std::{
    ops::Range,
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

    /// The frames that are shown in a half-open range of nanoseconds from frame 0, to the last bit; those in the gap don't
    /// exist.
    pub fn frames_in(&self, range: Range<i64>) -> Vec<u32> {
        let shown_in = |number: u32, range: &Range<i64>| {
            // number × den / num seconds, compared without a division.
            let at = i128::from(number) * i128::from(self.rate.1) * 1_000_000_000;
            let scaled = |nanos: i64| i128::from(nanos) * i128::from(self.rate.0);
            scaled(range.start) <= at && at < scaled(range.end)
        };
        let gap = self.gap_ms.map_or(0..0, |(start, end)| start * 1_000_000..end * 1_000_000);
        (0..self.frames).filter(|number| shown_in(*number, &range) && !shown_in(*number, &gap)).collect()
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
    Ok(PathBuf::from(script(&[what])?.trim_end()))
}

/// What the script that makes media prints.
pub(crate) fn script(arguments: &[&str]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/make.py");
    let output = Command::new("python3").arg(&script).args(arguments).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} {arguments:?} failed: {}", script.display(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn ranges_are_half_open_and_exact() {
        let film = named("mp4_closed_b3.mp4");
        // Frame 30 is at 1.001 s.
        assert_eq!(film.frames_in(1_001_000_000..1_034_366_667), [30, 31]);
        assert_eq!(film.frames_in(1_001_000_001..1_034_366_666), Vec::<u32>::new());
        assert_eq!(film.frames_in(-SECOND..SECOND / 100), [0]);
        assert_eq!(named("dash_gap/stream.mpd").frames_in(9 * SECOND + 960_000_000..14 * SECOND + 1), [249, 350]);
    }

    /// Presentation time of each packet in the order of decoding, and whether it is a keyframe.
    fn packets(fixture: &Fixture) -> Vec<(i64, bool)> {
        let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "csv=p=0"];
        let output = Command::new("ffprobe").args(entries).arg(fixture.path()).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let parse = |line: &str| line.split_once(',').map(|(pts, flags)| (pts.parse().unwrap(), flags.contains('K')));
        lines.lines().filter_map(parse).collect()
    }

    #[test]
    fn gops_are_as_their_name_says() {
        for fixture in all().iter().filter(|fixture| fixture.layout == "mp4") {
            let packets = packets(fixture);
            let keyframes: Vec<_> = (0..packets.len()).filter(|at| packets[*at].1).collect();
            let number = |at: &usize| packets.iter().filter(|packet| packet.0 < packets[*at].0).count();
            let regular = (0..fixture.frames as usize).step_by(fixture.gop as usize);
            assert!(keyframes.iter().map(number).eq(regular), "{}", fixture.uid);
            // Frames that are decoded after a keyframe but shown before it refer back beyond it.
            let leads = |at: &&usize| packets.get(*at + 1).is_some_and(|next| next.0 < packets[**at].0);
            let open = keyframes.iter().filter(leads).count();
            let expected = if fixture.encoding == "open_b3" { keyframes.len() - 1 } else { 0 };
            assert_eq!(open, expected, "{}", fixture.uid);
        }
    }
}
