//! Single media files.

use media::{Anchor, time::WallTime};
use recordings::Error;

use crate::{
    shelf::{Shelf, time, unprobed},
    windows,
};

#[test]
fn metadata_says_when_it_began() {
    let shelf = Shelf::new();
    shelf.ffmpeg(4, "-metadata creation_time=2024-05-06T07:08:09Z a.mp4");
    let start = time("2024-05-06T07:08:09Z");
    let recording = shelf.recording("a.mp4").expect("a recording");
    assert_eq!(recording.start(), Some(start));
    windows::check(&shelf, &recording, start, 100);
}

#[test]
fn a_note_beside_it_counts_more() {
    let shelf = Shelf::new();
    shelf.ffmpeg(1, "-metadata creation_time=2024-05-06T07:08:09Z a.mp4");
    shelf.write("a.mp4.toml", "start_time = \"2020-01-01T00:00:00Z\"");
    assert_eq!(shelf.recording("a.mp4").expect("a recording").start(), Some(time("2020-01-01T00:00:00Z")));
    shelf.write("a.mp4.toml", "start_time = \"tomorrow\"");
    assert!(shelf.refusal("a.mp4").contains("a.mp4.toml: start_time \"tomorrow\""));
}

#[test]
fn longest_name_has_no_room_for_a_note() {
    let shelf = Shelf::new();
    let name = "n".repeat(251) + ".mp4";
    shelf.ffmpeg(1, "a.mp4");
    std::fs::rename(shelf.path("a.mp4"), shelf.path(&name)).expect("a long name");
    assert_eq!(shelf.recording(&name).expect("a recording").start(), None);
}

#[test]
fn containers_are_known_by_name_and_content() {
    let shelf = Shelf::new();
    for (name, muxer, has_zero) in [
        ("a.ts", "mpegts", false),
        ("a.m2ts", "mpegts", false),
        ("a.mkv", "matroska", false),
        ("a.mov", "mov", true),
        ("a.MP4", "mp4", true),
        ("a.m4v", "mp4", true),
    ] {
        shelf.ffmpeg(2, &format!("-f {muxer} {name}"));
        let recording = shelf.recording(name).expect(name);
        assert_eq!((recording.start(), recording.is_growing()), (None, false));
        let anchor =
            &recording.select(recording.range(), &unprobed).expect("a selection").input.spans[0].parts[0].anchor;
        let zero = Anchor::Ticks { ticks: 0, timescale: 1_000_000_000, wall: WallTime::EPOCH };
        assert_eq!(*anchor == zero, has_zero, "{name}: {anchor:?}");
    }
    windows::check(&shelf, &shelf.recording("a.ts").expect("a recording"), WallTime::EPOCH, 50);
    windows::check(&shelf, &shelf.recording("a.mov").expect("a recording"), WallTime::EPOCH, 50);
}

#[test]
fn names_that_lie_are_refused() {
    let shelf = Shelf::new();
    shelf.ffmpeg(1, "-f mpegts liar.mp4");
    shelf
        .write("text.mp4", "I am a text\n")
        .write("list.ts", "#EXTM3U\n#EXTINF:2,\n/etc/passwd\n")
        .write("empty.mov", "");
    for (name, message) in [
        ("text.mp4", "text.mp4: is not an MP4 or MOV file: it looks like a text file"),
        ("list.ts", "list.ts: is not an MPEG transport stream: it looks like an HLS playlist"),
        ("empty.mov", "empty.mov: is not an MP4 or MOV file: it looks like an empty file"),
        ("liar.mp4", "liar.mp4: is not an MP4 or MOV file: it looks like an MPEG transport stream"),
    ] {
        assert_eq!(shelf.refusal(name), message);
    }
    shelf.write("x.txt", "x").write("broken.mp4", b"\0\0\0\x20ftypisom\0\0\0\0");
    assert!(matches!(shelf.recording("x.txt"), Err(Error::Unsupported { .. })));
    assert_eq!(shelf.refusal("broken.mp4"), "broken.mp4: is not finished: its index is not there");
    assert!(matches!(shelf.recording("missing.mp4"), Err(Error::NotFound { .. })));
}
