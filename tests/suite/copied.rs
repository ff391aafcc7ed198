//! What is copied is the source's: `ffmpeg -f framemd5` of the pictures between the marks' GOPs says the same of both.

use std::{path::Path, process::Command};

use e2e::{
    harness::{Server, Setup, spec, state},
    sample::{self, Sample},
};
use protocol::{
    export::v1::{Container, ExportSpec, TrackFate},
    job::v1::JobState,
};

/// H.264 and HEVC, with closed GOPs and open ones, in 8 and 10 bits. Of H.264 with open GOPs and no IDR pictures nothing is
/// copied.
const SAMPLES: [&str; 5] =
    ["mp4/h264_b3/aac", "mp4/h264_10bit/aac", "mp4/hevc/aac", "mp4/hevc_open/aac", "mp4/hevc_10bit/aac"];
/// Neither mark is at a keyframe, in milliseconds.
const WINDOW: (u64, u64) = (1_310, 7_400);
/// Pictures of an open GOP that are shown before its keyframe. The last of them refer to what mark-out leaves out.
const LEADING: usize = 3;

/// MD5 of each picture as it is decoded, in the order in which they are shown. Packets can't be compared as they are: a TS
/// has start codes where an MP4 has lengths, and parameter sets are repeated behind a seam.
fn framemd5(path: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vsync", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg could not be started; `make setup` installs it");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let digest = |line: &str| line.rsplit(',').next().unwrap_or_default().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(digest).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copied_middle_decodes_to_the_sources_pictures() {
    let server = Setup::in_library(sample::library().unwrap()).start().await;
    for name in SAMPLES {
        let sample = sample::named(name).unwrap();
        let source = framemd5(&sample.source);
        for container in [Container::Mp4, Container::Ts] {
            check(&server, &sample, &source, container).await;
        }
    }
}

async fn check(server: &Server, sample: &Sample, source: &[String], container: Container) {
    let what = format!("{} as {}", sample.coding, container.as_str_name());
    let asked = ExportSpec { container: container.into(), ..spec(&sample.uid(), WINDOW.0, WINDOW.1) };
    let export = server.export(asked).await;
    assert_eq!(state(&export), JobState::Succeeded, "{what}: {export:?}");
    let result = export.result.as_ref().unwrap();
    assert_eq!(result.tracks[0].fate(), TrackFate::SmartCut, "{what}: {:?}", result.warnings);
    let path = server.scratch().join("clip");
    std::fs::write(&path, server.download(&export.id, 0).await.unwrap()).unwrap();
    let clip = framemd5(&path);

    let frames = sample.frames_in(WINDOW.0 as i64 * 1_000_000..(WINDOW.0 + WINDOW.1) as i64 * 1_000_000);
    let (first, end, gop) = (frames[0].0 as usize, frames[0].0 as usize + frames.len(), sample.gop as usize);
    assert_eq!(clip.len(), frames.len(), "{what}");
    let middle = first.next_multiple_of(gop)..end / gop * gop - if sample.closed { 0 } else { LEADING };
    assert!(middle.len() > 2 * gop, "{what}: {middle:?}");
    let differs = middle.clone().find(|number| clip[number - first] != source[*number]);
    assert_eq!(differs, None, "{what}: of the frames {middle:?}, with {} encoded", result.encoded_frames);
    let same = clip.iter().zip(&source[first..end]).filter(|(clip, source)| clip == source).count();
    assert!(same as i64 >= result.frames - result.encoded_frames, "{what}: {same} pictures are the source's");
}
