//! A local folder. Whatever is opened is opened beneath it, by the kernel's own rules.

use std::{
    ffi::CStr,
    fs::File,
    io,
    ops::{ControlFlow, Range},
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
};

use media::{Opened, time::WallTime};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use crate::store::{Entry, Identity, Store, Version};

/// A local folder. It stays this folder, whatever is renamed later.
#[derive(Debug)]
pub(crate) struct LocalStore {
    root: OwnedFd,
}

impl LocalStore {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    fn beneath(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if name.is_empty() { "." } else { name };
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

    fn file(&self, name: &str) -> io::Result<File> {
        // A FIFO would block for ever, a device may do anything; O_NONBLOCK keeps the open itself from waiting.
        let file = File::from(self.beneath(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file),
            FileType::Directory => Err(Errno::ISDIR.into()),
            _ => Err(invalid("is not a regular file")),
        }
    }
}

impl Store for LocalStore {
    fn open(&self, name: &str) -> io::Result<Opened> {
        self.file(name).map(Opened::Local)
    }

    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> io::Result<()> {
        let folder = self.beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")) else {
                continue;
            };
            if let Some(entry) = look(&folder, name, entry.file_name(), entry.file_type())?
                && visit(entry).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn version(&self, name: &str) -> io::Result<Version> {
        let status = rustix::fs::fstat(self.beneath(name, OFlags::PATH)?)?;
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let identity = Identity::Inode { device: status.st_dev, inode: status.st_ino };
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile | FileType::Directory => Ok(Version { size, modified: modified(&status), identity }),
            FileType::Symlink => Err(Errno::LOOP.into()),
            _ => Err(invalid("is not a regular file")),
        }
    }

    fn read(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        // What is not there takes no memory, whatever was asked for.
        let wanted = range.end.min(size).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| invalid("is too long"))?];
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], range.start + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// What an entry of a folder is; `None` if it is neither a file nor a folder, or is gone already.
fn look<'a>(folder: &OwnedFd, name: &'a str, path: &CStr, kind: FileType) -> io::Result<Option<Entry<'a>>> {
    if kind == FileType::Directory {
        return Ok(Some(Entry { name, is_folder: true, size: 0, modified: WallTime::EPOCH }));
    }
    if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
        return Ok(None);
    }
    let status = match rustix::fs::statat(folder, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        status => status?,
    };
    Ok(match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => {
            let size = u64::try_from(status.st_size).unwrap_or(0);
            Some(Entry { name, is_folder: false, size, modified: modified(&status) })
        }
        FileType::Directory => Some(Entry { name, is_folder: true, size: 0, modified: WallTime::EPOCH }),
        _ => None,
    })
}

fn modified(status: &Stat) -> WallTime {
    let nanos = i128::from(status.st_mtime) * 1_000_000_000 + i128::from(status.st_mtime_nsec);
    WallTime::from_nanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
