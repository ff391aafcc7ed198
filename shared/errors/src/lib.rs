//! Why a request, or the job that it started, could not be carried out: one enum for the whole suite, and its one map to
//! gRPC `Status` and to HTTP. It is not where errors are made up: `media`, `storage`, `jobs` and `recordings` keep small
//! typed errors of their own and say here what each means to a caller.

#[cfg(feature = "grpc")]
mod grpc;

use std::time::Duration;

/// The cause of an error that is nobody's business but the log's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A field of a request that can't be accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, as the request names it: `spec.duration`.
    pub field: String,
    /// What is wrong with which value.
    pub description: String,
}

impl Violation {
    /// Says that `field` can't be accepted because of `description`.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Why a request, or the job it started, could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is malformed: INVALID_ARGUMENT with BadRequest details, HTTP 400.
    #[error("{}", describe(.0))]
    Invalid(Vec<Violation>),
    /// No valid credentials came with the request: UNAUTHENTICATED, HTTP 401. One message for all causes.
    #[error("valid credentials are required")]
    Unauthenticated,
    /// Something named in the request doesn't exist, or isn't the caller's: NOT_FOUND, HTTP 404.
    #[error("{kind} {} does not exist", excerpt(.id))]
    NotFound {
        /// What was looked for: `export`, `recording`.
        kind: &'static str,
        /// The name it was looked for by.
        id: String,
    },
    /// A request id was used before for another request: ALREADY_EXISTS, HTTP 409.
    #[error("{0}")]
    AlreadyExists(String),
    /// A range of time lies outside of what there is: OUT_OF_RANGE, HTTP 400.
    #[error("{0}")]
    OutOfRange(String),
    /// The thing is in a state that doesn't allow this: FAILED_PRECONDITION, HTTP 409.
    #[error("{0}")]
    Conflict(String),
    /// A recording has gaps where there may be none: FAILED_PRECONDITION with PreconditionFailure details, HTTP 422.
    #[error("{message}")]
    Gaps {
        /// Names the recording's first gap, and says how many there are.
        message: String,
        /// Each gap, from when to when, and why it is one.
        gaps: Vec<Violation>,
    },
    /// A recording can't be read; retrying will not help: FAILED_PRECONDITION, HTTP 422.
    #[error("the source is unusable: {0}")]
    UnusableSource(String),
    /// A limit is reached: RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure, HTTP 503 with Retry-After.
    #[error("{message}")]
    Exhausted {
        /// Which limit, and its value.
        message: String,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The caller went over its share of something: RESOURCE_EXHAUSTED, HTTP 429 with Retry-After.
    #[error("{message}")]
    TooManyRequests {
        /// Which limit, and its value.
        message: String,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Something the suite depends on doesn't answer; retry: UNAVAILABLE, HTTP 503.
    #[error("{dependency} is unavailable")]
    Unavailable {
        /// What doesn't answer: `the database`.
        dependency: &'static str,
        /// Why, for the log.
        source: BoxError,
    },
    /// The work took longer than it may: DEADLINE_EXCEEDED, HTTP 504.
    #[error("{0}")]
    TimedOut(String),
    /// The work was cancelled: CANCELLED, HTTP 409.
    #[error("cancelled")]
    Cancelled,
    /// A fault of ours: INTERNAL, HTTP 500. The cause goes to the log, never to the caller.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Error {
    /// One invalid field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, description)])
    }

    /// A fault of ours, from whatever caused it.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// A stable name for programs, upper snake case; the same over gRPC, HTTP and in a failed job.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::AlreadyExists(_) => "REQUEST_ID_REUSED",
            Self::OutOfRange(_) => "OUT_OF_RANGE",
            Self::Conflict(_) => "CONFLICT",
            Self::Gaps { .. } => "GAP",
            Self::UnusableSource(_) => "SOURCE_UNUSABLE",
            Self::Exhausted { .. } => "QUEUE_FULL",
            Self::TooManyRequests { .. } => "TOO_MANY_REQUESTS",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::TimedOut(_) => "TIMED_OUT",
            Self::Cancelled => "CANCELLED",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// When it is worth trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after, .. } | Self::TooManyRequests { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// A name as it is repeated to whoever sent it: in quotes, and not longer than any real one.
fn excerpt(name: &str) -> String {
    const LONGEST: usize = 200;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}

fn describe(violations: &[Violation]) -> String {
    let list: Vec<_> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    list.join("; ")
}
