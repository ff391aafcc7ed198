//! Holes and gaps in sound.

use super::rig::{RATE, Rig, end, lateness, run, sound};
use crate::{Container, GapFill};

/// One frame of the sound with the longest frames among those made here: MP2 and MP3 at 48 kHz have 1152 samples.
const AUDIO_FRAME: i64 = 1_536;

#[test]
fn a_gap_in_a_recording_of_sound_is_filled_with_silence() {
    let rig = Rig::new();
    let codecs = [
        ("a.ts", "-c:a aac", Container::Ts),
        ("b.mp4", "-c:a aac", Container::Mp4),
        ("c.ts", "-c:a libmp3lame", Container::Ts),
        ("d.ts", "-c:a ac3", Container::Mp4),
        ("e.mkv", "-c:a libopus", Container::Ts),
        ("f.mov", "-c:a pcm_s16le", Container::Mov),
        ("g.mov", "-c:a pcm_mulaw -ar 8000", Container::Mov),
        ("h.mkv", "-c:a libvorbis", Container::Mp4),
        ("i.ts", "-c:a mp2", Container::Ts),
        ("j.mp4", "-c:a eac3", Container::Mp4),
    ];
    for (name, options, container) in codecs {
        let source = rig.make(name, &format!("-map 1:a {options}"));
        // The same six seconds again, from 16 s on.
        let spans = [(source.as_str(), 0, 6_000), (source.as_str(), 16_000, 22_000)];
        let (clip, report) = rig.clip_spans(&spans, (2_000, 20_000), container, |task| task.gaps = GapFill::Black);
        assert_eq!(report.warnings, Vec::<String>::new(), "{name}");
        let bytes = run("ffmpeg", &["-v", "error", "-i", &clip, "-f", "s16le", "-ac", "1", "-ar", "48000", "-"]);
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert!((samples.len() as i64 - 18 * RATE as i64).abs() <= 3 * AUDIO_FRAME, "{name}: {}", samples.len());
        let loudest = samples[5 * RATE..13 * RATE].iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest <= Some(2), "{name}: {loudest:?}");
        for (from, at) in [(2 * RATE, RATE), (0, 15 * RATE)] {
            let start = if from == 0 { 14 * RATE } else { 0 };
            let late = lateness(&rig.noise[from..], &samples[start..], 0, at - start);
            // Frames lie on a grid: where the next span's begin they are put to the nearest.
            assert!(late.abs() <= AUDIO_FRAME, "{name}: {late} late at {at}");
        }
    }
}

#[test]
fn gaps_closed_up_do_not_make_encoded_sound_drift() {
    let rig = Rig::new();
    let source = rig.make("a.mov", "-c:a pcm_s16le");
    // The same six seconds again and again, with gaps of odd lengths between.
    let starts = [0, 7_013, 15_555, 23_777, 31_111];
    let spans: Vec<_> = starts.iter().map(|start| (source.as_str(), *start, start + 6_000)).collect();
    let (clip, report) = rig.clip_spans(&spans, (1_000, 35_111), Container::Mp4, |_| ());
    let (heard, start) = sound(&clip, "a:0");
    assert_eq!(start, 0);
    assert_eq!(report.duration, 27_000_000_000);
    assert!((end(&clip, "a:0") - 27 * RATE as i64).abs() <= 1);
    for index in 1..5_usize {
        let begin = (6 * index - 1) * RATE;
        let heard = &heard[begin..(begin + 3 * RATE)];
        let late = lateness(&rig.noise, heard, 0, RATE);
        assert!(late.abs() <= 1, "span {index}: {late} samples late");
    }
}

#[test]
fn a_hole_in_sound_is_silence_when_it_is_encoded_and_stays_a_hole_when_it_is_copied() {
    let rig = Rig::new();
    // What lies between 2.5 s and 3.5 s is gone, and the time stamps say so.
    let hole = "aselect=lt(t\\,2.5)+gte(t\\,3.5)";
    for (name, options, container) in [
        ("a.mkv", "-c:a libvorbis", Container::Mp4),
        ("b.mkv", "-c:a pcm_s16le", Container::Mov),
        ("c.mkv", "-c:a aac", Container::Mp4),
    ] {
        let source = rig.make(name, &format!("{options} -af {hole}"));
        let (clip, _) = rig.clip(&source, (1_000, 5_000), container, |_| ());
        let resampled = ["-af", "aresample=async=1:min_hard_comp=0.01:first_pts=0"];
        let command =
            [&["-v", "error", "-i", &clip][..], &resampled, &["-f", "s16le", "-ac", "1", "-ar", "48000", "-"]];
        let bytes = run("ffmpeg", &command.concat());
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        for at in [RATE, 3 * RATE] {
            let late = lateness(&rig.noise[RATE..], &samples, 0, at);
            assert!(late.abs() <= AUDIO_FRAME, "{name}: {late} late at {at}");
        }
    }
}
