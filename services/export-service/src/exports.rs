//! What callers can do with exports, whatever they speak.

use std::{sync::Arc, time::Duration};

use errors::Error;
use futures_util::Stream;
use jobs::{Job, Lane, NewJob, Queue, State};
use media::{
    ClipReport, Thumbnail, ThumbnailTask,
    time::{NANOS, TimeRange, WallTime},
};
use recordings::Recording;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::{
    Suite,
    clips::{self, CoveragePage, CoverageQuery, Gap, Located, MadeFile, SourcesPage, blocking},
};
use storage::{Key, Reader};

use crate::export::{EXPORT, ExportOutcome, ExportSpec, Position, STILL, StillSpec};

/// Stills go first: somebody waits for each.
const STILL_PRIORITY: i32 = 10;
/// How much is looked at for the one frame of a still, in nanoseconds: more than any distance between two frames.
const STILL_WINDOW: i64 = 10 * NANOS;

/// What callers can do with exports.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) suite: Arc<Suite>,
}

/// What an export would be, or is.
pub(crate) struct Plan {
    pub(crate) requested: TimeRange,
    pub(crate) gaps: Vec<Gap>,
    /// Each file and what is in it, in order of time; at least one.
    pub(crate) files: Vec<(String, ClipReport)>,
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
            let located = locate(suite, &spec)?;
            let reports = clips::plan(suite, &located)?;
            let gaps = clips::merged(&located.gaps, &reports);
            let names = clips::file_names(&spec.file_name, reports.len());
            Ok(Plan { requested: located.requested, gaps, files: names.into_iter().zip(reports).collect() })
        })
        .await
    }

    /// A still, at once.
    pub(crate) async fn thumbnail(&self, position: Position, height: Option<u32>) -> Result<Thumbnail, Error> {
        blocking(&self.suite, move |suite| clips::thumbnail(suite, locate_still(suite, &position, height)?)).await
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

    /// The recordings in a folder.
    pub(crate) async fn sources(&self, folder: String, size: i32, token: String) -> Result<SourcesPage, Error> {
        blocking(&self.suite, move |suite| clips::sources(suite, &folder, size, &token)).await
    }

    /// What of a recording there is.
    pub(crate) async fn coverage(&self, query: CoverageQuery, size: i32, token: String) -> Result<CoveragePage, Error> {
        blocking(&self.suite, move |suite| clips::coverage(suite, &query, size, &token)).await
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

    /// A file of a finished export.
    ///
    /// # Errors
    /// `Conflict` if it hasn't succeeded, `OutOfRange` if it has fewer files.
    pub(crate) async fn open_file(&self, owner: &str, id: &str, index: usize) -> Result<(MadeFile, Reader), Error> {
        let job = self.get(owner, id).await?;
        let mut outcome: ExportOutcome =
            outcome(&job)?.ok_or_else(|| Error::Conflict(format!("export {id} has no file: it is {}", job.state)))?;
        let files = outcome.files.len();
        if index >= files {
            return Err(Error::OutOfRange(format!("file_index {index} is not less than {files}, the number of files")));
        }
        let file = outcome.files.swap_remove(index);
        let key = Key::parse(&file.key).map_err(Error::internal)?;
        let reader = self.suite.shared.storage.get(&key).await?;
        let reader = reader.ok_or_else(|| Error::NotFound { kind: "file of export", id: id.to_owned() })?;
        Ok((file, reader))
    }
}

/// Finds the recording and the part of it that `spec` asks for. Blocks.
///
/// # Errors
/// Those of `recordings`, and of the policy about gaps.
pub(crate) fn locate(suite: &Suite, spec: &ExportSpec) -> Result<Located, Error> {
    let rendition = spec.policies.rendition.as_deref();
    let recording = clips::recording(suite, &spec.position.uid, rendition, spec.position.start)?;
    let start = mark_in(&recording, &spec.position)?;
    let end = start
        .checked_add_nanos(spec.duration)
        .ok_or_else(|| Error::invalid("duration", "the clip ends beyond the year 2262"))?;
    clips::locate(suite, &recording, spec.task(TimeRange::new(start, end)), spec.policies.gap_policy)
}

/// Finds the frame that a still shows. Blocks.
///
/// # Errors
/// Those of `recordings`.
pub(crate) fn locate_still(suite: &Suite, position: &Position, height: Option<u32>) -> Result<ThumbnailTask, Error> {
    let recording = clips::recording(suite, &position.uid, None, position.start)?;
    let at = mark_in(&recording, position)?;
    let selection =
        recording.select(TimeRange::new(at, at.saturating_add_nanos(STILL_WINDOW)), &clips::prober(suite))?;
    Ok(ThumbnailTask { input: selection.input, at, height })
}

fn mark_in(recording: &Recording, position: &Position) -> Result<WallTime, Error> {
    let start = position.start.unwrap_or(recording.range().start);
    start.checked_add_nanos(position.mark).ok_or_else(|| Error::invalid("mark", "the clip begins beyond the year 2262"))
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
