//! What callers can do with exports, whatever they speak.

use std::{sync::Arc, time::Duration};

use errors::Error;
use futures_util::Stream;
use jobs::{Job, Lane, NewJob, Queue, State};
use media::{ClipReport, Outcome, Task, Thumbnail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::Suite;
use storage::{Key, Reader};

use crate::{
    export::{EXPORT, ExportOutcome, ExportSpec, Position, STILL, StillSpec},
    source::{Located, Unattended, blocking, locate, locate_still, quick},
};

/// Stills go first: somebody waits for each.
const STILL_PRIORITY: i32 = 10;

/// What callers can do with exports.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) suite: Arc<Suite>,
}

/// What an export would be, or is.
pub(crate) struct Plan {
    pub(crate) report: ClipReport,
    pub(crate) requested: media::time::TimeRange,
    pub(crate) gaps: Vec<media::time::TimeRange>,
}

impl Exports {
    pub(crate) fn new(suite: Arc<Suite>) -> Self {
        Self { suite }
    }

    fn queue(&self) -> &Queue {
        &self.suite.queue
    }

    /// Accepts an export. The same `request_id` and `spec` give the same one, whatever has become of the recording since.
    pub(crate) async fn create(
        &self,
        owner: &str,
        request_id: Option<String>,
        spec: ExportSpec,
    ) -> Result<Arc<Job>, Error> {
        let request = serde_json::to_value(&spec).map_err(Error::internal)?;
        if let Some(id) = &request_id
            && let Some(job) = self.queue().find_request(EXPORT, owner, id, &request).await?
        {
            return Ok(job);
        }
        let lane = spec.lane();
        let label = label(&spec.position.uid);
        blocking(&self.suite, move |suite| locate(suite, &spec).map(drop)).await?;
        let new = NewJob { request_id, label: Some(label), ..NewJob::new(EXPORT, owner, lane, request) };
        Ok(self.queue().submit(new).await?.job)
    }

    /// What `create` would make.
    pub(crate) async fn plan(&self, spec: ExportSpec) -> Result<Plan, Error> {
        blocking(&self.suite, move |suite| {
            let Located { task, gaps } = locate(suite, &spec)?;
            let requested = task.range;
            match suite.media.run(&Task::Plan(task), &suite.library, None, &quick(), &Unattended)? {
                Outcome::Clip(report) => Ok(Plan { report, requested, gaps }),
                other => Err(Error::internal(format!("a plan answered {other:?}"))),
            }
        })
        .await
    }

    /// A still, at once.
    pub(crate) async fn thumbnail(&self, position: Position, height: Option<u32>) -> Result<Thumbnail, Error> {
        blocking(&self.suite, move |suite| {
            let task = Task::Thumbnail(locate_still(suite, &position, height)?);
            match suite.media.run(&task, &suite.library, None, &quick(), &Unattended)? {
                Outcome::Thumbnail(picture) => Ok(picture),
                other => Err(Error::internal(format!("a still answered {other:?}"))),
            }
        })
        .await
    }

    /// A still that can be downloaded: waits for it for up to `timeout`.
    pub(crate) async fn still(
        &self,
        owner: &str,
        id: &str,
        spec: &StillSpec,
        timeout: Duration,
    ) -> Result<Arc<Job>, Error> {
        let request = serde_json::to_value(spec).map_err(Error::internal)?;
        let mut job = self.submit_still(owner, id, spec, &request).await?;
        // One that failed before may do better now: the recording may have grown.
        if job.state == State::Failed {
            self.queue().delete(STILL, owner, &job.id.to_string()).await?;
            job = self.submit_still(owner, id, spec, &request).await?;
        }
        Ok(self.queue().wait(STILL, owner, &job.id.to_string(), timeout).await?)
    }

    async fn submit_still(&self, owner: &str, id: &str, spec: &StillSpec, request: &Value) -> Result<Arc<Job>, Error> {
        if let Some(job) = self.queue().find_request(STILL, owner, id, request).await? {
            return Ok(job);
        }
        let position = spec.position.clone();
        blocking(&self.suite, move |suite| locate_still(suite, &position, None).map(drop)).await?;
        let new = NewJob {
            request_id: Some(id.to_owned()),
            label: Some(label(&spec.position.uid)),
            priority: STILL_PRIORITY,
            ..NewJob::new(STILL, owner, Lane::Copy, request.clone())
        };
        Ok(self.queue().submit(new).await?.job)
    }

    pub(crate) async fn get(&self, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        Ok(self.queue().get(EXPORT, owner, id).await?)
    }

    pub(crate) async fn list(
        &self,
        owner: &str,
        state: Option<State>,
        page_size: usize,
        page_token: &str,
    ) -> Result<jobs::Page, Error> {
        let filter = jobs::Filter { state, ..jobs::Filter::default() };
        Ok(self.queue().list(EXPORT, owner, &filter, page_size, page_token).await?)
    }

    pub(crate) fn watch(
        &self,
        owner: &str,
        id: &str,
        after_revision: i64,
    ) -> impl Stream<Item = Result<Arc<Job>, jobs::Error>> + Send + use<> {
        self.queue().watch(EXPORT, owner, id, after_revision)
    }

    pub(crate) async fn wait(&self, owner: &str, id: &str, timeout: Duration) -> Result<Arc<Job>, Error> {
        Ok(self.queue().wait(EXPORT, owner, id, timeout).await?)
    }

    pub(crate) async fn cancel(&self, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        Ok(self.queue().cancel(EXPORT, owner, id).await?)
    }

    pub(crate) async fn delete(&self, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        Ok(self.queue().delete(EXPORT, owner, id).await?)
    }

    /// The file of a finished export.
    ///
    /// # Errors
    /// `Conflict` if it hasn't succeeded.
    pub(crate) async fn open_file(&self, owner: &str, id: &str) -> Result<(ExportOutcome, Reader), Error> {
        let job = self.get(owner, id).await?;
        let outcome: ExportOutcome =
            outcome(&job)?.ok_or_else(|| Error::Conflict(format!("export {id} has no file: it is {}", job.state)))?;
        let key = Key::parse(&outcome.key).map_err(Error::internal)?;
        let reader = self.suite.shared.storage.get(&key).await?;
        let reader = reader.ok_or_else(|| Error::NotFound { kind: "file of export", id: id.to_owned() })?;
        Ok((outcome, reader))
    }
}

/// What jobs of a recording can be looked up by; a long uid by its end, which tells more.
fn label(uid: &str) -> String {
    let mut start = uid.len().saturating_sub(200);
    while !uid.is_char_boundary(start) {
        start += 1;
    }
    uid[start..].to_owned()
}

/// What was asked for.
///
/// # Errors
/// `Internal` if the stored request can't be read.
pub(crate) fn spec<T: DeserializeOwned>(job: &Job) -> Result<T, Error> {
    T::deserialize(&*job.request).map_err(Error::internal)
}

/// What came of it, if it has succeeded.
///
/// # Errors
/// `Internal` if the stored outcome can't be read.
pub(crate) fn outcome<T: DeserializeOwned>(job: &Job) -> Result<Option<T>, Error> {
    job.outcome.as_ref().map(|value| T::deserialize(value).map_err(Error::internal)).transpose()
}
