//! DASH presentations.

use media::{
    Anchor, Format,
    time::{TimeRange, WallTime},
};
use recordings::{Error, Recording, RecordingOptions};

use crate::{
    shelf::{Shelf, time, unprobed},
    windows,
};

const S: i64 = 1_000_000_000;

fn at(seconds: i64) -> WallTime {
    WallTime::from_nanos(seconds * S)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to))
}

/// A manifest with one video rendition.
fn manifest(attributes: &str, content: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><MPD {attributes}><Period><AdaptationSet contentType="video" mimeType="video/mp4">
           <Representation id="v" bandwidth="1">{content}</Representation></AdaptationSet></Period></MPD>"#
    )
}

fn recording(attributes: &str, content: &str) -> Result<Recording, Error> {
    let shelf = Shelf::new();
    shelf.write("a/x.mpd", manifest(attributes, content)).recording("a/x.mpd")
}

fn names(recording: &Recording, range: TimeRange) -> Vec<String> {
    recording.select(range, &unprobed).expect("a selection").input.sources
}

#[test]
fn timeline_addressing() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f dash -seg_duration 2 x.mpd");
    let recording = shelf.recording("x.mpd").expect("a recording");
    assert_eq!((recording.start(), recording.is_growing()), (None, false));
    assert_eq!(recording.range(), range(0, 12));
    windows::check(&shelf, &recording, WallTime::EPOCH, 300);
    let selection = recording.select(range(5, 6), &unprobed).expect("a selection");
    let [video, audio] = selection.input.spans[0].parts.as_slice() else { panic!("video and audio are apart") };
    assert_eq!((video.format, video.segments.len(), audio.init.is_some()), (Format::Mp4, 3, true));
}

#[test]
fn number_and_duration_addressing() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f dash -seg_duration 2 -use_timeline 0 -use_template 1 x.mpd");
    windows::check(&shelf, &shelf.recording("x.mpd").expect("a recording"), WallTime::EPOCH, 300);
}

#[test]
fn list_of_byte_ranges() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f dash -seg_duration 2 -single_file 1 x.mpd");
    let recording = shelf.recording("x.mpd").expect("a recording");
    windows::check(&shelf, &recording, WallTime::EPOCH, 300);
    assert_eq!(names(&recording, range(0, 12)).len(), 2);
}

#[test]
fn given_start() {
    let shelf = Shelf::new();
    shelf.ffmpeg(4, "-f dash -seg_duration 2 x.mpd");
    let start = time("2024-05-06T07:08:09.5Z");
    let recording = shelf.recording("x.mpd").expect("a recording").with_start(start);
    assert_eq!(recording.start(), Some(start));
    windows::check(&shelf, &recording, start, 100);
    shelf.write("x.mpd.toml", "start_time = 2024-05-06T07:08:09.5Z");
    assert_eq!(shelf.recording("x.mpd").expect("a recording").start(), Some(start));
}

#[test]
fn availability_start_is_wall_time() {
    let timeline = r#"<SegmentTemplate timescale="1000" presentationTimeOffset="5000" initialization="i.mp4" media="$Time$.m4s">
        <SegmentTimeline><S t="5000" d="2000" r="4"/></SegmentTimeline></SegmentTemplate>"#;
    let attributes = r#"type="dynamic" availabilityStartTime="2024-05-06T07:08:09Z""#;
    let recording = recording(attributes, timeline).expect("a recording");
    let start = time("2024-05-06T07:08:09Z");
    assert_eq!((recording.start(), recording.is_growing()), (Some(start), true));
    let second = TimeRange::new(start.saturating_add_nanos(4 * S), start.saturating_add_nanos(5 * S));
    let selection = recording.select(second, &unprobed).expect("a selection");
    assert_eq!(selection.input.sources, ["a/7000.m4s", "a/9000.m4s", "a/11000.m4s", "a/i.mp4"]);
    let anchor = Anchor::Ticks { ticks: 5000, timescale: 1000, wall: start };
    assert_eq!(selection.input.spans[0].parts[0].anchor, anchor);
    assert_eq!(recording.with_start(at(5)).start(), Some(start), "it keeps its clock");
}

#[test]
fn gap_in_a_timeline() {
    let content = r#"<SegmentTemplate timescale="10" media="$Number$.m4s"><SegmentTimeline>
        <S t="0" d="20" r="1"/><S t="100" d="20" r="1"/></SegmentTimeline></SegmentTemplate>"#;
    let recording = recording("", content).expect("a recording");
    assert_eq!(recording.spans(), [range(0, 4), range(10, 14)]);
    assert_eq!(recording.gaps(), [range(4, 10)]);
    let selection = recording.select(range(-1, 12), &unprobed).expect("a selection");
    assert_eq!(selection.gaps, [range(-1, 0), range(4, 10)]);
    assert_eq!(selection.input.sources, ["a/1.m4s", "a/2.m4s", "a/3.m4s", "a/4.m4s"]);
    assert_eq!(selection.input.spans[1].range, range(10, 12));
    let refused = recording.select(range(5, 6), &unprobed).expect_err("nothing there");
    assert!(matches!(refused, Error::InGap { gap, .. } if gap == range(4, 10)), "{refused}");
    let refused = recording.select(range(14, 15), &unprobed).expect_err("nothing there").to_string();
    assert!(refused.contains("[1970-01-01T00:00:14Z, 1970-01-01T00:00:15Z)"), "{refused}");
    assert!(refused.contains("[1970-01-01T00:00:00Z, 1970-01-01T00:00:14Z)"), "{refused}");
}

#[test]
fn rounding_is_no_gap() {
    let content = r#"<SegmentTemplate timescale="1000" media="$Number$.m4s"><SegmentTimeline>
        <S t="0" d="2000"/><S t="2020" d="2000"/><S t="4041" d="1000"/></SegmentTimeline></SegmentTemplate>"#;
    assert_eq!(recording("", content).expect("a recording").gaps().len(), 1);
}

#[test]
fn periods_follow_each_other() {
    let period = |attributes: &str, id: &str| {
        format!(
            r#"<Period {attributes}><BaseURL>{id}/</BaseURL><SegmentTemplate timescale="1" duration="2"
               presentationTimeOffset="100" media="$RepresentationID$-$Number%03d$.m4s" startNumber="7"/>
               <AdaptationSet mimeType="video/mp4"><Representation id="v"/></AdaptationSet></Period>"#
        )
    };
    let (first, second) = (period(r#"duration="PT5S""#, "p1"), period(r#"start="PT8S""#, "p2"));
    let text = format!(r#"<MPD mediaPresentationDuration="PT12S"><BaseURL>media/</BaseURL>{first}{second}</MPD>"#);
    let shelf = Shelf::new();
    let recording = shelf.write("a/x.mpd", text).recording("a/x.mpd").expect("a recording");
    let spans = recording.spans();
    assert_eq!(spans[0], range(0, 5));
    assert_eq!((spans[1].start, recording.gaps()), (at(8), vec![range(5, 8)]));
    assert_eq!(names(&recording, range(4, 5)), ["a/media/p1/v-008.m4s", "a/media/p1/v-009.m4s"]);
    let selection = recording.select(range(8, 9), &unprobed).expect("a selection");
    assert_eq!(selection.input.sources, ["a/media/p2/v-007.m4s", "a/media/p2/v-008.m4s"]);
    let anchor = Anchor::Ticks { ticks: 100, timescale: 1, wall: at(8) };
    assert_eq!(selection.input.spans[0].parts[0].anchor, anchor);
}

#[test]
fn live_edge_is_what_is_there() {
    let shelf = Shelf::new();
    let template = r#"<SegmentTemplate timescale="1" duration="2" media="$Number$.m4s" startNumber="1"/>"#;
    let attributes =
        r#"type="dynamic" availabilityStartTime="2024-05-06T00:00:00Z" publishTime="2024-05-06T00:03:20Z""#;
    shelf.write("x.mpd", manifest(attributes, template));
    assert!(shelf.refusal("x.mpd").contains("has no segments"));
    // Retention has removed all before segment 90.
    for number in 90..98 {
        shelf.write(&format!("{number}.m4s"), "");
    }
    let recording = shelf.recording("x.mpd").expect("a recording");
    let range = TimeRange::new(time("2024-05-06T00:02:58Z"), time("2024-05-06T00:03:14Z"));
    assert_eq!(recording.range(), range);
    assert_eq!(names(&recording, recording.range()).len(), 8);
    assert_eq!(names(&recording, recording.range())[0], "90.m4s");
}

#[test]
fn numbers_that_go_on_in_the_next_period_are_its_own() {
    let shelf = Shelf::new();
    let period = |start: u64, number: u64| {
        format!(
            r#"<Period start="PT{start}S"><AdaptationSet mimeType="video/mp4"><Representation id="v"><SegmentTemplate
               timescale="1" duration="2" media="$Number$.m4s" startNumber="{number}"/></Representation></AdaptationSet></Period>"#
        )
    };
    let attributes =
        r#"type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" publishTime="1970-01-01T00:00:20Z""#;
    for number in 1..=9 {
        shelf.write(&format!("{number}.m4s"), "");
    }
    shelf.write("x.mpd", format!("<MPD {attributes}>{}{}</MPD>", period(0, 1), period(10, 6)));
    let recording = shelf.recording("x.mpd").expect("a recording");
    assert_eq!(recording.spans(), [range(0, 10), range(10, 18)]);
    assert_eq!(names(&recording, range(0, 10)).len(), 5);
}

#[test]
fn open_timeline_ends_with_the_presentation() {
    let content = r#"<SegmentTemplate timescale="1" media="$Number$.m4s"><SegmentTimeline><S t="0" d="2" r="-1"/>
        </SegmentTimeline></SegmentTemplate>"#;
    let recording = recording(r#"mediaPresentationDuration="PT9S""#, content).expect("a recording");
    assert_eq!(names(&recording, recording.range()).len(), 5);
}

#[test]
fn one_file_for_each_rendition() {
    let content = "<BaseURL>sub/video.mp4</BaseURL><SegmentBase timescale=\"90000\"/>";
    let recording = recording(r#"mediaPresentationDuration="PT9.3S""#, content).expect("a recording");
    assert_eq!(names(&recording, range(3, 4)), ["a/sub/video.mp4"]);
}

#[test]
fn index_of_one_file() {
    let shelf = Shelf::new();
    // Fragments of a second, with the index in front (ISO/IEC 14496-12 §8.16.3).
    for (name, map) in [("v.mp4", "-map 0:v -bf 0"), ("a.mp4", "-map 1:a")] {
        let flags = "-movflags frag_keyframe+default_base_moof+dash+global_sidx -frag_duration 1000000";
        shelf.ffmpeg(6, &format!("{map} {flags} {name}"));
    }
    // FFmpeg's index counts from the first time of decoding, so there are no B-frames that would show later.
    let set = |kind: &str, name: &str, timescale: u32| {
        let bytes = std::fs::read(shelf.path(name)).expect("a file");
        let at = bytes.windows(4).position(|four| four == b"sidx").expect("an index") - 4;
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        format!(
            r#"<AdaptationSet mimeType="{kind}/mp4" lang="de"><Representation id="{kind}" bandwidth="1"><BaseURL>{name}</BaseURL>
            <SegmentBase timescale="{timescale}" indexRange="{at}-{}"><Initialization range="0-{}"/></SegmentBase>
            </Representation></AdaptationSet>"#,
            at + size - 1,
            at - 1
        )
    };
    let sets = set("video", "v.mp4", 12_800) + &set("audio", "a.mp4", 48_000);
    let manifest = format!(r#"<MPD mediaPresentationDuration="PT6S"><Period>{sets}</Period></MPD>"#);
    shelf.write("x.mpd", &manifest);
    let recording = shelf.recording("x.mpd").expect("a recording");
    windows::check(&shelf, &recording, WallTime::EPOCH, 150);
    let selection = recording.select(range(2, 3), &unprobed).expect("a selection");
    let [video, audio] = selection.input.spans[0].parts.as_slice() else { panic!("video and audio are apart") };
    assert!(video.segments.len() <= 4 && video.segments.iter().all(|segment| segment.piece.length.is_some()));
    assert_eq!((video.language.as_deref(), audio.language.as_deref()), (None, Some("de")));
    let wrong = manifest.replace("indexRange=\"", "indexRange=\"1");
    assert!(shelf.write("x.mpd", wrong).refusal("x.mpd").contains("has a byte range"));
}

#[test]
fn all_sets_of_audio_with_their_languages() {
    let shelf = Shelf::new();
    shelf.ffmpeg(
        4,
        "-map 0:v -map 1:a -map 1:a -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -f dash -seg_duration 2 \
                     -adaptation_sets id=0,streams=0~id=1,streams=1~id=2,streams=2 x.mpd",
    );
    let recording = shelf.recording("x.mpd").expect("a recording");
    let selection = recording.select(recording.range(), &unprobed).expect("a selection");
    let languages: Vec<_> = selection.input.spans[0].parts.iter().map(|part| part.language.as_deref()).collect();
    assert_eq!(languages, [None, Some("eng"), Some("deu")]);
    windows::check(&shelf, &recording, WallTime::EPOCH, 100);
}

#[test]
fn a_rendition_can_be_named() {
    let shelf = Shelf::new();
    shelf.ffmpeg(4, "-map 0:v -map 0:v -b:v:0 50k -b:v:1 400k -s:v:0 80x46 -f dash -seg_duration 2 -adaptation_sets id=0,streams=v x.mpd");
    for (rendition, init) in
        [(None, "init-stream1.m4s"), (Some("80x46"), "init-stream0.m4s"), (Some("90p"), "init-stream1.m4s")]
    {
        let options = RecordingOptions { rendition: rendition.map(String::from) };
        let recording = shelf.library.recording_with("x.mpd", &options, &unprobed).expect("a recording");
        assert!(names(&recording, range(0, 4)).iter().any(|name| name == init), "{rendition:?}");
    }
    let options = RecordingOptions { rendition: Some("4K".into()) };
    let refused = shelf.library.recording_with("x.mpd", &options, &unprobed).expect_err("no such").to_string();
    assert!(refused.contains("\"4K\""), "{refused}");
}
