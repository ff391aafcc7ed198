//! HLS playlists.

use media::{
    Anchor, Format, Piece,
    time::{TimeRange, WallTime},
};
use recordings::Recording;

use crate::{
    shelf::{Shelf, time, unprobed},
    windows,
};

const MS: i64 = 1_000_000;

/// Milliseconds after the date that the hand-written playlists start with.
fn at(millis: i64) -> WallTime {
    time("2024-05-06T07:00:00Z").saturating_add_nanos(millis * MS)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to))
}

/// A segment of two seconds, called by its number; `tags` come before it, and `@12.345` is a date at second 12.345.
fn playlist(segments: &[&str]) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n".to_owned();
    for (number, tags) in segments.iter().enumerate() {
        for tag in tags.split_whitespace() {
            match tag.strip_prefix('@') {
                Some(second) => text += &format!("#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:00:{second}Z\n"),
                None => text += &format!("#EXT-X-{tag}\n"),
            }
        }
        text += &format!("#EXTINF:2.000,\n{number}.ts\n");
    }
    text
}

fn recording(segments: &[&str]) -> Recording {
    let shelf = Shelf::new();
    shelf.write("a/x.m3u8", playlist(segments)).recording("a/x.m3u8").expect("a recording")
}

fn check_spans(segments: &[&str], spans: &[TimeRange], gaps: &[TimeRange]) {
    let recording = recording(segments);
    assert_eq!(recording.spans(), spans, "{segments:?}");
    assert_eq!(recording.gaps(), gaps, "{segments:?}");
}

/// Number of the segment that the clock at `millis` is anchored to, and when that is.
fn anchor(recording: &Recording, millis: i64) -> (String, WallTime) {
    let selection = recording.select(range(millis, millis + 1), &unprobed).expect("a selection");
    match &selection.input.spans[0].parts[0].anchor {
        Anchor::FirstKeyframe { piece, wall } => (selection.input.sources[piece.source as usize].clone(), *wall),
        other => panic!("{other:?}"),
    }
}

#[test]
fn transport_stream_segments() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f hls -hls_time 2 -hls_list_size 0 x.m3u8");
    let recording = shelf.recording("x.m3u8").expect("a recording");
    assert_eq!((recording.start(), recording.is_growing()), (None, false));
    windows::check(&shelf, &recording, WallTime::EPOCH, 300);
}

#[test]
fn fragmented_mp4_segments() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 x.m3u8");
    windows::check(&shelf, &shelf.recording("x.m3u8").expect("a recording"), WallTime::EPOCH, 300);
}

#[test]
fn byte_ranges_of_one_file() {
    for kind in ["mpegts", "fmp4"] {
        let shelf = Shelf::new();
        shelf.ffmpeg(
            12,
            &format!("-f hls -hls_time 2 -hls_list_size 0 -hls_flags single_file -hls_segment_type {kind} x.m3u8"),
        );
        let recording = shelf.recording("x.m3u8").expect("a recording");
        windows::check(&shelf, &recording, WallTime::EPOCH, 300);
        assert_eq!(
            recording.select(recording.range(), &unprobed).expect("a selection").input.sources.len(),
            1,
            "{kind}"
        );
    }
}

#[test]
fn dates_are_wall_time() {
    let shelf = Shelf::new();
    shelf.ffmpeg(12, "-f hls -hls_time 2 -hls_list_size 0 -hls_flags program_date_time x.m3u8");
    let recording = shelf.recording("x.m3u8").expect("a recording");
    let start = recording.start().expect("a date");
    assert_eq!(recording.spans().len(), 1);
    windows::check(&shelf, &recording, start, 300);
}

#[test]
fn best_rendition_with_its_audio() {
    let shelf = Shelf::new();
    shelf.ffmpeg(
        6,
        "-map 0:v -map 0:v -map 1:a -b:v:0 50k -b:v:1 400k -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 \
         -master_pl_name x.m3u8 -var_stream_map v:0,agroup:a,name:low~v:1,agroup:a,name:high~a:0,agroup:a,name:sound \
         %v.m3u8",
    );
    let recording = shelf.recording("x.m3u8").expect("a recording");
    let selection = recording.select(recording.range(), &unprobed).expect("a selection");
    let [video, audio] = selection.input.spans[0].parts.as_slice() else { panic!("video and audio are apart") };
    let source = |piece: Piece| selection.input.sources[piece.source as usize].as_str();
    assert_eq!(source(video.segments[0].piece), "high0.m4s");
    assert_eq!(source(audio.segments[0].piece), "sound0.m4s");
    assert_eq!((video.format, audio.format), (Format::Mp4, Format::Mp4));
    windows::check(&shelf, &recording, WallTime::EPOCH, 150);
}

#[test]
fn audio_inside_the_video_is_no_part() {
    let shelf = Shelf::new();
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n";
    shelf.write("v.m3u8", playlist(&["@00.000", ""])).write("x.m3u8", master);
    let recording = shelf.recording("x.m3u8").expect("a recording");
    assert_eq!(recording.select(recording.range(), &unprobed).expect("a selection").input.spans[0].parts.len(), 1);
    assert_eq!(recording.start(), Some(at(0)));
}

#[test]
fn audio_needs_the_same_clock() {
    let shelf = Shelf::new();
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n";
    shelf.write("v.m3u8", playlist(&["@00.000", "", ""])).write("x.m3u8", master);
    assert!(shelf.write("a.m3u8", playlist(&["", ""])).refusal("x.m3u8").contains("dates for only one"));
    // Audio of which a part is missing is no gap: the video says what was recorded.
    shelf.write("a.m3u8", playlist(&["@00.000", "GAP", ""]));
    let recording = shelf.recording("x.m3u8").expect("a recording");
    let spans = recording.spans();
    assert_eq!((spans, recording.gaps()), (vec![range(0, 4000), range(4000, 6000)], vec![]));
}

#[test]
fn dates_decide_on_gaps_and_overlaps() {
    check_spans(&["@00.000", "", "@04.000"], &[range(0, 6000)], &[]);
    // A segment between was lost; so was half a frame too much.
    check_spans(&["@00.000", "@04.000"], &[range(0, 2000), range(4000, 6000)], &[range(2000, 4000)]);
    check_spans(&["@00.000", "@02.021"], &[range(0, 2000), range(2021, 4021)], &[range(2000, 2021)]);
    check_spans(&["@00.000", "@02.019"], &[range(0, 4000)], &[]);
    // The clock was set back: what is there twice is taken once.
    check_spans(&["@00.000", "@01.500"], &[range(0, 2000), range(2000, 3500)], &[]);
    check_spans(&["@10.000", "@05.000", "@07.000", "@09.000"], &[range(10_000, 12_000)], &[]);
    check_spans(&["@10.000", "@09.000", "@11.000"], &[range(10_000, 12_000), range(12_000, 13_000)], &[]);
}

#[test]
fn first_date_counts_for_those_before() {
    let recording = recording(&["", "", "@10.000", ""]);
    assert_eq!(recording.range(), range(6000, 14_000));
    assert_eq!(anchor(&recording, 13_000), ("a/0.ts".into(), at(6000)));
}

#[test]
fn discontinuity_starts_a_clock_but_is_no_gap() {
    let segments = ["@00.000", "DISCONTINUITY", "DISCONTINUITY @04.001"];
    check_spans(&segments, &[range(0, 2000), range(2000, 4000), range(4000, 6000)], &[]);
    let recording = recording(&segments);
    assert_eq!(anchor(&recording, 2500), ("a/1.ts".into(), at(2000)));
    assert_eq!(anchor(&recording, 4500), ("a/2.ts".into(), at(4000)));
    let selection = recording.select(range(2500, 3000), &unprobed).expect("a selection");
    assert_eq!(selection.input.spans[0].parts[0].segments.len(), 1, "no neighbour is of another clock");
}

#[test]
fn gap_segments_are_not_there() {
    let segments = ["@00.000", "GAP", "", ""];
    check_spans(&segments, &[range(0, 2000), range(4000, 8000)], &[range(2000, 4000)]);
    let recording = recording(&segments);
    assert_eq!(anchor(&recording, 6000), ("a/0.ts".into(), at(0)), "the media clock goes on");
    let selection = recording.select(range(1000, 8000), &unprobed).expect("a selection");
    assert_eq!(selection.input.sources, ["a/0.ts", "a/2.ts", "a/3.ts"]);
    check_spans(&["GAP @00.000", ""], &[range(2000, 4000)], &[]);
}

#[test]
fn drift_moves_the_anchor_but_makes_no_span() {
    // Each segment takes 8 ms longer than it says.
    let dates: Vec<_> = (0..8).map(|n| format!("@{:02}.{:03}", n * 2, n * 8)).collect();
    let recording = recording(&dates.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(recording.spans().len(), 1);
    assert_eq!(anchor(&recording, 3000), ("a/0.ts".into(), at(0)));
    assert_eq!(anchor(&recording, 9000), ("a/3.ts".into(), at(6024)));
}

#[test]
fn another_init_segment_starts_a_span() {
    let text = "#EXTM3U\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:2,\n0.m4s\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:2,\n1.m4s\n\
                #EXT-X-MAP:URI=\"j.mp4\",BYTERANGE=\"5@7\"\n#EXTINF:2,\n2.m4s\n";
    let shelf = Shelf::new();
    let recording = shelf.write("x.m3u8", text).recording("x.m3u8").expect("a recording");
    let selection = recording.select(recording.range(), &unprobed).expect("a selection");
    let inits: Vec<_> = selection.input.spans.iter().map(|span| span.parts[0].init.expect("an init segment")).collect();
    let of = |init: Piece| (selection.input.sources[init.source as usize].as_str(), init.offset, init.length);
    // A clock can only be read with the init segment of its own segment.
    let anchors = selection.input.spans.iter().map(|span| match span.parts[0].anchor {
        Anchor::FirstKeyframe { piece, .. } => selection.input.sources[piece.source as usize].as_str(),
        Anchor::Ticks { .. } => "none",
    });
    assert_eq!(anchors.collect::<Vec<_>>(), ["0.m4s", "2.m4s"]);
    assert_eq!(inits.into_iter().map(of).collect::<Vec<_>>(), [("i.mp4", 0, None), ("j.mp4", 7, Some(5))]);
    assert_eq!(recording.gaps(), []);
}

#[test]
fn growing_playlist_ends_with_its_last_whole_line() {
    let shelf = Shelf::new();
    let text = playlist(&["", "", ""]);
    for (text, segments, is_growing) in [
        (text.clone(), 3, true),
        (text.clone() + "#EXT-X-ENDLIST", 3, false),
        (text.clone() + "#EXT-X-ENDLIST\n#EXTINF:2,\n9.ts\n", 3, false),
        (text.clone() + "#EXTINF:2.0", 3, true),
        (text.clone() + "#EXTINF:2,\n3.t", 3, true),
        (text.clone() + "#EXTINF:", 3, true),
        (text.replace('\n', "\r\n"), 3, true),
        (text.replace("#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD").trim_end().into(), 3, false),
    ] {
        let recording = shelf.write("x.m3u8", &text).recording("x.m3u8").expect("a recording");
        let selection = recording.select(recording.range(), &unprobed).expect("a selection");
        assert_eq!(selection.input.sources.len(), segments, "{text}");
        assert_eq!(recording.is_growing(), is_growing, "{text}");
    }
}

#[test]
fn byte_ranges_without_an_offset_follow() {
    let text = "#EXTM3U\n#EXTINF:2,\n#EXT-X-BYTERANGE:100@50\na.ts\n#EXTINF:2,\n#EXT-X-BYTERANGE:30\na.ts\n\
                #EXTINF:2,\nb.ts\n#EXTINF:2,\n#EXT-X-BYTERANGE:10@0\nc.ts\n";
    let shelf = Shelf::new();
    let recording = shelf.write("x.m3u8", text).recording("x.m3u8").expect("a recording");
    let selection = recording.select(recording.range(), &unprobed).expect("a selection");
    let pieces: Vec<_> =
        selection.input.spans[0].parts[0].segments.iter().map(|s| (s.piece.offset, s.piece.length)).collect();
    assert_eq!(pieces, [(50, Some(100)), (150, Some(30)), (0, None), (0, Some(10))]);
    assert_eq!(selection.input.sources, ["a.ts", "b.ts", "c.ts"]);
}
