//! A recording that is being written is exported up to its live edge, while it grows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use e2e::{
    harness::{Server, Setup, eventually, spec, state},
    sample,
};
use protocol::{export::v1::Container, job::v1::JobState};

use crate::samples::numbers;

/// How long a recorder that works in real time may take for what it has recorded in ten seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// Frames per second of what is recorded; a keyframe begins each second.
const RATE: u64 = 25;

/// An ffmpeg that records at the pace of the clock; it ends with the test.
struct Recorder(Child);

impl Recorder {
    /// Records ten seconds of numbered frames into `folder`.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let source = sample::named("mp4/h264/aac").unwrap().source;
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(source).args(["-map", "0", "-c", "copy"]);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        Self(command.spawn().expect("ffmpeg could not be started; `make setup` installs it"))
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn recording(name: &str) -> (Server, PathBuf) {
    let server = Setup::new().own_library().start().await;
    let folder = server.library().join(name);
    fs::create_dir(&folder).unwrap();
    (server, folder)
}

/// Exports `from` to `to`, in seconds, and checks that these are the frames that come out.
async fn exports(server: &Server, uid: &str, from: u64, to: u64) {
    let mut spec = spec(uid, from * 1000, (to - from) * 1000);
    spec.container = Container::Mp4.into();
    let export = server.export(spec).await;
    assert_eq!(state(&export), JobState::Succeeded, "{uid} from {from} s to {to} s: {export:?}");
    let path = server.scratch().join("clip.mp4");
    fs::write(&path, server.download(&export.id, 0).await.unwrap()).unwrap();
    let expected: Vec<_> = (from * RATE..to * RATE).map(|number| number as i64).collect();
    assert_eq!(numbers(&path), expected, "{uid} from {from} s to {to} s");
    let result = export.result.unwrap();
    assert_eq!((result.gaps.len(), result.encoded_frames), (0, 0), "{:?}", result.warnings);
}

/// Waits until a playlist says that so many seconds are there.
async fn lists(playlist: &Path, seconds: f64) {
    let listed = || -> f64 {
        let text = fs::read_to_string(playlist).unwrap_or_default();
        let length = |line: &str| line.strip_prefix("#EXTINF:")?.trim_end_matches(',').parse::<f64>().ok();
        text.lines().filter_map(length).sum()
    };
    let is_there = eventually(PATIENCE, async || listed() >= seconds).await;
    assert!(is_there, "{} does not grow to {seconds} s", playlist.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hls_recording_is_exported_while_it_grows() {
    for (name, options) in [("ts", &[][..]), ("fmp4", &["-hls_segment_type", "fmp4"])] {
        let (server, folder) = recording(name).await;
        let common = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "0"];
        let mut recorder = Recorder::start(&folder, &[&common, options, &["index.m3u8"]].concat());
        let uid = format!("{name}/index.m3u8");
        // The first look, and a later one that has to find what was added since.
        for (from, edge) in [(0, 3), (2, 6)] {
            lists(&folder.join("index.m3u8"), edge as f64).await;
            exports(&server, &uid, from, edge).await;
            assert!(recorder.is_running(), "{name}: the recorder has ended before {edge} s were exported");
        }
    }
}

/// Whole fragments with pictures (ISO/IEC 14496-12 §8.8.4) in the files of a folder. The last of a file that has ended holds
/// the rest of the sound alone.
fn fragments(folder: &Path) -> usize {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        let (mut at, mut whole, mut tracks) = (0, 0, 0);
        // A fragment is whole once its mdat is.
        while let Some(head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let end = at + u32::from_be_bytes([head[0], head[1], head[2], head[3]]).max(8) as usize;
            if &head[4..] == b"moof" {
                tracks = bytes[at..end.min(bytes.len())].windows(4).filter(|kind| kind == b"traf").count();
            }
            whole += usize::from(&head[4..] == b"mdat" && tracks == 2 && end <= bytes.len());
            at = end;
        }
        whole
    };
    files.filter(|path| path.extension().is_some_and(|extension| extension == "mp4")).map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_exported_up_to_the_last_whole_fragment() {
    let (server, folder) = recording("camera").await;
    fs::write(folder.join("recording.toml"), "file_pattern = \"%Y-%m-%d_%H-%M-%S\"\n").unwrap();
    let fragmented = "movflags=frag_keyframe+delay_moov+default_base_moof:flush_packets=1";
    let common = ["-f", "segment", "-strftime", "1", "-segment_time", "3", "-reset_timestamps", "1"];
    let format = ["-segment_format_options", fragmented, "%Y-%m-%d_%H-%M-%S.mp4"];
    let mut recorder = Recorder::start(&folder, &[&common[..], &format].concat());
    for (from, edge) in [(0, 2), (1, 5), (3, 7)] {
        // A keyframe begins each second, and a fragment.
        let is_there = eventually(PATIENCE, async || fragments(&folder) >= edge).await;
        assert!(is_there, "{} does not grow to {edge} fragments", folder.display());
        exports(&server, "camera", from, edge as u64).await;
        assert!(recorder.is_running(), "the recorder has ended before {edge} s were exported");
    }
}
