//! Reads the time that the sound of the sample recordings carries. Every 100 ms starts a slot: a chirp of 10 ms, which can
//! be placed to the sample; 70 ms of two tones, which together tell the slot's number; 20 ms of silence.

use std::{f64::consts::TAU, path::Path};

use anyhow::{Context, Result, ensure};

use crate::reader::{Reading, ffmpeg, field};

/// Samples in a second.
pub const SAMPLE_RATE: i64 = 48_000;
/// Samples in a slot.
pub const SLOT: i64 = SAMPLE_RATE / 10;
/// Samples in a frame of AAC: what a cut of copied audio may be off by.
pub const AAC_FRAME: i64 = 1024;

/// Matroska rounds times to milliseconds: frames that meet within one aren't a hole.
const ROUNDING: i64 = SAMPLE_RATE / 1000;
const CHIRP: usize = 480;
const TONES: usize = 3360;
/// Samples in a step of the search for the end of a silence.
const STEP: usize = 48;
/// A coded chirp begins this many samples before or after what the search for loudness says, at most.
const BLUR: usize = 240;
/// How much a coded chirp resembles the chirp, at least; 1 is the same.
const RESEMBLANCE: f64 = 0.6;

/// The start of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The slot's number: it began at this many times 100 ms after frame 0 of the recording.
    pub slot: i64,
    /// Where it starts on the file's own clock, in samples.
    pub at: i64,
}

/// The sound of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// The slots that start in it, in order. The last one may be missing if the file ends in it.
    pub marks: Vec<Mark>,
    /// From where to where there is sound on the file's clock, in samples: more than one stretch if there are holes.
    pub stretches: Vec<(i64, i64)>,
    /// Errors that the decoder reported.
    pub complaints: Vec<String>,
}

/// Reads the first audio track of a file.
pub fn read(path: &Path) -> Result<Audio> {
    read_track(path, 0)
}

/// Reads an audio track of a file; the first is 0.
pub fn read_track(path: &Path, track: usize) -> Result<Audio> {
    let map = format!("0:a:{track}");
    let arguments = ["-map", &map, "-af", "aformat=s16:48000:mono,ashowinfo", "-f", "s16le", "-"];
    let reading = ffmpeg(path, arguments)?;
    let samples: Vec<i16> = reading.bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    let clock = Clock::new(&reading).with_context(|| path.display().to_string())?;
    ensure!(clock.total() == samples.len(), "{}: {} samples have no time", path.display(), samples.len());
    let slots = Slots::new();
    let onsets = onsets(&samples).into_iter();
    let found = onsets.filter_map(|onset| slots.read(&samples, onset));
    let marks = found.map(|(slot, index)| Mark { slot, at: clock.at(index) }).collect();
    Ok(Audio { marks, stretches: clock.stretches(), complaints: reading.complaints() })
}

/// When each decoded frame is heard: index of its first sample, its time in samples, its length.
struct Clock(Vec<(usize, i64, usize)>);

impl Clock {
    fn new(reading: &Reading) -> Result<Self> {
        let mut frames = Vec::new();
        let mut index = 0;
        for line in reading.log.iter().filter(|line| line.contains("ashowinfo") && line.contains(" nb_samples:")) {
            let time = field(line, " pts:").context("a frame without a time")?.parse()?;
            let length = field(line, " nb_samples:").context("a frame without a length")?.parse()?;
            frames.push((index, time, length));
            index += length;
        }
        Ok(Self(frames))
    }

    fn total(&self) -> usize {
        self.0.last().map_or(0, |(index, _, length)| index + length)
    }

    fn at(&self, sample: usize) -> i64 {
        let frame = self.0.partition_point(|(index, ..)| *index <= sample) - 1;
        let (index, time, _) = self.0[frame];
        time + (sample - index) as i64
    }

    fn stretches(&self) -> Vec<(i64, i64)> {
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        for &(_, time, length) in &self.0 {
            match stretches.last_mut() {
                Some((_, end)) if (*end - time).abs() <= ROUNDING => *end = time + length as i64,
                _ => stretches.push((time, time + length as i64)),
            }
        }
        stretches
    }
}

/// Where sound begins after at least 10 ms of silence, to the millisecond.
fn onsets(samples: &[i16]) -> Vec<usize> {
    let is_loud = |step: &[i16]| step.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() > STEP as f64 * 1e7;
    let mut onsets = Vec::new();
    let mut quiet = 10;
    for (number, step) in samples.chunks_exact(STEP).enumerate() {
        if !is_loud(step) {
            quiet += 1;
        } else {
            if quiet >= 10 {
                onsets.push(number * STEP);
            }
            quiet = 0;
        }
    }
    onsets
}

/// What a slot sounds like.
struct Slots {
    chirp: Vec<f64>,
}

impl Slots {
    fn new() -> Self {
        let seconds = (0..CHIRP).map(|i| i as f64 / SAMPLE_RATE as f64);
        Self { chirp: seconds.map(|t| (TAU * (1000.0 * t + 300_000.0 * t * t)).sin()).collect() }
    }

    /// The slot that starts near `onset`, and its first sample; none if the file doesn't hold it whole.
    fn read(&self, samples: &[i16], onset: usize) -> Option<(i64, usize)> {
        // The correlation's peak is some twelve samples wide, so that every fourth sample finds it.
        let coarse = self.best(samples, (onset.saturating_sub(BLUR)..onset + BLUR).step_by(4))?;
        let start = self.best(samples, (coarse.saturating_sub(3)..=coarse + 3).step_by(1))?;
        let tones = samples.get(start + CHIRP + BLUR..start + CHIRP + TONES - BLUR)?;
        self.resembles(&samples[start..start + CHIRP]).then(|| (loudest(tones, 2600) * 32 + loudest(tones, 600), start))
    }

    fn best(&self, samples: &[i16], starts: impl Iterator<Item = usize>) -> Option<usize> {
        let scored = starts.filter_map(|start| Some((self.product(samples.get(start..start + CHIRP)?), start)));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, start)| start)
    }

    fn product(&self, heard: &[i16]) -> f64 {
        let mut sum = 0.0;
        for (index, wanted) in self.chirp.iter().enumerate() {
            sum += wanted * f64::from(heard[index]);
        }
        sum
    }

    fn resembles(&self, heard: &[i16]) -> bool {
        let energy: f64 = heard.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        self.product(heard) > RESEMBLANCE * (energy * CHIRP as f64 / 2.0).sqrt()
    }
}

/// Which of the 32 tones from `base` hertz up, 50 Hz apart, is the loudest.
fn loudest(samples: &[i16], base: i32) -> i64 {
    let powers = (0..32).map(|digit| power(samples, f64::from(base + 50 * digit)));
    let best = powers.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(digit, _)| digit as i64)
}

/// The power at one frequency (Goertzel). The highest tone is below 6 kHz, so every fourth sample is enough.
fn power(samples: &[i16], frequency: f64) -> f64 {
    let factor = 2.0 * (TAU * frequency * 4.0 / SAMPLE_RATE as f64).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples.iter().step_by(4) {
        (last, before) = (f64::from(*sample) + factor * last - before, last);
    }
    last * last + before * before - factor * last * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures, frames};

    #[test]
    fn sound_keeps_time_with_the_picture_in_every_layout() {
        for fixture in fixtures::all().iter().filter(|fixture| fixture.encoding == "closed_b3") {
            let video = frames::read(&fixture.path()).unwrap();
            let audio = read(&fixture.path()).unwrap();
            let start = video.nanos(&video.frames[0]) * SAMPLE_RATE / 1_000_000_000;
            assert_eq!(audio.stretches.len(), 1, "{}", fixture.uid);
            assert!(audio.marks.iter().map(|mark| mark.slot).eq(0..600), "{}", fixture.uid);
            for mark in &audio.marks {
                let late = mark.at - start - mark.slot * SLOT;
                assert!(late.abs() <= ROUNDING, "{}: slot {} is {late} samples late", fixture.uid, mark.slot);
            }
        }
    }
}
