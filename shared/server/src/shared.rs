//! What the services of one process share.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use storage::Storage;

use crate::{Accounts, Config, Error, FileUrls, Watches};

/// Drafts older than this belong to nobody; see [`Storage::sweep_staging`].
const ABANDONED: Duration = Duration::from_secs(60);

/// What the services of one process share.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// Who may call.
    pub accounts: Accounts,
    /// Where results are.
    pub storage: Storage,
    /// The URLs of results.
    pub urls: FileUrls,
    /// How many streams each account holds open.
    pub watches: Watches,
}

impl Shared {
    /// Opens what the settings name: makes the data folder and the storage, and clears away what a killed process left.
    ///
    /// # Errors
    /// Names the folder or file that can't be used.
    pub async fn open(config: Config) -> Result<Arc<Self>, Error> {
        make_data_folder(&config.data)?;
        let storage = Storage::open_with(config.storage.as_str(), &config.s3()).await?;
        let swept = storage.sweep_staging(ABANDONED).await?;
        if swept > 0 {
            tracing::info!(swept, "half-written files of an earlier process were removed");
        }
        let accounts = Accounts::new(&config.accounts);
        let urls = FileUrls::open(&config)?;
        let watches = Watches::new(config.limits.watches_per_account.get());
        Ok(Arc::new(Self { config, accounts, storage, urls, watches }))
    }
}

/// Makes the data folder, for its owner alone; one that is there already is left as it is.
fn make_data_folder(path: &Path) -> Result<(), Error> {
    let unusable = |reason: String| Error::Data { path: path.to_owned(), reason };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| unusable(e.to_string()))?;
    let mode = fs::metadata(path).map_err(|e| unusable(e.to_string()))?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(unusable("everybody may write to it: chmod o-w".to_owned()));
    }
    Ok(())
}
