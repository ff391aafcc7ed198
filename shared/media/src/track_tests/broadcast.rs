//! What broadcasters send beside pictures and sound: splice information, metadata, subtitles as pictures, teletext.

use super::{
    rig::{Rig, text, tracks},
    ts::{Added, Ts, checksum, pes, stated_time, untimed_pes},
};
use crate::{Container, TrackFate, TrackKind};

/// In milliseconds; on frames.
const RANGE: (i64, i64) = (1_320, 4_280);
const SECOND: i64 = 90_000;
const MARK_IN: i64 = RANGE.0 * 90;
const PID: u16 = 0x1f0;
/// Registration of splice information.
const CUEI: [u8; 6] = [5, 4, b'C', b'U', b'E', b'I'];

/// A source with a track of `units`, each at its ticks after the first picture; what makes them is told when that is.
fn source(rig: &Rig, added: &Added<'_>, make: impl Fn(i64, i64) -> Vec<u8>, times: &[i64]) -> (String, Vec<Vec<u8>>) {
    let plain = Ts::read(&rig.make("plain.ts", "-c:a aac"));
    let zero = plain.first_picture();
    let units: Vec<_> = times.iter().map(|time| (*time, make(zero, *time))).collect();
    let path = rig.path("broadcast.ts");
    std::fs::write(&path, plain.with(&Added { units: &units, ..*added })).expect("written");
    (path, units.into_iter().map(|(_, unit)| unit).collect())
}

/// A time_signal (SCTE 35 §9.7.4) for a splice at `time`.
fn time_signal(time: i64) -> Vec<u8> {
    let mut section = vec![0xfc, 0x30, 22, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 5, 6, 0xfe | (time >> 32 & 1) as u8];
    section.extend((time as u32).to_be_bytes());
    section.extend([0, 0]);
    section[2] = (section.len() + 4 - 3) as u8;
    section.extend(checksum(&section).to_be_bytes());
    section
}

/// When the splice is that a time_signal announces.
fn splice(section: &[u8]) -> i64 {
    let field = |at: usize| {
        section[at + 1..at + 5].iter().fold(i64::from(section[at] & 1), |ticks, byte| ticks << 8 | i64::from(*byte))
    };
    (field(4) + field(14)) & 0x1_ffff_ffff
}

#[test]
fn splice_information_stays_in_a_ts_and_means_the_same_instants() {
    let rig = Rig::new();
    let added = Added { kind: 0x86, pid: PID, descriptors: &[], program: &CUEI, is_sections: true, units: &[] };
    // Announced and due before mark-in; before, for a splice inside; inside; inside, for later; behind mark-out.
    let (times, ahead) = ([10, 60_000, 200_000, 350_000, 500_000], 90_000);
    let (path, _) = source(&rig, &added, |zero, time| time_signal(zero + time + ahead), &times);
    let (clip, report) = rig.clip(&path, RANGE, Container::Ts, |_| ());
    let track = tracks(&report, TrackKind::Data)[0];
    assert_eq!((track.track.codec.as_str(), track.fate), ("scte_35", TrackFate::Copied));
    let clip = (Ts::read(&clip), clip);
    let map = clip.0.map();
    assert!(map.program.windows(6).any(|bytes| bytes == CUEI), "{:x?}", map.program);
    let (_, pid, descriptors) = map.tracks.iter().find(|(kind, ..)| *kind == 0x86).expect("a track of splices");
    assert!(descriptors.is_empty(), "{descriptors:x?}");
    let sections = clip.0.units(*pid);
    assert!(sections.iter().all(|section| checksum(section) == 0));
    let zero = clip.0.first_picture();
    let found: Vec<_> = sections.iter().map(|section| splice(section) - zero).collect();
    let wanted: Vec<_> = times[1..4].iter().map(|time| time + ahead - MARK_IN).collect();
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!((found - wanted).abs() <= 1, "{found} instead of {wanted}");
    }
    let probed =
        ["-v", "error", "-select_streams", "d", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &clip.1];
    assert!(text("ffprobe", &probed).contains("scte_35"));
    let (_, report) = rig.clip(&path, RANGE, Container::Mp4, |_| ());
    let track = tracks(&report, TrackKind::Data)[0];
    assert_eq!((track.fate, track.reason.as_str()), (TrackFate::Dropped, "MP4 can't hold scte_35 data"));
}

/// A KLV set of SMPTE 336M that says when it was made.
fn klv(time: i64) -> Vec<u8> {
    let key = [0x06, 0x0e, 0x2b, 0x34, 0x02, 0x0b, 0x01, 0x01, 0x0e, 0x01, 0x03, 0x01, 0x01, 0, 0, 0];
    [&key[..], &[8], &time.to_be_bytes()].concat()
}

/// A kind of track, and what its units are at a time.
struct Case<'a> {
    codec: &'a str,
    kind: u8,
    descriptors: &'a [u8],
    program: &'a [u8],
    stream: u8,
    make: &'a dyn Fn(i64) -> Vec<u8>,
}

#[test]
fn timed_metadata_and_subtitles_stay_in_a_ts_as_they_are() {
    let rig = Rig::new();
    // metadata_descriptor (ISO/IEC 13818-1 §2.6.60) and metadata_pointer_descriptor (§2.6.58) of ID3 and of KLV.
    let id3 = [0x26, 13, 0xff, 0xff, b'I', b'D', b'3', b' ', 0xff, b'I', b'D', b'3', b' ', 0, 0x0f];
    let pointer = [0x25, 15, 0xff, 0xff, b'I', b'D', b'3', b' ', 0xff, b'I', b'D', b'3', b' ', 0, 0x1f, 0, 1];
    let klva = [5, 4, b'K', b'L', b'V', b'A'];
    let synchronous = [0x26, 9, 1, 0, 0xff, b'K', b'L', b'V', b'A', 0, 0x0f];
    let subtitles = [0x59, 8, b'f', b'r', b'a', 0x10, 0, 1, 0, 1];
    let teletext = [0x56, 5, b'd', b'e', b'u', 0x10, 0x88];
    let cell = |time: i64| [&[0, 0, 0xdf, 0, 25][..], &klv(time)].concat();
    let tag = |time: i64| [b"ID3\x04\0\0\0\0\0\x08", &time.to_be_bytes()[..]].concat();
    // A page without regions, and the end of the set (ETSI EN 300 743 §7.2).
    let page =
        |time: i64| vec![0x20, 0, 0x0f, 0x10, 0, 1, 0, 2, 5, (time >> 8) as u8 & 0xf0, 0x0f, 0x80, 0, 1, 0, 0, 0xff];
    let line = |time: i64| [&[0x10, 3, 0x2c, 0xe7, 0xe4][..], &[time as u8; 42]].concat();
    let cases = [
        Case { codec: "klv", kind: 6, descriptors: &klva, program: &[], stream: 0xbd, make: &klv },
        Case { codec: "klv", kind: 0x15, descriptors: &synchronous, program: &[], stream: 0xfc, make: &cell },
        Case { codec: "timed_id3", kind: 0x15, descriptors: &id3, program: &pointer, stream: 0xbd, make: &tag },
        Case { codec: "dvb_subtitle", kind: 6, descriptors: &subtitles, program: &[], stream: 0xbd, make: &page },
        Case { codec: "dvb_teletext", kind: 6, descriptors: &teletext, program: &[], stream: 0xbd, make: &line },
    ];
    for Case { codec, kind, descriptors, program, stream, make } in cases {
        // What is on the screen at mark-in is there again.
        let before: &[i64] = if codec == "dvb_subtitle" { &[0] } else { &[] };
        let added = Added { kind, pid: PID, descriptors, program, is_sections: false, units: &[] };
        let times = [40_000, 90_000, 150_000, 300_000, 400_000];
        // Asynchronous KLV has no times of its own (SMPTE RP 217, MISB ST 1402).
        let is_timed = (codec, kind) != ("klv", 6);
        let unit = |zero: i64, time: i64| match is_timed {
            true => pes(stream, zero + time, &make(time)),
            false => untimed_pes(stream, &make(time)),
        };
        let (path, _) = source(&rig, &added, unit, &times);
        let (clip, report) = rig.clip(&path, RANGE, Container::Ts, |_| ());
        let kind_of = if codec.starts_with("dvb") { TrackKind::Subtitle } else { TrackKind::Data };
        let track = tracks(&report, kind_of)[0];
        assert_eq!((track.track.codec.as_str(), track.fate), (codec, TrackFate::Copied));
        let clip = Ts::read(&clip);
        let (found_kind, pid, found) = clip.map().tracks.pop().expect("tracks");
        assert_eq!(found_kind, kind, "{codec}: {found:x?}");
        let identity: &[u8] = match codec {
            "klv" => b"KLVA",
            "timed_id3" => b"ID3 ",
            // Language, type, and page.
            _ => &descriptors[2..],
        };
        assert!(found.windows(identity.len()).any(|bytes| bytes == identity), "{codec}: {found:x?}");
        let zero = clip.first_picture();
        let units = clip.units(pid);
        let places: Vec<_> = units.iter().map(|unit| stated_time(unit).map(|time| time - zero)).collect();
        let shown = before.iter().copied().chain(times[2..4].iter().map(|time| time - MARK_IN));
        let shown: Vec<_> = shown.map(|time| is_timed.then_some(time)).collect();
        assert_eq!(places, shown, "{codec}");
        let kept = times[2 - before.len()..4].iter();
        for (unit, time) in units.iter().zip(kept) {
            let payload = &unit[9 + usize::from(unit[8])..];
            assert!(payload.starts_with(&make(*time)), "{codec} at {time}: {payload:x?}");
        }
        if codec != "dvb_teletext" {
            let (_, report) = rig.clip(&path, RANGE, Container::Mp4, |_| ());
            let track = tracks(&report, kind_of)[0];
            assert_eq!(track.fate, TrackFate::Dropped, "{codec}");
            assert!(track.reason.starts_with("MP4 can't hold"), "{}", track.reason);
        }
    }
}

/// Hamming 8/4 of each nibble (ETSI EN 300 706 §8.2).
const HAMMING: [u8; 16] =
    [0x15, 0x02, 0x49, 0x5e, 0x64, 0x73, 0x38, 0x2f, 0xd0, 0xc7, 0x8c, 0x9b, 0xa1, 0xb6, 0xfd, 0xea];

/// A row of a teletext page as DVB carries it (ETSI EN 300 472): the header, or one with `letters`.
fn teletext_row(page: u8, row: u8, letters: &str) -> Vec<u8> {
    let hamming = |nibble: u8| HAMMING[usize::from(nibble & 0x0f)];
    let mut data = vec![hamming((row & 1) << 3), hamming(row >> 1)];
    if row == 0 {
        // Of magazine 8; erase what was, a subtitle. Only the header of another page ends one.
        data.extend([page & 0x0f, page >> 4, 0, 8, 0, 8, 0, 0].map(hamming));
    }
    let odd = |byte: u8| if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte };
    let boxed = if letters.is_empty() { String::new() } else { format!("\u{b}\u{b}{letters}\u{a}\u{a}") };
    data.extend(boxed.bytes().chain(std::iter::repeat(b' ')).take(42 - data.len()).map(odd));
    // The bits go out in the order of the line.
    [&[3, 0x2c, 0xe7, 0xe4][..], &data.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>()].concat()
}

#[test]
fn teletext_becomes_text_in_an_mp4() {
    let rig = Rig::new();
    let descriptors = [0x56, 5, b'd', b'e', b'u', 0x10, 0x88];
    let added = Added { kind: 6, pid: PID, descriptors: &descriptors, program: &[], is_sections: false, units: &[] };
    let page = |time: i64| {
        let letters = match time / SECOND {
            1 => "BEFORE",
            2 => "INSIDE",
            3 => "",
            _ => "LATER",
        };
        [&[0x10][..], &teletext_row(0x88, 0, ""), &teletext_row(0x88, 20, letters), &teletext_row(0xff, 0, "")].concat()
    };
    let times = [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND, 5 * SECOND];
    let (path, _) = source(&rig, &added, |zero, time| pes(0xbd, zero + time, &page(time)), &times);
    let (clip, report) = rig.clip(&path, RANGE, Container::Mp4, |_| ());
    let track = tracks(&report, TrackKind::Subtitle)[0];
    assert_eq!((track.fate, track.codec.as_str()), (TrackFate::Encoded, "mov_text"));
    assert_eq!(track.track.language.as_deref(), Some("deu"));
    let expected = "1\n00:00:00,000 --> 00:00:00,680\nBEFORE\n\n2\n00:00:00,680 --> 00:00:01,680\nINSIDE\n\n\
        3\n00:00:02,680 --> 00:00:02,960\nLATER\n\n";
    // libzvbi converts characters with tables that the C library loads from files.
    for clip in [clip, rig.clip_in_sandbox(&path, RANGE)] {
        let srt = text("ffmpeg", &["-v", "error", "-i", &clip, "-map", "0:s:0", "-f", "srt", "-"]);
        assert_eq!(srt, expected);
    }
}
