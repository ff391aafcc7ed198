//! One attempt of a job at making clips. Whatever it makes is keyed by job and attempt; the queue lets one attempt publish,
//! and has the others' objects discarded.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use errors::BoxError;
use jobs::{Attempt, AttemptError, Class, Lane, Objects, Phase, Report};
use media::{ClipReport, ClipTask, Limits, Outcome, Task};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use storage::{Key, Staged, Storage};
use uuid::Uuid;

use super::{
    Gap, GapCause, GapPolicy, Located, media_failure, merged,
    source::{check_count, numbered, split_at_damage},
    source_failure, storage_failure,
};
use crate::Suite;

/// No more than this of output for a second of media: five times what a broadcast contribution feed has.
const MAX_BYTES_PER_SECOND: u64 = 64 << 20;
/// What the index and headers of a file may take besides.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// What an attempt is to make, and where to put it.
#[derive(Debug)]
pub struct Making<'a> {
    /// What to cut.
    pub located: Located,
    /// What the file is called, with its extension; several are numbered, see [`file_names`](super::file_names).
    pub name: &'a str,
    /// Where the files go.
    pub storage: &'a Storage,
    /// What their keys begin with, such as [`attempt_folder`]: nobody else may write there.
    pub folder: String,
}

/// What an attempt made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// In order of time, at least one.
    pub files: Vec<MadeFile>,
    /// What of the range is missing, in order: what the index knew, and what showed when the media was read.
    pub gaps: Vec<Gap>,
}

/// A file that is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeFile {
    /// What it is called.
    pub name: String,
    /// Where it is in the storage.
    pub key: String,
    /// What is in it.
    pub report: ClipReport,
}

/// A file that is cut and verified, and that nobody sees yet.
struct Draft {
    name: String,
    staged: Staged,
    report: ClipReport,
}

/// Cuts all files of a clip, and publishes them once all are whole.
///
/// # Errors
/// Whatever ends the attempt. What was published by then, the queue has discarded: no outcome names it.
pub async fn make(suite: &Arc<Suite>, attempt: &Attempt, making: Making<'_>) -> Result<Made, AttemptError> {
    let Making { located, name, storage, folder } = making;
    let maker = Maker { suite, attempt, storage, folder, name, policy: located.policy };
    let (drafts, gaps) = maker.cut(located).await?;
    attempt.check()?;
    let written_bytes = drafts.iter().map(|draft| draft.report.size_bytes).sum();
    attempt.progress(Report { phase: Phase::Publish, written_bytes, ..Report::default() });
    let mut files = Vec::new();
    for draft in drafts {
        files.push(maker.publish(draft).await?);
    }
    Ok(Made { files, gaps })
}

struct Maker<'a> {
    suite: &'a Arc<Suite>,
    attempt: &'a Attempt,
    storage: &'a Storage,
    folder: String,
    name: &'a str,
    policy: GapPolicy,
}

impl Maker<'_> {
    async fn cut(&self, located: Located) -> Result<(Vec<Draft>, Vec<Gap>), AttemptError> {
        let Located { gaps: mut known, tasks, .. } = located;
        let total = tasks.iter().map(|task| task.range.duration()).sum();
        let mut pace = Pace { total, ..Pace::default() };
        let (mut drafts, is_split): (Vec<Draft>, _) = (Vec::new(), self.policy == GapPolicy::Split);
        // A piece of a file that damage has split isn't split again.
        let mut waiting: VecDeque<(ClipTask, bool)> = tasks.into_iter().map(|task| (task, true)).collect();
        while let Some((task, is_whole)) = waiting.pop_front() {
            let is_alone = drafts.is_empty() && waiting.is_empty() && is_whole;
            let name = if is_alone { self.name.to_owned() } else { numbered(self.name, drafts.len() + 1) };
            pace.is_last = waiting.is_empty();
            match self.draft(name, task.clone(), pace).await {
                Ok(draft) => {
                    let pieces = if is_split && is_whole { self.pieces(&task, &draft)? } else { None };
                    match pieces {
                        Some(pieces) => pieces.into_iter().rev().for_each(|piece| waiting.push_front((piece, false))),
                        None => {
                            pace.advance(&task, draft.report.size_bytes);
                            drafts.push(draft);
                        }
                    }
                }
                // A stretch that should have media and has none is a gap between its neighbours.
                Err(Cutting::Empty(why)) if is_split && !is_alone => {
                    known.push(Gap { range: task.range, cause: GapCause::Damaged(why) });
                }
                Err(error) => return Err(error.into()),
            }
            check_count(drafts.len() + waiting.len()).map_err(source_failure)?;
        }
        if drafts.is_empty() {
            let message = "no part of the range has a frame".to_owned();
            return Err(AttemptError::new(Class::Input, "NO_MEDIA", message));
        }
        let gaps = merged(&known, drafts.iter().map(|draft| &draft.report));
        self.policy.check(&gaps).map_err(source_failure)?;
        Ok((drafts, gaps))
    }

    /// What is to be cut instead of a file in which damage showed.
    fn pieces(&self, task: &ClipTask, draft: &Draft) -> Result<Option<Vec<ClipTask>>, AttemptError> {
        split_at_damage(task, &draft.report.gaps).map_err(source_failure)
    }

    async fn draft(&self, name: String, task: ClipTask, pace: Pace) -> Result<Draft, Cutting> {
        self.attempt.check()?;
        let key = object_key(&self.folder, &name)?;
        let staged = self.storage.stage(&key).await.map_err(storage_failure)?;
        let limits = limits(task.range.duration(), self.attempt.job().lane);
        let control = AttemptControl { attempt: self.attempt.clone(), pace };
        let (staged, outcome) = run_task(self.suite, Task::Clip(task), Some(staged), limits, control).await?;
        match (outcome, staged) {
            (Ok(Outcome::Clip(report)), Some(staged)) => Ok(Draft { name, staged, report }),
            (Ok(other), _) => Err(unexpected(&other).into()),
            (Err(media::Error::NoMedia(why)), _) => Err(Cutting::Empty(why)),
            (Err(error), _) => Err(media_failure(error).into()),
        }
    }

    async fn publish(&self, draft: Draft) -> Result<MadeFile, AttemptError> {
        let Draft { name, staged, report } = draft;
        let key = staged.key().to_string();
        let object = self.storage.publish(staged).await.map_err(storage_failure)?;
        if object.size_bytes != report.size_bytes {
            let message = format!("{} bytes were verified, but {} stored", report.size_bytes, object.size_bytes);
            return Err(AttemptError::new(Class::Transient, "STORAGE", message));
        }
        Ok(MadeFile { name, key, report })
    }
}

/// Why there is no draft.
enum Cutting {
    /// There is no frame in the range.
    Empty(String),
    Failed(AttemptError),
}

impl From<AttemptError> for Cutting {
    fn from(error: AttemptError) -> Self {
        Self::Failed(error)
    }
}

impl From<Cutting> for AttemptError {
    fn from(error: Cutting) -> Self {
        match error {
            Cutting::Empty(why) => media_failure(media::Error::NoMedia(why)),
            Cutting::Failed(error) => error,
        }
    }
}

/// Has a media process do `task`, which writes to `staged` if it writes a file.
///
/// # Errors
/// Only if this process is at fault; what the task says is its result.
pub async fn run_task(
    suite: &Arc<Suite>,
    task: Task,
    staged: Option<Staged>,
    limits: Limits,
    control: AttemptControl,
) -> Result<(Option<Staged>, Result<Outcome, media::Error>), AttemptError> {
    let suite = suite.clone();
    let run = move || {
        let output = staged.as_ref().map(Staged::file);
        let outcome = suite.media.run(&task, &suite.library, output, &limits, &control);
        (staged, outcome)
    };
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|panic| AttemptError::new(Class::Crash, "INTERNAL", panic.to_string()))
}

/// The queue's hold on a media process.
pub struct AttemptControl {
    attempt: Attempt,
    pace: Pace,
}

/// What an attempt has behind it when a further file is begun.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    done: Duration,
    /// Of all files.
    total: Duration,
    written_bytes: u64,
    is_last: bool,
}

impl Pace {
    fn advance(&mut self, task: &ClipTask, bytes: u64) {
        self.done += task.range.duration();
        self.written_bytes += bytes;
    }
}

impl AttemptControl {
    /// Of an attempt that needs one media process.
    pub fn new(attempt: &Attempt) -> Self {
        Self { attempt: attempt.clone(), pace: Pace { is_last: true, ..Pace::default() } }
    }
}

impl media::Control for AttemptControl {
    fn cancelled(&self) -> bool {
        self.attempt.is_stopped()
    }

    fn progress(&self, progress: media::Progress) {
        let Pace { done, total, written_bytes, is_last } = self.pace;
        let time = |nanos: i64| Duration::from_nanos(nanos.max(0).unsigned_abs());
        let phase = match progress.phase {
            media::Phase::Prepare if done.is_zero() => Phase::Prepare,
            media::Phase::Finalize if is_last => Phase::Finalize,
            media::Phase::Verify if is_last => Phase::Verify,
            // With more files before or after it, the work as a whole is in the middle.
            _ => Phase::Render,
        };
        self.attempt.progress(Report {
            phase,
            media_done: done.saturating_add(time(progress.media_done)),
            media_total: time(progress.media_total).max(total),
            written_bytes: written_bytes.saturating_add(progress.written_bytes),
        });
    }
}

/// What a media process may use that makes so much media, in this lane.
pub fn limits(duration: Duration, lane: Lane) -> Limits {
    let seconds = duration.as_secs().saturating_add(1);
    let output_bytes = OVERHEAD_BYTES + seconds * MAX_BYTES_PER_SECOND;
    match lane {
        // Copying is bound by the disk: as long as the clip plays, and a while for one that is encoded after all.
        Lane::Copy => Limits {
            wall: Duration::from_secs(600 + 60 * seconds),
            no_progress: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            output_bytes,
            background: false,
        },
        Lane::Encode => Limits {
            wall: Duration::from_secs(600 + 200 * seconds),
            no_progress: Duration::from_secs(120),
            memory_bytes: 4 << 30,
            output_bytes,
            background: true,
        },
    }
}

/// What the keys of an attempt's objects begin with.
pub fn attempt_folder(attempt: &Attempt) -> String {
    let job = attempt.job();
    format!("{}/{}/{}", job.kind, job.id, attempt.epoch())
}

/// The key of a file in such a folder.
///
/// # Errors
/// If the name can't be part of one.
pub fn object_key(folder: &str, name: &str) -> Result<Key, AttemptError> {
    Key::parse(&format!("{folder}/{name}"))
        .map_err(|error| AttemptError::new(Class::Input, "INVALID_REQUEST", error.to_string()))
}

/// Erases objects that lie in an [`attempt_folder`]: a runner's `discard`.
///
/// # Errors
/// Those of the storage.
pub async fn discard(storage: &Storage, kind: &str, job: Uuid, objects: Objects) -> Result<(), BoxError> {
    let prefix = match objects {
        Objects::OfAttempt(epoch) => format!("{kind}/{job}/{epoch}"),
        Objects::OfJob => format!("{kind}/{job}"),
    };
    storage.delete_prefix(&Key::parse(&prefix)?).await?;
    Ok(())
}

/// What the job asks for.
///
/// # Errors
/// If the stored request can't be read: a fault of ours, and no attempt changes it.
pub fn request<T: DeserializeOwned>(attempt: &Attempt) -> Result<T, AttemptError> {
    T::deserialize(&*attempt.job().request).map_err(|error| {
        AttemptError::new(Class::Input, "INTERNAL", format!("the stored request can't be read: {error}"))
    })
}

/// What the job came to, as it is stored.
///
/// # Errors
/// If it can't be written as JSON.
pub fn outcome_value<T: Serialize>(outcome: &T) -> Result<Value, AttemptError> {
    serde_json::to_value(outcome).map_err(|error| AttemptError::new(Class::Input, "INTERNAL", error.to_string()))
}

/// A media process answered with something else than it was asked for.
pub fn unexpected(outcome: &Outcome) -> AttemptError {
    AttemptError::new(Class::Crash, "INTERNAL", format!("the media process answered another question: {outcome:?}"))
}
