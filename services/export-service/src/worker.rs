//! One attempt at an export, or at a still.

use std::sync::Arc;

use async_trait::async_trait;
use errors::BoxError;
use jobs::{Attempt, AttemptError, Objects, Phase, Report, Runner};
use media::{Outcome, Task};
use serde_json::Value;
use server::{
    Suite,
    clips::{self, AttemptControl, Making, blocking},
};
use uuid::Uuid;

use crate::{
    export::{EXPORT, ExportOutcome, ExportSpec, STILL, StillOutcome, StillSpec},
    exports::{locate, locate_still},
};

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
        let spec: ExportSpec = clips::request(attempt)?;
        attempt.progress(Report { phase: Phase::Prepare, ..Report::default() });
        let name = spec.file_name.clone();
        let located = blocking(&self.suite, move |suite| locate(suite, &spec)).await;
        let located = located.map_err(clips::source_failure)?;
        let (requested, folder) = (located.requested, clips::attempt_folder(attempt));
        let making = Making { located, name: &name, storage: &self.suite.shared.storage, folder };
        let made = clips::make(&self.suite, attempt, making).await?;
        clips::outcome_value(&ExportOutcome { requested, gaps: made.gaps, files: made.files })
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        clips::discard(&self.suite.shared.storage, EXPORT, job, objects).await
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
        let spec: StillSpec = clips::request(attempt)?;
        let position = spec.position.clone();
        let task = blocking(&self.suite, move |suite| locate_still(suite, &position, None)).await;
        let task = Task::Thumbnail(task.map_err(clips::source_failure)?);
        let control = AttemptControl::new(attempt);
        let (_, outcome) = clips::run_task(&self.suite, task, None, clips::quick(), control).await?;
        let picture = match outcome.map_err(clips::media_failure)? {
            Outcome::Thumbnail(picture) => picture,
            other => return Err(clips::unexpected(&other)),
        };
        let key = clips::object_key(&clips::attempt_folder(attempt), &spec.file_name)?;
        let put = self.suite.shared.storage.put(&key, picture.image.into(), storage::Existing::Keep);
        put.await.map_err(clips::storage_failure)?;
        clips::outcome_value(&StillOutcome { key: key.to_string() })
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        clips::discard(&self.suite.shared.storage, STILL, job, objects).await
    }
}
