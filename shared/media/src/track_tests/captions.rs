//! Text, cut to the instants of the clip.

use super::rig::{Rig, run, text, tracks};
use crate::{Container, TrackFate, TrackKind};

/// Cuts the first cue and the last.
const RANGE: (i64, i64) = (1_320, 4_480);
const SRT: &str = "1\n00:00:00,500 --> 00:00:02,500\nBefore <i>mark-in</i>\n\n\
    2\n00:00:03,000 --> 00:00:03,800\nInside, with a\nsecond line: ä€\n\n\
    3\n00:00:04,000 --> 00:00:05,500\nAcross mark-out\n\n\
    4\n00:00:05,600 --> 00:00:05,900\nAfter\n";
/// What a player shows of the clip.
const SHOWN: &str = "1\n00:00:00,000 --> 00:00:01,180\nBefore <i>mark-in</i>\n\n\
    2\n00:00:01,680 --> 00:00:02,480\nInside, with a\nsecond line: ä€\n\n\
    3\n00:00:02,680 --> 00:00:03,160\nAcross mark-out\n\n";

fn rig() -> Rig {
    let rig = Rig::new();
    std::fs::write(rig.path("cues.srt"), SRT).expect("written");
    rig
}

/// The cues of `path` as SRT, as the ffmpeg program reads them.
fn cues(path: &str) -> String {
    let srt = text("ffmpeg", &["-v", "error", "-i", path, "-map", "0:s:0", "-f", "srt", "-"]);
    // The decoder of QuickTime text states a font where there was none.
    srt.lines().map(|line| format!("{line}\n")).collect()
}

#[test]
fn text_of_every_kind_is_cut_to_the_instants_and_written_as_quicktime_text() {
    let rig = rig();
    for (codec, name, encoder) in [
        ("mov_text", "a.mp4", "mov_text"),
        ("mov_text", "b.mov", "mov_text"),
        ("subrip", "c.mkv", "srt"),
        ("webvtt", "d.mkv", "webvtt"),
        ("ass", "e.mkv", "ass"),
    ] {
        let options = format!("-i DIR/cues.srt -- -map 0:v -map 1:a -map 2:s -c:a aac -c:s {encoder}");
        let source = rig.make(name, &format!("{options} -metadata:s:s:0 language=jpn -disposition:s:0 forced"));
        for container in [Container::Mp4, Container::Mov] {
            let (clip, report) = rig.clip(&source, RANGE, container, |_| ());
            let what = format!("{name} in {container:?}");
            let track = tracks(&report, TrackKind::Subtitle)[0];
            let fate = if codec == "mov_text" { TrackFate::Copied } else { TrackFate::Encoded };
            assert_eq!((track.track.codec.as_str(), track.fate, track.codec.as_str()), (codec, fate, "mov_text"));
            assert_eq!(track.track.language.as_deref(), Some("jpn"), "{what}");
            assert_eq!(cues(&clip), SHOWN, "{what}");
            let entries = ["-show_entries", "stream_tags=language", "-of", "csv=p=0", &clip];
            let language = text("ffprobe", &[&["-v", "error", "-select_streams", "s"][..], &entries].concat());
            assert_eq!(language.trim(), "jpn", "{what}");
        }
        let (_, report) = rig.clip(&source, RANGE, Container::Ts, |_| ());
        let track = tracks(&report, TrackKind::Subtitle)[0];
        assert_eq!((track.fate, track.reason.clone()), (TrackFate::Dropped, format!("TS can't hold {codec}")));
    }
}

#[test]
fn a_range_without_a_cue_has_an_empty_track() {
    let rig = rig();
    for name in ["a.mkv", "a.mp4"] {
        let codec = if name == "a.mkv" { "srt" } else { "mov_text" };
        let source = rig.make(name, &format!("-i DIR/cues.srt -- -map 0:v -map 1:a -map 2:s -c:a aac -c:s {codec}"));
        let (clip, report) = rig.clip(&source, (2_520, 2_960), Container::Mp4, |_| ());
        assert_ne!(tracks(&report, TrackKind::Subtitle)[0].fate, TrackFate::Dropped, "{name}");
        assert_eq!(cues(&clip), "");
        let streams = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &clip];
        assert_eq!(text("ffprobe", &streams).lines().collect::<Vec<_>>(), ["h264", "aac", "mov_text"], "{name}");
    }
}

#[test]
fn cues_follow_their_span_where_gaps_are_closed_up() {
    let rig = rig();
    let source = rig.make("a.mkv", "-i DIR/cues.srt -- -map 0:v -map 1:a -map 2:s -c:a aac -c:s srt");
    let spans = [(source.as_str(), 0, 6_000), (source.as_str(), 60_000, 66_000)];
    let (clip, _) = rig.clip_spans(&spans, (4_480, 62_200), Container::Mp4, |_| ());
    let expected = "1\n00:00:00,000 --> 00:00:01,020\nAcross mark-out\n\n\
        2\n00:00:01,120 --> 00:00:01,420\nAfter\n\n\
        3\n00:00:02,020 --> 00:00:03,720\nBefore <i>mark-in</i>\n\n";
    assert_eq!(cues(&clip), expected);
}

#[test]
fn a_timecode_track_is_left_out_and_named() {
    let rig = rig();
    let source = rig.make("a.mov", "-c:a aac -timecode 10:00:00:00");
    for container in [Container::Mov, Container::Ts] {
        let (_, report) = rig.clip(&source, RANGE, container, |_| ());
        let track = tracks(&report, TrackKind::Data)[0];
        assert_eq!((track.track.codec.as_str(), track.fate), ("tmcd", TrackFate::Dropped));
        assert_eq!(track.reason, "a timecode track counts from the start of its source");
    }
}

/// A frame with the caption bytes `pair` in front of its slices (ATSC A/53 part 4, ITU-T H.264 §D.1.6).
fn captioned(pair: [u8; 2]) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, 0x06, 0x04, 14, 0xb5, 0x00, 0x31];
    unit.extend(b"GA94");
    unit.extend([0x03, 0x41, 0xff, 0xfc, pair[0], pair[1], 0xff, 0x80]);
    unit
}

/// Sets odd parity, as line 21 has it.
fn odd(byte: u8) -> u8 {
    if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte }
}

/// Two letters that say which frame they are on.
fn letters(frame: usize) -> [u8; 2] {
    [odd(b'A' + (frame / 26) as u8), odd(b'A' + (frame % 26) as u8)]
}

/// The caption bytes of each frame of `path`, as the ffmpeg program finds them.
fn caption_bytes(path: &str) -> Vec<[u8; 2]> {
    let graph = format!("movie={path}[out0+subcc]");
    let data =
        run("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", &graph, "-map", "0:s", "-c", "copy", "-f", "data", "-"]);
    data.chunks_exact(3).filter(|triplet| triplet[0] == 0xfc).map(|triplet| [triplet[1], triplet[2]]).collect()
}

#[test]
fn captions_inside_the_video_survive_copying_and_encoding() {
    let rig = rig();
    rig.make("plain.h264", "-map 0:v -bf 0");
    let plain = std::fs::read(rig.path("plain.h264")).expect("read");
    let mut marked = Vec::new();
    let mut frame = 0;
    for unit in crate::nal::Framing::AnnexB.units(&plain) {
        // The first slice of a picture begins with macroblock 0: a one bit.
        if matches!(unit[0] & 0x1f, 1 | 5) && unit[1] & 0x80 != 0 {
            marked.extend(captioned(letters(frame)));
            frame += 1;
        }
        marked.extend([0, 0, 0, 1]);
        marked.extend(unit);
    }
    assert_eq!(frame, 150);
    std::fs::write(rig.path("marked.h264"), marked).expect("written");
    for name in ["marked.mp4", "marked.ts"] {
        let source = rig.path(name);
        run("ffmpeg", &["-v", "error", "-y", "-r", "25", "-i", &rig.path("marked.h264"), "-c", "copy", &source]);
        let whole = caption_bytes(&source);
        assert_eq!(whole, (0..150).map(letters).collect::<Vec<_>>(), "{name}");
        let wanted = &whole[33..112];
        for video in [crate::VideoTarget::Keep, crate::VideoTarget::H264, crate::VideoTarget::H265] {
            let (clip, _) = rig.clip(&source, RANGE, Container::Mp4, |task| task.video = video);
            assert_eq!(caption_bytes(&clip), wanted, "{name} {video:?}");
        }
    }
}
