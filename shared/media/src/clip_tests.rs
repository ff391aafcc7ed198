//! Clips of real media, made in this process, and read back with the ffmpeg program.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    Anchor, ClipReport, ClipTask, Compatibility, Container, Cut, Error, Fallback, Format, Gap, GapFill, Input, Outcome,
    Part, Piece, Progress, Segment, Span, Task, VideoTarget,
    host::{Host, Source},
    time::{NANOS, TimeRange, WallTime},
    verbs,
};

/// Bits of a frame's number drawn into its picture, most significant first.
pub(crate) const BITS: usize = 12;
/// Side of a drawn bit, in pixels: large enough to survive any encoder.
const BLOCK: usize = 16;
pub(crate) const WIDTH: usize = BITS * BLOCK;
pub(crate) const HEIGHT: usize = 96;
pub(crate) const RATE: i64 = 25;

pub(crate) struct TestHost {
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) output: PathBuf,
}

impl Host for TestHost {
    fn open(&self, source: u32) -> Result<Box<dyn Source>, Error> {
        let damaged =
            |error: std::io::Error| Error::Damaged { source_index: source, offset: 0, problem: error.to_string() };
        let file = File::open(&self.sources[source as usize]).map_err(damaged)?;
        Ok(Box::new(file))
    }

    fn output(&self) -> Result<File, Error> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        options.open(&self.output).map_err(|error| Error::Io(error.to_string()))
    }

    fn report(&self, _: Progress) -> Result<(), Error> {
        Ok(())
    }
}

/// Writes `seconds` of numbered pictures and a tone to `path`.
pub(crate) fn make_source(path: &Path, seconds: i64, options: &[&str]) {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"])
        .args(["-s", &format!("{WIDTH}x{HEIGHT}"), "-r", &RATE.to_string(), "-i", "-"])
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=1000:sample_rate=48000:duration={seconds}")])
        .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k"])
        .args(options)
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg starts");
    let mut input = ffmpeg.stdin.take().expect("piped");
    for number in 0..seconds * RATE {
        let mut picture = vec![0u8; WIDTH * HEIGHT];
        for (index, pixel) in picture.iter_mut().enumerate() {
            let (x, y) = (index % WIDTH, index / WIDTH);
            let bit = number >> (BITS - 1 - x / BLOCK) & 1;
            // Below the number something moves, so that B-frames are worth their while.
            *pixel = if y < HEIGHT / 2 { 40 + 170 * bit as u8 } else { ((x + y) as i64 * 2 + number * 3) as u8 };
        }
        input.write_all(&picture).expect("ffmpeg reads");
    }
    drop(input);
    assert!(ffmpeg.wait().expect("ffmpeg ends").success());
}

/// The numbers drawn into the pictures of `path`, as the ffmpeg program decodes them, and what it complained of.
pub(crate) fn read_numbers(path: &Path) -> (Vec<i64>, String) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "warning", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("ffmpeg runs");
    let numbers = output.stdout.chunks_exact(WIDTH * HEIGHT).map(|picture| {
        (0..BITS).fold(0, |number, bit| {
            let pixel = picture[HEIGHT / 4 * WIDTH + bit * BLOCK + BLOCK / 2];
            number << 1 | i64::from(pixel > 125)
        })
    });
    let complaints = String::from_utf8_lossy(&output.stderr);
    // The program guesses how far HEVC is reordered from the first frames of a TS, and says so when later ones need more.
    let is_guess =
        |line: &&str| line.contains("video_delay") || line.contains("upload a sample") || line.contains("Last message");
    (numbers.collect(), complaints.lines().filter(|line| !is_guess(line)).collect())
}

/// PTS of the pictures of `path` in seconds, as ffprobe reads them.
pub(crate) fn read_times(path: &Path, stream: &str) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", "frame=pts_time", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

fn one_file(seconds: i64, format: Format) -> Input {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::from_nanos(seconds * NANOS));
    let piece = Piece { source: 0, offset: 0, length: None };
    let anchor = match format {
        Format::Mp4 => Anchor::Ticks { ticks: 0, timescale: 1, wall: WallTime::EPOCH },
        _ => Anchor::FirstKeyframe { piece, wall: WallTime::EPOCH },
    };
    let part = Part { format, init: None, segments: vec![Segment { piece, range }], anchor, language: None };
    Input { sources: vec!["source".into()], spans: vec![Span { range, parts: vec![part] }] }
}

struct Fixture {
    folder: TempDir,
    seconds: i64,
    sources: BTreeMap<&'static str, (PathBuf, Format)>,
}

impl Fixture {
    fn new(seconds: i64, kinds: &[(&'static str, Format, &[&str])]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let sources = kinds
            .iter()
            .map(|(name, format, options)| {
                let path = folder.path().join(name);
                make_source(&path, seconds, options);
                (*name, (path, *format))
            })
            .collect();
        Self { folder, seconds, sources }
    }

    fn task(&self, name: &str, range: (i64, i64), cut: Cut, container: Container, video: VideoTarget) -> ClipTask {
        let millis = |value: i64| WallTime::from_nanos(value * 1_000_000);
        let range = TimeRange::new(millis(range.0), millis(range.1));
        let input = one_file(self.seconds, self.sources[name].1);
        let metadata = vec![("title".into(), "A title".into())];
        ClipTask { cut, container, video, metadata, ..ClipTask::new(input, range) }
    }

    fn run(&self, name: &str, task: &Task) -> (PathBuf, Result<Outcome, Error>) {
        let extension = match task {
            Task::Clip(ClipTask { container: Container::Ts, .. }) => "ts",
            Task::Clip(ClipTask { container: Container::Mov, .. }) => "mov",
            _ => "mp4",
        };
        let output = self.folder.path().join(format!("out.{extension}"));
        let host = TestHost { sources: vec![self.sources[name].0.clone()], output: output.clone() };
        verbs::warm_up();
        (output, verbs::execute(task, Arc::new(host)))
    }

    fn clip(&self, name: &str, task: ClipTask) -> (PathBuf, ClipReport) {
        let (output, outcome) = self.run(name, &Task::Clip(task));
        match outcome {
            Ok(Outcome::Clip(report)) => (output, report),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The frames with mark-in <= t < mark-out, in milliseconds, of a source whose frame n is at n / 25 s.
fn frames_between(range: (i64, i64)) -> Vec<i64> {
    let at_or_after = |millis: i64| (millis * RATE + 999).div_euclid(1000);
    (at_or_after(range.0)..at_or_after(range.1)).collect()
}

pub(crate) const CLOSED: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3"];
const OPEN: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3", "-x264-params", "open-gop=1:b-pyramid=normal"];
const PLAIN: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-bf", "0"];

fn check_exact(fixture: &Fixture, name: &str, range: (i64, i64), container: Container) -> ClipReport {
    let task = fixture.task(name, range, Cut::Exact, container, VideoTarget::Keep);
    let (output, report) = fixture.clip(name, task);
    let (numbers, complaints) = read_numbers(&output);
    assert_eq!(numbers, frames_between(range), "{name} {range:?} {container:?}");
    assert_eq!(complaints, "", "{name} {range:?} {container:?}");
    assert_eq!(report.frames, numbers.len() as u64);
    let times = read_times(&output, "v");
    for pair in times.windows(2) {
        assert!((pair[1] - pair[0] - 1.0 / RATE as f64).abs() < 0.0005, "{name} {range:?} {container:?}: {pair:?}");
    }
    report
}

#[test]
fn exact_clips_hold_exactly_the_frames() {
    let fixture = Fixture::new(
        12,
        &[
            ("closed.mp4", Format::Mp4, CLOSED),
            ("open.mp4", Format::Mp4, OPEN),
            ("plain.ts", Format::MpegTs, PLAIN),
            ("closed.ts", Format::MpegTs, CLOSED),
        ],
    );
    for name in ["closed.mp4", "open.mp4", "plain.ts", "closed.ts"] {
        for range in [(2_340, 7_777), (1_000, 4_000), (3_010, 3_060), (0, 1_500), (5_480, 12_000)] {
            for container in [Container::Mp4, Container::Ts, Container::Mov] {
                check_exact(&fixture, name, range, container);
            }
        }
    }
}

pub(crate) const HEVC_CLOSED: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-tag:v",
    "hvc1",
    "-x265-params",
    "log-level=none:keyint=25:open-gop=0:bframes=3",
];
const HEVC_OPEN: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:keyint=25:min-keyint=25:scenecut=0:open-gop=1:bframes=4:b-pyramid=1",
];
const HEVC_RADL: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:keyint=25:min-keyint=25:scenecut=0:open-gop=0:bframes=4:radl=2",
];
const HEVC_TEN: &[&str] =
    &["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none:keyint=25"];
const HEVC_422: &[&str] =
    &["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le", "-x265-params", "log-level=none:keyint=25"];
const AVC_TEN: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p10le"];
const AVC_422: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv422p10le"];
const AVC_INTERLACED: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-flags", "+ilme+ildct", "-top", "1"];
const AVC_IN_BAND: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-bsf:v", "dump_extra", "-tag:v", "avc3"];

/// Every coding that can be smart cut is.
#[test]
fn exact_clips_of_every_coding() {
    let fixture = Fixture::new(
        8,
        &[
            ("hevc-closed.mp4", Format::Mp4, HEVC_CLOSED),
            ("hevc-open.mp4", Format::Mp4, HEVC_OPEN),
            ("hevc-open.ts", Format::MpegTs, HEVC_OPEN),
            ("hevc-radl.mp4", Format::Mp4, HEVC_RADL),
            ("hevc-10.mp4", Format::Mp4, HEVC_TEN),
            ("hevc-422.ts", Format::MpegTs, HEVC_422),
            ("avc-10.mp4", Format::Mp4, AVC_TEN),
            ("avc-422.ts", Format::MpegTs, AVC_422),
            ("avc-interlaced.ts", Format::MpegTs, AVC_INTERLACED),
            ("avc3.mp4", Format::Mp4, AVC_IN_BAND),
        ],
    );
    for name in fixture.sources.keys() {
        for range in [(2_340, 5_777), (1_000, 3_000)] {
            for container in [Container::Mp4, Container::Ts] {
                let report = check_exact(&fixture, name, range, container);
                let task = fixture.task(name, range, Cut::Exact, container, VideoTarget::Keep);
                let Ok(Outcome::Clip(plan)) = fixture.run(name, &Task::Plan(task)).1 else { panic!("no plan") };
                assert!(report.encoded_frames < report.frames, "{name} {range:?} {container:?}: {report:?}");
                assert_eq!(
                    (plan.encoded_frames, plan.frames, &plan.tracks),
                    (report.encoded_frames, report.frames, &report.tracks),
                    "{name} {range:?} {container:?}"
                );
            }
        }
    }
}

/// Sources one behind the other on the wall, each as a span of its own.
fn in_a_row(fixture: &Fixture, parts: &[(&str, i64)]) -> Input {
    let mut input = Input::default();
    for (name, start) in parts {
        let mut one = one_file(fixture.seconds, fixture.sources[name].1);
        let at = |millis: i64| WallTime::from_nanos(millis * 1_000_000);
        let index = input.sources.len() as u32;
        for span in &mut one.spans {
            span.range = TimeRange::new(at(*start), at(start + fixture.seconds * 1000));
            for part in &mut span.parts {
                part.segments[0].piece.source = index;
                part.segments[0].range = span.range;
                part.anchor = match &part.anchor {
                    Anchor::Ticks { ticks, timescale, .. } => {
                        Anchor::Ticks { ticks: *ticks, timescale: *timescale, wall: at(*start) }
                    }
                    Anchor::FirstKeyframe { piece, .. } => {
                        Anchor::FirstKeyframe { piece: Piece { source: index, ..*piece }, wall: at(*start) }
                    }
                };
            }
        }
        input.sources.push((*name).to_owned());
        input.spans.extend(one.spans);
    }
    input
}

fn run_on(fixture: &Fixture, task: &ClipTask, extension: &str) -> (PathBuf, Result<ClipReport, Error>) {
    let output = fixture.folder.path().join(format!("row.{extension}"));
    let sources = task.input.sources.iter().map(|name| fixture.sources[name.as_str()].0.clone()).collect();
    let host = TestHost { sources, output: output.clone() };
    verbs::warm_up();
    let report = verbs::execute(&Task::Clip(task.clone()), Arc::new(host)).map(|outcome| match outcome {
        Outcome::Clip(report) => report,
        other => panic!("{other:?}"),
    });
    (output, report)
}

pub(crate) fn millis(from: i64, to: i64) -> TimeRange {
    TimeRange::new(WallTime::from_nanos(from * 1_000_000), WallTime::from_nanos(to * 1_000_000))
}

/// Frames 75 and on of a first file, a gap of two seconds, and frames up to 50 of a second.
#[test]
fn gaps_are_closed_or_filled_and_told() {
    let fixture = Fixture::new(
        4,
        &[
            ("a.mp4", Format::Mp4, CLOSED),
            ("b.mp4", Format::Mp4, CLOSED),
            ("a.ts", Format::MpegTs, CLOSED),
            ("b.ts", Format::MpegTs, CLOSED),
            ("hevc-a.mp4", Format::Mp4, HEVC_OPEN),
            ("hevc-b.mp4", Format::Mp4, HEVC_OPEN),
        ],
    );
    for (first, second) in [("a.mp4", "b.mp4"), ("a.ts", "b.ts"), ("hevc-a.mp4", "hevc-b.mp4")] {
        for (container, extension) in [(Container::Mp4, "mp4"), (Container::Ts, "ts"), (Container::Mov, "mov")] {
            for cut in [Cut::Exact, Cut::Keyframe] {
                let input = in_a_row(&fixture, &[(first, 0), (second, 6_000)]);
                let task = ClipTask { container, cut, ..ClipTask::new(input, millis(3_000, 8_000)) };
                let what = format!("{first} {container:?} {cut:?}");
                let (output, report) = run_on(&fixture, &task, extension);
                let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
                let (numbers, complaints) = read_numbers(&output);
                let kept: Vec<i64> = (75..100).chain(0..50).collect();
                assert_eq!(complaints, "", "{what}");
                if first == "hevc-a.mp4" && cut == Cut::Keyframe {
                    // The last GOP is open: what leads the keyframe at mark-out can't be had without it.
                    assert_eq!(numbers, [&kept[..], &[50]].concat(), "{what}");
                    continue;
                }
                assert_eq!(numbers, kept, "{what}");
                let gap = Gap { range: millis(4_000, 6_000), damage: None };
                assert_eq!((report.gaps, report.duration), (vec![gap.clone()], 3 * NANOS), "{what}");

                let task = ClipTask { gaps: GapFill::Black, ..task };
                let (output, report) = run_on(&fixture, &task, extension);
                let report = report.unwrap_or_else(|error| panic!("{what}, filled: {error}"));
                let (numbers, complaints) = read_numbers(&output);
                assert_eq!(complaints, "", "{what}, filled");
                // Black reads as number 0.
                let filled: Vec<i64> = (75..100).chain(vec![0; 50]).chain(0..50).collect();
                assert_eq!(numbers, filled, "{what}, filled");
                assert_eq!((report.gaps, report.duration, report.frames), (vec![gap], 5 * NANOS, 125), "{what}");
                let times = read_times(&output, "v");
                for pair in times.windows(2) {
                    assert!((pair[1] - pair[0] - 1.0 / RATE as f64).abs() < 0.0015, "{what}, filled: {pair:?}");
                }
            }
        }
    }
}

#[test]
fn black_goes_before_and_behind_too() {
    let fixture = Fixture::new(4, &[("a.mp4", Format::Mp4, CLOSED)]);
    let input = in_a_row(&fixture, &[("a.mp4", 2_000)]);
    let task = ClipTask { gaps: GapFill::Black, ..ClipTask::new(input, millis(1_000, 7_000)) };
    let (output, report) = run_on(&fixture, &task, "mp4");
    let report = report.expect("a clip");
    let filled: Vec<i64> = std::iter::repeat_n(0, 25).chain(0..100).chain(vec![0; 25]).collect();
    assert_eq!(read_numbers(&output).0, filled);
    assert_eq!(report.actual, millis(1_000, 7_000));
    assert_eq!(report.gaps.len(), 2);
    let sources = vec![fixture.sources["a.mp4"].0.clone()];
    let host = TestHost { sources, output: fixture.folder.path().join("plan") };
    let Ok(Outcome::Clip(plan)) = verbs::execute(&Task::Plan(task), Arc::new(host)) else { panic!("no plan") };
    assert_eq!(
        (plan.frames, plan.encoded_frames, plan.duration, plan.actual, plan.gaps),
        (report.frames, report.encoded_frames, report.duration, report.actual, report.gaps)
    );
}

/// The encoder was started anew, with other settings: its parameter sets have the same names and other content.
#[test]
fn a_change_of_coding_is_copied_or_matched() {
    const OTHER: &[&str] =
        &["-c:v", "libx264", "-preset", "medium", "-g", "25", "-bf", "1", "-refs", "4", "-profile:v", "main"];
    const LARGER: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-vf", "scale=384:192"];
    const HEVC_OTHER: &[&str] =
        &["-c:v", "libx265", "-preset", "fast", "-x265-params", "log-level=none:keyint=25:bframes=2:ref=3:ctu=16"];
    let fixture = Fixture::new(
        4,
        &[
            ("a.mp4", Format::Mp4, CLOSED),
            ("other.mp4", Format::Mp4, OTHER),
            ("larger.mp4", Format::Mp4, LARGER),
            ("a.ts", Format::MpegTs, CLOSED),
            ("other.ts", Format::MpegTs, OTHER),
            ("hevc.mp4", Format::Mp4, HEVC_CLOSED),
            ("hevc-other.mp4", Format::Mp4, HEVC_OTHER),
        ],
    );
    for (first, second) in
        [("a.mp4", "other.mp4"), ("a.mp4", "larger.mp4"), ("a.ts", "other.ts"), ("hevc.mp4", "hevc-other.mp4")]
    {
        for (container, extension) in [(Container::Mp4, "mp4"), (Container::Ts, "ts"), (Container::Mov, "mov")] {
            let input = in_a_row(&fixture, &[(first, 0), (second, 4_000)]);
            let task = ClipTask { container, ..ClipTask::new(input, millis(2_500, 6_300)) };
            let what = format!("{first}, {second} {container:?}");
            let (output, report) = run_on(&fixture, &task, extension);
            let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
            let (numbers, complaints) = read_numbers(&output);
            let expected: Vec<i64> = (63..100).chain(0..58).collect();
            assert_eq!((numbers, complaints.as_str()), (expected, ""), "{what}: {report:?}");
            assert_eq!(report.warnings.is_empty(), second != "larger.mp4", "{what}: {report:?}");
        }
    }
}

#[test]
fn what_cannot_be_smart_cut_falls_back_as_asked() {
    let fixture = Fixture::new(
        4,
        &[("vp9.mkv", Format::Matroska, &["-c:v", "libvpx-vp9", "-cpu-used", "8", "-g", "25", "-c:a", "aac"])],
    );
    let task = |fallback| ClipTask {
        fallback,
        ..fixture.task("vp9.mkv", (1_500, 3_000), Cut::Exact, Container::Mp4, VideoTarget::Keep)
    };
    let (output, report) = fixture.clip("vp9.mkv", task(Fallback::Encode));
    assert_eq!(read_numbers(&output).0, frames_between((1_500, 3_000)));
    assert_eq!((report.encoded_frames, report.tracks[0].codec.as_str()), (report.frames, "h264"));
    assert!(report.warnings[0].contains("vp9"), "{report:?}");
    let (output, report) = fixture.clip("vp9.mkv", task(Fallback::Keyframe));
    assert_eq!(read_numbers(&output).0, (25..75).collect::<Vec<_>>());
    assert!(report.warnings[0].contains("keyframes"), "{report:?}");
    let (_, refused) = fixture.run("vp9.mkv", &Task::Clip(task(Fallback::Fail)));
    assert!(matches!(&refused, Err(Error::Unsupported(what)) if what.contains("vp9")), "{refused:?}");
}

#[test]
fn the_broadest_clip_plays_everywhere() {
    let fixture = Fixture::new(3, &[("hevc-422.ts", Format::MpegTs, HEVC_422), ("hevc.mp4", Format::Mp4, HEVC_CLOSED)]);
    for (name, codec) in [("hevc-422.ts", "h264"), ("hevc.mp4", "hevc")] {
        let task = fixture.task(name, (500, 2_000), Cut::Exact, Container::Mp4, VideoTarget::Keep);
        let (output, report) = fixture.clip(name, ClipTask { compatibility: Compatibility::Broadest, ..task });
        assert_eq!(report.tracks[0].codec, codec);
        let format = ffprobe(&output, "stream=codec_name,pix_fmt,codec_tag_string");
        assert!(format.contains(codec) && format.contains("yuv420p") && !format.contains("hev1"), "{format}");
        assert_eq!(read_numbers(&output).0, frames_between((500, 2_000)), "{name}: {report:?}");
    }
}

/// What ffprobe says of the video of `path`.
fn ffprobe(path: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_keyframe_cut_begins_at_the_keyframe_and_says_so() {
    let fixture = Fixture::new(8, &[("closed.mp4", Format::Mp4, CLOSED), ("plain.ts", Format::MpegTs, PLAIN)]);
    for (name, gop) in [("closed.mp4", 25), ("plain.ts", 50)] {
        for container in [Container::Mp4, Container::Ts] {
            let task = fixture.task(name, (3_340, 5_000), Cut::Keyframe, container, VideoTarget::Keep);
            let (output, report) = fixture.clip(name, task);
            let (numbers, complaints) = read_numbers(&output);
            assert_eq!(complaints, "");
            assert_eq!(numbers, (84 / gop * gop..125).collect::<Vec<_>>(), "{name} {container:?}");
            assert_eq!(report.encoded_frames, 0);
            assert_eq!(report.actual.start.nanos(), (84 / gop * gop) * NANOS / RATE);
            assert_eq!(report.actual.end.nanos(), 5 * NANOS);
        }
    }
}

#[test]
fn an_edit_list_hides_the_lead_in() {
    let fixture = Fixture::new(8, &[("closed.mp4", Format::Mp4, CLOSED)]);
    let task = fixture.task("closed.mp4", (3_340, 5_000), Cut::EditList, Container::Mp4, VideoTarget::Keep);
    let (output, report) = fixture.clip("closed.mp4", task);
    assert_eq!(read_numbers(&output).0, (84..125).collect::<Vec<_>>());
    assert_eq!(report.hidden_lead_in, 9 * NANOS / RATE);
    assert_eq!(report.actual.start.nanos(), 84 * NANOS / RATE);
    let task = fixture.task("closed.mp4", (3_340, 5_000), Cut::EditList, Container::Ts, VideoTarget::Keep);
    let (_, outcome) = fixture.run("closed.mp4", &Task::Clip(task));
    assert!(matches!(outcome, Err(Error::Unsupported(_))), "{outcome:?}");
}

#[test]
fn an_encoded_clip_holds_exactly_the_frames() {
    let fixture = Fixture::new(6, &[("open.mp4", Format::Mp4, OPEN)]);
    for (video, container) in [(VideoTarget::H264, Container::Ts), (VideoTarget::H265, Container::Mov)] {
        let task = fixture.task("open.mp4", (1_230, 3_990), Cut::Exact, container, video);
        let (output, report) = fixture.clip("open.mp4", task);
        assert_eq!(read_numbers(&output).0, frames_between((1_230, 3_990)), "{video:?}");
        assert_eq!(report.encoded_frames, report.frames);
    }
}

#[test]
fn a_long_encode_has_several_gops_and_verifies() {
    let fixture = Fixture::new(24, &[("plain.ts", Format::MpegTs, PLAIN)]);
    for video in [VideoTarget::H264, VideoTarget::H265] {
        let task = fixture.task("plain.ts", (2_000, 22_000), Cut::Exact, Container::Mov, video);
        let (output, _) = fixture.clip("plain.ts", task);
        assert_eq!(read_numbers(&output).0, frames_between((2_000, 22_000)), "{video:?}");
    }
}

#[test]
fn a_plan_says_what_the_clip_will_be() {
    let fixture = Fixture::new(10, &[("closed.mp4", Format::Mp4, CLOSED), ("plain.ts", Format::MpegTs, PLAIN)]);
    for name in ["closed.mp4", "plain.ts"] {
        for cut in [Cut::Exact, Cut::Keyframe] {
            let task = fixture.task(name, (2_340, 7_777), cut, Container::Mp4, VideoTarget::Keep);
            let Ok(Outcome::Clip(plan)) = fixture.run(name, &Task::Plan(task.clone())).1 else { panic!("no plan") };
            let (_, report) = fixture.clip(name, task);
            assert_eq!(plan.actual, report.actual, "{name} {cut:?}");
            assert_eq!((plan.frames, plan.encoded_frames), (report.frames, report.encoded_frames), "{name} {cut:?}");
            assert_eq!(plan.tracks, report.tracks);
        }
    }
}

#[test]
fn a_thumbnail_is_the_first_frame_at_or_after_the_time() {
    let fixture = Fixture::new(6, &[("open.mp4", Format::Mp4, OPEN), ("plain.ts", Format::MpegTs, PLAIN)]);
    for name in ["open.mp4", "plain.ts"] {
        for millis in [0, 39, 40, 2_470, 4_999] {
            let task = Task::Thumbnail(crate::ThumbnailTask {
                input: one_file(6, fixture.sources[name].1),
                at: WallTime::from_nanos(millis * 1_000_000),
                height: None,
            });
            let Ok(Outcome::Thumbnail(picture)) = fixture.run(name, &task).1 else { panic!("no picture") };
            let path = fixture.folder.path().join("picture.jpg");
            std::fs::write(&path, &picture.image).expect("written");
            let number = (millis * RATE + 999) / 1000;
            assert_eq!(read_numbers(&path).0, [number], "{name} at {millis} ms");
            assert_eq!(picture.at.nanos(), number * NANOS / RATE);
            assert_eq!((picture.width, picture.height), (WIDTH as u32, HEIGHT as u32));
        }
    }
}
