//! Probe, thumbnail, clip. What is asked is plain data ([`Task`]), runs in a child process kept warm for it ([`Pool`]), and
//! comes back as plain data ([`Outcome`]).
//!
//! Synchronous. It knows no network, no database and no gRPC; where sources lie is the caller's business ([`Sources`]).
//!
//! ```text
//! parent   pool.rs       starts, feeds, watches and kills children
//!          wire.rs       messages and file descriptors over a socket pair
//! child    worker.rs     hidden subcommand: takes a task, closes the sandbox, runs it
//!          sandbox.rs    what a child may still do
//!          verbs         probe, thumbnail, clip, verify
//!          ffmpeg/       everything that names FFmpeg, and all `unsafe`
//! ```

mod error;
mod host;
mod task;
pub mod time;

pub use error::Error;
pub use task::*;
