//! A camera's folder of files as MediaMTX writes them, some of which are lost: windows across them hold the frames that are
//! there, and every gap is listed.

use std::{fs, ops::Range, path::Path, process::Command};

use e2e::{
    fixtures,
    harness::{Server, Setup, spec, state},
};
use futures_util::{StreamExt, stream};
use protocol::{
    export::v1::{Container, CreateExportRequest, Export, ExportSpec, Gap},
    job::v1::JobState,
};
use tonic::Code;

use crate::{
    matrix::is_known,
    samples::{ORIGIN, numbers},
};

const WINDOWS: usize = 50;
/// How many are cut at once.
const AT_ONCE: usize = 3;
/// A minute at 30000/1001 frames a second, with a keyframe every 48.
const MASTER: &str = "mp4_closed_b3.mp4";
const FRAMES: i64 = 1_798;
const GOP: i64 = 48;
const MILLISECOND: i64 = 1_000_000;
const FRAME: i64 = frame_time(1);

/// How late frames may come as long as this is known, in nanoseconds.
const LATE: i64 = 3 * MILLISECOND;

/// When a frame is shown, in nanoseconds from frame 0.
const fn frame_time(number: i64) -> i64 {
    number * 1_001_000_000 / 30
}

/// The folder `camera`, and the frames that each of its files held, whether it is there or not.
struct Camera {
    files: Vec<(Range<i64>, bool)>,
}

impl Camera {
    /// Records into the server's library, and loses about every third file, though neither the first nor the last.
    fn record(server: &Server, random: &mut fastrand::Rng) -> Self {
        let folder = server.library().join("camera");
        fs::create_dir(&folder).unwrap();
        let starts = segments(&folder, &server.scratch().join("list.csv"));
        let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([FRAMES]);
        let files = starts.iter().zip(ends).enumerate().map(|(index, ((name, start), end))| {
            let is_kept = index == 0 || index + 1 == starts.len() || random.u8(..3) != 0;
            match is_kept {
                true => fs::rename(folder.join(name), folder.join(file_name(*start))).unwrap(),
                false => fs::remove_file(folder.join(name)).unwrap(),
            }
            (*start..end, is_kept)
        });
        Self { files: files.collect() }
    }

    fn has(&self, frame: i64) -> bool {
        self.files.iter().any(|(frames, is_kept)| *is_kept && frames.contains(&frame))
    }

    /// What is missing, in nanoseconds from frame 0, one after another.
    fn holes(&self) -> Vec<Range<i64>> {
        let runs = self.files.chunk_by(|(_, one), (_, next)| one == next);
        let lost = runs.filter(|run| !run[0].1);
        lost.map(|run| frame_time(run[0].0.start)..frame_time(run[run.len() - 1].0.end)).collect()
    }
}

/// Divides the master into files of at least two seconds; their names, and the first frame of each.
fn segments(folder: &Path, list: &Path) -> Vec<(String, i64)> {
    let format = "movflags=frag_keyframe+delay_moov+default_base_moof";
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(fixtures::named(MASTER).path())
        .args(["-map", "0", "-c", "copy", "-f", "segment", "-segment_time", "2", "-reset_timestamps", "1"])
        .args(["-segment_format_options", format, "-segment_list"])
        .args([list, &folder.join("%d.mp4")])
        .status()
        .expect("ffmpeg could not be started; `make setup` installs it");
    assert!(status.success(), "{status}");
    let text = fs::read_to_string(list).unwrap();
    let entry = |line: &str| {
        let [name, start, _] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        // Sound may begin a little before the keyframe.
        let gops = start.parse::<f64>().unwrap() / (frame_time(GOP) as f64 / 1e9);
        (name.to_owned(), gops.round() as i64 * GOP)
    };
    text.lines().map(entry).collect()
}

/// `%Y-%m-%d_%H-%M-%S-%f.mp4` of a frame in the two minutes from [`ORIGIN`].
fn file_name(frame: i64) -> String {
    let micros = 36_000_000 + (frame_time(frame) + 500) / 1000;
    let (minute, micros) = (24 + micros / 60_000_000, micros % 60_000_000);
    format!("2026-01-06_19-{minute:02}-{:02}-{:06}.mp4", micros / 1_000_000, micros % 1_000_000)
}

/// A part of the recording, in milliseconds from frame 0.
#[derive(Debug, Clone, Copy)]
struct Window {
    mark: i64,
    duration: i64,
    container: Container,
}

impl Window {
    fn random(random: &mut fastrand::Rng) -> Self {
        let longest = [200, 3_000, 15_000][random.usize(..3)];
        let duration = random.i64(40..longest);
        let container = [Container::Ts, Container::Mov, Container::Mp4][random.usize(..3)];
        // Names are rounded to the microsecond. A frame that is at a whole millisecond could be on either side of a mark.
        let margin = if is_known("marks right behind frames of a folder") { LATE } else { 5_000 };
        let is_clear = |mark: i64| {
            let behind = (mark * MILLISECOND + 500).rem_euclid(FRAME);
            behind >= margin && FRAME - behind >= 5_000
        };
        let clear = |from: i64| (from..).find(|mark| is_clear(*mark)).expect("most milliseconds are between frames");
        let mark = clear(random.i64(0..59_900 - duration));
        Self { mark, duration: clear(mark + duration) - mark, container }
    }

    fn range(self) -> Range<i64> {
        self.mark * MILLISECOND..(self.mark + self.duration) * MILLISECOND
    }

    fn spec(self) -> ExportSpec {
        let spec = spec("camera", self.mark.unsigned_abs(), self.duration.unsigned_abs());
        ExportSpec { container: self.container.into(), ..spec }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_across_lost_files_hold_what_is_there_and_list_every_gap() {
    let seed = e2e::seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Setup::new().own_library().start().await;
    let camera = Camera::record(&server, &mut random);
    let windows: Vec<_> = (0..WINDOWS).map(|_| Window::random(&mut random)).collect();
    stream::iter(windows).for_each_concurrent(AT_ONCE, |window| check(&server, &camera, window)).await;
}

async fn check(server: &Server, camera: &Camera, window: Window) {
    let range = window.range();
    let expected: Vec<_> =
        (0..FRAMES).filter(|frame| range.contains(&frame_time(*frame)) && camera.has(*frame)).collect();
    if expected.is_empty() {
        let request = CreateExportRequest { spec: Some(window.spec()), ..CreateExportRequest::default() };
        let refused = server.client().create_export(request).await.unwrap_err();
        let is_told = matches!(refused.code(), Code::OutOfRange | Code::FailedPrecondition);
        return assert!(is_told, "{window:?}: {refused}");
    }
    let export = server.export(window.spec()).await;
    assert_eq!(state(&export), JobState::Succeeded, "{window:?}: {export:?}");
    let path = server.scratch().join(&export.file.as_ref().unwrap().name);
    fs::write(&path, server.download(&export.id, 0).await.unwrap()).unwrap();
    let found = tokio::task::spawn_blocking(move || numbers(&path)).await.unwrap();
    assert_eq!(found, expected, "{window:?}");
    check_gaps(&export, camera, window);
}

/// Every hole of a frame or more is listed, and nothing else is.
fn check_gaps(export: &Export, camera: &Camera, window: Window) {
    let range = window.range();
    let within = |hole: Range<i64>| hole.start.max(range.start)..hole.end.min(range.end);
    let holes: Vec<_> = camera.holes().into_iter().map(within).filter(|hole| hole.start < hole.end).collect();
    let listed: Vec<_> = export.result.as_ref().unwrap().gaps.iter().map(gap_range).collect();
    // A file lasts until its sound ends too, which is up to a frame of it later.
    let is_same = |one: &Range<i64>, other: &Range<i64>| {
        (one.start - other.start).abs() < FRAME && (one.end - other.end).abs() < MILLISECOND
    };
    for hole in holes.iter().filter(|hole| hole.end - hole.start >= FRAME) {
        assert!(listed.iter().any(|gap| is_same(gap, hole)), "{window:?}: {hole:?} is not in {listed:?}");
    }
    for gap in &listed {
        assert!(holes.iter().any(|hole| is_same(gap, hole)), "{window:?}: {gap:?} is not in {holes:?}");
    }
}

/// When a gap is, in nanoseconds from frame 0.
fn gap_range(gap: &Gap) -> Range<i64> {
    let (start, length) = (gap.start_time.unwrap(), gap.duration.unwrap());
    let start = (start.seconds * 1000 - ORIGIN) * MILLISECOND + i64::from(start.nanos);
    start..start + length.seconds * 1_000_000_000 + i64::from(length.nanos)
}
