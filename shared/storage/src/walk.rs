//! Listing and erasing what lies below a key.

use std::{
    os::fd::OwnedFd,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, FlockOperation, OFlags, Stat},
    io::Errno,
};

use crate::{
    Error, Key, Object,
    disk::{Disk, is_absence, open_beneath},
};

impl Disk {
    pub(crate) fn list(&self, prefix: Option<&Key>) -> Result<Vec<Object>, Error> {
        let failed = |e| Error::io("listing the storage", e);
        let Some(folder) = self.open_folder(prefix).map_err(failed)? else { return Ok(Vec::new()) };
        let mut objects = Vec::new();
        list_below(&folder, prefix, &mut objects).map_err(failed)?;
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    pub(crate) fn delete(&self, key: &Key) -> Result<bool, Error> {
        let failed = |e| Error::io(format!("erasing object {key}"), e);
        let _guard = self.lock_folders();
        let Some(folder) = self.open_folder(key.parent().as_ref()).map_err(failed)? else { return Ok(false) };
        let erased = match fs::unlinkat(&folder, key.file_name(), AtFlags::empty()) {
            Ok(()) => true,
            // A folder of that name is no object.
            Err(Errno::NOENT | Errno::ISDIR) => false,
            Err(error) => return Err(failed(error)),
        };
        fs::fsync(&folder).map_err(failed)?;
        self.prune(key.parent());
        Ok(erased)
    }

    pub(crate) fn delete_below(&self, prefix: &Key) -> Result<u64, Error> {
        let failed = |e| Error::io(format!("erasing what is below {prefix}"), e);
        let _guard = self.lock_folders();
        let Some(folder) = self.open_folder(Some(prefix)).map_err(failed)? else { return Ok(0) };
        let count = erase_below(&folder).map_err(failed)?;
        self.prune(Some(prefix.clone()));
        Ok(count)
    }

    /// Removes what a killed process left in the staging folder. Whoever still holds a file there also locks it.
    pub(crate) fn sweep_staging(&self, older_than: Duration) -> Result<u64, Error> {
        let failed = |e| Error::io("sweeping the staging folder", e);
        let mut count = 0;
        for entry in Dir::read_from(self.staging()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let Ok(file) = open_beneath(self.staging(), name, OFlags::NONBLOCK) else { continue };
            let stat = fs::fstat(&file).map_err(failed)?;
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if !is_file
                || age(&stat) < older_than
                || fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
            {
                continue;
            }
            match fs::unlinkat(self.staging(), name, AtFlags::empty()) {
                Ok(()) => count += 1,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(count)
    }

    /// Opens the folder `prefix`, or the whole storage; `None` if there is no such folder.
    fn open_folder(&self, prefix: Option<&Key>) -> Result<Option<OwnedFd>, Errno> {
        match open_beneath(self.root(), prefix.map_or(".", Key::as_str), OFlags::DIRECTORY) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if is_absence(error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes folders that have become empty, from `folder` upwards. One that is in use again stays.
    fn prune(&self, mut folder: Option<Key>) {
        while let Some(key) = folder {
            let parent = key.parent();
            let Ok(Some(above)) = self.open_folder(parent.as_ref()) else { return };
            if fs::unlinkat(&above, key.file_name(), AtFlags::REMOVEDIR).is_err() {
                return;
            }
            folder = parent;
        }
    }
}

/// Collects the objects below `folder`. What has no valid key is not ours, and what is no plain file is no object.
fn list_below(folder: &OwnedFd, prefix: Option<&Key>, objects: &mut Vec<Object>) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let key = prefix.map_or_else(|| Key::parse(name), |prefix| prefix.join(name));
        let Ok(key) = key else { continue };
        let Some(stat) = present(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))? else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => objects.push(Object::new(key, &stat)),
            FileType::Directory => {
                if let Some(below) = present(open_beneath(folder, name, OFlags::DIRECTORY))? {
                    list_below(&below, Some(&key), objects)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Erases everything below `folder`; how many files that were. A link is erased, not followed.
fn erase_below(folder: &OwnedFd) -> Result<u64, Errno> {
    let mut count = 0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => count += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = fs::openat(folder, name, flags, fs::Mode::empty())?;
                count += erase_below(&below)?;
                match fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                    // It is in use again: something was published into it this moment.
                    Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    fs::fsync(folder)?;
    Ok(count)
}

/// How long ago a file was last written; nothing if that lies in the future.
fn age(stat: &Stat) -> Duration {
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.max(0) as u64);
    SystemTime::now().duration_since(written).unwrap_or_default()
}

/// Tells what vanished while it was looked at from what can't be looked at.
fn present<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(error) => Ok(None),
        Err(error) => Err(error),
    }
}
