//! What of exports can be downloaded: `/files/exports/<id>/<name>` and `/files/stills/<id>/<name>`.

use async_trait::async_trait;
use errors::Error;
use jobs::Job;
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
        let found = match kind {
            EXPORT => exported(&job, name)?,
            _ => still(&job, name)?,
        };
        let Some((key, name)) = found else { return Ok(None) };
        Ok(Some(PublishedFile { key: Key::parse(&key).map_err(Error::internal)?, name }))
    }
}

/// Key and name of an export's file of this name. The name that was asked for is that of the first file, even if several
/// came of it that are numbered.
fn exported(job: &Job, name: &str) -> Result<Option<(String, String)>, Error> {
    let Some(outcome) = outcome::<ExportOutcome>(job)? else { return Ok(None) };
    let mut files = outcome.files;
    let index = match files.iter().position(|file| file.name == name) {
        None if spec::<ExportSpec>(job)?.file_name == name => Some(0),
        found => found,
    };
    Ok(index
        .filter(|index| *index < files.len())
        .map(|index| files.swap_remove(index))
        .map(|file| (file.key, file.name)))
}

fn still(job: &Job, name: &str) -> Result<Option<(String, String)>, Error> {
    let file_name = spec::<StillSpec>(job)?.file_name;
    let outcome = outcome::<StillOutcome>(job)?.filter(|_| file_name == name);
    Ok(outcome.map(|outcome| (outcome.key, file_name)))
}
