//! Clips across files that were cut at the keyframes of open GOPs: what leads the first keyframe of each refers to the file
//! before.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    Anchor, ClipReport, ClipTask, Container, Cut, Format, Input, Outcome, Part, Piece, Probe, Segment, Span, Task,
    ThumbnailTask, VideoTarget,
    clip_tests::{RATE, TestHost, make_source, millis, read_numbers, read_times},
    time::{NANOS, TimeRange, WallTime},
    verbs,
};

const SECONDS: i64 = 8;
const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-g",
    "39",
    "-x265-params",
    "log-level=none:bframes=3:b-adapt=0:open-gop=1",
];
const AVC: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-g",
    "39",
    "-x264-params",
    "bframes=3:b-adapt=0:open-gop=1:repeat-headers=1",
];
const MPEG2: &[&str] = &["-c:v", "mpeg2video", "-g", "14", "-bf", "2", "-q:v", "3"];
const FRAGMENTED: &[&str] =
    &["-reset_timestamps", "1", "-segment_format_options", "movflags=frag_keyframe+delay_moov+default_base_moof"];
const PLAIN: &[&str] = &["-reset_timestamps", "1"];

/// Files that follow each other, and where each is.
struct Row {
    folder: TempDir,
    sources: Vec<PathBuf>,
    input: Input,
}

impl Row {
    fn new(coding: &[&str], suffix: &str, format: Format, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let whole = folder.path().join("whole.mp4");
        make_source(&whole, SECONDS, coding);
        let files = folder.path().join("files");
        fs::create_dir(&files).expect("a folder");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(&whole).args(["-map", "0:v", "-c", "copy", "-f", "segment"]);
        ffmpeg.args(["-segment_time", "2"]).args(options).arg(files.join(format!("%03d.{suffix}")));
        assert!(ffmpeg.status().expect("ffmpeg runs").success());
        let mut sources: Vec<_> =
            fs::read_dir(&files).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
        sources.sort();
        let (mut input, mut end) = (Input::default(), 0);
        for (number, path) in sources.iter().enumerate() {
            let found = probe(path, format);
            assert_eq!(found.lead > 0, number > 0, "{} has a lead of {} ns", path.display(), found.lead);
            let piece = Piece { source: number as u32, offset: 0, length: None };
            let key = end + found.lead;
            let range = TimeRange::new(WallTime::from_nanos(end), WallTime::from_nanos(key + found.duration));
            let anchor = Anchor::FirstKeyframe { piece, wall: WallTime::from_nanos(key) };
            let part = Part { format, init: None, segments: vec![Segment { piece, range }], anchor, language: None };
            input.spans.push(Span { range, parts: vec![part] });
            end = key + found.duration;
        }
        assert!((end - SECONDS * NANOS).abs() < 2_000_000, "{suffix}: all files are {end} ns long");
        Self { folder, sources, input }
    }

    /// The time of a keyframe that begins file `number`, in milliseconds, rounded down.
    fn key(&self, number: usize) -> i64 {
        let Anchor::FirstKeyframe { wall, .. } = self.input.spans[number].parts[0].anchor else { unreachable!() };
        wall.nanos() / 1_000_000
    }

    fn run(&self, task: &Task) -> (PathBuf, Outcome) {
        let output = self.folder.path().join("out.mp4");
        let host = TestHost { sources: self.sources.clone(), output: output.clone() };
        verbs::warm_up();
        (output, verbs::execute(task, Arc::new(host)).expect("it can be done"))
    }

    fn clip(&self, task: &ClipTask) -> (PathBuf, ClipReport) {
        let (_, Outcome::Clip(planned)) = self.run(&Task::Plan(task.clone())) else { panic!("a plan") };
        let (output, Outcome::Clip(report)) = self.run(&Task::Clip(task.clone())) else { panic!("a clip") };
        let counts = |report: &ClipReport| (report.frames, report.encoded_frames, report.gaps.len());
        assert_eq!(counts(&planned), counts(&report), "{:?} {:?}", task.range, task.cut);
        (output, report)
    }

    fn check_exact(&self, task: &ClipTask) -> ClipReport {
        let (output, report) = self.clip(task);
        let (numbers, complaints) = read_numbers(&output);
        let frame = |time: WallTime| (time.nanos() * RATE + NANOS - 1).div_euclid(NANOS);
        let wanted: Vec<_> = (frame(task.range.start)..frame(task.range.end)).collect();
        assert_eq!(numbers, wanted, "{:?} {:?}", task.range, task.video);
        assert_eq!(complaints, "", "{:?}", task.range);
        assert!(report.gaps.is_empty(), "{:?}", report.gaps);
        for pair in read_times(&output, "v").windows(2) {
            assert!((pair[1] - pair[0] - 1.0 / RATE as f64).abs() < 0.002, "{:?}: {pair:?}", task.range);
        }
        report
    }
}

fn probe(path: &Path, format: Format) -> Probe {
    let host = TestHost { sources: vec![path.to_owned()], output: path.with_extension("none") };
    let range = TimeRange::new(WallTime::EPOCH, WallTime::EPOCH);
    let piece = Piece { source: 0, offset: 0, length: None };
    let anchor = Anchor::Ticks { ticks: 0, timescale: 1, wall: WallTime::EPOCH };
    let part = Part { format, init: None, segments: vec![Segment { piece, range }], anchor, language: None };
    let input = Input { sources: Vec::new(), spans: vec![Span { range, parts: vec![part] }] };
    let Ok(Outcome::Probe(found)) = verbs::execute(&Task::Probe(input), Arc::new(host)) else { panic!("a probe") };
    found
}

#[test]
fn frames_that_lead_a_keyframe_follow_from_the_file_before() {
    for (coding, suffix, format, options) in [
        (HEVC, "ts", Format::MpegTs, &[][..]),
        (HEVC, "mp4", Format::Mp4, FRAGMENTED),
        (HEVC, "mp4", Format::Mp4, PLAIN),
        (AVC, "mp4", Format::Mp4, PLAIN),
        (MPEG2, "ts", Format::MpegTs, &[][..]),
    ] {
        let row = Row::new(coding, suffix, format, options);
        let (second, third) = (row.key(1), row.key(2));
        for (from, to) in [
            (0, SECONDS * 1000),
            (500, third + 500),
            (second - 60, second + 900),
            (second - 500, second - 10),
            (second - 900, third - 30),
            (second - 70, second - 20),
        ] {
            row.check_exact(&ClipTask::new(row.input.clone(), millis(from, to)));
        }
        let task = ClipTask::new(row.input.clone(), millis(second - 60, second + 900));
        row.check_exact(&ClipTask { video: VideoTarget::H264, ..task });
    }
}

#[test]
fn fragments_whose_times_run_on_are_as_long_as_they_are() {
    let row = Row::new(HEVC, "mp4", Format::Mp4, &FRAGMENTED[2..]);
    let second = probe(&row.sources[1], Format::Mp4);
    assert!(second.start > 2 * NANOS && second.duration < 2 * NANOS, "{second:?}");
    row.check_exact(&ClipTask::new(row.input.clone(), millis(500, 6_500)));
}

#[test]
fn a_copy_goes_on_without_encoding() {
    let row = Row::new(HEVC, "ts", Format::MpegTs, &[]);
    let report = row.check_exact(&ClipTask::new(row.input.clone(), millis(0, SECONDS * 1000)));
    assert_eq!(report.encoded_frames, 0);
    let whole = ClipTask {
        cut: Cut::Keyframe,
        container: Container::Mov,
        ..ClipTask::new(row.input.clone(), millis(10, 7_990))
    };
    let (output, report) = row.clip(&whole);
    assert_eq!((read_numbers(&output).0.len() as i64, report.encoded_frames), (SECONDS * RATE, 0));
}

#[test]
fn what_refers_to_a_file_that_is_missing_is_a_gap() {
    let mut row = Row::new(HEVC, "ts", Format::MpegTs, &[]);
    // The file before is coded otherwise.
    let other = row.folder.path().join("other.ts");
    make_source(&other, 2, &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:ref=1", "-an"]);
    let end = row.input.spans[0].range.end;
    let found = probe(&other, Format::MpegTs);
    row.sources[0] = other;
    let Anchor::FirstKeyframe { wall, .. } = &mut row.input.spans[0].parts[0].anchor else { unreachable!() };
    *wall = end.saturating_add_nanos(-found.duration);
    row.input.spans[0].range.start = *wall;
    let second = row.key(1);
    let (_, report) = row.clip(&ClipTask::new(row.input.clone(), millis(second - 900, second + 900)));
    let [gap] = report.gaps.as_slice() else { panic!("{:?}", report.gaps) };
    assert_eq!((gap.range.start, gap.range.end.nanos() / 1_000_000), (end, second));
}

#[test]
fn a_thumbnail_of_a_frame_that_leads() {
    let row = Row::new(HEVC, "mp4", Format::Mp4, PLAIN);
    let at = WallTime::from_nanos((row.key(1) - 60) * 1_000_000);
    let task = ThumbnailTask { input: row.input.clone(), at, height: None };
    let (_, Outcome::Thumbnail(found)) = row.run(&Task::Thumbnail(task)) else { panic!("a thumbnail") };
    assert!((0..40_000_000).contains(&found.at.nanos_since(at)), "{} for {at}", found.at);
}
