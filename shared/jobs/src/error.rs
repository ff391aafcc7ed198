//! Why the queue refused or failed.

use std::{path::PathBuf, time::Duration};

use errors::BoxError;

use crate::State;

/// The limit that is one owner's own: `Settings::max_queued_per_owner`.
pub(crate) const PER_OWNER: &str = "max_queued_per_owner";

/// Why the queue refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such job, or not this owner's: the two can't be told apart.
    #[error("{kind} {id:?} does not exist")]
    NotFound {
        /// The kind that was looked for.
        kind: &'static str,
        /// The id that was looked for.
        id: String,
    },
    /// The request id belongs to another request.
    #[error("request_id {request_id:?} was used before for another request, of job {id}")]
    RequestIdReused {
        /// The id that was used twice.
        request_id: String,
        /// The job that the first request made.
        id: String,
    },
    /// A limit on queued jobs is reached.
    #[error("{limit} is {value}, and that many jobs are queued")]
    Full {
        /// Which limit, as `Settings` names it.
        limit: &'static str,
        /// Its value.
        value: u32,
        /// When a place should be free.
        retry_after: Duration,
    },
    /// A job that has ended can't be cancelled.
    #[error("job {id} has ended: it is {state}")]
    Ended {
        /// The job.
        id: String,
        /// How it ended.
        state: State,
    },
    /// A page token that wasn't handed out for this owner and filter.
    #[error("page_token is not from a page of this list")]
    PageToken,
    /// Part of a new job can't be stored.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which part, as `NewJob` names it.
        field: &'static str,
        /// What is wrong with which value.
        problem: String,
    },
    /// A stored job can't be read.
    #[error("job {id} is damaged in the database: {problem}")]
    Corrupt {
        /// The job.
        id: String,
        /// Which column, and why.
        problem: String,
    },
    /// Another process works on the database.
    #[error(
        "{} is in use by another process: stop it, or give this one a database of its own (locked by {})",
        path.display(),
        lock.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The database can't be opened or brought up to date.
    #[error("the database {url} can't be opened: {source}")]
    Open {
        /// Where it is.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The database doesn't answer, or refused. What was asked may or may not have happened.
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
}

impl Error {
    pub(crate) fn not_found(kind: &'static str, id: &str) -> Self {
        Self::NotFound { kind, id: id.to_owned() }
    }
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { kind, id } => Self::NotFound { kind, id },
            Error::RequestIdReused { .. } => Self::AlreadyExists(error.to_string()),
            Error::Full { limit: PER_OWNER, retry_after, .. } => {
                Self::TooManyRequests { message: error.to_string(), retry_after }
            }
            Error::Full { retry_after, .. } => Self::Exhausted { message: error.to_string(), retry_after },
            Error::Ended { .. } => Self::Conflict(error.to_string()),
            Error::PageToken => Self::invalid("page_token", error.to_string()),
            Error::Invalid { field, problem } => Self::invalid(field, problem),
            Error::Unavailable(source) => Self::Unavailable { dependency: "the database", source },
            Error::Corrupt { .. } | Error::InUse { .. } | Error::Open { .. } => Self::internal(error),
        }
    }
}
