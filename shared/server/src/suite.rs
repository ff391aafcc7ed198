//! What the services of one process do their work with: one queue, one library, one set of media processes.

use std::{path::Path, sync::Arc, time::Duration};

use jobs::{Queue, Runner, Settings, SystemClock, Workers};
use media::{Pool, PoolConfig};
use recordings::{Library, LibraryOptions};

use crate::{Config, Error, Shared};

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
        let library = open_library(&config).await?;
        let shared = Shared::open(config).await?;
        let queue =
            Queue::open(shared.config.database.expose(), settings(&shared.config), Arc::new(SystemClock::default()));
        let queue = queue.await.map_err(|error| Error::Database(error.to_string()))?;
        let pool = PoolConfig { scratch: shared.config.data.clone(), ..PoolConfig::default() };
        let media = Pool::new(pool).map_err(|error| Error::Media(error.to_string()))?;
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

async fn open_library(config: &Config) -> Result<Library, Error> {
    let (location, s3, names) = (config.library.as_str().to_owned(), config.s3(), &config.recordings);
    let options = LibraryOptions { file_pattern: names.file_pattern.clone(), time_zone: names.time_zone.clone() };
    let open = move || {
        let is_bucket = location.starts_with("s3://");
        let library = match is_bucket {
            true => Library::open_bucket(&location, &s3, options),
            false => Library::with_options(Path::new(&location), options),
        };
        library.map_err(|error| {
            let advice = match error {
                recordings::Error::InvalidOptions(_) => "see [recordings] in the settings",
                _ if is_bucket => "check AWS_ENDPOINT_URL and the credentials, or name another with --library",
                _ => "make the folder, or name another with --library",
            };
            Error::Data { path: location.into(), reason: format!("{error}; {advice}") }
        })
    };
    // A store far away may take its time.
    tokio::task::spawn_blocking(open).await.map_err(|panic| Error::Media(panic.to_string()))?
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
