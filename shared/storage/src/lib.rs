//! Objects: results of jobs, and small pictures. What is here is whole, and never changes under its key. It is written
//! aside ([`Storage::stage`]), verified there by its writer, and appears in one step ([`Storage::publish`]).
//!
//! It is not a database: what is published, to whom and until when, is for the row of the job to say.
//!
//! ```text
//! key.rs      names that can't lead out of the storage, and the file names that users may give
//! staged.rs   an object before it is published
//! disk.rs     the folder: opened once, everything else is reached through it and never through a symbolic link
//! walk.rs     listing and erasing what lies below a key
//! read.rs     reading in pieces
//! s3/         the same in a bucket, where drafts are files of this machine; and sources of others, for reading
//! ```

mod disk;
mod error;
mod key;
mod read;
mod s3;
mod staged;
mod walk;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::Stream;

pub use disk::Object;
pub use error::Error;
pub use key::{FileName, InvalidName, Key};
pub use read::{PIECE_BYTES, Reader};
pub use s3::{Bucket, Entry, Page, S3Options, Source};
pub use staged::Staged;

use disk::Disk;
use s3::Objects;

/// Objects under keys. Cloning is cheap, and gives the same storage.
///
/// What has begun runs to its end, even if the caller stops waiting for it: a future dropped in `publish` may have
/// published.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Where objects are, or only drafts if the objects are in a bucket.
    disk: Arc<Disk>,
    bucket: Option<Objects>,
    reserve_bytes: u64,
}

/// What [`Storage::put`] does with an object that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and `put` fails.
    Keep,
    /// The new one takes its place in one step.
    Replace,
}

impl Storage {
    /// Opens the storage at `location`, a folder that is made if it is missing, or `s3://bucket/prefix` as the environment
    /// says, and tries out that it can be written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other URLs, [`Error::Unusable`] for a folder or a bucket that can't be written.
    pub async fn open(location: &str) -> Result<Self, Error> {
        Self::open_with(location, &S3Options::default()).await
    }

    /// As [`Storage::open`]; `options` say how a bucket is reached.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub async fn open_with(location: &str, options: &S3Options) -> Result<Self, Error> {
        let (folder, bucket) = match s3::is_s3(location) {
            true => {
                let scratch = options.scratch.to_str().ok_or_else(|| Error::Unusable {
                    location: options.scratch.display().to_string(),
                    source: std::io::Error::other("its name is not UTF-8"),
                })?;
                (scratch.to_owned(), Some(Objects::open(location, options).await?))
            }
            false => (location.to_owned(), None),
        };
        blocking(move || {
            let disk = Disk::open(&folder)?;
            let reserve_bytes = disk.default_reserve()?;
            Ok(Self { disk: Arc::new(disk), bucket, reserve_bytes })
        })
        .await
    }

    /// The same storage, but refusing to take more while less than `bytes` are free. Otherwise it is 5 % of the disk, and
    /// at most 1 GiB.
    pub fn with_reserve(self, bytes: u64) -> Self {
        Self { reserve_bytes: bytes, ..self }
    }

    /// Starts an object that will be published as `key`: an empty file that nobody sees.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if less than the reserve is free.
    pub async fn stage(&self, key: &Key) -> Result<Staged, Error> {
        let (disk, key, reserve_bytes) = (self.disk.clone(), key.clone(), self.reserve_bytes);
        blocking(move || {
            disk.check_space(reserve_bytes)?;
            Staged::new(disk, key)
        })
        .await
    }

    /// Makes a staged object appear under its key, whole and on disk.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is an object of that key; it stays as it is. After any error nothing of `staged` is left.
    pub async fn publish(&self, staged: Staged) -> Result<Object, Error> {
        if let Some(bucket) = self.bucket.clone() {
            return spawned(async move { bucket.publish(staged.shared_file(), staged.key()).await }).await;
        }
        blocking(move || staged.publish()).await
    }

    /// Writes a small object in one go, with the same care.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one and it is to be kept; [`Error::NoSpace`].
    pub async fn put(&self, key: &Key, bytes: Bytes, existing: Existing) -> Result<Object, Error> {
        if let Some(bucket) = self.bucket.clone() {
            let key = key.clone();
            return spawned(async move { bucket.put(&key, bytes, existing).await }).await;
        }
        let (disk, key, reserve_bytes) = (self.disk.clone(), key.clone(), self.reserve_bytes);
        blocking(move || {
            disk.check_space(reserve_bytes)?;
            match existing {
                Existing::Keep => Staged::new(disk, key)?.filled(&bytes)?.publish(),
                Existing::Replace => Staged::named(disk, key)?.filled(&bytes)?.replace(),
            }
        })
        .await
    }

    /// What is known of the object `key`, if there is one.
    pub async fn head(&self, key: &Key) -> Result<Option<Object>, Error> {
        Ok(self.get(key).await?.map(|reader| reader.object().clone()))
    }

    /// Opens the object `key`, if there is one. It can be read to the end even if it is erased meanwhile; in a bucket, only
    /// if its first bytes have come by then.
    pub async fn get(&self, key: &Key) -> Result<Option<Reader>, Error> {
        if let Some(bucket) = &self.bucket {
            let found = bucket.head(key).await?;
            return Ok(found.map(|(object, etag)| Reader::of_bucket(bucket.clone(), object, etag)));
        }
        let (disk, key) = (self.disk.clone(), key.clone());
        blocking(move || Ok(disk.open_object(&key)?.map(|(file, object)| Reader::new(file, object)))).await
    }

    /// Reads some bytes of the object `key`, in pieces of [`PIECE_BYTES`] and none before it is asked for.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::OutOfRange`] if `range` goes beyond the object.
    pub async fn read(
        &self,
        key: &Key,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let reader = self.get(key).await?.ok_or_else(|| Error::Missing(key.clone()))?;
        reader.stream(range)
    }

    /// Erases the object `key`; whether there was one.
    pub async fn delete(&self, key: &Key) -> Result<bool, Error> {
        if let Some(bucket) = &self.bucket {
            return bucket.delete(key).await;
        }
        let (disk, key) = (self.disk.clone(), key.clone());
        blocking(move || disk.delete(&key)).await
    }

    /// Erases every object below `prefix`; how many there were.
    pub async fn delete_prefix(&self, prefix: &Key) -> Result<u64, Error> {
        if let Some(bucket) = &self.bucket {
            return bucket.delete_below(prefix).await;
        }
        let (disk, prefix) = (self.disk.clone(), prefix.clone());
        blocking(move || disk.delete_below(&prefix)).await
    }

    /// The objects below `prefix`, or all of them, in order of their keys.
    pub async fn list(&self, prefix: Option<&Key>) -> Result<Vec<Object>, Error> {
        if let Some(bucket) = &self.bucket {
            return bucket.list(prefix).await;
        }
        let (disk, prefix) = (self.disk.clone(), prefix.cloned());
        blocking(move || disk.list(prefix.as_ref())).await
    }

    /// Erases what a killed process left half-written longer than `older_than` ago; how many files that were. An object
    /// that some process still holds is never touched, whatever its age. In a bucket, uploads of any machine are ended
    /// that have been [abandoned](S3Options::abandoned).
    pub async fn sweep_staging(&self, older_than: Duration) -> Result<u64, Error> {
        let disk = self.disk.clone();
        let swept = blocking(move || disk.sweep_staging(older_than)).await?;
        Ok(swept
            + match &self.bucket {
                Some(bucket) => bucket.sweep().await?,
                None => 0,
            })
    }
}

/// Runs work to its end, whether or not somebody still waits for it.
async fn spawned<T: Send + 'static>(work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::io("work on the storage was stopped", std::io::Error::other(stopped))),
    }
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::io("work on the storage was stopped", std::io::Error::other(stopped))),
    }
}
