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
