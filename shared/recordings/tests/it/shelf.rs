//! A library in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use media::{
    Input, TrackInfo, TrackKind,
    time::{TimeRange, WallTime},
};
use recordings::{Coverage, Error, Library, Probe, Recording, Selection};
use serde_json::Value;
use tempfile::TempDir;

/// A library in a folder of its own.
pub(crate) struct Shelf {
    folder: TempDir,
    pub(crate) library: Library,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let library = Library::open(folder.path()).expect("a folder that is there");
        Self { folder, library }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the library")).expect("folders are made");
        fs::write(path, content).expect("a file is written");
        self
    }

    /// Runs FFmpeg in the library's folder on `seconds` of a moving picture with B-frames at 25 frames a second, a
    /// keyframe each second, and a tone. The first frame is at time 0. A `~` in the arguments is a space that doesn't
    /// part them.
    pub(crate) fn ffmpeg(&self, seconds: u32, arguments: &str) -> &Self {
        let picture = format!("testsrc2=size=160x90:rate=25:duration={seconds}");
        let tone = format!("sine=sample_rate=48000:duration={seconds}");
        run(Command::new("ffmpeg")
            .current_dir(self.folder.path())
            .args(["-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone])
            .args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-bf",
                "2",
                "-g",
                "25",
                "-sc_threshold",
                "0",
                "-c:a",
                "aac",
            ])
            .args(
                arguments.split(' ').filter(|argument| !argument.is_empty()).map(|argument| argument.replace('~', " ")),
            ));
        self
    }

    pub(crate) fn recording(&self, uid: &str) -> Result<Recording, Error> {
        self.recording_of(&self.library, uid)
    }

    /// A recording of another library in the same folder.
    pub(crate) fn recording_of(&self, library: &Library, uid: &str) -> Result<Recording, Error> {
        library.recording(uid, &Ffprobe(self.folder.path()))
    }

    pub(crate) fn select(&self, recording: &Recording, range: TimeRange) -> Result<Selection, Error> {
        recording.select(range, &Ffprobe(self.folder.path()))
    }

    pub(crate) fn coverage(&self, recording: &Recording, range: TimeRange, limit: usize) -> Coverage {
        recording.coverage(range, limit, &Ffprobe(self.folder.path())).expect("a coverage")
    }

    /// What is wrong with a recording, or else with the selection of all of it.
    pub(crate) fn refusal(&self, uid: &str) -> String {
        let selected = self.recording(uid).and_then(|recording| self.select(&recording, recording.range()));
        selected.expect_err(uid).to_string()
    }
}

/// Probes by FFmpeg's own tool.
struct Ffprobe<'a>(&'a Path);

impl Probe for Ffprobe<'_> {
    fn probe(&self, input: &Input) -> Result<media::Probe, media::Error> {
        let file = self.0.join(&input.sources[0]);
        let read = tempfile::Builder::new().suffix(".media").tempfile().expect("a temporary file");
        fs::copy(file, read.path()).expect("a copy");
        if let Some(length) = input.spans[0].parts[0].segments[0].piece.length {
            read.as_file().set_len(length).expect("a file of that length");
        }
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json", "-show_format", "-show_streams"])
            .arg(read.path())
            .output()
            .expect("ffprobe runs");
        if !output.status.success() {
            return Err(media::Error::Unusable(String::from_utf8_lossy(&output.stderr).trim().into()));
        }
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let seconds =
            |key: &str| found["format"][key].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        let created = found["format"]["tags"]["creation_time"].as_str().map(time);
        let streams = found["streams"].as_array().expect("a list");
        let tracks = streams.iter().map(|stream| TrackInfo {
            kind: if stream["codec_type"] == "video" { TrackKind::Video } else { TrackKind::Audio },
            codec: stream["codec_name"].as_str().unwrap_or_default().into(),
            language: None,
            size: None,
            frame_rate: rate(&stream["avg_frame_rate"]),
            title: None,
            dispositions: Vec::new(),
        });
        // That of the pictures counts, as it does for `media`.
        let pictures = streams.iter().find(|stream| stream["codec_type"] == "video");
        let length = pictures.and_then(|stream| stream["duration"].as_str()?.parse::<f64>().ok());
        Ok(media::Probe {
            tracks: tracks.collect(),
            start: 0,
            duration: (length.unwrap_or_else(|| seconds("duration")) * 1e9).round() as i64,
            lead: 0,
            creation_time: created,
        })
    }
}

fn rate(text: &Value) -> Option<(i32, i32)> {
    let (num, den) = text.as_str()?.split_once('/')?;
    Some((num.parse().ok()?, den.parse().ok()?))
}

/// A probe for recordings that need none.
pub(crate) fn unprobed(input: &Input) -> Result<media::Probe, media::Error> {
    unreachable!("{:?} is looked into", input.sources)
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// An RFC 3339 time.
pub(crate) fn time(text: &str) -> WallTime {
    let time: jiff::Timestamp = text.parse().expect("a time");
    WallTime::from_nanos(time.as_nanosecond().try_into().expect("in range"))
}
