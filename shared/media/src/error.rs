//! Why a media task failed, and whose fault that is.

use serde::{Deserialize, Serialize};

/// Why a media task failed. It crosses the pipe from a child, so it is plain data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// The source is damaged, or not what it is said to be. Retrying will not help.
    #[error("{0}")]
    Unusable(String),
    /// A source, known to the child by number only, is damaged. The parent turns it into `Unusable`, with its name.
    #[error("source {source_index}: {problem}")]
    Damaged {
        /// Index into `Input::sources`.
        source_index: u32,
        /// Where in it the piece begins that is.
        offset: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The source is fine, but this can't be done with it. Retrying will not help.
    #[error("{0}")]
    Unsupported(String),
    /// No frame of the source lies in the range.
    #[error("{0}")]
    NoMedia(String),
    /// A limit was reached: memory, time, streams, pixels. Retrying will rarely help.
    #[error("{0}")]
    Limit(String),
    /// The result isn't what was planned.
    #[error("the result failed verification: {0}")]
    Verification(String),
    /// A source couldn't be read, or the output couldn't be written. Retrying may help.
    #[error("{0}")]
    Io(String),
    /// The disk is full. Retrying may help, later.
    #[error("no space left for the output")]
    NoSpace,
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The child process died without an answer.
    #[error("the media process ended unexpectedly: {0}")]
    Crashed(String),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unusable(what) | Error::Unsupported(what) | Error::Limit(what) => Self::UnusableSource(what),
            Error::Damaged { .. } => Self::UnusableSource(error.to_string()),
            Error::NoMedia(what) => Self::OutOfRange(what),
            Error::Io(_) => Self::Unavailable { dependency: "the recording", source: error.into() },
            Error::NoSpace => {
                Self::Exhausted { message: error.to_string(), retry_after: std::time::Duration::from_secs(60) }
            }
            Error::Cancelled => Self::Cancelled,
            Error::Crashed(_) => Self::UnusableSource("the source makes its reader crash".into()),
            Error::Verification(_) | Error::Internal(_) => Self::internal(error),
        }
    }
}
