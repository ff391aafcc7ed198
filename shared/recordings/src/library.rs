//! A folder of recordings, opened once.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use media::{Input, Opened, Sources, time::WallTime};
use rustix::io::Errno;
use storage::S3Options;

use crate::{
    Error, MAX_MANIFEST_BYTES, Recording, Store, Version, bucket::BucketStore, dash, file, hls, local::LocalStore,
    name, sidecar, sniff,
};

/// Looks into a media file. Services give a closure over `media`'s pool of child processes.
pub trait Probe {
    /// Says what `input` holds.
    ///
    /// # Errors
    /// Those of `media`.
    fn probe(&self, input: &Input) -> Result<media::Probe, media::Error>;
}

impl<F: Fn(&Input) -> Result<media::Probe, media::Error>> Probe for F {
    fn probe(&self, input: &Input) -> Result<media::Probe, media::Error> {
        self(input)
    }
}

/// How many files' probes are remembered.
const REMEMBERED: usize = 256;

/// A folder of recordings.
#[derive(Debug)]
pub struct Library {
    store: Box<dyn Store>,
    /// What files were found to hold, so that looking twice doesn't cost twice.
    probes: Mutex<HashMap<(String, Version), media::Probe>>,
}

impl Library {
    /// Opens the folder at `root`. It stays this folder, whatever is renamed later.
    ///
    /// # Errors
    /// `Io` if it isn't a folder, or may not be opened.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let store = LocalStore::open(root).map_err(|source| Error::Io { name: root.display().to_string(), source })?;
        Ok(Self::new(Box::new(store)))
    }

    /// Opens `s3://bucket/prefix`, and asks whether it is there. Blocks.
    ///
    /// # Errors
    /// Those of `storage`.
    pub fn open_bucket(location: &str, options: &S3Options) -> Result<Self, storage::Error> {
        Ok(Self::new(Box::new(BucketStore::open(location, options)?)))
    }

    /// The recordings in `store`.
    pub fn new(store: Box<dyn Store>) -> Self {
        Self { store, probes: Mutex::default() }
    }

    /// Opens a file of the library for reading.
    ///
    /// # Errors
    /// `InvalidInput` if the name is malformed or names anything but a regular file; else what the store says, which
    /// refuses to follow symbolic links.
    pub fn open_source(&self, name: &str) -> io::Result<Opened> {
        name::check_uid(name)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, format!("the name {reason}")))?;
        self.store.open(name)
    }

    /// What was recorded under `uid`, the relative path of a manifest or of a media file. Reads the manifest, never the
    /// segments; only a media file is probed.
    ///
    /// # Errors
    /// `InvalidUid`, `NotFound`, `Unusable`, `Unsupported`, `Probe` or `Io`.
    pub fn recording(&self, uid: &str, probe: &dyn Probe) -> Result<Recording, Error> {
        name::check_uid(uid).map_err(|reason| Error::InvalidUid { uid: uid.into(), reason })?;
        let head = self.head(uid)?;
        let kind = sniff::expected(uid)
            .ok_or_else(|| Error::unsupported(uid, "is neither a manifest nor a media file by its name"))?;
        let looks = sniff::sniff(&head);
        if looks != kind {
            return Err(Error::unusable(uid, format!("is not {kind}: it looks like {looks}")));
        }
        let start = sidecar::start(self, uid)?;
        let recording = match kind {
            sniff::Kind::Dash => dash::read(self, uid)?,
            sniff::Kind::Hls => hls::read(self, uid)?,
            sniff::Kind::Media(format) => {
                file::read(uid, format, start, &|input: &Input| self.remembered(uid, input, probe))?
            }
            sniff::Kind::Other(what) => return Err(Error::unsupported(uid, format!("is {what}"))),
        };
        Ok(match start {
            Some(start) => recording.with_start(start),
            None => recording,
        })
    }

    /// What a probe says of the file `uid`, asked only if the file isn't the one that was asked about before.
    fn remembered(&self, uid: &str, input: &Input, probe: &dyn Probe) -> Result<media::Probe, media::Error> {
        let version = self.store.version(uid).map_err(|error| media::Error::Io(format!("{uid}: {error}")))?;
        let version = (uid.to_owned(), version);
        let known = self.probes.lock().unwrap_or_else(PoisonError::into_inner).get(&version).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = probe.probe(input)?;
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        // Who asks for that many files gains little from memory; starting over is simpler than telling which are old.
        if probes.len() >= REMEMBERED {
            probes.clear();
        }
        probes.insert(version, found.clone());
        Ok(found)
    }

    /// The first bytes of a file.
    fn head(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.store.read(name, 0..sniff::HEAD_BYTES as u64).map_err(|error| not_read(name, error))
    }

    /// The text of a manifest.
    pub(crate) fn text(&self, name: &str) -> Result<String, Error> {
        let bytes = self.store.read(name, 0..MAX_MANIFEST_BYTES + 1).map_err(|error| not_read(name, error))?;
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Error::unusable(name, format!("is longer than {MAX_MANIFEST_BYTES} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            Error::unusable(name, format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
        })
    }

    /// The text of a small file that need not be there.
    pub(crate) fn optional_text(&self, name: &str, longest: u64) -> Result<Option<String>, Error> {
        // What is too long to be a name names nothing.
        if name::check_uid(name).is_err() {
            return Ok(None);
        }
        let bytes = match self.store.read(name, 0..longest).map_err(|error| not_read(name, error)) {
            Err(Error::NotFound { .. }) => return Ok(None),
            read => read?,
        };
        String::from_utf8(bytes).map(Some).map_err(|_| Error::unusable(name, "is not UTF-8"))
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        name::check_uid(name).is_ok() && self.store.version(name).is_ok()
    }

    /// When a file was last written.
    pub(crate) fn modified(&self, name: &str) -> Result<WallTime, Error> {
        let version = self.store.version(name).map_err(|error| not_read(name, error))?;
        Ok(version.modified)
    }
}

impl Sources for Library {
    fn open(&self, name: &str) -> io::Result<Opened> {
        self.open_source(name)
    }
}

/// Why a file can't be read, by what the store says.
fn not_read(name: &str, source: io::Error) -> Error {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Error::NotFound { uid: name.into() },
        Some(Errno::LOOP | Errno::XDEV) => Error::unusable(name, "lies behind a symbolic link"),
        Some(Errno::NXIO) => Error::unusable(name, "is not a regular file"),
        None if source.kind() == io::ErrorKind::InvalidInput => Error::unusable(name, source.to_string()),
        None if source.kind() == io::ErrorKind::NotFound => Error::NotFound { uid: name.into() },
        _ => Error::Io { name: name.into(), source },
    }
}
