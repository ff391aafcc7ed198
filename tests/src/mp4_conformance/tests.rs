use std::process::Command;

use super::*;
use crate::fixtures;

/// A file that FFmpeg wrote as it should be: index first, edit lists, B-frames.
fn conforming() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.mp4");
    let arguments = ["-v", "error", "-t", "3", "-i"];
    let copy = ["-c", "copy", "-movflags", "+faststart"];
    let source = fixtures::named("mp4_closed_b3.mp4").path();
    assert!(Command::new("ffmpeg").args(arguments).arg(source).args(copy).arg(&path).status().unwrap().success());
    std::fs::read(path).unwrap()
}

fn complains(bytes: &[u8], what: &str) {
    let found = read(bytes).violations;
    assert!(found.iter().any(|violation| violation.contains(what)), "{what}: {found:?}");
}

#[test]
fn a_good_movie_is_good_and_each_fault_is_seen() {
    let good = conforming();
    let movie = read(&good);
    assert_eq!(movie.violations, Vec::<String>::new());
    assert_eq!(movie.entries, ["avc1", "mp4a"]);
    assert!(movie.video_boxes.contains(&"avcC".to_owned()), "{:?}", movie.video_boxes);
    let place = |kind: &[u8]| good.windows(4).position(|window| window == kind).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    complains(&good[..good.len() - 1], "mdat");
    complains(&changed(place(b"stts") + 15, good[place(b"stts") + 15] ^ 1), "stts");
    complains(&changed(place(b"stsz") + 15, good[place(b"stsz") + 15] ^ 1), "stsz says");
    complains(&changed(place(b"stco") + 12, 0x7f), "outside mdat");
    complains(&changed(place(b"stss") + 15, 2), "keyframe");
    complains(&changed(place(b"avcC") + 4, 2), "avcC begins");
    complains(&changed(place(b"avcC") + 5, 66), "avcC");
    complains(&changed(place(b"mvhd") + 23, good[place(b"mvhd") + 23] ^ 8), "mvhd says");
    complains(&changed(place(b"elst") + 15, good[place(b"elst") + 15] ^ 8), "the edits");
    // Media time 6006: the two frames that B-frames delay the picture by.
    complains(&changed(place(b"elst") + 18, 0x10), "first picture");
}

#[test]
fn an_index_at_the_end_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.mp4");
    let source = fixtures::named("mp4_closed_b3.mp4").path();
    let copy = ["-v", "error", "-i"];
    let done = Command::new("ffmpeg").args(copy).arg(source).args(["-c", "copy", "-t", "2"]).arg(&path).status();
    assert!(done.unwrap().success());
    complains(&std::fs::read(path).unwrap(), "moov comes after mdat");
}

#[test]
fn noise_is_refused_without_a_crash() {
    let seed = fastrand::u64(..);
    println!("SEED={seed}");
    let (mut random, good) = (fastrand::Rng::with_seed(seed), conforming());
    for _ in 0..50 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..50) {
            let at = random.usize(..bytes.len().min(8_000));
            bytes[at] = random.u8(..);
        }
        read(&bytes);
    }
}
