//! A prefix in S3. What is opened is read by ranges; an object's tag is its version.

use std::{
    io,
    ops::{ControlFlow, Range},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use media::{Opened, RangeReader, time::WallTime};
use storage::{Bucket, S3Options, Source};

use crate::store::{Entry, Identity, Store, Version};

/// A prefix in S3.
#[derive(Debug)]
pub(crate) struct BucketStore {
    bucket: Bucket,
}

/// An object, as it was when its size was asked.
struct Object {
    bucket: Bucket,
    name: String,
    known: OnceLock<Source>,
}

impl BucketStore {
    pub(crate) fn open(location: &str, options: &S3Options) -> Result<Self, storage::Error> {
        Ok(Self { bucket: Bucket::open(location, options)? })
    }

    fn head(&self, name: &str) -> io::Result<Source> {
        self.bucket.head(name).map_err(told)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Store for BucketStore {
    fn open(&self, name: &str) -> io::Result<Opened> {
        let (bucket, name) = (self.bucket.clone(), name.to_owned());
        Ok(Opened::Remote(Arc::new(Object { bucket, name, known: OnceLock::new() })))
    }

    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> io::Result<()> {
        let mut next = None;
        loop {
            let page = self.bucket.list(folder, "", next.as_deref()).map_err(told)?;
            // Folders are what names have in common: one without names isn't there.
            if page.entries.is_empty() && next.is_none() && !folder.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            for entry in &page.entries {
                let name = entry.name().rsplit('/').next().unwrap_or_default();
                let entry = match entry {
                    storage::Entry::Folder(_) => Entry { name, is_folder: true, size: 0, modified: WallTime::EPOCH },
                    storage::Entry::Source { source, .. } => {
                        Entry { name, is_folder: false, size: source.size_bytes, modified: wall(source.modified) }
                    }
                };
                if visit(entry).is_break() {
                    return Ok(());
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn version(&self, name: &str) -> io::Result<Version> {
        let source = match self.head(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let below = self.bucket.list(name, "", None).map_err(told)?;
                return Err(if below.entries.is_empty() { error } else { io::ErrorKind::Unsupported.into() });
            }
            found => found?,
        };
        let modified = wall(source.modified);
        Ok(Version { size: source.size_bytes, modified, identity: Identity::Tag(source.etag) })
    }

    fn read(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let source = self.head(name)?;
        let end = range.end.min(source.size_bytes);
        self.bucket.read(name, range.start.min(end)..end, &source.etag).map_err(told)
    }
}

impl RangeReader for Object {
    fn size(&self) -> io::Result<u64> {
        let found = self.bucket.head(&self.name).map_err(told)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.known.get_or_init(|| found).size_bytes)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let etag = self.known.get().map_or("", |source| &source.etag);
        let bytes = self.bucket.read(&self.name, offset..offset + buffer.len() as u64, etag).map_err(told)?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }
}

/// What may be told of an error to whoever asks for a recording; the rest is for the log: it names the bucket.
fn told(error: storage::Error) -> io::Error {
    let kind = match &error {
        storage::Error::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    match kind {
        io::ErrorKind::NotFound => kind.into(),
        io::ErrorKind::InvalidInput => io::Error::new(kind, "is not a name that an object can have"),
        _ => {
            tracing::warn!(%error, "a library in S3 can't be read");
            io::Error::other("the store of the recordings failed")
        }
    }
}

fn wall(time: SystemTime) -> WallTime {
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    WallTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}
