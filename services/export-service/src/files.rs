//! What of exports can be downloaded: `/files/exports/<id>/<name>` and `/files/stills/<id>/<name>`.

use async_trait::async_trait;
use errors::Error;
use server::{Files, PublishedFile};
use storage::Key;

use crate::{
    export::{EXPORT, ExportOutcome, ExportSpec, STILL, StillOutcome, StillSpec},
    exports::{Exports, outcome, spec},
};

/// What of exports can be downloaded.
pub(crate) struct ExportFiles {
    exports: Exports,
}

impl ExportFiles {
    pub(crate) fn new(exports: Exports) -> Self {
        Self { exports }
    }
}

/// The path of an export's file.
pub(crate) fn export_path(id: &uuid::Uuid, name: &str) -> String {
    format!("exports/{id}/{name}")
}

/// The path of a still.
pub(crate) fn still_path(id: &uuid::Uuid, name: &str) -> String {
    format!("stills/{id}/{name}")
}

#[async_trait]
impl Files for ExportFiles {
    async fn resolve(&self, path: &str) -> Result<Option<PublishedFile>, Error> {
        let mut parts = path.splitn(3, '/');
        let (Some(folder), Some(id), Some(name)) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
        let kind = match folder {
            "exports" => EXPORT,
            "stills" => STILL,
            _ => return Ok(None),
        };
        let Some(job) = self.exports.suite.queue.find(kind, id).await? else { return Ok(None) };
        let (key, file_name) = match kind {
            EXPORT => (outcome::<ExportOutcome>(&job)?.map(|outcome| outcome.key), spec::<ExportSpec>(&job)?.file_name),
            _ => (outcome::<StillOutcome>(&job)?.map(|outcome| outcome.key), spec::<StillSpec>(&job)?.file_name),
        };
        let Some(key) = key.filter(|_| file_name == name) else { return Ok(None) };
        Ok(Some(PublishedFile { key: Key::parse(&key).map_err(Error::internal)?, name: file_name }))
    }
}
