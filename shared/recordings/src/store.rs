//! Where the files of a library are: all that this crate reads, it reads through [`Store`].

use std::{
    fmt::Debug,
    io,
    ops::{ControlFlow, Range},
    time::{Duration, SystemTime},
};

use media::{Opened, time::WallTime};

/// The files of a library. Names are relative paths with `/` between their components, checked before they come here; a
/// folder's is without a `/` at its end, and empty for the root.
///
/// Errors are those of the file system: `NotFound` where there is no such file, `NotADirectory` where a component is
/// none, `IsADirectory` where a file was wanted, `InvalidInput` with a reason where there is neither.
pub trait Store: Debug + Send + Sync {
    /// Opens a regular file for reading. Never waits for another process or machine, and never follows a symbolic link:
    /// that a file far away isn't there is told when its size is asked.
    ///
    /// # Errors
    /// As above.
    fn open(&self, name: &str) -> io::Result<Opened>;

    /// Shows `visit` every regular file and every folder in a folder, in no particular order, until it breaks off. What
    /// is neither, and what has no name in UTF-8, is left out.
    ///
    /// # Errors
    /// As above.
    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> io::Result<()>;

    /// What tells whether a file has changed. Of a folder: whether anything was added to it or removed from it;
    /// `Unsupported` where folders don't tell.
    ///
    /// # Errors
    /// As above.
    fn version(&self, name: &str) -> io::Result<Version>;

    /// Some bytes of a file; fewer where it ends before.
    ///
    /// # Errors
    /// As above.
    fn read(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>>;
}

/// A file or a folder, as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name in the folder.
    pub name: &'a str,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length in bytes; 0 for a folder.
    pub size: u64,
    /// When it was last written; the epoch for a folder.
    pub modified: WallTime,
}

/// A file as it was at one moment: written to, or replaced, it is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: WallTime,
    /// Which file it is.
    pub identity: Identity,
}

/// What stays the same while a file is written to, or doesn't.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file that others may be writing: the same while they do.
    Inode {
        /// The device it is on.
        device: u64,
        /// Its number there.
        inode: u64,
    },
    /// An object that is only ever replaced as a whole, and then has another tag.
    Tag(String),
}

/// A file that was written to within this time is taken to be growing.
const FRESH: Duration = Duration::from_secs(60);

impl Version {
    /// Whether somebody wrote to it a moment ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age().is_none_or(|age| age < FRESH)
    }

    /// How long ago it was written to; `None` if that lies ahead.
    pub(crate) fn age(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        now.checked_sub(Duration::from_nanos(u64::try_from(self.modified.nanos()).unwrap_or(0)))
    }

    /// Whether somebody may be in the middle of writing it.
    pub(crate) fn may_be_unfinished(&self) -> bool {
        matches!(self.identity, Identity::Inode { .. })
    }
}
