//! Why a command didn't do what it was told, what to do about it, and the exit code.

use std::fmt;

use protocol::{export::v1::Export, job::v1::JobState};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::units::printable;

/// The server refused, the work failed, or something here went wrong.
pub(crate) const FAILED: u8 = 1;
/// As shells report a program that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command didn't do what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened.
    pub(crate) message: String,
    /// More about it, and what to do, a line each.
    pub(crate) details: Vec<String>,
    /// The exit code.
    pub(crate) code: u8,
}

impl Failure {
    /// A failure without details.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), details: Vec::new(), code: FAILED }
    }

    /// Ctrl-C, and what it leaves behind.
    pub(crate) fn interrupted<const N: usize>(message: String, details: [String; N]) -> Self {
        Self { message, details: details.into(), code: INTERRUPTED }
    }

    /// The same, with a line more.
    pub(crate) fn and(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.message))?;
        self.details.iter().try_for_each(|detail| write!(f, "\n  {}", printable(detail)))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]).unwrap_or_default();
        let mut failure = match violations {
            [] => Self::new(status.message()),
            _ => Self::new("the request was refused"),
        };
        for violation in violations {
            failure = failure.and(format!("{}: {}", violation.field, violation.description));
        }
        // Of a single gap, the message has said everything.
        let gaps = details.precondition_failure().map(|failed| &failed.violations[..]).unwrap_or_default();
        for gap in gaps.iter().filter(|_| gaps.len() > 1) {
            failure = failure.and(format!("{}: {}", gap.subject.replace('/', " to "), gap.description));
        }
        if let Some(error) = details.error_info() {
            failure = failure.and(format!("reason: {}", error.reason));
        }
        if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            failure = failure.and(format!("try again in {} s", delay.as_secs_f64().ceil()));
        }
        match advice(status.code()) {
            Some(advice) => failure.and(advice),
            None => failure,
        }
    }
}

/// What a caller can do, where the server's message alone doesn't say it.
fn advice(code: Code) -> Option<&'static str> {
    match code {
        Code::Unavailable => Some("is the server running? start it with `excerpt serve`, or name it with --server"),
        Code::Unauthenticated => Some("give a key with --api-key or in EXCERPT_API_KEY"),
        Code::AlreadyExists => Some("repeat the request unchanged, or choose another --request-id"),
        Code::OutOfRange => Some("choose another --start, --mark or --duration"),
        Code::Unimplemented => Some("the server named with --server doesn't offer this service"),
        Code::DeadlineExceeded => Some("the server is slow to answer; try again"),
        Code::Internal | Code::Unknown => Some("the server's log says more"),
        _ => None,
    }
}

/// How an export that ended, ended: `Err` unless it succeeded.
pub(crate) fn conclude(export: &Export) -> Result<(), Failure> {
    let status = export.status.clone().unwrap_or_default();
    match status.state() {
        JobState::Succeeded => Ok(()),
        JobState::Cancelled => Err(Failure::new(format!("export {} was cancelled", export.id))),
        _ => {
            let failure = status.failure.unwrap_or_default();
            let attempts = format!("after {} of {} attempts", status.attempts, status.max_attempts);
            Err(Failure::new(format!("export {} failed {attempts}: {}", export.id, failure.message))
                .and(format!("reason: {}", failure.reason)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let mut details = ErrorDetails::new();
        details.set_error_info("INVALID_REQUEST", "excerpt", [] as [(String, String); 0]);
        details.add_bad_request_violation("spec.duration", "0 s is not more than 0");
        details.add_bad_request_violation("spec.uid", "\"../x\" leaves the library");
        let status = Status::with_error_details(Code::InvalidArgument, "spec.duration: …; spec.uid: …", details);
        let expected = "the request was refused\n  spec.duration: 0 s is not more than 0\n  spec.uid: \"../x\" leaves \
                        the library\n  reason: INVALID_REQUEST";
        assert_eq!(Failure::from(status).to_string(), expected);
    }

    #[test]
    fn every_gap_is_told() {
        let mut details = ErrorDetails::new();
        details.add_precondition_failure_violation("GAP", "10:00:00Z/10:00:04Z", "nothing was recorded");
        let message = "there is a gap from 10:00:00Z to 10:00:04Z";
        let one = Status::with_error_details(Code::FailedPrecondition, message, details.clone());
        assert_eq!(Failure::from(one).to_string(), message);
        details.add_precondition_failure_violation("GAP", "11:00:00Z/11:00:01Z", "a.ts is empty");
        let two = Status::with_error_details(Code::FailedPrecondition, message, details);
        let expected = format!(
            "{message}\n  10:00:00Z to 10:00:04Z: nothing was recorded\n  11:00:00Z to 11:00:01Z: a.ts is empty"
        );
        assert_eq!(Failure::from(two).to_string(), expected);
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "the queue holds 1000 exports", details);
        assert_eq!(Failure::from(status).to_string(), "the queue holds 1000 exports\n  try again in 2 s");
    }

    #[test]
    fn a_server_that_is_not_there_is_told_from_one_that_refuses() {
        let failure = Failure::from(Status::unavailable("tcp connect error"));
        assert!(failure.to_string().contains("excerpt serve"));
    }
}
