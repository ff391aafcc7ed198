//! Reading what others have put into a bucket, for code that blocks: media processes and manifests are read that way.

use std::{
    fmt, io,
    ops::Range,
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt,
    list::{PaginatedListOptions, PaginatedListStore},
};
use tokio::runtime::{Builder, Runtime};

use super::{Place, S3Options, failed};
use crate::Error;

/// Where requests run that somebody waits for who isn't on a runtime of its own.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("s3").enable_all().build());
/// Entries of a listing that come at once; no store gives more.
const PAGE_ENTRIES: usize = 1000;

/// Sources in a bucket, below a prefix. Names are relative to it, with `/` between their components. Every call blocks,
/// and must not be made from a task of an asynchronous runtime. Cloning is cheap.
#[derive(Clone)]
pub struct Bucket {
    place: Arc<Place>,
}

/// What lies below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Source {
        /// Its name, relative to the bucket's prefix.
        name: String,
        /// What is known of it.
        source: Source,
    },
    /// What the names of others have in common up to the next `/`, which isn't part of it.
    Folder(String),
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its entity tag as the store has it: another one means other bytes. Empty where the store gives none.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// A thousand at most.
    pub entries: Vec<Entry>,
    /// What to ask with for the next page, if there is one.
    pub next: Option<String>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Bucket {
    /// Opens `s3://bucket` or `s3://bucket/prefix`, and asks whether it is there.
    ///
    /// # Errors
    /// `Unsupported` if the location is something else, `Unusable` if it can't be read.
    pub fn open(location: &str, options: &S3Options) -> Result<Self, Error> {
        let bucket = Self { place: Arc::new(Place::open(location, options)?) };
        let unusable = |error: Error| match error {
            Error::Io { source, .. } => Error::Unusable { location: location.to_owned(), source },
            other => other,
        };
        bucket.page("", "", None, 1).map_err(unusable)?;
        Ok(bucket)
    }

    /// What is known of the object `name`, if there is one.
    ///
    /// # Errors
    /// `Io`, of the kind `InvalidInput` if that is no name of an object.
    pub fn head(&self, name: &str) -> Result<Option<Source>, Error> {
        let what = format_args!("asking for {name:?} in {:?}", self.place);
        let path = self.path(name)?;
        match wait(self.place.store.head(&path))? {
            Ok(meta) => Ok(Some(Source::new(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Reads the whole of `range`, which is within the object `name`, as long as its tag is `etag`; an empty one is any.
    /// A connection that breaks off is made again.
    ///
    /// # Errors
    /// `Io`, of the kind `NotFound` if the object isn't there; also if it was replaced, or is shorter.
    pub fn read(&self, name: &str, range: Range<u64>, etag: &str) -> Result<Vec<u8>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let what = format_args!("reading bytes {}..{} of {name:?} in {:?}", range.start, range.end, self.place);
        let path = self.path(name)?;
        let options = GetOptions {
            range: Some(range.clone().into()),
            if_match: (!etag.is_empty()).then(|| etag.to_owned()),
            ..GetOptions::default()
        };
        let got = wait(async { self.place.store.get_opts(&path, options).await?.bytes().await })?;
        let bytes = match got {
            Ok(bytes) => bytes,
            Err(object_store::Error::Precondition { .. }) => {
                let source = io::Error::other("it was replaced while it was read");
                return Err(Error::Io { what: what.to_string(), source });
            }
            Err(error) => return Err(failed(what, &error)),
        };
        if bytes.len() as u64 != range.end - range.start {
            let source = io::Error::other(format!("{} bytes came", bytes.len()));
            return Err(Error::Io { what: what.to_string(), source });
        }
        Ok(bytes.into())
    }

    /// The objects and folders of `folder`, which is empty for all of it, in order of their names: those whose names, in
    /// the folder, come after `after`. `next` is of the page before.
    ///
    /// # Errors
    /// `Io`. That there is no such folder is none: it is empty.
    pub fn list(&self, folder: &str, after: &str, next: Option<&str>) -> Result<Page, Error> {
        self.page(folder, after, next, PAGE_ENTRIES)
    }

    fn page(&self, folder: &str, after: &str, next: Option<&str>, most: usize) -> Result<Page, Error> {
        let path = self.path(folder)?;
        let prefix = if path.as_ref().is_empty() { String::new() } else { format!("{path}/") };
        let options = PaginatedListOptions {
            offset: (!after.is_empty()).then(|| format!("{prefix}{after}")),
            delimiter: Some("/".into()),
            max_keys: Some(most),
            page_token: next.map(str::to_owned),
            ..PaginatedListOptions::default()
        };
        let listed = wait(self.place.store.list_paginated(Some(&prefix), options))?;
        let listed = listed.map_err(|error| failed(format_args!("listing {folder:?} in {:?}", self.place), &error))?;
        let folders = listed.result.common_prefixes.iter().filter_map(|path| self.place.name(path));
        let mut entries: Vec<_> = folders.map(|name| Entry::Folder(name.to_owned())).collect();
        let sources = listed.result.objects.iter().filter_map(|meta| {
            // An object that stands for the folder itself is none of its sources.
            let name = self.place.name(&meta.location).filter(|_| meta.location != path)?;
            Some(Entry::Source { name: name.to_owned(), source: Source::new(meta) })
        });
        entries.extend(sources);
        entries.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(Page { entries, next: listed.page_token })
    }

    fn path(&self, name: &str) -> Result<object_store::path::Path, Error> {
        self.place.path(name).map_err(|why| Error::Io {
            what: format!("looking for {name:?} in {:?}", self.place),
            source: io::Error::new(io::ErrorKind::InvalidInput, why),
        })
    }
}

impl Entry {
    /// Its name, relative to the bucket's prefix.
    pub fn name(&self) -> &str {
        match self {
            Self::Source { name, .. } | Self::Folder(name) => name,
        }
    }
}

impl Source {
    fn new(meta: &ObjectMeta) -> Self {
        let etag = meta.e_tag.clone().unwrap_or_default();
        Self { size_bytes: meta.size, etag, modified: meta.last_modified.into() }
    }
}

/// Waits for a request. What runs out of patience is the client.
fn wait<T>(request: impl Future<Output = T>) -> Result<T, Error> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.block_on(request)),
        Err(error) => Err(Error::io("starting threads for S3", io::Error::other(error.to_string()))),
    }
}
