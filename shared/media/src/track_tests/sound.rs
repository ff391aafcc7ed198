//! Sound of every codec, in every container.

use super::rig::{RATE, Rig, end, lateness, sound, text, tracks};
use crate::{Compatibility, Container, Cut, TrackFate, TrackKind};

/// Mark-in and mark-out, in milliseconds; the first is on a frame, so that sound is counted from where pictures are.
const RANGE: (i64, i64) = (1_320, 4_280);
/// Time stamps of Matroska are whole milliseconds, and those of the packets around one may each be off by half of that.
const MILLISECOND: i64 = RATE as i64 / 1_000;
/// Times of a TS have 90 kHz, and each of the four that are compared is rounded.
const SAMPLES_OF_TS: i64 = 2;

/// How a codec is made, in which file, and where it is copied.
const CODECS: [(&str, &str, &str, &[Container]); 18] = {
    use Container::{Mov, Mp4, Ts};
    [
        ("aac", "a.mp4", "-c:a aac -b:a 128k", &[Ts, Mp4, Mov]),
        ("aac", "b.ts", "-c:a aac -b:a 128k", &[Ts, Mp4, Mov]),
        ("aac_latm", "c.ts", "-c:a aac -b:a 128k -mpegts_flags latm", &[Ts]),
        ("mp3", "d.ts", "-c:a libmp3lame -b:a 128k", &[Ts, Mp4, Mov]),
        ("mp2", "e.ts", "-c:a mp2 -b:a 192k", &[Ts]),
        ("ac3", "f.ts", "-c:a ac3 -b:a 192k", &[Ts, Mp4, Mov]),
        ("eac3", "g.mp4", "-c:a eac3 -b:a 192k", &[Ts, Mp4, Mov]),
        ("opus", "h.mkv", "-c:a libopus -b:a 128k", &[Ts, Mp4]),
        ("opus", "i.mp4", "-c:a libopus -b:a 128k", &[Ts, Mp4]),
        ("vorbis", "j.mkv", "-c:a libvorbis -b:a 128k", &[]),
        ("flac", "k.mkv", "-c:a flac", &[Mp4]),
        ("alac", "l.mov", "-c:a alac", &[Mp4, Mov]),
        ("pcm_s16le", "m.mov", "-c:a pcm_s16le", &[Mov]),
        ("pcm_s24be", "n.mov", "-c:a pcm_s24be -ac 2", &[Mov]),
        ("pcm_f32le", "o.mkv", "-c:a pcm_f32le", &[Mov]),
        ("pcm_mulaw", "p.mov", "-c:a pcm_mulaw -ar 8000", &[Mov]),
        ("pcm_alaw", "q.mkv", "-c:a pcm_alaw -ar 16000 -ac 2", &[Mov]),
        ("adpcm_g726", "r.mkv", "-c:a g726 -ar 8000 -ac 1 -code_size 4", &[]),
    ]
};

/// How far sound from `source` may be off in a clip, in samples.
fn tolerance(source: &str, container: Container) -> i64 {
    let of_source = if source.ends_with("mkv") { MILLISECOND } else { 0 };
    let of_ts = if source.ends_with("ts") || container == Container::Ts { SAMPLES_OF_TS } else { 0 };
    of_source + of_ts
}

#[test]
fn sound_of_every_codec_is_copied_or_encoded_and_stays_in_sync() {
    let rig = Rig::new();
    for (codec, name, options, copied) in CODECS {
        let source = rig.make(name, options);
        let (whole, start) = sound(&source, "a:0");
        let own = lateness(&rig.noise, &whole, start, 2 * RATE);
        for container in [Container::Ts, Container::Mp4, Container::Mov] {
            let what = format!("{codec} of {name} in {container:?}");
            let (clip, report) = rig.clip(&source, RANGE, container, |_| ());
            let track = tracks(&report, TrackKind::Audio)[0].clone();
            let is_copied = copied.contains(&container);
            let fate = if is_copied { TrackFate::Copied } else { TrackFate::Encoded };
            assert_eq!((track.track.codec.as_str(), track.fate), (codec, fate), "{what}");
            assert_eq!(track.codec, if is_copied { codec } else { "aac" }, "{what}");
            assert_eq!(track.reason.is_empty(), is_copied, "{what}: {}", track.reason);
            let (heard, start) = sound(&clip, "a:0");
            let mark_in = RANGE.0 as usize * RATE / 1_000;
            for at in [RATE / 8, 2 * RATE] {
                let late = lateness(&rig.noise[mark_in..], &heard, start, at) - own;
                assert!(late.abs() <= tolerance(name, container), "{what}: {late} samples late at {at}");
            }
            let length = (RANGE.1 - RANGE.0) * RATE as i64 / 1_000;
            let is_exact = track.fate == TrackFate::Encoded || codec.starts_with("pcm");
            if is_exact && container != Container::Ts {
                assert!(start.abs() <= 1, "{what}: begins at {start}");
                let off = end(&clip, "a:0") - length;
                assert!(off.abs() <= 6, "{what}: {off} samples too long");
            }
        }
    }
}

#[test]
fn the_broadest_clips_have_aac() {
    let rig = Rig::new();
    let broadest = |task: &mut crate::ClipTask| task.compatibility = Compatibility::Broadest;
    let source = rig.make("ac3.ts", "-map 0:v -map 1:a -map 1:a -c:a:0 ac3 -c:a:1 libmp3lame");
    let (_, report) = rig.clip(&source, RANGE, Container::Ts, broadest);
    let codecs: Vec<_> = tracks(&report, TrackKind::Audio).iter().map(|track| track.codec.as_str()).collect();
    assert_eq!(codecs, ["ac3", "aac"]);
    let (clip, report) = rig.clip(&source, RANGE, Container::Mp4, broadest);
    assert_eq!(tracks(&report, TrackKind::Audio)[0].reason, "not everything that plays MP4 plays ac3");
    for stream in ["a:0", "a:1"] {
        let (heard, start) = sound(&clip, stream);
        let mark_in = RANGE.0 as usize * RATE / 1_000;
        assert!(lateness(&rig.noise[mark_in..], &heard, start, RATE).abs() <= SAMPLES_OF_TS, "{stream}");
    }
}

#[test]
fn surround_stays_surround() {
    let rig = Rig::new();
    for (channels, layout) in [(6, "5.1"), (6, "5.1(side)"), (8, "7.1"), (4, "4.0"), (5, "5.0"), (7, "6.1"), (3, "2.1")]
    {
        let source =
            rig.make(&format!("{layout}.mkv"), &format!("-c:a pcm_s16le -af aformat=channel_layouts={layout}"));
        let (clip, _) = rig.clip(&source, RANGE, Container::Mp4, |_| ());
        let entries = ["-v", "error", "-select_streams", "a", "-show_entries", "stream=codec_name,channels"];
        let found = text("ffprobe", &[&entries[..], &["-of", "csv=p=0", &clip]].concat());
        assert_eq!(found.trim(), format!("aac,{channels}"), "{layout}");
    }
}

#[test]
fn sound_of_odd_rates_is_resampled_to_the_sample() {
    let rig = Rig::new();
    for (rate, expected) in [(192_000, 96_000), (37_800, 44_100), (11_000, 11_025), (176_400, 88_200)] {
        let source = rig.make(&format!("{rate}.mov"), &format!("-c:a pcm_s16le -ar {rate}"));
        let (clip, _) = rig.clip(&source, RANGE, Container::Mp4, |_| ());
        let entries = ["-v", "error", "-select_streams", "a", "-show_entries", "stream=sample_rate", "-of", "csv=p=0"];
        assert_eq!(text("ffprobe", &[&entries[..], &[&clip]].concat()).trim(), expected.to_string());
        let (heard, start) = sound(&clip, "a:0");
        let mark_in = RANGE.0 as usize * RATE / 1_000;
        for at in [RATE / 8, 2 * RATE] {
            let late = lateness(&rig.noise[mark_in..], &heard, start, at);
            // Half a sample of the lower rate, rounded up to samples of the reference.
            assert!(late.abs() <= 3, "{rate}: {late} samples late at {at}");
        }
    }
}

#[test]
fn time_stamps_that_jitter_do_not_tear_sound() {
    let rig = Rig::new();
    // Each is up to 8 ms late, as those of a network camera are.
    let source = rig.make("a.mkv", "-c:a pcm_mulaw -ar 16000 -bsf:a setts=pts=PTS+mod(N*5\\,9):dts=PTS+mod(N*5\\,9)");
    for container in [Container::Mp4, Container::Mov] {
        let (clip, _) = rig.clip(&source, RANGE, container, |_| ());
        let (heard, start) = sound(&clip, "a:0");
        let mark_in = RANGE.0 as usize * RATE / 1_000;
        for at in [RATE / 8, RATE, 2 * RATE] {
            let late = lateness(&rig.noise[mark_in..], &heard, start, at);
            assert!(late.abs() <= 9 * MILLISECOND, "{container:?}: {late} samples late at {at}");
        }
        // Nothing was dropped or put in between: the sound is like the source's over all its length.
        let late = |at| lateness(&rig.noise[mark_in..], &heard, start, at);
        assert!((late(RATE / 8) - late(2 * RATE)).abs() <= 3, "{container:?}");
    }
}

#[test]
fn encoded_sound_follows_every_kind_of_cut() {
    let rig = Rig::new();
    // Keyframes are 2 s apart.
    let range = (2_600, 4_280);
    for (name, options) in [("a.mov", "-c:a alac"), ("b.mkv", "-c:a flac")] {
        let source = rig.make(name, options);
        for (cut, container) in [(Cut::Keyframe, Container::Ts), (Cut::EditList, Container::Mov)] {
            let change = |task: &mut crate::ClipTask| {
                task.cut = cut;
                task.compatibility = Compatibility::Broadest;
            };
            let (clip, report) = rig.clip(&source, range, container, change);
            assert_eq!(tracks(&report, TrackKind::Audio)[0].fate, TrackFate::Encoded);
            let begin = report.actual.start.nanos() / 1_000_000;
            assert_eq!(begin, if cut == Cut::Keyframe { 2_000 } else { 2_600 });
            let (heard, start) = sound(&clip, "a:0");
            let reference = &rig.noise[begin as usize * RATE / 1_000..];
            for at in [RATE / 8, RATE] {
                let late = lateness(reference, &heard, start, at);
                assert!(late.abs() <= tolerance(name, container), "{name} {cut:?}: {late} samples late at {at}");
            }
        }
    }
}
