//! Recordings that FFmpeg is still writing.

use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use media::time::WallTime;
use recordings::Recording;

use crate::{shelf::Shelf, windows};

/// How long a recorder may take to write three seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// Half a minute of picture and tone, written as fast as it is shown; killed when it is dropped.
struct Recorder(Child);

impl Recorder {
    fn start(shelf: &Shelf, arguments: &str) -> Self {
        let child = Command::new("ffmpeg")
            .current_dir(shelf.path(""))
            .args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=30"])
            .args(["-re", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=30"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac"])
            .args(arguments.split(' '))
            .spawn();
        Self(child.expect("ffmpeg runs"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("the recorder ends");
    }
}

/// The recording, once it has three seconds.
fn three_seconds(shelf: &Shelf, uid: &str) -> Recording {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match shelf.recording(uid) {
            Ok(recording) if recording.range().duration() >= Duration::from_secs(3) => return recording,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn check(arguments: &str, uid: &str) {
    let shelf = Shelf::new();
    let began = now();
    let _recorder = Recorder::start(&shelf, arguments);
    let recording = three_seconds(&shelf, uid);
    assert!(recording.is_growing());
    let start = recording.start().expect("a wall clock");
    // A writer states the time to the millisecond.
    assert!(start >= began.saturating_add_nanos(-1_000_000) && start < now(), "{start} is not now");
    windows::check(&shelf, &recording, start, 50);
}

fn now() -> WallTime {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    WallTime::from_nanos(nanos.try_into().expect("this century"))
}

#[test]
fn dash_timeline() {
    check("-f dash -seg_duration 1 x.mpd", "x.mpd");
}

#[test]
fn dash_numbers() {
    check("-f dash -seg_duration 1 -use_timeline 0 -use_template 1 x.mpd", "x.mpd");
}

#[test]
fn hls() {
    check("-f hls -hls_time 1 -hls_list_size 0 -hls_flags program_date_time+temp_file x.m3u8", "x.m3u8");
}
