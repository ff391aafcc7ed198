//! What a pool makes of children that work and of children that don't.

mod remote;
mod rogues;
mod tracks;
mod workers;

use std::{
    fs::{self},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use media::{
    Anchor, Control, Error, Format, Input, Limits, Opened, Outcome, Part, Piece, Pool, PoolConfig, Progress, Segment,
    Sources, Span, Task,
    time::{self, TimeRange, WallTime},
};
use rustix::{
    fs::{Mode, OFlags},
    process::Pid,
};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits =
    Limits { wall: PATIENCE, no_progress: PATIENCE, memory_bytes: 1 << 30, output_bytes: 1 << 30, background: false };

/// A pool of its own and the program that it starts: no other test has children of that path.
struct House {
    folder: TempDir,
    program: PathBuf,
    pool: Pool,
}

impl House {
    fn new(program: &Path, name: &str, warm: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let link = folder.path().join(name);
        symlink(program, &link).unwrap();
        let pool = Pool::new(PoolConfig { program: link.clone(), warm, scratch: folder.path().into() }).unwrap();
        Self { folder, program: link, pool }
    }

    fn real(warm: usize) -> Self {
        Self::new(Path::new(env!("CARGO_BIN_EXE_media-worker")), "worker", warm)
    }

    /// Children that misbehave; none is started before it is needed.
    fn rogue(behaviour: &str) -> Self {
        Self::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pool/rogue.sh"), behaviour, 0)
    }

    fn run(&self, limits: &Limits) -> Result<Outcome, Error> {
        self.pool.run(&probe(&["nothing"]), &Files, None, limits, &Patient)
    }

    /// How many rogues were started.
    fn starts(&self) -> usize {
        fs::read_to_string(self.folder.path().join("starts")).unwrap().lines().count()
    }

    fn processes(&self) -> Vec<Pid> {
        processes_of(&self.program)
    }

    /// The child itself is dead when `run` returns; what it has started is killed, and may still be dying.
    #[track_caller]
    fn assert_empty(&self) {
        eventually("nothing is left of it", || self.processes().is_empty());
    }
}

/// Sources whose names are paths.
struct Files;

impl Sources for Files {
    fn open(&self, name: &str) -> io::Result<Opened> {
        // Without O_NONBLOCK, opening a FIFO waits for who writes to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(Opened::Local(rustix::fs::open(name, flags, Mode::empty())?.into()))
    }
}

/// A caller who waits.
struct Patient;

impl Control for Patient {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, _: Progress) {}
}

/// A caller who cancels as soon as the work moves.
#[derive(Default)]
struct Fickle {
    cancelled: AtomicBool,
    at: Mutex<Option<Instant>>,
}

impl Control for Fickle {
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn progress(&self, _: Progress) {
        self.at.lock().unwrap().get_or_insert_with(Instant::now);
        self.cancelled.store(true, Ordering::SeqCst);
    }
}

/// Probes these sources as one MP4.
fn probe(sources: &[&str]) -> Task {
    Task::Probe(input(sources))
}

fn input(sources: &[&str]) -> Input {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::from_nanos(time::NANOS));
    let segments = (0..sources.len() as u32)
        .map(|source| Segment { piece: Piece { source, offset: 0, length: None }, range })
        .collect();
    let anchor = Anchor::Ticks { ticks: 0, timescale: 1, wall: WallTime::EPOCH };
    let part = Part { format: Format::Mp4, init: None, segments, anchor, language: None };
    let sources = sources.iter().map(ToString::to_string).collect();
    Input { sources, spans: vec![Span { range, parts: vec![part] }] }
}

/// The processes whose command line names `program`, less those that are dead and wait to be reaped.
fn processes_of(program: &Path) -> Vec<Pid> {
    let program = program.to_str().unwrap();
    let is_of = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(program))
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(is_of).collect()
}

/// Asks again until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[track_caller]
fn assert_crashed(result: Result<Outcome, Error>, why: &str) {
    match result {
        Err(Error::Crashed(text)) => assert!(text.contains(why), "{text:?} doesn't say {why:?}"),
        other => panic!("not a crash: {other:?}"),
    }
}

#[track_caller]
fn assert_limit(result: Result<Outcome, Error>, which: &str) {
    match result {
        Err(Error::Limit(text)) => assert!(text.contains(which), "{text:?} doesn't say {which:?}"),
        other => panic!("not a limit: {other:?}"),
    }
}

/// H.264 and AAC.
fn make_clip(path: &Path, seconds: u32) {
    let (video, audio) = (format!("testsrc=d={seconds}:s=320x180:r=25"), format!("sine=d={seconds}"));
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", &audio])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}
