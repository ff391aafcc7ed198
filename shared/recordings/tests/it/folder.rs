//! Folders of time-stamped files.

use std::{fs, process::Command};

use media::{
    Anchor, Input, Span, TrackInfo, TrackKind,
    time::{NANOS, TimeRange, WallTime},
};
use recordings::{Library, LibraryOptions, Reason, Recording};

use crate::{
    shelf::{Shelf, run, time},
    windows,
};

const MS: i64 = 1_000_000;

fn start() -> WallTime {
    time("2024-05-06T07:08:09.120Z")
}

/// Milliseconds after [`start`].
fn at(millis: i64) -> WallTime {
    start().saturating_add_nanos(millis * MS)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to))
}

/// The time as `strftime` writes it.
fn named(wall: WallTime, pattern: &str) -> String {
    let instant = jiff::Timestamp::from_nanosecond(wall.nanos().into()).expect("in range");
    let zoned = instant.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(pattern, &zoned).expect("a pattern")
}

/// A camera's folder with files of these lengths in seconds, each `distance` ms after the start of the one before.
fn record(shelf: &Shelf, folder: &str, arguments: &str, extension: &str, files: &[(i64, u32)]) {
    fs::create_dir_all(shelf.path(folder)).expect("a folder");
    for (millis, seconds) in files {
        let name = named(at(*millis), "%Y-%m-%d_%H-%M-%S-%6f");
        shelf.ffmpeg(*seconds, &format!("-shortest {arguments} {folder}/{name}.{extension}"));
    }
}

fn sources(shelf: &Shelf, recording: &Recording, window: TimeRange) -> usize {
    shelf.select(recording, window).expect("a selection").input.sources.len()
}

#[test]
fn files_that_follow_on_each_other() {
    for (extension, arguments) in
        [("mp4", "-movflags frag_keyframe+empty_moov"), ("mp4", ""), ("ts", "-f mpegts"), ("mov", "")]
    {
        let shelf = Shelf::new();
        record(&shelf, "cam/gate", arguments, extension, &[(0, 4), (4000, 4), (8000, 4)]);
        let recording = shelf.recording("cam/gate").expect(extension);
        assert_eq!(recording.start(), Some(start()), "{extension}");
        windows::check(&shelf, &recording, start(), 300);
        assert_eq!(sources(&shelf, &recording, range(4500, 5000)), 1, "{extension}");
        let all = shelf.coverage(&recording, range(-1000, 13_000), 9);
        assert_eq!((all.spans.len(), all.gaps.len(), all.next), (1, 2, None), "{extension}: {all:?}");
    }
}

#[test]
fn files_that_round_their_times_lose_no_frame() {
    let shelf = Shelf::new();
    record(&shelf, "cam", "-f matroska", "mkv", &[(0, 4), (4000, 4), (8000, 4)]);
    let recording = shelf.recording("cam").expect("a recording");
    let selection = shelf.select(&recording, recording.range()).expect("a selection");
    assert_eq!((selection.input.spans.len(), selection.gaps.len()), (3, 0));
    assert_eq!(windows::pictures(&shelf, &recording, recording.range()).len(), 300);
}

#[test]
fn gaps_of_a_frame_are_gaps_and_less_is_none() {
    let shelf = Shelf::new();
    record(&shelf, "cam", "", "mp4", &[(0, 2), (2015, 2), (4055, 2), (9000, 2), (10_500, 2)]);
    let recording = shelf.recording("cam").expect("a recording");
    let selection = shelf.select(&recording, recording.range()).expect("a selection");
    // 15 ms are counted on; 40 ms (less the 15) and 3 s are gaps; of half a second twice, the earlier file has it.
    let spans: Vec<_> = selection.input.spans.iter().map(|span| span.range).collect();
    let expected = [range(0, 2000), range(2000, 4000), range(4055, 6055), range(9000, 11_000), range(11_000, 12_500)];
    assert_eq!(spans, expected);
    assert_eq!(selection.gaps, [range(4000, 4055), range(6055, 9000)]);
    let notices = recording.notices();
    assert!(
        notices.iter().any(|notice| notice.text.contains("500 ms before the end of the file before")),
        "{notices:?}"
    );
    let coverage = shelf.coverage(&recording, recording.range(), 10);
    assert_eq!(coverage.spans, [range(0, 4000), range(4055, 6055), range(9000, 12_500)]);
    let refused = shelf.select(&recording, range(7000, 8000)).expect_err("a gap").to_string();
    assert!(refused.contains("lies in a gap") && refused.contains(&at(6055).to_string()), "{refused}");
    assert!(shelf.select(&recording, range(20_000, 21_000)).expect_err("the end").to_string().contains("outside"));
}

#[test]
fn names_of_whole_seconds_lose_no_frame() {
    let shelf = Shelf::new();
    shelf.write("cam/recording.toml", "file_pattern = \"%Y%m%d-%H%M%S\"\ntime_zone = \"Europe/Berlin\"");
    // Each is 1.96 s long and began at a fraction of the second that its name doesn't tell.
    let begun = time("2024-05-06T07:08:09Z");
    for number in 0..8 {
        let name = named(begun.saturating_add_nanos(number * 1_960 * MS + 7_200 * NANOS), "%Y%m%d-%H%M%S");
        shelf.ffmpeg(2, &format!("-t 1.96 cam/{name}.mp4"));
    }
    let recording = shelf.recording("cam").expect("a recording");
    assert_eq!(recording.start(), Some(begun));
    let selection = shelf.select(&recording, recording.range()).expect("a selection");
    assert_eq!((selection.input.spans.len(), selection.gaps.len()), (8, 0));
    windows::check(&shelf, &recording, begun, 8 * 49);
}

#[test]
fn files_as_ffmpeg_writes_them() {
    for (extension, format) in [("ts", "mpegts"), ("mp4", "mp4")] {
        let shelf = Shelf::new();
        fs::create_dir(shelf.path("cam")).expect("a folder");
        // The clock of -strftime is the wall's: shown as fast as it is, five seconds become files of two.
        run(Command::new("ffmpeg").current_dir(shelf.path("cam")).args(
            format!(
                "-v error -re -f lavfi -i testsrc2=size=160x90:rate=25:duration=5 -c:v libx264 -preset ultrafast -g 25 \
                 -f segment -strftime 1 -segment_time 2 -segment_format {format} %Y-%m-%d_%H-%M-%S.{extension}"
            )
            .split_whitespace(),
        ));
        shelf.write("cam.toml", "file_pattern = \"%Y-%m-%d_%H-%M-%S\"");
        let recording = shelf.recording("cam").expect("a recording");
        let selection = shelf.select(&recording, recording.range()).expect("a selection");
        assert_eq!((selection.input.spans.len(), selection.gaps.len()), (3, 0), "{extension}");
        let length = recording.range().duration().as_millis();
        assert!((4999..=5001).contains(&length), "{extension}: {length} ms");
    }
}

#[test]
fn files_in_folders_by_day_and_hour() {
    let shelf = Shelf::new();
    shelf.ffmpeg(2, "-shortest a.mp4");
    let begun = time("2024-05-06T23:59:58Z");
    for number in 0..3 {
        let name = named(begun.saturating_add_nanos(number * 2 * NANOS), "%Y-%m-%d/%H/gate/%M.%S.mp4");
        shelf.write(&format!("nvr/{name}"), fs::read(shelf.path("a.mp4")).expect("a file"));
        shelf.write(&format!("nvr/{}", name.replace("gate", "yard")), "another camera's");
    }
    let options = LibraryOptions { file_pattern: "%Y-%m-%d/%H/gate/%M.%S.mp4".into(), time_zone: None };
    let library = Library::with_options(&shelf.path(""), options).expect("a library");
    let recording = shelf.recording_of(&library, "nvr").expect("a recording");
    assert_eq!(recording.range(), TimeRange::new(begun, begun.saturating_add_nanos(6 * NANOS)));
    let selection = shelf.select(&recording, recording.range()).expect("a selection");
    assert_eq!(selection.input.sources[2], "nvr/2024-05-07/00/gate/00.02.mp4");
    assert_eq!(selection.gaps, []);
    let wrong = LibraryOptions { file_pattern: "%Q".into(), time_zone: None };
    assert!(Library::with_options(&shelf.path(""), wrong).expect_err("no pattern").to_string().contains("%Q"));
}

#[test]
fn what_cannot_be_used_is_a_gap_with_its_reason() {
    let shelf = Shelf::new();
    record(&shelf, "cam", "", "mp4", &[(0, 2), (2000, 2), (4000, 2), (6000, 2), (8000, 2), (10_000, 2)]);
    let name = |millis| format!("cam/{}.mp4", named(at(millis), "%Y-%m-%d_%H-%M-%S-%6f"));
    shelf.write(&name(2000), "").write(&name(4000), "I am a text").write("cam/readme.txt", "x");
    let whole = fs::read(shelf.path(&name(8000))).expect("a file");
    shelf.write(&name(8000), &whole[..whole.len() / 2]).write(&name(10_000), &whole[..100]);
    let recording = shelf.recording("cam").expect("a recording");
    assert!(recording.is_growing());
    assert_eq!(recording.range(), range(0, 8000));
    let selection = shelf.select(&recording, range(0, 8000)).expect("a selection");
    assert_eq!(selection.gaps, [range(2000, 6000)]);
    let coverage = shelf.coverage(&recording, range(0, 12_000), 10);
    let reasons: Vec<_> = coverage.gaps.iter().map(|gap| gap.reason.clone()).collect();
    assert!(matches!(&reasons[0], Reason::Unusable(reason) if reason.contains("an empty file")), "{reasons:?}");
    assert!(matches!(&reasons[1], Reason::Unusable(reason) if reason.contains("never finished")), "{reasons:?}");
    shelf.write("none/2024-05-06_07-08-09-1.mp4", "");
    assert!(shelf.refusal("none").contains("2024-05-06_07-08-09-1.mp4 is not an MP4"), "{}", shelf.refusal("none"));
    assert!(shelf.write("odd/x.mp4", "").refusal("odd").contains("%Y-%m-%d_%H-%M-%S-%f"));
}

#[test]
fn the_last_file_counts_to_its_last_whole_fragment() {
    let shelf = Shelf::new();
    let arguments = "-movflags frag_keyframe+empty_moov+default_base_moof";
    record(&shelf, "cam", arguments, "mp4", &[(0, 4), (4000, 4)]);
    let name = format!("cam/{}.mp4", named(at(4000), "%Y-%m-%d_%H-%M-%S-%6f"));
    let whole = fs::read(shelf.path(&name)).expect("a file");
    let mut ends = Vec::new();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        shelf.write(&name, &whole[..length]);
        let recording = shelf.recording("cam").expect("a recording");
        assert!(recording.is_growing());
        let millis = recording.range().end.nanos_since(at(4000)) / MS;
        assert_eq!(millis % 1000, 0, "{length} of {} bytes: {millis} ms", whole.len());
        if ends.last() != Some(&millis) {
            let pictures = windows::pictures(&shelf, &recording, recording.range());
            let expected: Vec<_> = (0..(4000 + millis) / 40).map(|frame| at(frame * 40)).collect();
            assert_eq!(pictures, expected, "{length} of {} bytes", whole.len());
        }
        ends.push(millis);
    }
    assert!(ends.is_sorted() && ends[0] == 0 && ends.contains(&3000), "{ends:?}");
}

#[test]
fn a_folder_with_a_manifest_is_the_manifest() {
    let shelf = Shelf::new();
    fs::create_dir(shelf.path("show")).expect("a folder");
    shelf.ffmpeg(4, "-f hls -hls_time 2 -hls_list_size 0 show/x.m3u8");
    windows::check(&shelf, &shelf.recording("show").expect("a recording"), WallTime::EPOCH, 100);
    shelf.write("show/y.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n");
    assert_eq!(shelf.recording("show").expect("a recording").range().duration().as_secs(), 4);
    shelf.write("show/z.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n");
    assert!(shelf.refusal("show").contains("several manifests"));
}

#[test]
fn only_regular_files_are_of_the_recording() {
    let shelf = Shelf::new();
    record(&shelf, "cam", "", "mp4", &[(0, 2)]);
    let name = |millis| shelf.path(&format!("cam/{}.mp4", named(at(millis), "%Y-%m-%d_%H-%M-%S-%6f")));
    run(Command::new("mkfifo").arg(name(2000)));
    std::os::unix::fs::symlink(name(0), name(4000)).expect("a link");
    fs::create_dir(name(6000)).expect("a folder");
    std::os::unix::fs::symlink("/etc", shelf.path("cam/etc")).expect("a link");
    assert_eq!(shelf.recording("cam").expect("a recording").range(), range(0, 2000));
    shelf.write("cam/recording.toml", "file_pattern = \"../%F\"");
    assert!(shelf.refusal("cam").contains("leads elsewhere"), "{}", shelf.refusal("cam"));
}

#[test]
fn random_layouts_lose_nothing_silently() {
    let shelf = Shelf::new();
    shelf.ffmpeg(2, "-shortest a.mp4");
    let mut seed = 0x5DEE_CE66_D123_4567_u64;
    println!("seed {seed:#x}");
    let mut random = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for round in 0..12 {
        let (folder, mut millis, mut starts) = (format!("cam{round}"), 0_i64, Vec::new());
        fs::create_dir(shelf.path(&folder)).expect("a folder");
        for _ in 0..12 {
            let name = named(at(millis), "%Y-%m-%d_%H-%M-%S-%6f");
            fs::hard_link(shelf.path("a.mp4"), shelf.path(&format!("{folder}/{name}.mp4"))).expect("a link");
            starts.push(millis);
            // Within jitter, a gap, or an overlap, of a file of two seconds.
            millis +=
                2000 + [0, random(15) as i64, 50 + random(5000) as i64, -50 - random(900) as i64][random(4) as usize];
        }
        let recording = shelf.recording(&folder).expect("a recording");
        let whole = recording.range();
        let selection = shelf.select(&recording, whole).expect("a selection");
        let spans: Vec<_> = selection.input.spans.iter().map(|span| span.range).collect();
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{starts:?}: {spans:?}");
        let covered: u128 = spans.iter().map(|span| span.duration().as_nanos()).sum();
        let missing: u128 = selection.gaps.iter().map(|gap| gap.duration().as_nanos()).sum();
        assert_eq!(covered + missing, whole.duration().as_nanos(), "{starts:?}: {spans:?}");
        // What is recorded at any instant, a window around it finds.
        for span in &spans {
            let middle = span.start.saturating_add_nanos(span.duration().as_nanos() as i64 / 2);
            let window = TimeRange::new(middle, middle.saturating_add_nanos(MS));
            assert_eq!(shelf.select(&recording, window).expect("a frame").input.spans.len(), 1, "{starts:?}");
        }
        let gaps = shelf.coverage(&recording, whole, 100).gaps.len();
        assert_eq!(gaps, selection.gaps.len(), "{starts:?}");
    }
}

#[test]
fn what_leads_a_keyframe_belongs_to_a_file_only_behind_the_one_before() {
    let shelf = Shelf::new();
    record(&shelf, "cam/gate", "-f mpegts", "ts", &[(0, 4), (4080, 4), (12_000, 4)]);
    let first = named(start(), "%Y-%m-%d_%H-%M-%S-%6f");
    let probe = |input: &Input| {
        let lead = if input.sources[0].contains(&first) { 0 } else { 80 * MS };
        let video = TrackInfo {
            kind: TrackKind::Video,
            codec: "hevc".into(),
            language: None,
            size: Some((160, 90)),
            title: None,
            dispositions: Vec::new(),
            frame_rate: Some((25, 1)),
        };
        Ok(media::Probe { tracks: vec![video], start: 0, duration: 4 * NANOS, lead, creation_time: None })
    };
    let recording = shelf.library.recording("cam/gate", &probe).expect("a recording");
    let spans = |from, to| {
        let selection = recording.select(range(from, to), &probe).expect("a selection");
        assert_eq!(selection.gaps.len(), usize::from(to > 8080), "{:?}", selection.gaps);
        let key = |span: &Span| match span.parts[0].anchor {
            Anchor::FirstKeyframe { wall, .. } | Anchor::Ticks { wall, .. } => wall,
        };
        selection.input.spans.iter().map(|span| (span.range, key(span))).collect::<Vec<_>>()
    };
    let (one, two) = ((range(0, 4000), at(0)), (range(4000, 8080), at(4080)));
    assert_eq!(spans(0, 13_000), [one, two, (range(12_000, 13_000), at(12_000))]);
    // What leads the keyframe refers to the file before.
    assert_eq!(spans(4010, 4050), [one, (range(4010, 4050), at(4080))]);
    assert_eq!(spans(4080, 4200), [(range(4080, 4200), at(4080))]);
    let coverage = recording.coverage(range(0, 16_000), 9, &probe).expect("a coverage");
    assert_eq!(coverage.spans, [range(0, 8080), range(12_000, 16_000)]);
    assert!(recording.notices().is_empty(), "{:?}", recording.notices());
}
