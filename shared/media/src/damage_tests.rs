//! Damaged recordings: what can be used is in the clip, what can't is told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    Anchor, ClipReport, ClipTask, Container, Damage, Error, Format, Gap, Input, Outcome, Part, Piece, Segment, Span,
    Task,
    clip_tests::{CLOSED, RATE, TestHost, make_source, millis, read_numbers},
    time::NANOS,
    verbs,
};

/// Seconds, and segments, of a recording.
const LENGTH: i64 = 8;

/// A recording in segments of one second, each of a GOP.
struct Recording {
    folder: TempDir,
    format: Format,
    segments: Vec<PathBuf>,
}

impl Recording {
    fn new(format: Format) -> Self {
        let folder = TempDir::new().expect("a folder");
        let source = folder.path().join("source.mp4");
        make_source(&source, LENGTH, CLOSED);
        let extension = if format == Format::MpegTs { "ts" } else { "m4s" };
        let pattern = folder.path().join(format!("%d.{extension}"));
        let muxer: &[&str] = match format {
            Format::MpegTs => &["-f", "segment", "-segment_format", "mpegts", "-segment_time", "0.9"],
            _ => &["-f", "hls", "-hls_time", "0.9", "-hls_segment_type", "fmp4", "-hls_list_size", "0"],
        };
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(&source).args(["-c", "copy"]).args(muxer);
        match format {
            Format::MpegTs => ffmpeg.arg(&pattern),
            _ => ffmpeg.arg("-hls_segment_filename").arg(&pattern).arg(folder.path().join("list.m3u8")),
        };
        assert!(ffmpeg.status().expect("ffmpeg runs").success());
        let segments: Vec<_> = (0..LENGTH).map(|n| folder.path().join(format!("{n}.{extension}"))).collect();
        segments.iter().for_each(|segment| assert!(segment.exists(), "{segment:?}"));
        Self { folder, format, segments }
    }

    fn input(&self) -> Input {
        let piece = |source| Piece { source, offset: 0, length: None };
        let init = (self.format == Format::Mp4).then(|| piece(self.segments.len() as u32));
        let segments = (0..self.segments.len())
            .map(|n| Segment { piece: piece(n as u32), range: millis(n as i64 * 1000, (n as i64 + 1) * 1000) })
            .collect();
        let range = millis(0, self.segments.len() as i64 * 1000);
        let anchor = Anchor::FirstKeyframe { piece: piece(0), wall: range.start };
        let part = Part { format: self.format, init, segments, anchor, language: None };
        Input { sources: vec![String::new(); self.segments.len() + 1], spans: vec![Span { range, parts: vec![part] }] }
    }

    fn clip(&self, from: i64, to: i64, damage: Damage, container: Container) -> (PathBuf, Result<ClipReport, Error>) {
        let sources = self.segments.iter().cloned().chain([self.folder.path().join("init.mp4")]).collect();
        let output = self.folder.path().join(if container == Container::Ts { "out.ts" } else { "out.mp4" });
        let host = TestHost { sources, output: output.clone() };
        verbs::warm_up();
        let task = ClipTask { damage, container, ..ClipTask::new(self.input(), millis(from, to)) };
        let report = verbs::execute(&Task::Clip(task), Arc::new(host)).map(|outcome| match outcome {
            Outcome::Clip(report) => report,
            other => panic!("{other:?}"),
        });
        (output, report)
    }
}

fn cut_short(path: &Path) {
    let length = fs::metadata(path).expect("there").len();
    fs::OpenOptions::new().write(true).open(path).expect("opened").set_len(length * 3 / 5).expect("cut");
}

/// A segment that is missing, empty, cut short or not media: the rest is in the clip, and the gap is told.
#[test]
fn a_damaged_segment_becomes_a_gap_or_an_error() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("missing", |path| fs::remove_file(path).expect("removed")),
        ("empty", |path| fs::write(path, b"").expect("written")),
        ("text", |path| fs::write(path, "no media, ".repeat(5_000)).expect("written")),
        ("short", cut_short),
    ];
    for format in [Format::MpegTs, Format::Mp4] {
        for (what, harm) in harms {
            for container in [Container::Mp4, Container::Ts] {
                let recording = Recording::new(format);
                harm(&recording.segments[3]);
                let what = format!("{format:?} {what} {container:?}");
                let (output, report) = recording.clip(1_480, 6_520, Damage::Lenient, container);
                let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
                let (numbers, complaints) = read_numbers(&output);
                assert_eq!(complaints, "", "{what}");
                // All of the others, and, of one that is cut short, what is whole.
                let (before, after): (Vec<i64>, Vec<i64>) = numbers.iter().partition(|number| **number < 100);
                assert_eq!(after, (100..163).collect::<Vec<_>>(), "{what}: {report:?}");
                assert_eq!(before, (37..37 + before.len() as i64).collect::<Vec<_>>(), "{what}");
                // Bytes that are no media may spoil the frame before them, and what is put in order with it.
                assert!((72..100).contains(&(37 + before.len() as i64)), "{what}: {before:?}");
                let [Gap { range, damage: Some(_) }] = report.gaps.as_slice() else { panic!("{what}: {report:?}") };
                assert_eq!(range.end, millis(0, 4_000).end, "{what}");
                let lost = (100 - 37 - before.len() as i64) * NANOS / RATE;
                assert!((range.end.nanos_since(range.start) - lost).abs() < 5_000_000, "{what}: {range:?} {lost}");
                assert!(report.warnings.iter().any(|warning| warning.contains("missing")), "{what}: {report:?}");
                let (_, strict) = recording.clip(1_480, 6_520, Damage::Strict, container);
                let is_told = match &strict {
                    Err(Error::Damaged { source_index, .. }) => *source_index == 3,
                    Err(Error::Unusable(problem)) => problem.contains("00:00:03") || problem.contains("00:00:02.9"),
                    _ => false,
                };
                assert!(is_told, "{what}: {strict:?}");
            }
        }
    }
}

/// What comes again is cut once; a clock that is set anew goes on.
#[test]
fn repeated_segments_and_clocks_that_jump() {
    let mut recording = Recording::new(Format::MpegTs);
    let again = recording.segments[3].clone();
    recording.segments.insert(4, again);
    let (output, report) = recording.clip(1_000, 9_000, Damage::Lenient, Container::Mp4);
    let report = report.expect("a clip");
    assert_eq!(read_numbers(&output), ((25..200).collect(), String::new()));
    assert!(report.warnings.iter().any(|warning| warning.contains("again")), "{report:?}");

    for offset in ["5000", "95440"] {
        let recording = Recording::new(Format::MpegTs);
        for segment in &recording.segments[4..] {
            let moved = recording.folder.path().join("moved.ts");
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-v", "error", "-y", "-copyts", "-i"]).arg(segment).args(["-c", "copy", "-output_ts_offset"]);
            assert!(ffmpeg.arg(offset).arg(&moved).status().expect("ffmpeg runs").success());
            fs::rename(&moved, segment).expect("renamed");
        }
        let (output, report) = recording.clip(1_000, 7_000, Damage::Lenient, Container::Mp4);
        let report = report.expect("a clip");
        assert_eq!(read_numbers(&output), ((25..175).collect(), String::new()), "{offset}: {report:?}");
        assert!(report.warnings.iter().any(|warning| warning.contains("jumps")), "{offset}: {report:?}");
        assert_eq!(report.gaps, [], "{offset}");
    }
}
