//! What a container says about a track is in the clip as well.

use super::rig::{Rig, text};
use crate::{Container, TrackKind};

const RANGE: (i64, i64) = (1_320, 3_280);

/// What ffprobe says of each audio track: codec, dispositions, language and title.
fn audio(path: &str) -> String {
    let entries = "stream=codec_name:stream_disposition=default,comment,hearing_impaired,visual_impaired:\
        stream_tags=language,title,handler_name";
    text("ffprobe", &["-v", "error", "-select_streams", "a", "-show_entries", entries, "-of", "compact=p=0", path])
}

const TRACKS: &str = "-map 0:v -map 1:a -map 1:a -map 1:a -c:a aac -metadata:s:a:0 language=fra \
    -metadata:s:a:1 language=deu -metadata:s:a:1 title=Kommentar -metadata:s:a:1 handler_name=Kommentar -disposition:a:0 0 \
    -disposition:a:1 default+comment -disposition:a:2 visual_impaired";

#[test]
fn all_audio_tracks_keep_language_title_and_disposition() {
    let rig = Rig::new();
    for name in ["a.mkv", "a.mp4"] {
        let source = rig.make(name, TRACKS);
        for container in [Container::Mp4, Container::Mov] {
            let (clip, report) = rig.clip(&source, RANGE, container, |_| ());
            let languages: Vec<_> = report.tracks.iter().map(|track| track.track.language.as_deref()).collect();
            assert_eq!(languages[1..], [Some("fra"), Some("deu"), None], "{name}");
            let found = audio(&clip);
            let lines: Vec<_> = found.lines().collect();
            assert_eq!(lines.len(), 3, "{found}");
            assert!(lines[0].contains("disposition:default=0") && lines[0].contains("tag:language=fra"), "{found}");
            assert!(lines[1].contains("disposition:default=1") && lines[1].contains("tag:language="), "{found}");
            assert!(lines[1].contains("=deu") || lines[1].contains("=ger"), "{found}");
            assert!(lines[1].contains("Kommentar"), "{name} {container:?}: {found}");
            // QuickTime has no place to say what a track is for.
            if container == Container::Mp4 {
                assert!(lines[1].contains("comment=1"), "{name}: {found}");
                assert!(lines[2].contains("visual_impaired=1"), "{name}: {found}");
            }
        }
    }
}

#[test]
fn a_ts_says_language_and_who_sound_is_for() {
    let rig = Rig::new();
    let source = rig.make("a.ts", TRACKS);
    let (clip, _) = rig.clip(&source, RANGE, Container::Ts, |_| ());
    let (found, own) = (audio(&clip), audio(&source));
    assert_eq!(found.lines().filter(|line| line.contains("disposition")).count(), 3, "{found}");
    for wanted in ["tag:language=fra", "tag:language=deu"] {
        assert!(found.contains(wanted) && own.contains(wanted), "{found}");
    }
    assert_eq!(found.contains("visual_impaired=1"), own.contains("visual_impaired=1"), "{found}");
}

#[test]
fn a_manifest_says_the_language_where_a_track_does_not() {
    let rig = Rig::new();
    let source = rig.make("a.mp4", "-map 0:v -map 1:a -map 1:a -c:a aac -metadata:s:a:1 language=deu");
    let (clip, report) = rig.clip(&source, RANGE, Container::Mp4, |task| {
        task.input.spans[0].parts[0].language = Some("pt-BR".into());
    });
    let of_audio: Vec<_> = report.tracks.iter().filter(|track| track.track.kind == TrackKind::Audio).collect();
    let languages: Vec<_> = of_audio.iter().map(|track| track.track.language.as_deref()).collect();
    assert_eq!(languages, [Some("por"), Some("deu")]);
    let found = audio(&clip);
    assert!(found.contains("language=por") && found.contains("language=deu"), "{found}");
}

#[test]
fn pictures_stay_turned() {
    let rig = Rig::new();
    rig.make("upright.mp4", "-c:a aac");
    let source = rig.path("turned.mp4");
    let command = ["-v", "error", "-y", "-i", &rig.path("upright.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90"];
    super::rig::run("ffmpeg", &[&command[..], &[&source]].concat());
    for container in [Container::Mp4, Container::Mov] {
        let (clip, _) = rig.clip(&source, RANGE, container, |_| ());
        let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "stream_side_data=rotation"];
        let turned = |path| text("ffprobe", &[&entries[..], &["-of", "csv=p=0", path]].concat());
        assert_eq!(turned(&clip).trim(), turned(&source).trim());
        assert!(turned(&clip).contains("90"), "{}", turned(&clip));
    }
}
