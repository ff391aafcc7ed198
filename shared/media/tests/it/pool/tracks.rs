//! Sound and text that are decoded and encoded by a real worker, in its sandbox.

use std::process::Command;

use media::{
    Anchor, ClipTask, Container, Format, Outcome, Task, TrackFate,
    time::{self, TimeRange, WallTime},
};

use super::{Files, House, LIMITS, Patient, input};

const CUES: &str = "1\n00:00:00,500 --> 00:00:01,500\nGr\u{fc}\u{df}e\n";

#[test]
fn sound_and_text_are_converted_in_the_sandbox() {
    let house = House::real(1);
    let (cues, source) = (house.folder.path().join("cues.srt"), house.folder.path().join("source.mkv"));
    std::fs::write(&cues, CUES).unwrap();
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=d=2:s=320x180:r=25", "-f", "lavfi", "-i", "sine=d=2", "-i"])
        .arg(&cues)
        .args(["-map", "0", "-map", "1", "-map", "1", "-map", "1", "-map", "2", "-c:v", "libx264", "-g", "25"])
        .args(["-c:a:0", "libvorbis", "-c:a:1", "pcm_s16le", "-c:a:2", "libopus", "-c:s", "ass"])
        .arg(&source)
        .status();
    assert!(status.unwrap().success());
    let mut input = input(&[source.to_str().unwrap()]);
    let span = &mut input.spans[0];
    span.range.end = WallTime::from_nanos(2 * time::NANOS);
    let part = &mut span.parts[0];
    part.format = Format::Matroska;
    part.anchor = Anchor::FirstKeyframe { piece: part.segments[0].piece, wall: WallTime::EPOCH };
    let range = TimeRange::new(WallTime::from_nanos(time::NANOS / 5), WallTime::from_nanos(2 * time::NANOS));
    for container in [Container::Mp4, Container::Mov, Container::Ts] {
        let task = Task::Clip(ClipTask { container, ..ClipTask::new(input.clone(), range) });
        let output = tempfile::tempfile().unwrap();
        let clip = house.pool.run(&task, &Files, Some(&output), &LIMITS, &Patient);
        let Ok(Outcome::Clip(report)) = clip else { panic!("{container:?}: {clip:?}") };
        let fates: Vec<_> = report.tracks.iter().skip(1).map(|track| track.fate).collect();
        let [text, pcm, opus] = match container {
            Container::Mp4 => [TrackFate::Encoded, TrackFate::Encoded, TrackFate::Copied],
            Container::Mov => [TrackFate::Encoded, TrackFate::Copied, TrackFate::Encoded],
            Container::Ts => [TrackFate::Dropped, TrackFate::Encoded, TrackFate::Copied],
        };
        assert_eq!(fates, [TrackFate::Encoded, pcm, opus, text], "{container:?}");
    }
}
