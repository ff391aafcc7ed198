//! Recordings that are damaged in the ways that they are: what is lost is told, what isn't lost is there, and nothing hangs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use e2e::{
    frames,
    harness::{Server, Setup, spec, state},
    sample,
};
use protocol::{
    export::v1::{Container, CreateExportRequest, DamagePolicy, Export, ExportSpec},
    job::v1::JobState,
};

use crate::{
    matrix::is_known,
    samples::{ORIGIN, RATE},
};

/// An HLS recording of five segments of two seconds, each with fifty frames and its own keyframes.
const SAMPLE: &str = "hls_fmp4/h264/aac";
const FRAMES: i64 = 10 * RATE;
const IN_SEGMENT: i64 = 2 * RATE;

/// What happened to a recording.
struct Damage {
    name: &'static str,
    /// The segment that it happened to.
    segment: i64,
    /// Does it to the folder of the recording.
    happen: fn(&Path),
}

const DAMAGES: [Damage; 7] = [
    Damage { name: "truncated last segment", segment: 4, happen: |folder| truncate(&folder.join("00004.m4s"), 2) },
    Damage { name: "truncated segment", segment: 2, happen: |folder| truncate(&folder.join("00002.m4s"), 2) },
    Damage { name: "empty segment", segment: 2, happen: |folder| fs::write(folder.join("00002.m4s"), "").unwrap() },
    Damage { name: "missing segment", segment: 2, happen: |folder| fs::remove_file(folder.join("00002.m4s")).unwrap() },
    Damage { name: "flipped bits", segment: 2, happen: |folder| flip(&folder.join("00002.m4s")) },
    Damage {
        name: "foreign bytes",
        segment: 2,
        happen: |folder| fs::write(folder.join("00002.m4s"), [0x5a; 9000]).unwrap(),
    },
    Damage { name: "duplicate segment", segment: 2, happen: duplicate },
];

/// Leaves the first part of a file.
fn truncate(path: &Path, part: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / part]).unwrap();
}

/// Turns one bit in every thousand bytes of the media.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let media = bytes.windows(4).position(|kind| kind == b"mdat").unwrap() + 4;
    bytes[media..].iter_mut().skip(500).step_by(1000).for_each(|byte| *byte ^= 0x10);
    fs::write(path, bytes).unwrap();
}

/// The segment before comes again in place of this one.
fn duplicate(folder: &Path) {
    fs::copy(folder.join("00001.m4s"), folder.join("00002.m4s")).unwrap();
}

/// Lays a copy of the sample into the server's library.
fn lay_out(server: &Server, name: &str) -> PathBuf {
    let sample = sample::named(SAMPLE).unwrap();
    let (from, to) = (sample.folder.join("media"), server.library().join(name));
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// The whole recording, as an MP4.
async fn export(server: &Server, folder: &str) -> Export {
    let mut spec = spec(&format!("{folder}/index.m3u8"), 0, 10_000);
    spec.container = Container::Mp4.into();
    server.export(spec).await
}

/// Whether an export says that a frame is missing.
fn is_told(export: &Export, frame: i64) -> bool {
    let at = ORIGIN + frame * 1000 / RATE;
    // Gaps are told to the frame.
    let slack = 1000 / RATE;
    export.result.iter().flat_map(|result| &result.gaps).any(|gap| {
        let (start, length) = (gap.start_time.unwrap_or_default(), gap.duration.unwrap_or_default());
        let start = start.seconds * 1000 + i64::from(start.nanos) / 1_000_000;
        let length = length.seconds * 1000 + i64::from(length.nanos) / 1_000_000;
        (start - slack..start + length + slack).contains(&at)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_damage_takes_away_is_told_and_the_rest_is_there() {
    let server = Setup::new().own_library().start().await;
    let mut failures = Vec::new();
    for (number, damage) in DAMAGES.iter().enumerate() {
        if is_known(&format!("damage: {}", damage.name)) {
            continue;
        }
        let folder = number.to_string();
        (damage.happen)(&lay_out(&server, &folder));
        let export = export(&server, &folder).await;
        if let Err(problem) = check(&server, damage, &export).await {
            failures.push(format!("{}: {problem}", damage.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn check(server: &Server, damage: &Damage, export: &Export) -> Result<(), String> {
    if state(export) != JobState::Succeeded {
        return Err(format!("{:?}", export.status.as_ref().and_then(|status| status.failure.as_ref())));
    }
    let path = server.scratch().join("clip.mp4");
    let bytes = server.download(&export.id, 0).await.map_err(|status| status.to_string())?;
    fs::write(&path, bytes).unwrap();
    let video = frames::read(&path).map_err(|error| error.to_string())?;
    let shown: Vec<_> = video.numbers().into_iter().map(|number| number.map(i64::from)).collect();
    let damaged = damage.segment * IN_SEGMENT..(damage.segment + 1) * IN_SEGMENT;
    for frame in (0..FRAMES).filter(|frame| !shown.contains(&Some(*frame))) {
        if !damaged.contains(&frame) {
            return Err(format!("frame {frame} wasn't damaged, and is gone"));
        }
        let is_warned = export.result.as_ref().is_some_and(|result| !result.warnings.is_empty());
        // A frame whose number can't be read any more is there.
        let is_said = is_told(export, frame) || shown.contains(&None) && is_warned;
        if !is_said {
            return Err(format!("frame {frame} is gone without a word: {:?}", export.result));
        }
    }
    let readable: Vec<_> = shown.into_iter().flatten().collect();
    match readable.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("frame {} is shown after {}", pair[1], pair[0])),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_segment_of_another_recording_is_refused() {
    let server = Setup::new().own_library().start().await;
    let folder = lay_out(&server, "foreign");
    let other = sample::named("hls_fmp4/hevc/aac").unwrap();
    fs::copy(other.folder.join("media/init.mp4"), folder.join("init.mp4")).unwrap();
    // To the one who takes what there is, there is nothing; to the other, it is damaged.
    for (policy, reason) in [(DamagePolicy::Lenient, "NO_MEDIA"), (DamagePolicy::Strict, "SOURCE_UNUSABLE")] {
        let spec = ExportSpec { damage_policy: policy.into(), ..spec("foreign/index.m3u8", 0, 10_000) };
        let request = CreateExportRequest { spec: Some(spec), ..Default::default() };
        // Either at once or by the job, but never a file that shows something else.
        if let Ok(accepted) = server.client().create_export(request).await {
            let id = accepted.into_inner().export.unwrap().id;
            let export = server.ended_export(&id).await;
            assert_eq!(state(&export), JobState::Failed, "{export:?}");
            let failure = export.status.unwrap().failure.unwrap();
            assert_eq!(failure.reason, reason, "{policy:?}: {failure:?}");
        }
    }
}
