//! Objects in a local folder. The folder is opened once; everything below is reached through that handle, with
//! `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, so no key and nothing planted in the folder leads out of it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat},
    io::Errno,
};
use uuid::Uuid;

use crate::{Error, Key};

/// Where drafts are that need a name. No key begins with a dot.
pub(crate) const STAGING: &str = ".staging";
/// The reserve is this part of the disk …
const RESERVE_PART: u64 = 20;
/// … and at most this many bytes.
const MAX_RESERVE_BYTES: u64 = 1 << 30;
/// How often a folder is made again that vanishes before it is used, because the last object in it was erased.
const FOLDER_TRIES: usize = 8;

const FILE_MODE: Mode = Mode::from_bits_retain(0o640);
const FOLDER_MODE: Mode = Mode::from_bits_retain(0o750);

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: Key,
    /// Its length.
    pub size_bytes: u64,
    /// Changes with its content: letters, digits and dashes, without quotes. A strong validator (RFC 9110 §8.8.1).
    pub etag: String,
    /// When it was last written.
    pub modified: SystemTime,
}

impl Object {
    pub(crate) fn new(key: Key, stat: &Stat) -> Self {
        let (size_bytes, seconds) = (stat.st_size.max(0) as u64, stat.st_mtime.max(0) as u64);
        let nanos = stat.st_mtime_nsec as u32;
        Self {
            key,
            size_bytes,
            etag: format!("{:x}-{seconds:x}{nanos:08x}-{size_bytes:x}", stat.st_ino),
            modified: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos),
        }
    }
}

/// What an unpublished file is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Draft {
    /// Nothing: it is gone with the last process that holds it.
    Nameless,
    /// A name in [`STAGING`]. The file is locked for as long as a process holds it.
    Named(String),
}

#[derive(Debug)]
pub(crate) struct Disk {
    root: OwnedFd,
    staging: OwnedFd,
    /// Whether this file system can hold a file without a name, and name it later.
    pub(crate) nameless: bool,
    /// Held while folders are made or removed, so that none is removed between being found and being opened.
    folders: Mutex<()>,
}

impl Disk {
    pub(crate) fn open(location: &str) -> Result<Self, Error> {
        if location.contains("://") {
            return Err(Error::Unsupported(location.to_owned()));
        }
        Self::try_open(location).map_err(|source| Error::Unusable { location: location.to_owned(), source })
    }

    fn try_open(location: &str) -> io::Result<Self> {
        std::fs::create_dir_all(location)?;
        let root = fs::openat(CWD, location, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        if let Err(Errno::NOSYS) = open_beneath(&root, ".", OFlags::DIRECTORY) {
            return Err(io::Error::other("this kernel has no openat2: Linux 5.6 or later is needed"));
        }
        make_folder(&root, STAGING)?;
        let staging = open_beneath(&root, STAGING, OFlags::DIRECTORY)?;
        let mut disk = Self { root, staging, nameless: true, folders: Mutex::new(()) };
        disk.nameless = disk.try_out(Draft::Nameless).is_ok();
        if !disk.nameless {
            disk.try_out(Draft::Named(String::new()))?;
        }
        Ok(disk)
    }

    /// Writes and names a file in the way that `draft` tells, and removes it.
    fn try_out(&self, draft: Draft) -> io::Result<()> {
        let (file, draft) = match draft {
            Draft::Nameless => self.nameless_draft()?,
            Draft::Named(_) => self.named_draft()?,
        };
        let name = format!("{}.try", Uuid::new_v4());
        let named = self.name(&file, &draft, &self.staging, &name);
        self.discard(&draft);
        named?;
        Ok(fs::unlinkat(&self.staging, &name, AtFlags::empty())?)
    }

    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(crate) fn staging(&self) -> &OwnedFd {
        &self.staging
    }

    /// The bytes to keep free unless told otherwise.
    pub(crate) fn default_reserve(&self) -> Result<u64, Error> {
        let disk = fs::fstatvfs(&self.root).map_err(|e| Error::io("asking for the size of the storage", e))?;
        Ok((disk.f_blocks.saturating_mul(disk.f_frsize) / RESERVE_PART).min(MAX_RESERVE_BYTES))
    }

    /// Refuses to go on with less than `reserve_bytes` free.
    pub(crate) fn check_space(&self, reserve_bytes: u64) -> Result<(), Error> {
        let disk = fs::fstatvfs(&self.root).map_err(|e| Error::io("asking for the free space of the storage", e))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free_bytes < reserve_bytes {
            return Err(Error::NoSpace(format!("{free_bytes} bytes are free, {reserve_bytes} are kept in reserve")));
        }
        Ok(())
    }

    /// A new file, without a name where that is possible.
    pub(crate) fn draft(&self) -> io::Result<(File, Draft)> {
        if self.nameless { self.nameless_draft() } else { self.named_draft() }
    }

    fn nameless_draft(&self) -> io::Result<(File, Draft)> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok((fs::openat(&self.staging, ".", flags, FILE_MODE)?.into(), Draft::Nameless))
    }

    /// A new file with a name.
    pub(crate) fn named_draft(&self) -> io::Result<(File, Draft)> {
        let name = Uuid::new_v4().to_string();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = fs::openat(&self.staging, &name, flags, FILE_MODE)?;
        // Where nothing can be locked, the sweep can't lock it either, and leaves it alone.
        if let Err(error) = fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            tracing::debug!(%error, "a staged file could not be locked");
        }
        Ok((file.into(), Draft::Named(name)))
    }

    /// Removes the name of a draft that was not published. One that was has no name here any more.
    pub(crate) fn discard(&self, draft: &Draft) {
        if let Draft::Named(name) = draft
            && let Err(error) = fs::unlinkat(&self.staging, name, AtFlags::empty())
            && error != Errno::NOENT
        {
            tracing::warn!(name, %error, "a staged file could not be removed; the sweep will");
        }
    }

    /// Gives a synced draft its key. What is in the way stays, and is an error.
    pub(crate) fn publish(&self, file: &File, draft: &Draft, key: &Key) -> Result<Object, Error> {
        self.place(file, key, |folder, name| self.name(file, draft, folder, name))
    }

    /// Gives a synced draft its key, in place of what has it now.
    pub(crate) fn replace(&self, file: &File, draft: &Draft, key: &Key) -> Result<Object, Error> {
        self.place(file, key, |folder, name| match draft {
            Draft::Named(from) => fs::renameat(&self.staging, from, folder, name),
            Draft::Nameless => Err(Errno::NOENT),
        })
    }

    /// Names a file in `folder`, unless the name is taken.
    fn name(&self, file: &File, draft: &Draft, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
        match draft {
            Draft::Nameless => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                fs::linkat(CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW)
            }
            Draft::Named(from) => match fs::renameat_with(&self.staging, from, folder, name, RenameFlags::NOREPLACE) {
                // This file system can't rename like that, but a link never replaces anything either.
                Err(Errno::INVAL | Errno::NOSYS) => fs::linkat(&self.staging, from, folder, name, AtFlags::empty()),
                result => result,
            },
        }
    }

    /// Puts a file where `key` says, by `put`, and makes sure that it stays there.
    fn place(
        &self,
        file: &File,
        key: &Key,
        put: impl Fn(&OwnedFd, &str) -> Result<(), Errno>,
    ) -> Result<Object, Error> {
        let failed = |e: io::Error| Error::io(format!("publishing object {key}"), e);
        for _ in 0..FOLDER_TRIES {
            let folders = self.make_parents(key).map_err(failed)?;
            let Some(parent) = folders.last() else { continue };
            match put(parent, key.file_name()) {
                Ok(()) => {
                    // The file's own record says how many names it has, each folder's what they are. Synced once all are
                    // there, they cost one wait for the disk, and not one each.
                    file.sync_all().map_err(failed)?;
                    for folder in folders.iter().rev() {
                        fs::fsync(folder).map_err(|e| failed(e.into()))?;
                    }
                    let stat = fs::fstat(file).map_err(|e| failed(e.into()))?;
                    return Ok(Object::new(key.clone(), &stat));
                }
                Err(Errno::EXIST | Errno::ISDIR | Errno::NOTDIR) => return Err(Error::Exists(key.clone())),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(failed(io::Error::other("its folder was removed again and again")))
    }

    /// Opens an object. Anything else that lies under its key (a folder, a link, a device) is no object.
    pub(crate) fn open_object(&self, key: &Key) -> Result<Option<(File, Object)>, Error> {
        let failed = |e: Errno| Error::io(format!("opening object {key}"), e);
        // Without NONBLOCK, opening a FIFO would wait for its writer.
        let file = match open_beneath(&self.root, key.as_str(), OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(error) if is_absence(error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let stat = fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some((file.into(), Object::new(key.clone(), &stat))))
    }

    pub(crate) fn lock_folders(&self) -> MutexGuard<'_, ()> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the folders that `key` lies in, from the outermost on, made where they are missing. They aren't synced.
    fn make_parents(&self, key: &Key) -> io::Result<Vec<OwnedFd>> {
        let _guard = self.lock_folders();
        let root = open_beneath(&self.root, ".", OFlags::DIRECTORY)?;
        let mut folders = vec![root];
        let parent = key.parent();
        for component in parent.iter().flat_map(|parent| parent.as_str().split('/')) {
            let folder = &folders[folders.len() - 1];
            match fs::mkdirat(folder, component, FOLDER_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let next = open_beneath(folder, component, OFlags::DIRECTORY)?;
            folders.push(next);
        }
        Ok(folders)
    }
}

/// Opens what lies below `folder`, for reading, not following any symbolic link on the way.
pub(crate) fn open_beneath(folder: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    fs::openat2(folder, path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Whether opening failed because there is nothing of that name that could be an object.
pub(crate) fn is_absence(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV)
}

/// Makes a folder, durably, unless it is there.
fn make_folder(folder: impl AsFd, name: &str) -> Result<(), Errno> {
    match fs::mkdirat(&folder, name, FOLDER_MODE) {
        Ok(()) => fs::fsync(&folder),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}
