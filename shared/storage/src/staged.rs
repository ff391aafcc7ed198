//! An object before it is published. Where the file system allows it, it has no name until then (`O_TMPFILE`), so that
//! nothing of it outlives the processes that hold it, however they end.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Error, Key, Object, blocking,
    disk::{Disk, Draft},
};

/// An object being written. Dropped before it is published, nothing of it is left.
#[derive(Debug)]
pub struct Staged {
    disk: Arc<Disk>,
    key: Key,
    draft: Draft,
    file: Arc<File>,
    /// Set when a sync failed. The kernel tells of lost writes once only, so publishing can't find out by syncing again.
    lost: Arc<AtomicBool>,
}

impl Staged {
    pub(crate) fn new(disk: Arc<Disk>, key: Key) -> Result<Self, Error> {
        let draft = disk.draft();
        Self::from_draft(disk, key, draft)
    }

    /// One that has a name already, which it takes to replace another.
    pub(crate) fn named(disk: Arc<Disk>, key: Key) -> Result<Self, Error> {
        let draft = disk.named_draft();
        Self::from_draft(disk, key, draft)
    }

    fn from_draft(disk: Arc<Disk>, key: Key, draft: io::Result<(File, Draft)>) -> Result<Self, Error> {
        let (file, draft) = draft.map_err(|e| Error::io(format!("staging object {key}"), e))?;
        Ok(Self { disk, key, draft, file: Arc::new(file), lost: Arc::default() })
    }

    pub(crate) fn filled(self, bytes: &[u8]) -> Result<Self, Error> {
        self.file.write_all_at(bytes, 0).map_err(|e| Error::io(format!("writing object {}", self.key), e))?;
        Ok(self)
    }

    /// The file to write to, and to read back from: empty at first, open for both. It may be handed to another process;
    /// that must be done with it before it is published.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The same, for who keeps it open longer.
    pub(crate) fn shared_file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// The key under which it will be published.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Brings what is written so far to the disk. Called while the rest is still being written, or read back, it leaves
    /// publishing little to wait for.
    ///
    /// # Errors
    /// Once this has failed, the object can't be published: what was written may be lost.
    pub fn sync(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let (file, lost, key) = (self.file.clone(), self.lost.clone(), self.key.clone());
        blocking(move || file.sync_data().map_err(|e| Self::note_loss(&lost, &key, e)))
    }

    pub(crate) fn publish(self) -> Result<Object, Error> {
        self.sync_written()?;
        self.disk.publish(&self.file, &self.draft, &self.key)
    }

    pub(crate) fn replace(self) -> Result<Object, Error> {
        self.sync_written()?;
        self.disk.replace(&self.file, &self.draft, &self.key)
    }

    /// What was written is on the disk before it has a name.
    fn sync_written(&self) -> Result<(), Error> {
        if self.lost.load(Ordering::Acquire) {
            let source = io::Error::other("an earlier sync failed");
            return Err(Error::io(format!("writing object {}", self.key), source));
        }
        self.file.sync_data().map_err(|e| Self::note_loss(&self.lost, &self.key, e))
    }

    fn note_loss(lost: &AtomicBool, key: &Key, source: io::Error) -> Error {
        lost.store(true, Ordering::Release);
        Error::io(format!("syncing object {key}"), source)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.disk.discard(&self.draft);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A storage on a file system that can't hold a file without a name.
    fn named_only() -> (tempfile::TempDir, Arc<Disk>) {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(folder.path().to_str().unwrap()).unwrap();
        disk.nameless = false;
        (folder, Arc::new(disk))
    }

    fn names(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn drafts_with_names_behave_like_those_without() {
        let (folder, disk) = named_only();
        let key = Key::parse("a/clip.ts").unwrap();
        let (first, second) =
            (Staged::new(disk.clone(), key.clone()).unwrap(), Staged::new(disk.clone(), key).unwrap());
        assert_eq!(names(&folder.path().join(".staging")), 2);
        assert_eq!(disk.sweep_staging(Duration::ZERO).unwrap(), 0, "both are held");
        first.filled(b"first").unwrap().publish().unwrap();
        assert!(matches!(second.filled(b"second").unwrap().publish(), Err(Error::Exists(_))));
        assert_eq!(std::fs::read(folder.path().join("a/clip.ts")).unwrap(), b"first");
        assert_eq!(names(&folder.path().join(".staging")), 0);
    }

    #[test]
    fn a_lost_write_is_not_published() {
        let (folder, disk) = named_only();
        let staged = Staged::new(disk, Key::parse("clip.ts").unwrap()).unwrap();
        Staged::note_loss(&staged.lost, &staged.key, io::Error::other("the disk is gone"));
        let refused = staged.publish().unwrap_err();
        assert!(refused.to_string().contains("earlier sync failed"), "{refused}");
        assert!(!folder.path().join("clip.ts").exists());
    }
}
