//! Probe, thumbnail, clip. What is asked is plain data ([`Task`]), runs in a child process kept warm for it ([`Pool`]), and
//! comes back as plain data ([`Outcome`]).
//!
//! Synchronous. It knows no network, no database and no gRPC; where sources lie is the caller's business ([`Sources`]).
//!
//! ```text
//! parent   pool.rs       starts, feeds, watches and kills children; reads for them what lies elsewhere
//!          wire.rs       messages and file descriptors over a socket pair
//! child    worker.rs     hidden subcommand: takes a task, closes the sandbox, runs it
//!          sandbox.rs    what a child may still do
//!          verbs         probe, thumbnail, clip, verify
//!          carry.rs      what becomes of each track but the video; audio.rs, text.rs and ts.rs do it
//!          ffmpeg/       everything that names FFmpeg, and all `unsafe`
//! ```

mod audio;
mod carry;
mod chain;
mod clip;
#[cfg(test)]
mod clip_tests;
#[cfg(test)]
mod continuation_tests;
mod cut;
#[cfg(test)]
mod damage_tests;
mod digest;
mod error;
#[allow(unsafe_code)] // The only module that talks to FFmpeg.
mod ffmpeg;
mod forecast;
mod fragments;
mod host;
mod language;
mod nal;
mod passage;
mod plan;
mod pool;
mod probe;
mod sandbox;
mod source;
mod task;
mod text;
mod thumbnail;
pub mod time;
#[cfg(test)]
mod track_tests;
mod ts;
mod verbs;
mod verify;
mod wire;
mod worker;

pub use error::Error;
pub use pool::{Control, Limits, Opened, Pool, PoolConfig, RangeReader, Sources};
pub use task::*;
pub use worker::run_worker_if_requested;
