//! Compares decoded pictures, sample by sample: what was copied is the same, what was encoded again nearly so.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::reader::ffmpeg;

/// The pictures of a file, decoded, in the order in which they are shown.
#[derive(Debug)]
pub struct Pictures {
    bytes: Vec<u8>,
    size: usize,
    /// Bytes in a sample of a picture, and its highest value.
    depth: (usize, f64),
}

/// Reads the first video track of a file as pictures of `format`, an FFmpeg pixel format.
///
/// # Errors
/// If ffmpeg can't.
pub fn read(path: &Path, format: &str) -> Result<Pictures> {
    let turns =
        ["-map", "0:v:0", "-vf", "showinfo", "-pix_fmt", format, "-vsync", "passthrough", "-f", "rawvideo", "-"];
    let reading = ffmpeg(path, turns)?;
    let count = reading.log.iter().filter(|line| line.contains("showinfo") && line.contains(" pts:")).count();
    ensure!(
        count > 0 && reading.bytes.len().is_multiple_of(count),
        "{}: {} bytes of {count}",
        path.display(),
        reading.bytes.len()
    );
    let depth = if format.contains("10le") { (2, 1023.0) } else { (1, 255.0) };
    Ok(Pictures { size: reading.bytes.len() / count, bytes: reading.bytes, depth })
}

impl Pictures {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn at(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.size..][..self.size]
    }

    /// Peak signal-to-noise ratio of a picture against one of another file, in decibels, over all its planes; infinite if
    /// they are the same.
    ///
    /// # Errors
    /// If their sizes differ, or there is no such picture.
    pub fn psnr(&self, index: usize, other: &Self, other_index: usize) -> Result<f64> {
        ensure!(self.size == other.size && self.depth == other.depth, "pictures of {} and {}", self.size, other.size);
        ensure!(index < self.len() && other_index < other.len(), "picture {index}, {other_index} of the other");
        let (a, b) = (self.at(index), other.at(other_index));
        if a == b {
            return Ok(f64::INFINITY);
        }
        let (width, peak) = self.depth;
        let value = |sample: &[u8]| sample.iter().rev().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte));
        let squares = a.chunks(width).zip(b.chunks(width)).map(|(a, b)| (value(a) - value(b)).powi(2));
        let mean = squares.sum::<f64>() / (a.len() / width) as f64;
        Ok(10.0 * (peak * peak / mean).log10())
    }
}
