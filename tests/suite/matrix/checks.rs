//! The guarantees, held against a file.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{
    audio::{self, SAMPLE_RATE, SLOT},
    frames::{self, Video},
    mp4_conformance, pixels,
    slices::{self, Codec, Hash},
    ts_conformance,
};
use protocol::export::v1::{Container, ExportPlan, TrackFate};

use super::{case::Window, measured};

/// Times in a file are rounded to its ticks, and shown by the reader to the nanosecond.
const ROUNDING: i64 = 100_000;
/// What a frame that was encoded again may differ from the source by, at most.
const EDGE_PSNR: f64 = 40.0;
/// What all frames may differ by where the whole was encoded to another codec.
const WHOLE_PSNR: f64 = 30.0;
/// Too short a TS for ffmpeg to tell what its sound is.
const SHORT: u64 = 200;
/// A window that holds marks of the sound for certain, in milliseconds.
const HEARD: u64 = 400;

/// Everything that was promised.
pub(super) fn all(path: &Path, window: &Window, result: &ExportPlan) -> Result<()> {
    let video = frames::read(path)?;
    exact_frames(&video, window, result)?;
    spacing(&video, window)?;
    tags(path, window).context("tags")?;
    if window.is_smart() {
        copies(path, window, result)?;
    }
    pictures(path, window, result)?;
    sound(path, window, &video, result)?;
    conformance(path, window)
}

fn exact_frames(video: &Video, window: &Window, result: &ExportPlan) -> Result<()> {
    let expected: Vec<_> = window.frames().iter().map(|(number, _)| Some(*number)).collect();
    let numbers = video.numbers();
    ensure!(numbers == expected, "frames: {}, not {}", ranges(&numbers), ranges(&expected));
    ensure!(result.frames == expected.len() as i64, "frames: {} said, {} there", result.frames, expected.len());
    let complaints: Vec<_> = video.complaints.iter().filter(|line| !line.contains("Audio")).collect();
    ensure!(complaints.is_empty() || window.duration < SHORT, "decode: {complaints:?}");
    Ok(())
}

/// Frame numbers, shortened: `3-9 12 ?`.
fn ranges(numbers: &[Option<u32>]) -> String {
    let runs = numbers.chunk_by(|a, b| a.zip(*b).is_some_and(|(a, b)| a + 1 == b));
    let text = |run: &[Option<u32>]| match run {
        [Some(first), .., Some(last)] => format!("{first}-{last}"),
        [Some(only)] => only.to_string(),
        _ => "?".to_owned(),
    };
    runs.map(text).collect::<Vec<_>>().join(" ")
}

/// Frames are as far apart as in the recording; where some are missing, they are closed up.
fn spacing(video: &Video, window: &Window) -> Result<()> {
    let expected = window.frames();
    let tolerance = ROUNDING + 2 * window.sample.precision;
    for (shown, recorded) in video.frames.windows(2).zip(expected.windows(2)) {
        let apart = video.nanos(&shown[1]) - video.nanos(&shown[0]);
        let wanted = recorded[1].1 - recorded[0].1;
        let is_closed_up = recorded[1].0 > recorded[0].0 + 1 && apart > 0 && apart < wanted;
        ensure!(
            is_closed_up || (apart - wanted).abs() <= tolerance,
            "spacing: frame {} comes {apart} ns after {}, not {wanted}",
            recorded[1].0,
            recorded[0].0
        );
    }
    Ok(())
}

fn tags(path: &Path, window: &Window) -> Result<()> {
    let (source, clip) = (measured::video(&window.sample.source), measured::video(path));
    // A picture that is encoded to another codec may have another format of pixels.
    let is_kept = |name: &str| window.is_smart() || name != "pix_fmt";
    for ((name, before), (_, after)) in source.iter().zip(&clip).filter(|((name, _), _)| is_kept(name)) {
        // What isn't said is what players assume anyway. What another encoder says is its own business.
        let is_assumed = |value: &str| value == "1:1" || value == "tv" && !window.is_smart();
        let is_same =
            before == after || is_assumed(before) && after == "unknown" || is_assumed(after) && before == "unknown";
        ensure!(is_same, "{name} was {before} and is {after}");
    }
    if window.container != Container::Ts {
        let (before, after) = (measured::rotation(&window.sample.source), measured::rotation(path));
        ensure!(before == after, "rotation was {before} and is {after}");
    }
    let (before, after) = (&window.sample.languages, measured::languages(path));
    ensure!(*before == after, "languages were {before:?} and are {after:?}");
    Ok(())
}

/// All but the frames that are said to be encoded are the source's, bit by bit.
fn copies(path: &Path, window: &Window, result: &ExportPlan) -> Result<()> {
    let codec = if window.sample.coding.starts_with("hevc") { Codec::Hevc } else { Codec::H264 };
    let source = slices::read_coded(&window.sample.source, codec)?;
    let to_a_frame = source.len() / frames_of_source(window);
    let mut count: HashMap<Hash, usize> = HashMap::new();
    source.iter().for_each(|slice| *count.entry(*slice).or_default() += 1);
    let clip = slices::read_coded(path, codec)?;
    let copied = clip.iter().filter(|slice| count.contains_key(*slice)).count() / to_a_frame;
    let said = result.frames - result.encoded_frames;
    ensure!(copied as i64 == said, "copies: {copied} frames are the source's, {said} were said to be");
    let whole = 2 * i64::from(window.sample.gop) + 4;
    let spans = 1 + result.gaps.len() as i64;
    let is_smart = result.tracks.iter().any(|track| track.fate() == TrackFate::SmartCut);
    ensure!(is_smart || result.frames <= whole * spans, "copies: {} frames, but no smart cut", result.frames);
    ensure!(result.encoded_frames <= whole * spans, "copies: {} frames were encoded", result.encoded_frames);
    Ok(())
}

fn frames_of_source(window: &Window) -> usize {
    window.sample.shown.last().map_or(1, |(number, _)| *number as usize + 1)
}

/// Copied pictures decode to the same samples, encoded ones nearly so; and encoded ones are at the edges only.
fn pictures(path: &Path, window: &Window, result: &ExportPlan) -> Result<()> {
    let format = measured::video(&window.sample.source).into_iter().find(|(name, _)| *name == "pix_fmt");
    let format = format.context("the source has pictures")?.1;
    let (source, clip) = (pixels::read(&window.sample.source, &format)?, pixels::read(path, &format)?);
    let mut changed = 0;
    let least = if window.is_smart() { EDGE_PSNR } else { WHOLE_PSNR };
    for (index, (number, _)) in window.frames().iter().enumerate() {
        let psnr = clip.psnr(index, &source, *number as usize)?;
        changed += i64::from(psnr.is_finite());
        ensure!(psnr >= least, "pictures: frame {number}, {index} in the clip, has {psnr:.1} dB");
    }
    let said = result.encoded_frames;
    ensure!(changed <= said, "pictures: {changed} of them differ from the source's, {said} were said to be encoded");
    Ok(())
}

/// Each track of sound is at its place to within a frame of it, from start to end.
fn sound(path: &Path, window: &Window, video: &Video, result: &ExportPlan) -> Result<()> {
    let tracks = window.sample.languages.len();
    let dropped = result.tracks.iter().filter(|track| track.fate() == TrackFate::Dropped).count();
    ensure!(dropped == 0, "sound: tracks were dropped: {:?}", result.tracks);
    // The longest frame of the codecs.
    let frame = match window.sample.sound.as_str() {
        "ac3" => 1536,
        "mp3" => 1152,
        _ => 1024,
    };
    // Not long enough to hold a mark for certain.
    let tracks = if window.duration < HEARD { 0 } else { tracks };
    for track in 0..tracks {
        let sound = audio::read_track(path, track)?;
        ensure!(sound.complaints.is_empty(), "sound: {:?}", sound.complaints);
        let spans = 1 + result.gaps.len();
        let least = (playing_time(window) / 100).saturating_sub(3 * spans as u64);
        ensure!(sound.marks.len() as u64 >= least, "sound: {} marks, not {least}", sound.marks.len());
        ensure!(sound.stretches.len() <= spans, "sound: it has holes: {:?}", sound.stretches);
        for mark in sound.marks.iter().filter(|mark| !is_at_seam(window, video, mark.at)) {
            let Some(expected) = heard_at(window, video, mark.slot) else { continue };
            let late = mark.at - expected;
            ensure!(late.abs() <= frame, "sound: track {track}, slot {} is {late} samples late", mark.slot);
        }
    }
    Ok(())
}

/// How much of the window is there, in milliseconds.
fn playing_time(window: &Window) -> u64 {
    let (from, to) = (window.mark as i64 * 1_000_000, (window.mark + window.duration) as i64 * 1_000_000);
    let missing = window.sample.missing.iter().map(|(start, end)| ((*end).min(to) - (*start).max(from)).max(0));
    ((to - from - missing.sum::<i64>()) / 1_000_000) as u64
}

/// Whether a slot is made of sound from before and after a gap, so that its number can't be read.
fn is_at_seam(window: &Window, video: &Video, at: i64) -> bool {
    let frames = window.frames();
    let seams = (1..frames.len()).filter(|index| frames[*index].0 > frames[*index - 1].0 + 1);
    let mut times = seams.map(|index| video.nanos(&video.frames[index]) * SAMPLE_RATE / 1_000_000_000);
    times.any(|seam| (at - seam).abs() < SLOT * 3 / 2)
}

/// When a slot that was recorded with a frame is to be heard in the clip, in samples.
fn heard_at(window: &Window, video: &Video, slot: i64) -> Option<i64> {
    let frames = window.frames();
    let recorded = slot * SLOT * 1_000_000_000 / SAMPLE_RATE;
    let with = frames.partition_point(|(_, time)| *time <= recorded).checked_sub(1)?;
    // A slot that the recording is missing wasn't recorded with the frame before.
    let after = recorded - frames[with].1;
    let shown = video.nanos(video.frames.get(with)?);
    (after < 300_000_000).then(|| (shown + after) * SAMPLE_RATE / 1_000_000_000)
}

fn conformance(path: &Path, window: &Window) -> Result<()> {
    if window.container == Container::Ts {
        let violations = ts_conformance::check(path)?;
        ensure!(violations.is_empty(), "TS: {violations:?}");
        return Ok(());
    }
    let movie = mp4_conformance::check(path)?;
    ensure!(movie.violations.is_empty(), "MP4: {:?}", movie.violations);
    let source = measured::video(&window.sample.source);
    let states = |name: &str, nothing: &[&str]| {
        source.iter().any(|(known, value)| *known == name && !nothing.contains(&value.as_str()))
    };
    let has = |kind: &str| movie.video_boxes.iter().any(|found| found == kind);
    ensure!(has("colr") || !states("color_primaries", &["unknown"]), "MP4: no colr in {:?}", movie.video_boxes);
    ensure!(
        has("pasp") || !states("sample_aspect_ratio", &["1:1", "unknown"]),
        "MP4: no pasp in {:?}",
        movie.video_boxes
    );
    let is_hevc = measured::codec(path) == "hevc";
    ensure!(!is_hevc || movie.entries.contains(&"hvc1".to_owned()), "MP4: HEVC is tagged {:?}", movie.entries);
    Ok(())
}
