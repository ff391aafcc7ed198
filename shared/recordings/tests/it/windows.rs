//! Checks that windows of a recording hold exactly their frames, by reading the bytes they point to as `media` does, but with
//! FFmpeg's tools.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    process::Command,
};

use media::{
    Anchor, Format, Input, Part, Piece,
    time::{TimeRange, WallTime},
};
use recordings::{Library, Recording};
use serde_json::Value;

use crate::shelf::{Shelf, run};

/// One frame, in nanoseconds.
const FRAME: i64 = 40_000_000;

/// One tick of a transport stream's clock, in nanoseconds: as exact as its times can be.
const TICK: i64 = 11_112;

/// Three AAC frames, in nanoseconds: what audio may lack at the ends of a recording.
const AUDIO_FRAMES: i64 = 64_000_000;

/// Checks all of a recording that began at `start` and has `frames` frames without a gap, and random windows of it.
pub fn check(shelf: &Shelf, recording: &Recording, start: WallTime, frames: i64) {
    let all: Vec<WallTime> = (0..frames).map(|frame| start.saturating_add_nanos(frame * FRAME)).collect();
    let whole = TimeRange::new(start, start.saturating_add_nanos(frames * FRAME));
    check_window(shelf, recording, whole, &all);
    let mut seed = 0x2545_F491_4F6C_DD1D_u64 ^ start.nanos().unsigned_abs();
    println!("seed {seed:#x}");
    for _ in 0..8 {
        let mut random = |below: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) as i64) % below
        };
        let from = random(frames * FRAME - FRAME);
        let length = FRAME + random(frames * FRAME - from - FRAME);
        let at = |nanos| start.saturating_add_nanos(nanos);
        check_window(shelf, recording, TimeRange::new(at(from), at(from + length)), &all);
    }
}

fn check_window(shelf: &Shelf, recording: &Recording, window: TimeRange, all: &[WallTime]) {
    let selection = recording.select(window).expect("a window inside");
    assert_eq!(selection.gaps, [], "{window:?}");
    let expected: Vec<WallTime> = all.iter().copied().filter(|frame| window.contains(*frame)).collect();
    let mut found = Vec::new();
    for span in &selection.input.spans {
        let times = times(&shelf.library, &selection.input, &span.parts[0], 'v');
        found.extend(times.into_iter().filter(|time| contains(span.range, *time)));
        let audio = times_of_audio(&shelf.library, &selection.input, &span.parts);
        let (first, last) = (audio[0], audio[audio.len() - 1]);
        assert!(first.nanos_since(span.range.start) < AUDIO_FRAMES, "audio from {first} in {window:?}");
        assert!(span.range.end.nanos_since(last) < AUDIO_FRAMES, "audio to {last} in {window:?}");
    }
    assert_eq!(found.len(), expected.len(), "{window:?}: {found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.nanos_since(*expected).abs() <= TICK, "{found} is not {expected} in {window:?}");
    }
}

/// Whether a time belongs to a range, as exactly as the times of a transport stream can tell.
fn contains(range: TimeRange, time: WallTime) -> bool {
    let nearest = time.saturating_add_nanos(TICK);
    range.contains(nearest) && nearest.nanos_since(range.start) >= TICK / 2 || range.contains(time)
}

fn times_of_audio(library: &Library, input: &Input, parts: &[Part]) -> Vec<WallTime> {
    times(library, input, &parts[parts.len() - 1], 'a')
}

/// Wall times of the packets of a part's first video or audio track, in order.
fn times(library: &Library, input: &Input, part: &Part, kind: char) -> Vec<WallTime> {
    let pieces = part.segments.iter().map(|segment| segment.piece);
    let packets = packets(library, input, part, pieces, kind);
    let (zero, wall) = match &part.anchor {
        Anchor::Ticks { ticks, timescale, wall } => (ticks * 1_000_000_000 / i64::from(*timescale), *wall),
        Anchor::FirstKeyframe { piece, wall } => {
            let has_video = !self::packets(library, input, part, [*piece].into_iter(), 'v').is_empty();
            let anchored = self::packets(library, input, part, [*piece].into_iter(), if has_video { 'v' } else { 'a' });
            (anchored.iter().find(|(_, is_key)| *is_key).expect("a keyframe").0, *wall)
        }
    };
    let mut times: Vec<_> = packets.iter().map(|(time, _)| wall.saturating_add_nanos(time - zero)).collect();
    times.sort();
    times
}

/// Presentation times in nanoseconds, and whether it is a keyframe.
fn packets(
    library: &Library,
    input: &Input,
    part: &Part,
    pieces: impl Iterator<Item = Piece>,
    kind: char,
) -> Vec<(i64, bool)> {
    let bytes: Vec<u8> = part.init.into_iter().chain(pieces).flat_map(|piece| bytes(library, input, piece)).collect();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("a file is written");
    let format = match part.format {
        Format::Mp4 => "mov",
        Format::MpegTs => "mpegts",
        Format::Matroska => "matroska",
    };
    let printed = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-f", format, "-select_streams", &format!("{kind}:0")])
        .args(["-show_entries", "packet=pts,flags:stream=time_base"])
        .arg(file.path()));
    let found: Value = serde_json::from_str(&printed).expect("JSON");
    let Some(timebase) = found["streams"][0]["time_base"].as_str() else { return Vec::new() };
    let (num, den) = timebase.split_once('/').expect("a fraction");
    let (num, den): (i128, i128) = (num.parse().expect("a number"), den.parse().expect("a number"));
    let packet = |packet: &Value| {
        let pts = i128::from(packet["pts"].as_i64().expect("a time"));
        let is_key = packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
        ((pts * num * 1_000_000_000 / den) as i64, is_key)
    };
    found["packets"].as_array().expect("a list").iter().map(packet).collect()
}

fn bytes(library: &Library, input: &Input, piece: Piece) -> Vec<u8> {
    let mut file = library.open_source(&input.sources[piece.source as usize]).expect("a segment that is there");
    file.seek(SeekFrom::Start(piece.offset)).expect("seeks");
    let mut bytes = Vec::new();
    file.take(piece.length.unwrap_or(u64::MAX)).read_to_end(&mut bytes).expect("reads");
    bytes
}
