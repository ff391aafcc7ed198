//! What the services of one process do their work with: one queue, one library, one set of media processes.

use std::{path::Path, sync::Arc, time::Duration};

use jobs::{Queue, Runner, Settings, SystemClock, Workers};
use media::{Pool, PoolConfig};
use recordings::{Library, LibraryOptions};

use crate::{Config, Error, Shared, config::Recordings};

/// How long running jobs may go on when the process is to end; then they go back into the queue.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What the services of one process do their work with.
pub struct Suite {
    /// What is not about jobs: settings, accounts, storage.
    pub shared: Arc<Shared>,
    /// Where jobs wait, and who looks after them.
    pub queue: Queue,
    /// Processes that touch media.
    pub media: Pool,
    /// What was recorded.
    pub library: Library,
}

impl Suite {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// Names the folder, file or database that can't be used.
    pub async fn open(config: Config) -> Result<Arc<Self>, Error> {
        let library = open_library(config.library.as_str(), &config.recordings)?;
        let shared = Shared::open(config).await?;
        let queue =
            Queue::open(shared.config.database.expose(), settings(&shared.config), Arc::new(SystemClock::default()));
        let queue = queue.await.map_err(|error| Error::Database(error.to_string()))?;
        let media = Pool::new(PoolConfig::default()).map_err(|error| Error::Media(error.to_string()))?;
        Ok(Arc::new(Self { shared, queue, media, library }))
    }

    /// Starts to do the jobs of `runners`, if this process is one that works on jobs.
    pub fn run_workers(&self, runners: Vec<Arc<dyn Runner>>) -> Workers {
        self.queue.run_workers(if self.shared.config.role.works() { runners } else { Vec::new() })
    }

    /// Ends the work in order: running jobs get a moment to finish, and go back into the queue if it isn't enough.
    pub async fn close(&self, workers: Workers) {
        if !workers.drain(DRAIN_TIME).await {
            tracing::warn!("running jobs were cut off; they will be taken up again");
        }
        self.queue.close().await;
    }
}

fn open_library(location: &str, names: &Recordings) -> Result<Library, Error> {
    let unusable = |reason: String| Error::Data { path: location.into(), reason };
    if location.starts_with("s3://") {
        return Err(unusable("this build reads recordings from a local folder: name one with --library".to_owned()));
    }
    let options = LibraryOptions { file_pattern: names.file_pattern.clone(), time_zone: names.time_zone.clone() };
    Library::with_options(Path::new(location), options).map_err(|error| match error {
        recordings::Error::InvalidOptions(_) => unusable(format!("{error}; see [recordings] in the settings")),
        error => unusable(format!("{error}; make the folder, or name another with --library")),
    })
}

fn settings(config: &Config) -> Settings {
    let jobs = &config.jobs;
    let defaults = Settings::default();
    Settings {
        copy_limit: jobs.copy.get() as usize,
        encode_limit: jobs.encode.get() as usize,
        max_queued: jobs.queued.get(),
        max_queued_per_owner: jobs.queued_per_account.get(),
        max_running_per_owner: jobs.running_per_account.map_or(u32::MAX, std::num::NonZeroU32::get),
        retention: config.export.keep(),
        ..defaults
    }
}
