//! What the end-to-end tests are made of: sample media, and readers that say what a file really holds. The readers use the
//! `ffmpeg` command, not the suite's own code.

pub mod audio;
pub mod fixtures;
pub mod frames;
pub mod harness;
pub mod mp4_conformance;
pub mod pixels;
mod reader;
pub mod s3;
pub mod sample;
pub mod slices;
pub mod ts_conformance;

/// The seed of a test's random inputs: `SEED`, if it is set. In CI always the same, so that a change is judged by what it
/// changed; elsewhere another one each time. The test prints it.
pub fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let fixed = std::env::var_os("CI").map(|_| 20_261_121);
    given.or(fixed).unwrap_or_else(|| fastrand::u64(..))
}
