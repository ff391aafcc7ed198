//! A month of two-second segments: what the first look costs, the second, and a look-up; and how much memory stays. Times
//! are printed, not judged; amounts are.

use std::{fmt::Write, time::Instant};

use media::time::TimeRange;

use crate::shelf::{Shelf, time, unprobed};

const SEGMENTS: usize = 1_300_000;

fn check(shelf: &Shelf, uid: &str, text: String) {
    println!("{uid}: {} MiB for {SEGMENTS} segments", text.len() >> 20);
    shelf.write(uid, &text);
    drop(text);
    let began = Instant::now();
    let recording = shelf.recording(uid).expect("a recording");
    println!("{uid}: first look in {:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(shelf.recording(uid).expect("a recording").range(), recording.range());
    println!("{uid}: second look in {:?}", began.elapsed());
    println!("{uid}: the process takes {} MiB", resident() >> 20);
    assert_eq!(recording.spans().len(), 1);
    let start = recording.range().start.saturating_add_nanos(1_000_000 * 2_000_000_000);
    let range = TimeRange::new(start, start.saturating_add_nanos(60_000_000_000));
    let began = Instant::now();
    let selection = recording.select(range, &unprobed).expect("a selection");
    println!("{uid}: a minute found in {:?}", began.elapsed());
    assert_eq!(selection.input.spans[0].parts[0].segments.len(), 32);
    assert_eq!(selection.input.spans[0].range, range);
}

/// How much memory the process has, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}

#[test]
fn playlist_of_a_month() {
    let mut text = "#EXTM3U\n".to_owned();
    let start = time("2024-05-01T00:00:00Z").nanos() / 1_000_000_000;
    for number in 0..SEGMENTS {
        let date = jiff::Timestamp::from_second(start + 2 * number as i64).expect("in range");
        write!(text, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}\n#EXTINF:2.000000,\nseg{number:07}.ts\n").expect("text grows");
    }
    check(&Shelf::new(), "x.m3u8", text);
}

#[test]
fn timeline_of_a_month() {
    let mut text = r#"<MPD type="dynamic" availabilityStartTime="2024-05-01T00:00:00Z"><Period start="PT0S"><AdaptationSet
        mimeType="video/mp4"><Representation id="v"><SegmentTemplate timescale="90000" media="$Time$.m4s"><SegmentTimeline>"#
        .to_owned();
    // No two neighbours are equally long, so that there are no runs.
    for number in 0..SEGMENTS {
        writeln!(text, r#"<S t="{}" d="{}"/>"#, number * 180_000, 180_000 - (number & 1)).expect("text grows");
    }
    text += "</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>";
    check(&Shelf::new(), "x.mpd", text);
}
