//! Why something could not be stored or read, and what that means to a caller.

use std::{io, ops::Range, time::Duration};

use rustix::io::Errno;

use crate::{InvalidName, Key};

/// When it is worth asking a full disk again: the expiry sweep has run by then.
const FULL_RETRY: Duration = Duration::from_secs(60);

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location is of a kind that this build doesn't know.
    #[error(
        "storage {0:?} is not supported by this build, which keeps objects in a local folder or in s3://bucket/prefix: name one"
    )]
    Unsupported(String),
    /// The folder or bucket can't be used.
    #[error("storage {location:?} can't be used: {source}")]
    Unusable {
        /// The folder or bucket, as it was given.
        location: String,
        /// Why not.
        source: io::Error,
    },
    /// A key or a file name isn't one.
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    /// There is an object of that key already.
    #[error("object {0} exists already")]
    Exists(Key),
    /// There is no such object.
    #[error("object {0} does not exist")]
    Missing(Key),
    /// Bytes were asked for that the object doesn't have.
    #[error("bytes {}..{} of object {key} were asked for, which has {size_bytes}", .range.start, .range.end)]
    OutOfRange {
        /// The object.
        key: Key,
        /// What was asked for.
        range: Range<u64>,
        /// What it has.
        size_bytes: u64,
    },
    /// The disk is full, or nearly so.
    #[error("not enough space in the storage: {0}")]
    NoSpace(String),
    /// The disk, the store, or the way to it failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, to which object.
        what: String,
        /// How it failed.
        source: io::Error,
    },
}

impl Error {
    /// An error of the system while doing `what`. A full disk is told from a failing one here, and only here.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (what, source) = (what.into(), source.into());
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::NoSpace(format!("{what}: {source}")),
            _ => Self::Io { what, source },
        }
    }
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(name) => errors::Error::invalid("key", name.to_string()),
            Error::Exists(key) => errors::Error::Conflict(format!("object {key} exists already")),
            Error::Missing(key) => errors::Error::NotFound { kind: "object", id: key.to_string() },
            Error::OutOfRange { .. } => errors::Error::OutOfRange(error.to_string()),
            Error::NoSpace(_) => {
                errors::Error::Exhausted { message: "the storage is full".to_owned(), retry_after: FULL_RETRY }
            }
            Error::Unsupported(_) | Error::Unusable { .. } | Error::Io { .. } => {
                errors::Error::Unavailable { dependency: "the storage", source: error.into() }
            }
        }
    }
}
