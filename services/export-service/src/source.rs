//! From a recording and a range to a task for `media`.

use std::sync::Arc;

use media::{
    ClipTask, Input, Limits, Outcome, Task, ThumbnailTask,
    time::{NANOS, TimeRange, WallTime},
};
use recordings::{Probe, Recording};
use server::Suite;

use crate::export::{ExportSpec, Position};

/// How much is looked at for the one frame of a still, in nanoseconds: more than any distance between two frames.
const STILL_WINDOW: i64 = 10 * NANOS;

/// A clip, located: what to cut, and what of it is missing.
pub(crate) struct Located {
    pub(crate) task: ClipTask,
    pub(crate) gaps: Vec<TimeRange>,
}

/// Finds the recording and the part of it that `spec` asks for. Blocks.
///
/// # Errors
/// Those of `recordings`.
pub(crate) fn locate(suite: &Suite, spec: &ExportSpec) -> Result<Located, errors::Error> {
    let recording = open(suite, &spec.position)?;
    let start = mark_in(&recording, &spec.position)?;
    let end = start
        .checked_add_nanos(spec.duration)
        .ok_or_else(|| errors::Error::invalid("duration", "the clip ends beyond the year 2262"))?;
    let range = TimeRange::new(start, end);
    let selection = recording.select(range, &Prober(suite))?;
    let task = ClipTask {
        cut: spec.cut,
        container: spec.container,
        video: spec.video,
        metadata: spec.metadata(),
        ..ClipTask::new(selection.input, range)
    };
    Ok(Located { task, gaps: selection.gaps })
}

/// Finds the frame that a still shows. Blocks.
///
/// # Errors
/// Those of `recordings`.
pub(crate) fn locate_still(
    suite: &Suite,
    position: &Position,
    height: Option<u32>,
) -> Result<ThumbnailTask, errors::Error> {
    let recording = open(suite, position)?;
    let at = mark_in(&recording, position)?;
    let range = TimeRange::new(at, at.saturating_add_nanos(STILL_WINDOW));
    let selection = recording.select(range, &Prober(suite))?;
    Ok(ThumbnailTask { input: selection.input, at, height })
}

/// Looks into media files in one of the suite's processes.
struct Prober<'a>(&'a Suite);

impl Probe for Prober<'_> {
    fn probe(&self, input: &Input) -> Result<media::Probe, media::Error> {
        let task = Task::Probe(input.clone());
        match self.0.media.run(&task, &self.0.library, None, &quick(), &Unattended)? {
            Outcome::Probe(probe) => Ok(probe),
            other => Err(media::Error::Internal(format!("a probe answered {other:?}"))),
        }
    }
}

fn open(suite: &Suite, position: &Position) -> Result<Recording, errors::Error> {
    let recording = suite.library.recording(&position.uid, &Prober(suite))?;
    // A recording without a clock of its own begins when the caller says.
    Ok(match position.start {
        Some(start) => recording.with_start(start),
        None => recording,
    })
}

fn mark_in(recording: &Recording, position: &Position) -> Result<WallTime, errors::Error> {
    let start = position.start.unwrap_or(recording.range().start);
    start
        .checked_add_nanos(position.mark)
        .ok_or_else(|| errors::Error::invalid("mark", "the clip begins beyond the year 2262"))
}

/// What work may use that a caller waits for.
pub(crate) fn quick() -> Limits {
    Limits {
        wall: std::time::Duration::from_secs(20),
        no_progress: std::time::Duration::from_secs(15),
        memory_bytes: 1_536 << 20,
        output_bytes: 0,
        background: false,
    }
}

/// Control of work that a caller waits for: its limits end it, nobody else does.
pub(crate) struct Unattended;

impl media::Control for Unattended {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, _: media::Progress) {}
}

/// Runs `work`, which blocks, where it may.
///
/// # Errors
/// What `work` says.
pub(crate) async fn blocking<T, F>(suite: &Arc<Suite>, work: F) -> Result<T, errors::Error>
where
    T: Send + 'static,
    F: FnOnce(&Arc<Suite>) -> Result<T, errors::Error> + Send + 'static,
{
    let suite = suite.clone();
    tokio::task::spawn_blocking(move || work(&suite)).await.map_err(errors::Error::internal)?
}
