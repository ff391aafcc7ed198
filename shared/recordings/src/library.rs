//! A folder of recordings, opened once. Whatever is opened later is opened beneath it, by the kernel's own rules.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
    sync::{Mutex, PoisonError},
};

use media::{Input, Opened, Sources, time::WallTime};
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{Error, MAX_MANIFEST_BYTES, Recording, dash, file, hls, name, sidecar, sniff};

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
    root: OwnedFd,
    /// What files were found to hold, so that looking twice doesn't cost twice.
    probes: Mutex<HashMap<Version, media::Probe>>,
}

/// A file as it was at one moment: written to, or replaced, it is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    uid: String,
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
}

impl Library {
    /// Opens the folder at `root`. It stays this folder, whatever is renamed later.
    ///
    /// # Errors
    /// `Io` if it isn't a folder, or may not be opened.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| Error::Io { name: root.display().to_string(), source: error.into() })?;
        Ok(Self { root, probes: Mutex::default() })
    }

    /// Opens a file of the library for reading.
    ///
    /// # Errors
    /// `InvalidInput` if the name is malformed or names anything but a regular file; else what the kernel says, which
    /// refuses to follow symbolic links.
    pub fn open_source(&self, name: &str) -> io::Result<File> {
        name::check_uid(name).map_err(|reason| invalid(format!("the name {reason}")))?;
        let file = File::from(self.open_beneath(name)?);
        // A FIFO would block for ever, a device may do anything; O_NONBLOCK kept the open itself from waiting.
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file),
            FileType::Directory => Err(invalid("is a folder")),
            _ => Err(invalid("is not a regular file")),
        }
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
        let unreadable = |error: io::Error| media::Error::Io(format!("{uid}: {error}"));
        let file = self.open_source(uid).map_err(unreadable)?;
        let status = rustix::fs::fstat(&file).map_err(|error| unreadable(error.into()))?;
        let version = Version {
            uid: uid.to_owned(),
            device: status.st_dev,
            inode: status.st_ino,
            size: status.st_size,
            modified: (status.st_mtime, status.st_mtime_nsec),
        };
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
        let mut head = Vec::with_capacity(sniff::HEAD_BYTES);
        let file = self.open_source(name).map_err(|error| not_opened(name, error))?;
        file.take(sniff::HEAD_BYTES as u64).read_to_end(&mut head).map_err(|error| not_read(name, error))?;
        Ok(head)
    }

    /// The text of a manifest.
    pub(crate) fn text(&self, name: &str) -> Result<String, Error> {
        let file = self.open_source(name).map_err(|error| not_opened(name, error))?;
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| not_read(name, error))?;
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
        let file = match self.open_source(name).map_err(|error| not_opened(name, error)) {
            Err(Error::NotFound { .. }) => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        match file.take(longest).read_to_string(&mut text) {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::unusable(name, "is not UTF-8")),
            Err(error) => Err(not_read(name, error)),
        }
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.open_source(name).is_ok()
    }

    /// When a file was last written.
    pub(crate) fn modified(&self, name: &str) -> Result<WallTime, Error> {
        let file = self.open_source(name).map_err(|error| not_opened(name, error))?;
        let status = rustix::fs::fstat(&file).map_err(|error| not_read(name, error.into()))?;
        let nanos = i128::from(status.st_mtime) * 1_000_000_000 + i128::from(status.st_mtime_nsec);
        Ok(WallTime::from_nanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64))
    }

    fn open_beneath(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // openat2(2): EAGAIN says that something was renamed meanwhile and that it couldn't be sure; try again.
        const ATTEMPTS: usize = 16;
        let mut opened = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            opened = rustix::fs::openat2(&self.root, name, flags, Mode::empty(), resolve);
            if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        Ok(opened?)
    }
}

impl Sources for Library {
    fn open(&self, name: &str) -> io::Result<Opened> {
        self.open_source(name).map(Opened::Local)
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason.into())
}

fn not_opened(name: &str, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Error::NotFound { uid: name.into() },
        Some(Errno::LOOP | Errno::XDEV) => Error::unusable(name, "lies behind a symbolic link"),
        Some(Errno::NXIO) => Error::unusable(name, "is not a regular file"),
        None if error.kind() == io::ErrorKind::InvalidInput => Error::unusable(name, error.to_string()),
        _ => not_read(name, error),
    }
}

fn not_read(name: &str, source: io::Error) -> Error {
    Error::Io { name: name.into(), source }
}
