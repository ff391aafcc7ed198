//! Reads the number that every frame of the sample recordings carries: twenty blocks across its top, white, black, sixteen
//! bits, their parity, and its opposite. They survive any sensible coding and scaling.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::reader::{Reading, ffmpeg, field};

/// Blocks across the top of a frame.
const BLOCKS: usize = 20;
/// The least difference of luma between the white block and the black one.
const CONTRAST: u8 = 100;

/// A frame as a player would show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its number; absent if the blocks can't be read.
    pub number: Option<u32>,
    /// When it is shown, in ticks of the track.
    pub ticks: i64,
}

/// The video of a file, decoded from its first frame to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Seconds per tick, as a fraction.
    pub timebase: (i64, i64),
    /// The frames, in the order in which they are shown.
    pub frames: Vec<Frame>,
    /// Errors that the decoder reported.
    pub complaints: Vec<String>,
}

impl Video {
    /// The frames' numbers.
    pub fn numbers(&self) -> Vec<Option<u32>> {
        self.frames.iter().map(|frame| frame.number).collect()
    }

    /// When a frame is shown on the file's own clock, in nanoseconds.
    pub fn nanos(&self, frame: &Frame) -> i64 {
        let (num, den) = self.timebase;
        let nanos = i128::from(frame.ticks) * i128::from(num) * 1_000_000_000 / i128::from(den);
        i64::try_from(nanos).expect("a sample recording lasts a minute, not centuries")
    }
}

/// Reads the first video track of a file, or a picture.
pub fn read(path: &Path) -> Result<Video> {
    // Each block becomes one byte: the stripe of blocks is cut off and averaged down to 20 × 1 pixels.
    let filter = "crop=iw:ih*4/45:0:0,scale=20:1:flags=area,format=gray,showinfo";
    let arguments = ["-map", "0:v:0", "-vf", filter, "-vsync", "passthrough", "-f", "rawvideo", "-"];
    let reading = ffmpeg(path, arguments)?;
    let ticks = shown_at(&reading);
    let (stripes, rest) = reading.bytes.as_chunks::<BLOCKS>();
    ensure!(rest.is_empty() && stripes.len() == ticks.len(), "{}: {} ticks", path.display(), ticks.len());
    let frames = stripes.iter().zip(ticks).map(|(stripe, ticks)| Frame { number: number(stripe), ticks }).collect();
    Ok(Video { timebase: timebase(&reading)?, frames, complaints: reading.complaints() })
}

fn shown_at(reading: &Reading) -> Vec<i64> {
    let lines = reading.log.iter().filter(|line| line.contains("showinfo"));
    lines.filter_map(|line| field(line, " pts:")?.parse().ok()).collect()
}

fn timebase(reading: &Reading) -> Result<(i64, i64)> {
    let fraction = reading.log.iter().find_map(|line| field(line, "config in time_base:")).context("no time_base")?;
    let (num, den) = fraction.trim_end_matches(',').split_once('/').context("time_base is no fraction")?;
    Ok((num.parse()?, den.parse()?))
}

fn number(stripe: &[u8; BLOCKS]) -> Option<u32> {
    let [white, black, ..] = *stripe;
    if white.checked_sub(black)? < CONTRAST {
        return None;
    }
    let middle = black + (white - black) / 2;
    let bits = stripe.map(|block| u32::from(block > middle));
    let parity = bits[2..18].iter().sum::<u32>() & 1;
    (bits[18] == parity && bits[19] == 1 - parity).then(|| bits[2..18].iter().fold(0, |number, bit| number << 1 | bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn every_frame_of_every_recording_is_read_at_its_place() {
        for fixture in fixtures::all() {
            let video = read(&fixture.path()).unwrap();
            let expected: Vec<_> = fixture.frames_in(0..i64::MAX).into_iter().map(Some).collect();
            assert_eq!(video.numbers(), expected, "{}", fixture.uid);
        }
    }

    #[test]
    fn a_stripe_with_one_wrong_bit_is_refused() {
        let mut stripe = [235, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 235, 16, 235, 16, 235];
        assert_eq!(number(&stripe), Some(0b101));
        stripe[7] = 235;
        assert_eq!(number(&stripe), None);
    }
}
