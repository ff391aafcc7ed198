//! Sources that lie elsewhere: read for the child, and only as far as it needs them.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use media::{
    ClipTask, Container, Control, Error, Input, Limits, Opened, Outcome, Progress, RangeReader, Sources, Task,
    ThumbnailTask, VideoTarget,
    time::{self, TimeRange, WallTime},
};

use super::{Files, House, LIMITS, Patient, assert_crashed, assert_limit, input, make_clip, probe};

/// Files that are read as if they lay elsewhere, and how much of them was.
#[derive(Clone, Default)]
struct Afar {
    read: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

struct Reader {
    file: File,
    afar: Afar,
}

impl Sources for Afar {
    fn open(&self, name: &str) -> io::Result<Opened> {
        Ok(Opened::Remote(Arc::new(Reader { file: File::open(name)?, afar: self.clone() })))
    }
}

impl RangeReader for Reader {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.afar.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.afar.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_exact_at(buffer, offset)
    }
}

/// Writes `times` times what is in `source` to `path`.
fn repeat(source: &Path, times: u32, path: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-stream_loop", &(times - 1).to_string(), "-i"])
        .arg(source)
        .args(["-c", "copy"])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

/// A minute that takes some 30 MB.
fn make_noise(path: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=d=60:s=320x180:r=25,noise=alls=60:allf=t"])
        .args(["-f", "lavfi", "-i", "sine=d=60", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"])
        .args(["-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

fn window(source: &Path, from: i64, to: i64) -> Task {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::from_nanos(10_000 * time::NANOS));
    let mut input: Input = input(&[source.to_str().unwrap()]);
    input.spans[0].range = range;
    input.spans[0].parts[0].segments[0].range = range;
    let range = TimeRange::new(WallTime::from_nanos(from * time::NANOS), WallTime::from_nanos(to * time::NANOS));
    Task::Clip(ClipTask { container: Container::Ts, ..ClipTask::new(input, range) })
}

/// Makes a clip, and says what ffmpeg finds in it: a hash of each frame.
fn frames(house: &House, task: &Task, sources: &dyn Sources) -> String {
    let output = tempfile::NamedTempFile::new().unwrap();
    let outcome = house.pool.run(task, sources, Some(output.as_file()), &LIMITS, &Patient);
    let Ok(Outcome::Clip(report)) = outcome else { panic!("{outcome:?}") };
    assert!(report.frames > 0);
    let read = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(output.path())
        .args(["-map", "0", "-c", "copy", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
    String::from_utf8(read.stdout).unwrap()
}

#[test]
fn little_of_a_large_source_is_read() {
    let house = House::real(1);
    let (minute, source) = (house.folder.path().join("minute.mp4"), house.folder.path().join("large.mp4"));
    make_noise(&minute);
    let times = (1u64 << 30).div_ceil(minute.metadata().unwrap().len()) as u32;
    repeat(&minute, times, &source);
    let afar = Afar::default();
    let task = window(&source, 601, 603);
    let found = frames(&house, &task, &afar);
    let (read, reads) = (afar.read.load(Ordering::Relaxed), afar.reads.load(Ordering::Relaxed));
    let size = source.metadata().unwrap().len();
    assert!(size > 1 << 30);
    println!("{read} of {size} bytes were read, in {reads} reads");
    assert!(read < 16 << 20, "{read} bytes were read, in {reads} reads");
    assert_eq!(found, frames(&house, &task, &Files));
}

/// More than the scratch file has room for.
#[test]
fn what_is_read_from_front_to_back_is_read_once() {
    let house = House::real(1);
    let (minute, source) = (house.folder.path().join("minute.mp4"), house.folder.path().join("long.mp4"));
    make_noise(&minute);
    let size = minute.metadata().unwrap().len();
    let minutes = (160u64 << 20).div_ceil(size) as u32;
    repeat(&minute, minutes, &source);
    let size = source.metadata().unwrap().len();
    let afar = Afar::default();
    let task = window(&source, 0, i64::from(minutes) * 60 - 1);
    let found = frames(&house, &task, &afar);
    let (read, reads) = (afar.read.load(Ordering::Relaxed), afar.reads.load(Ordering::Relaxed));
    println!("{read} of {size} bytes were read, in {reads} reads");
    assert!(read < size + size / 8, "{read} of {size} bytes were read");
    assert_eq!(found, frames(&house, &task, &Files));
}

#[test]
fn every_task_reads_remote_sources() {
    let house = House::real(1);
    let source = house.folder.path().join("clip.mp4");
    make_clip(&source, 2);
    let input = input(&[source.to_str().unwrap()]);
    let thumbnail = ThumbnailTask { input: input.clone(), at: WallTime::from_nanos(time::NANOS / 2), height: None };
    let range = TimeRange::new(WallTime::EPOCH, WallTime::from_nanos(time::NANOS));
    let clip = ClipTask { video: VideoTarget::H265, ..ClipTask::new(input.clone(), range) };
    for task in [Task::Probe(input), Task::Thumbnail(thumbnail), Task::Plan(clip.clone()), Task::Clip(clip)] {
        let output = matches!(task, Task::Clip(_)).then(|| tempfile::tempfile().unwrap());
        let outcome = house.pool.run(&task, &Afar::default(), output.as_ref(), &LIMITS, &Patient);
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// A source that is there, and whose bytes can't be read for this reason.
struct Broken(io::ErrorKind);

impl Sources for Broken {
    fn open(&self, _: &str) -> io::Result<Opened> {
        Ok(Opened::Remote(Arc::new(Self(self.0))))
    }
}

impl RangeReader for Broken {
    fn size(&self) -> io::Result<u64> {
        if self.0 == io::ErrorKind::NotFound { Err(self.0.into()) } else { Ok(1 << 30) }
    }

    fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn source_that_cannot_be_read_is_named() {
    let house = House::real(1);
    let run = |kind| house.pool.run(&probe(&["far/away.mp4"]), &Broken(kind), None, &LIMITS, &Patient);
    let absent = run(io::ErrorKind::NotFound);
    assert!(matches!(&absent, Err(Error::Unusable(text)) if text.contains("far/away.mp4: ")), "{absent:?}");
    let cut_off = run(io::ErrorKind::ConnectionReset);
    assert!(matches!(&cut_off, Err(Error::Io(text)) if text.contains("far/away.mp4: ")), "{cut_off:?}");
}

/// A source that answers when this test is over.
struct Stuck {
    size: Option<u64>,
    over: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Sources for Stuck {
    fn open(&self, _: &str) -> io::Result<Opened> {
        Ok(Opened::Remote(Arc::new(Self { size: self.size, over: self.over.clone() })))
    }
}

impl RangeReader for Stuck {
    fn size(&self) -> io::Result<u64> {
        self.size.map_or_else(|| self.read_exact_at(&mut [], 0).map(|()| 0), Ok)
    }

    fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        let _ = self.over.lock().unwrap().recv();
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A caller who changes his mind after a moment.
struct Later(Instant);

impl Control for Later {
    fn cancelled(&self) -> bool {
        self.0.elapsed() > Duration::from_millis(200)
    }

    fn progress(&self, _: Progress) {}
}

#[test]
fn store_that_does_not_answer_holds_nobody_up() {
    let house = House::real(1);
    for size in [None, Some(1 << 30)] {
        let (_guard, over) = mpsc::channel();
        let stuck = Stuck { size, over: Arc::new(Mutex::new(over)) };
        let limits = Limits { no_progress: Duration::from_millis(300), ..LIMITS };
        assert_limit(house.pool.run(&probe(&["far"]), &stuck, None, &limits, &Patient), "it got nowhere for 300ms");
        let started = Instant::now();
        let result = house.pool.run(&probe(&["far"]), &stuck, None, &LIMITS, &Later(started));
        assert_eq!(result, Err(Error::Cancelled));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[test]
fn child_that_asks_for_what_is_not_there_is_killed() {
    for (behaviour, why) in [
        ("asks_for_local_blocks", "nothing is remote"),
        ("asks_for_blocks_behind_the_end", "1 blocks from 1 of 1"),
        ("asks_for_no_blocks", "0 blocks from 0 of 1"),
        ("asks_for_too_many_blocks", "5 blocks from 0 of 1"),
        ("asks_for_foreign_slot", "slot 128"),
    ] {
        let house = House::rogue(behaviour);
        let source = house.folder.path().join("source");
        std::fs::write(&source, "x").unwrap();
        let task = probe(&[source.to_str().unwrap()]);
        assert_crashed(house.pool.run(&task, &Afar::default(), None, &LIMITS, &Patient), why);
        house.assert_empty();
    }
}

#[test]
fn child_that_fetches_the_same_again_and_again_gets_nowhere() {
    let house = House::rogue("fetches_in_circles");
    let source = house.folder.path().join("source");
    std::fs::write(&source, "x").unwrap();
    let task = probe(&[source.to_str().unwrap()]);
    let limits = Limits { no_progress: Duration::from_millis(300), ..LIMITS };
    assert_limit(house.pool.run(&task, &Afar::default(), None, &limits, &Patient), "it got nowhere for 300ms");
    house.assert_empty();
}
