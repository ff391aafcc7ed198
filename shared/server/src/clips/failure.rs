//! Whose fault it is that an attempt failed: this decides whether another one follows.

use jobs::{AttemptError, Class};

/// What an error on the way to the source means for the job.
pub fn source_failure(error: errors::Error) -> AttemptError {
    let class = match error {
        errors::Error::Unavailable { .. } | errors::Error::Internal(_) => Class::Transient,
        errors::Error::Cancelled => Class::Cancelled,
        _ => Class::Input,
    };
    error.log();
    AttemptError::new(class, error.reason(), error.to_string())
}

/// What an error of the storage means for the job.
pub fn storage_failure(error: storage::Error) -> AttemptError {
    match error {
        storage::Error::NoSpace(_) => AttemptError::new(Class::NoSpace, "NO_SPACE", error.to_string()),
        storage::Error::Exists(_) => AttemptError::new(Class::Crash, "STORAGE", error.to_string()),
        other => AttemptError::new(Class::Transient, "STORAGE", other.to_string()),
    }
}

/// What an error of the media process means for the job.
pub fn media_failure(error: media::Error) -> AttemptError {
    use media::Error as E;
    let (class, reason) = match &error {
        E::Unusable(_) | E::Damaged { .. } => (Class::Input, "SOURCE_UNUSABLE"),
        E::Unsupported(_) => (Class::Input, "UNSUPPORTED"),
        E::NoMedia(_) => (Class::Input, "NO_MEDIA"),
        E::Limit(_) => (Class::Deadline, "LIMIT"),
        E::Verification(_) => (Class::Input, "VERIFICATION"),
        E::Io(_) => (Class::Transient, "IO"),
        E::NoSpace => (Class::NoSpace, "NO_SPACE"),
        E::Cancelled => return AttemptError::cancelled(),
        E::Crashed(_) => (Class::Crash, "CRASHED"),
        E::Internal(_) => (Class::Crash, "INTERNAL"),
    };
    AttemptError::new(class, reason, error.to_string())
}
