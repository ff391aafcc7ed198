//! A folder of recordings, opened once.

use std::{
    cell::{Cell, RefCell},
    io,
    ops::Range,
    path::Path,
    sync::Arc,
};

use media::{Input, Opened, Sources};
use rustix::io::Errno;
use storage::S3Options;

use crate::{
    Error, Recording, Store, Version,
    bucket::BucketStore,
    cache::{Cache, Kept},
    dash,
    error::excerpt,
    file,
    folder::{Folder, Listing, Pattern},
    hls,
    local::LocalStore,
    name,
    shelf::Shelf,
    sidecar::Note,
    sniff,
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

/// How the recordings of a library are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryOptions {
    /// Names of time-stamped files, without their extension, as `strftime` writes them. May have folders in it. A
    /// recording's note can say another.
    pub file_pattern: String,
    /// IANA name of the time zone of those names; UTC if absent.
    pub time_zone: Option<String>,
}

impl Default for LibraryOptions {
    fn default() -> Self {
        Self { file_pattern: "%Y-%m-%d_%H-%M-%S-%f".into(), time_zone: None }
    }
}

/// How a recording is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RecordingOptions {
    /// The video rendition: its name or id, bandwidth, or resolution (`1280x720`, `720p`). By default that with the most
    /// bits per second.
    pub rendition: Option<String>,
}

/// A folder of recordings.
#[derive(Debug)]
pub struct Library {
    pub(crate) shelf: Arc<Shelf>,
    options: LibraryOptions,
    pub(crate) cache: Cache,
}

impl Library {
    /// Opens the folder at `root`. It stays this folder, whatever is renamed later.
    ///
    /// # Errors
    /// `Io` if it isn't a folder, or may not be opened.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::with_options(root, LibraryOptions::default())
    }

    /// Opens the folder at `root`, in which recordings are named as `options` say.
    ///
    /// # Errors
    /// As [`Self::open`]; `InvalidOptions`.
    pub fn with_options(root: &Path, options: LibraryOptions) -> Result<Self, Error> {
        let store = LocalStore::open(root).map_err(|source| Error::Io { name: root.display().to_string(), source })?;
        Self::new(Box::new(store), options)
    }

    /// Opens `s3://bucket/prefix`, and asks whether it is there. Recordings are named as `options` say. Blocks.
    ///
    /// # Errors
    /// `InvalidOptions`; `Storage`, with what that says.
    pub fn open_bucket(location: &str, s3: &S3Options, options: LibraryOptions) -> Result<Self, Error> {
        let store = BucketStore::open(location, s3).map_err(|source| Error::Storage(Box::new(source)))?;
        Self::new(Box::new(store), options)
    }

    /// The recordings in `store`.
    ///
    /// # Errors
    /// `InvalidOptions` if the pattern or the time zone can't be read.
    pub fn new(store: Box<dyn Store>, options: LibraryOptions) -> Result<Self, Error> {
        Pattern::parse(&options.file_pattern, options.time_zone.as_deref()).map_err(Error::InvalidOptions)?;
        Ok(Self { shelf: Arc::new(Shelf::new(store)), options, cache: Cache::default() })
    }

    /// Opens a file of the library for reading.
    ///
    /// # Errors
    /// `InvalidInput` if the name is malformed; else what the store says, which refuses whatever isn't a regular file,
    /// and to follow symbolic links.
    pub fn open_source(&self, name: &str) -> io::Result<Opened> {
        name::check_uid(name)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, format!("the name {reason}")))?;
        self.shelf.store.open(name)
    }

    /// What was recorded under `uid`, the relative path of a manifest, of a media file, or of a folder of time-stamped
    /// files or with a manifest in it. Reads manifests, never their segments; a media file is looked into with `probe`,
    /// of a folder the first and the last. What was read before and hasn't changed is kept, within bounds.
    ///
    /// # Errors
    /// `InvalidUid`, `NotFound`, `Unusable`, `Unsupported`, `Probe` or `Io`.
    pub fn recording(&self, uid: &str, probe: &dyn Probe) -> Result<Recording, Error> {
        self.recording_with(uid, &RecordingOptions::default(), probe)
    }

    /// As [`Self::recording`], read as `options` say.
    ///
    /// # Errors
    /// As [`Self::recording`]; `Unsupported` if there is no such rendition.
    pub fn recording_with(&self, uid: &str, options: &RecordingOptions, probe: &dyn Probe) -> Result<Recording, Error> {
        name::check_uid(uid).map_err(|reason| Error::InvalidUid { uid: uid.into(), reason })?;
        let note = Note::beside(self, uid)?;
        let head = match self.shelf.store.read(uid, 0..sniff::HEAD_BYTES as u64) {
            Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::NotFound) => {
                return self.folder(uid, note, options, probe);
            }
            head => head.map_err(|error| not_read(uid, error))?,
        };
        let kind = sniff::expected(uid)
            .ok_or_else(|| Error::unsupported(uid, "is neither a manifest nor a media file by its name"))?;
        let looks = sniff::sniff(&head);
        if looks != kind {
            return Err(Error::unusable(uid, format!("is not {kind}: it looks like {looks}")));
        }
        let recording = match kind {
            sniff::Kind::Dash | sniff::Kind::Hls => self.manifest(uid, kind, options)?,
            sniff::Kind::Media(_) if options.rendition.is_some() => {
                return Err(Error::unsupported(uid, "has no renditions to choose from"));
            }
            sniff::Kind::Media(format) => file::read(uid, format, note.start, &self.shelf, probe)?,
            sniff::Kind::Other(what) => return Err(Error::unsupported(uid, format!("is {what}"))),
        };
        Ok(match note.start {
            Some(start) => recording.with_start(start),
            None => recording,
        })
    }

    /// The recording of the manifest `uid`: as it was read before, if nothing changed.
    fn manifest(&self, uid: &str, kind: sniff::Kind, options: &RecordingOptions) -> Result<Recording, Error> {
        // A line break is in no uid.
        let key = format!("{uid}\n{}", options.rendition.as_deref().unwrap_or_default());
        let kept = self.cache.get(&key);
        let reading = Reading::new(self);
        let old = match kept.as_deref() {
            Some(Kept::Manifest { files, recording, .. }) if reading.are_current(files) => {
                return Ok(recording.clone());
            }
            Some(Kept::Manifest { playlists, .. }) => playlists.as_slice(),
            _ => &[],
        };
        let rendition = options.rendition.as_deref();
        let (recording, playlists) = match kind {
            sniff::Kind::Hls => hls::read(&reading, uid, rendition, old)?,
            _ => (dash::read(&reading, uid, rendition)?, Vec::new()),
        };
        if reading.is_kept.get() {
            let (files, recording) = (reading.files.into_inner(), recording.clone());
            self.cache.put(&key, Kept::Manifest { files, recording, playlists });
        }
        Ok(recording)
    }

    /// The recording in the folder `uid`.
    fn folder(&self, uid: &str, note: Note, options: &RecordingOptions, probe: &dyn Probe) -> Result<Recording, Error> {
        let note = note.inside(self, uid)?;
        let pattern = self.pattern(&note).map_err(|reason| Error::unusable(uid, reason))?;
        let key = pattern.key();
        let kept = self.cache.get(uid);
        let old = match kept.as_deref() {
            Some(Kept::Folder { pattern, listing }) if *pattern == key => Some(listing),
            _ => None,
        };
        let listing = Listing::read(&self.shelf, uid, &pattern, old)?;
        if let Some(manifest) = self.manifest_of(uid, listing.manifests())? {
            return self.recording_with(&manifest, options, probe);
        }
        if listing.len() == 0 {
            let reason = format!("is a folder without a manifest, or a file named as {}", excerpt(pattern.text()));
            return Err(Error::unusable(uid, reason));
        }
        if old.is_none_or(|old| !Arc::ptr_eq(old, &listing)) {
            self.cache.put(uid, Kept::Folder { pattern: key, listing: Arc::clone(&listing) });
        }
        let folder = Folder::open(uid, Arc::clone(&self.shelf), listing, probe)?;
        let recording = Recording::of_folder(uid, folder);
        Ok(match note.start {
            Some(start) => recording.moved_to(start),
            None => recording,
        })
    }

    /// How the files of a recording with this note are named.
    pub(crate) fn pattern(&self, note: &Note) -> Result<Pattern, String> {
        let text = note.file_pattern.as_ref().unwrap_or(&self.options.file_pattern);
        let zone = note.time_zone.as_ref().or(self.options.time_zone.as_ref());
        Pattern::parse(text, zone.map(String::as_str))
    }

    /// The one of a folder's manifests that stands for all of it, if it has any: the DASH manifest, the playlist, or of
    /// several playlists the multivariant one.
    fn manifest_of(&self, uid: &str, manifests: &[String]) -> Result<Option<String>, Error> {
        let Some(first) = manifests.first() else { return Ok(None) };
        let of = |wanted| {
            let all = manifests.iter().filter(move |name| sniff::expected(name) == Some(wanted));
            all.map(|name| format!("{uid}/{name}")).collect::<Vec<_>>()
        };
        let (dash, mut playlists) = (of(sniff::Kind::Dash), of(sniff::Kind::Hls));
        if dash.is_empty() && playlists.len() > 1 {
            let mut multivariant = Vec::new();
            let reading = Reading::new(self);
            for name in playlists {
                if hls::is_multivariant(&reading, &name)? {
                    multivariant.push(name);
                }
            }
            playlists = multivariant;
        }
        match (dash.as_slice(), playlists.as_slice()) {
            ([only], _) | ([], [only]) => Ok(Some(only.clone())),
            _ => {
                let reason = format!("is a folder with several manifests: name one of them, such as {uid}/{first}");
                Err(Error::unsupported(uid, reason))
            }
        }
    }

    /// The text of a small file that need not be there.
    pub(crate) fn optional_text(&self, name: &str, longest: u64) -> Result<Option<String>, Error> {
        // What is too long to be a name names nothing.
        if name::check_uid(name).is_err() {
            return Ok(None);
        }
        let bytes = match self.shelf.store.read(name, 0..longest).map_err(|error| not_read(name, error)) {
            Err(Error::NotFound { .. }) => return Ok(None),
            read => read?,
        };
        String::from_utf8(bytes).map(Some).map_err(|_| Error::unusable(name, "is not UTF-8"))
    }
}

/// The reading of a manifest: remembers which files it depended on.
pub(crate) struct Reading<'a> {
    library: &'a Library,
    files: RefCell<Vec<(String, Version)>>,
    /// Whether what comes of it holds for as long as those files stay as they are.
    is_kept: Cell<bool>,
}

impl<'a> Reading<'a> {
    fn new(library: &'a Library) -> Self {
        Self { library, files: RefCell::default(), is_kept: Cell::new(true) }
    }

    /// Whether files are still as they were.
    fn are_current(&self, files: &[(String, Version)]) -> bool {
        let is_current = |(name, version): &(String, Version)| self.version(name).is_ok_and(|now| now == *version);
        files.iter().all(is_current)
    }

    /// What comes of this depends on that version of a file.
    pub(crate) fn remember(&self, name: &str, version: Version) {
        self.files.borrow_mut().push((name.to_owned(), version));
    }

    pub(crate) fn version(&self, name: &str) -> Result<Version, Error> {
        self.library.shelf.store.version(name).map_err(|error| not_read(name, error))
    }

    /// Some bytes of a file.
    pub(crate) fn bytes(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, Error> {
        self.library.shelf.store.read(name, range).map_err(|error| not_read(name, error))
    }

    /// The text of a manifest of up to `longest` bytes.
    pub(crate) fn text(&self, name: &str, longest: u64) -> Result<String, Error> {
        self.remember(name, self.version(name)?);
        let bytes = self.bytes(name, 0..longest + 1)?;
        if bytes.len() as u64 > longest {
            return Err(Error::unusable(name, format!("is longer than {longest} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            Error::unusable(name, format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
        })
    }

    /// Whether there is such a file. What depends on this is not kept.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.is_kept.set(false);
        name::check_uid(name).is_ok() && self.library.shelf.store.version(name).is_ok()
    }
}

impl Sources for Library {
    fn open(&self, name: &str) -> io::Result<Opened> {
        self.open_source(name)
    }
}

/// Why a file can't be read, by what the store says.
pub(crate) fn not_read(name: &str, source: io::Error) -> Error {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Error::NotFound { uid: name.into() },
        Some(Errno::LOOP | Errno::XDEV) => Error::unusable(name, "lies behind a symbolic link"),
        Some(Errno::ISDIR) => Error::unusable(name, "is a folder"),
        Some(Errno::NXIO) => Error::unusable(name, "is not a regular file"),
        None if source.kind() == io::ErrorKind::InvalidInput => Error::unusable(name, source.to_string()),
        None if source.kind() == io::ErrorKind::NotFound => Error::NotFound { uid: name.into() },
        _ => Error::Io { name: name.into(), source },
    }
}
