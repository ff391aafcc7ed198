//! What a child process can do: one function per task.

use std::sync::Arc;

use crate::{Error, Outcome, Task, clip, ffmpeg, forecast, host::Host, probe, thumbnail};

/// Loads what FFmpeg loads only once, so that a warm child has it behind it before its task comes.
pub(crate) fn warm_up() {
    ffmpeg::warm_up();
}

/// Does what `task` asks.
///
/// # Errors
/// See [`Error`]: each says whose fault it is.
pub(crate) fn execute(task: &Task, host: Arc<dyn Host>) -> Result<Outcome, Error> {
    match task {
        Task::Probe(input) => probe::probe(input, host).map(Outcome::Probe),
        Task::Thumbnail(task) => thumbnail::thumbnail(task, host).map(Outcome::Thumbnail),
        Task::Plan(task) => forecast::plan(task, host).map(Outcome::Clip),
        Task::Clip(task) => clip::clip(task, host).map(Outcome::Clip),
    }
}
