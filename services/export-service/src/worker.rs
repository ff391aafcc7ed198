//! One attempt at an export, or at a still. Whatever it makes is keyed by job and attempt; the queue lets one attempt
//! publish, and has the others' objects discarded.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use errors::BoxError;
use jobs::{Attempt, AttemptError, Class, Lane, Objects, Phase, Report, Runner};
use media::{Limits, Outcome, Task};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use server::Suite;
use storage::Key;
use uuid::Uuid;

use crate::{
    export::{EXPORT, ExportOutcome, ExportSpec, STILL, StillOutcome, StillSpec},
    source::{Located, blocking, locate, locate_still},
};

/// No more than this of output for a second of media: five times what a broadcast contribution feed has.
const MAX_BYTES_PER_SECOND: u64 = 64 << 20;
/// What the index and headers of a file may take besides.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// Makes clips.
pub(crate) struct ExportRunner {
    suite: Arc<Suite>,
}

impl ExportRunner {
    pub(crate) fn new(suite: Arc<Suite>) -> Self {
        Self { suite }
    }
}

#[async_trait]
impl Runner for ExportRunner {
    fn kind(&self) -> &'static str {
        EXPORT
    }

    async fn run(&self, attempt: &Attempt) -> Result<Value, AttemptError> {
        let spec: ExportSpec = request(attempt)?;
        attempt.progress(Report { phase: Phase::Prepare, ..Report::default() });
        let asked = spec.clone();
        let Located { task, gaps } =
            blocking(&self.suite, move |suite| locate(suite, &asked)).await.map_err(source_failure)?;
        attempt.check()?;
        let requested = task.range;
        let limits = limits(&spec, attempt.job().lane);
        let key = object_key(EXPORT, attempt.job().id, attempt.epoch(), &spec.file_name)?;
        let staged = self.suite.shared.storage.stage(&key).await.map_err(storage_failure)?;
        let (suite, control) = (self.suite.clone(), AttemptControl(attempt.clone()));
        let (staged, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = suite.media.run(&Task::Clip(task), &suite.library, Some(staged.file()), &limits, &control);
            (staged, outcome)
        })
        .await
        .map_err(|panic| AttemptError::new(Class::Crash, "INTERNAL", panic.to_string()))?;
        let report = match outcome.map_err(media_failure)? {
            Outcome::Clip(report) => report,
            other => return Err(unexpected(&other)),
        };
        attempt.check()?;
        attempt.progress(Report { phase: Phase::Publish, written_bytes: report.size_bytes, ..Report::default() });
        let object = self.suite.shared.storage.publish(staged).await.map_err(storage_failure)?;
        if object.size_bytes != report.size_bytes {
            let message = format!("{} bytes were verified, but {} stored", report.size_bytes, object.size_bytes);
            return Err(AttemptError::new(Class::Transient, "STORAGE", message));
        }
        outcome_value(&ExportOutcome { report, requested, gaps, key: key.to_string() })
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        discard(&self.suite, EXPORT, job, objects).await
    }
}

/// Makes stills that can be downloaded.
pub(crate) struct StillRunner {
    suite: Arc<Suite>,
}

impl StillRunner {
    pub(crate) fn new(suite: Arc<Suite>) -> Self {
        Self { suite }
    }
}

#[async_trait]
impl Runner for StillRunner {
    fn kind(&self) -> &'static str {
        STILL
    }

    async fn run(&self, attempt: &Attempt) -> Result<Value, AttemptError> {
        let spec: StillSpec = request(attempt)?;
        let position = spec.position.clone();
        let task =
            blocking(&self.suite, move |suite| locate_still(suite, &position, None)).await.map_err(source_failure)?;
        let (suite, control) = (self.suite.clone(), AttemptControl(attempt.clone()));
        let outcome = tokio::task::spawn_blocking(move || {
            suite.media.run(&Task::Thumbnail(task), &suite.library, None, &crate::source::quick(), &control)
        })
        .await
        .map_err(|panic| AttemptError::new(Class::Crash, "INTERNAL", panic.to_string()))?;
        let picture = match outcome.map_err(media_failure)? {
            Outcome::Thumbnail(picture) => picture,
            other => return Err(unexpected(&other)),
        };
        let key = object_key(STILL, attempt.job().id, attempt.epoch(), &spec.file_name)?;
        let put = self.suite.shared.storage.put(&key, picture.image.into(), storage::Existing::Keep);
        put.await.map_err(storage_failure)?;
        outcome_value(&StillOutcome { key: key.to_string() })
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        discard(&self.suite, STILL, job, objects).await
    }
}

/// The queue's hold on the media process.
struct AttemptControl(Attempt);

impl media::Control for AttemptControl {
    fn cancelled(&self) -> bool {
        self.0.is_stopped()
    }

    fn progress(&self, progress: media::Progress) {
        let time = |nanos: i64| Duration::from_nanos(nanos.max(0).unsigned_abs());
        self.0.progress(Report {
            phase: match progress.phase {
                media::Phase::Prepare => Phase::Prepare,
                media::Phase::Render => Phase::Render,
                media::Phase::Finalize => Phase::Finalize,
                media::Phase::Verify => Phase::Verify,
            },
            media_done: time(progress.media_done),
            media_total: time(progress.media_total),
            written_bytes: progress.written_bytes,
        });
    }
}

fn limits(spec: &ExportSpec, lane: Lane) -> Limits {
    let seconds = spec.duration.unsigned_abs().div_ceil(1_000_000_000);
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

fn object_key(kind: &str, job: Uuid, epoch: i64, name: &str) -> Result<Key, AttemptError> {
    Key::parse(&format!("{kind}/{job}/{epoch}/{name}"))
        .map_err(|error| AttemptError::new(Class::Input, "INVALID_REQUEST", error.to_string()))
}

async fn discard(suite: &Suite, kind: &str, job: Uuid, objects: Objects) -> Result<(), BoxError> {
    let prefix = match objects {
        Objects::OfAttempt(epoch) => format!("{kind}/{job}/{epoch}"),
        Objects::OfJob => format!("{kind}/{job}"),
    };
    suite.shared.storage.delete_prefix(&Key::parse(&prefix)?).await?;
    Ok(())
}

fn request<T: DeserializeOwned>(attempt: &Attempt) -> Result<T, AttemptError> {
    T::deserialize(&*attempt.job().request).map_err(|error| {
        AttemptError::new(Class::Input, "INTERNAL", format!("the stored request can't be read: {error}"))
    })
}

fn outcome_value<T: Serialize>(outcome: &T) -> Result<Value, AttemptError> {
    serde_json::to_value(outcome).map_err(|error| AttemptError::new(Class::Input, "INTERNAL", error.to_string()))
}

fn unexpected(outcome: &Outcome) -> AttemptError {
    AttemptError::new(Class::Crash, "INTERNAL", format!("the media process answered another question: {outcome:?}"))
}

/// What an error on the way to the source means for the job.
fn source_failure(error: errors::Error) -> AttemptError {
    let class = match error {
        errors::Error::Unavailable { .. } | errors::Error::Internal(_) => Class::Transient,
        errors::Error::Cancelled => Class::Cancelled,
        _ => Class::Input,
    };
    error.log();
    AttemptError::new(class, error.reason(), error.to_string())
}

fn storage_failure(error: storage::Error) -> AttemptError {
    match error {
        storage::Error::NoSpace(_) => AttemptError::new(Class::NoSpace, "NO_SPACE", error.to_string()),
        storage::Error::Exists(_) => AttemptError::new(Class::Crash, "STORAGE", error.to_string()),
        other => AttemptError::new(Class::Transient, "STORAGE", other.to_string()),
    }
}

fn media_failure(error: media::Error) -> AttemptError {
    use media::Error as E;
    let (class, reason) = match &error {
        E::Unusable(_) | E::Damaged { .. } => (Class::Input, "SOURCE_UNUSABLE"),
        E::Unsupported(_) => (Class::Input, "UNSUPPORTED"),
        E::NoMedia(_) => (Class::Input, "NO_MEDIA"),
        E::Limit(_) => (Class::Deadline, "LIMIT"),
        E::Verification(_) => (Class::Input, "VERIFICATION"),
        E::Io(_) => (Class::Transient, "IO"),
        E::NoSpace => (Class::NoSpace, "NO_SPACE"),
        E::Cancelled => return AttemptError::cancelled(),
        E::Crashed(_) => (Class::Crash, "CRASHED"),
        E::Internal(_) => (Class::Crash, "INTERNAL"),
    };
    AttemptError::new(class, reason, error.to_string())
}
