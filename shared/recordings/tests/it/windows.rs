//! Checks that windows of a recording hold exactly their frames, by reading the bytes they point to as `media` does,
//! but with FFmpeg's tools.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Seek, SeekFrom},
    process::Command,
};

use media::{
    Anchor, Format, Input, Opened, Part, Piece,
    time::{TimeRange, WallTime},
};
use recordings::Recording;
use serde_json::Value;

use crate::shelf::{Shelf, run};

/// One frame, in nanoseconds.
const FRAME: i64 = 40_000_000;

/// One tick of a transport stream's clock, in nanoseconds: as exact as its times can be.
const TICK: i64 = 11_112;

/// Three AAC frames, in nanoseconds: what audio may lack at the ends of a recording.
const AUDIO_FRAMES: i64 = 64_000_000;

/// Checks all of a recording that began at `start` and has `frames` frames without a gap, and random windows of it.
pub(crate) fn check(shelf: &Shelf, recording: &Recording, start: WallTime, frames: i64) {
    let mut reader = Reader { shelf, anchors: HashMap::new() };
    let at = |nanos: i64| start.saturating_add_nanos(nanos);
    let all: Vec<WallTime> = (0..frames).map(|frame| at(frame * FRAME)).collect();
    check_window(&mut reader, recording, TimeRange::new(start, at(frames * FRAME)), &all);
    let mut seed = 0x2545_F491_4F6C_DD1D_u64 ^ start.nanos().unsigned_abs();
    println!("seed {seed:#x}");
    // Half a millisecond off the frames, so that rounding doesn't decide on any.
    let mut random = |from: i64, to: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (from + ((seed >> 33) as i64) % (to - from)) * 1_000_000 + 500_000
    };
    let end = frames * FRAME / 1_000_000;
    for _ in 0..6 {
        let from = random(0, end - 80);
        let to = random(from / 1_000_000 + 40, end);
        check_window(&mut reader, recording, TimeRange::new(at(from), at(to)), &all);
    }
}

/// When the pictures of a window are shown.
pub(crate) fn pictures(shelf: &Shelf, recording: &Recording, window: TimeRange) -> Vec<WallTime> {
    let mut reader = Reader { shelf, anchors: HashMap::new() };
    let selection = shelf.select(recording, window).expect("a window inside");
    let mut video = Vec::new();
    for span in &selection.input.spans {
        for part in &span.parts {
            let (pictures, _) = reader.times(&selection.input, part);
            video.extend(pictures.into_iter().filter(|time| contains(span.range, *time)));
        }
    }
    video
}

fn check_window(reader: &mut Reader<'_>, recording: &Recording, window: TimeRange, all: &[WallTime]) {
    let selection = reader.shelf.select(recording, window).expect("a window inside");
    assert_eq!(selection.gaps, [], "{window:?}");
    let expected: Vec<WallTime> = all.iter().copied().filter(|frame| window.contains(*frame)).collect();
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    for span in &selection.input.spans {
        for part in &span.parts {
            let (pictures, sound) = reader.times(&selection.input, part);
            video.extend(pictures.into_iter().filter(|time| contains(span.range, *time)));
            audio.extend(sound);
        }
    }
    assert_eq!(video.len(), expected.len(), "{window:?}: {video:?}");
    for (found, expected) in video.iter().zip(&expected) {
        assert!(found.nanos_since(*expected).abs() <= TICK, "{found} is not {expected} in {window:?}");
    }
    let (first, last) = (audio[0], audio[audio.len() - 1]);
    assert!(first.nanos_since(window.start) < AUDIO_FRAMES, "audio from {first} in {window:?}");
    assert!(window.end.nanos_since(last) < AUDIO_FRAMES, "audio to {last} in {window:?}");
}

/// Whether a frame belongs to a range, if its time may be a tick early.
fn contains(range: TimeRange, time: WallTime) -> bool {
    range.contains(time.saturating_add_nanos(TICK))
}

/// Reads segments, and the segments that clocks are anchored to once.
struct Reader<'a> {
    shelf: &'a Shelf,
    anchors: HashMap<(String, u64), i64>,
}

/// A packet: its track's kind, its presentation time in nanoseconds, whether it is a keyframe.
struct Packet {
    is_video: bool,
    time: i64,
    is_key: bool,
}

impl Reader<'_> {
    /// Wall times of the frames of a part's first video and audio track, in order.
    fn times(&mut self, input: &Input, part: &Part) -> (Vec<WallTime>, Vec<WallTime>) {
        let packets = self.packets(input, part, part.segments.iter().map(|segment| segment.piece));
        let (zero, wall) = match &part.anchor {
            Anchor::Ticks { ticks, timescale, wall } => (ticks * 1_000_000_000 / i64::from(*timescale), *wall),
            Anchor::FirstKeyframe { piece, wall } => (self.anchor(input, part, *piece), *wall),
        };
        let of = |is_video| {
            let packets = packets.iter().filter(|packet| packet.is_video == is_video);
            let mut times: Vec<_> = packets.map(|packet| wall.saturating_add_nanos(packet.time - zero)).collect();
            times.sort();
            times
        };
        (of(true), of(false))
    }

    /// When the first keyframe, or without video the first packet, of a segment is.
    fn anchor(&mut self, input: &Input, part: &Part, piece: Piece) -> i64 {
        let key = (input.sources[piece.source as usize].clone(), piece.offset);
        if let Some(known) = self.anchors.get(&key) {
            return *known;
        }
        let packets = self.packets(input, part, [piece].into_iter());
        let has_video = packets.iter().any(|packet| packet.is_video);
        let first =
            packets.iter().find(|packet| packet.is_video == has_video && packet.is_key).expect("a keyframe").time;
        self.anchors.insert(key, first);
        first
    }

    fn packets(&self, input: &Input, part: &Part, pieces: impl Iterator<Item = Piece>) -> Vec<Packet> {
        let bytes: Vec<u8> = part.init.into_iter().chain(pieces).flat_map(|piece| self.bytes(input, piece)).collect();
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), bytes).expect("a file is written");
        let format = match part.format {
            Format::Mp4 => "mov",
            Format::MpegTs => "mpegts",
            Format::Matroska => "matroska",
        };
        let printed = run(Command::new("ffprobe")
            .args(["-v", "error", "-of", "json", "-f", format])
            .args(["-show_entries", "packet=codec_type,stream_index,pts,flags:stream=index,time_base"])
            .arg(file.path()));
        let found: Value = serde_json::from_str(&printed).expect("JSON");
        let packet = |packet: &Value| {
            let stream = &found["streams"][packet["stream_index"].as_u64().expect("an index") as usize];
            let (num, den) = stream["time_base"].as_str().and_then(|text| text.split_once('/')).expect("a fraction");
            let (num, den): (i128, i128) = (num.parse().expect("a number"), den.parse().expect("a number"));
            let time = i128::from(packet["pts"].as_i64().expect("a time")) * num * 1_000_000_000 / den;
            let is_key = packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
            Packet { is_video: packet["codec_type"] == "video", time: time as i64, is_key }
        };
        found["packets"].as_array().expect("a list").iter().map(packet).collect()
    }

    fn bytes(&self, input: &Input, piece: Piece) -> Vec<u8> {
        let opened =
            self.shelf.library.open_source(&input.sources[piece.source as usize]).expect("a segment that is there");
        let Opened::Local(mut file) = opened else { panic!("a folder's files are here") };
        file.seek(SeekFrom::Start(piece.offset)).expect("seeks");
        let mut bytes = Vec::new();
        file.take(piece.length.unwrap_or(u64::MAX)).read_to_end(&mut bytes).expect("reads");
        bytes
    }
}
