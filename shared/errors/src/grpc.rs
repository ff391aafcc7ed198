//! The one map from [`Error`] to gRPC and HTTP. No arm is `_`: a new variant doesn't compile until its code is chosen.

use std::error::Error as _;

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::Error;

/// The domain of every ErrorInfo (google.rpc, AIP-193).
const DOMAIN: &str = "excerpt";

/// A status travels in headers, of which clients take 8 KiB or so; what it says may repeat what was sent.
const MAX_MESSAGE: usize = 1_000;
const MAX_FIELD: usize = 200;
const MAX_VIOLATIONS: usize = 10;
/// Each takes some 100 bytes.
const MAX_GAPS: usize = 30;
const MAX_GAP_DETAIL: usize = 60;

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Error {
    /// The gRPC code.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::NotFound { .. } => Code::NotFound,
            Self::AlreadyExists(_) => Code::AlreadyExists,
            Self::OutOfRange(_) => Code::OutOfRange,
            Self::Conflict(_) | Self::Gaps { .. } | Self::UnusableSource(_) => Code::FailedPrecondition,
            Self::Exhausted { .. } | Self::TooManyRequests { .. } => Code::ResourceExhausted,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::TimedOut(_) => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// The HTTP status.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::OutOfRange(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::AlreadyExists(_) | Self::Conflict(_) | Self::Cancelled => StatusCode::CONFLICT,
            Self::Gaps { .. } | Self::UnusableSource(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Exhausted { .. } | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Writes the cause of a fault that the caller isn't told to the log, once, where the error leaves the suite.
    pub fn log(&self) {
        if let Self::Internal(_) | Self::Unavailable { .. } = self {
            let mut chain = String::new();
            let mut cause = self.source();
            while let Some(error) = cause {
                chain.push_str(": ");
                chain.push_str(&error.to_string());
                cause = error.source();
            }
            tracing::error!(reason = self.reason(), "{self}{chain}");
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.log();
        let message = shortened(&error.to_string(), MAX_MESSAGE);
        let mut details = ErrorDetails::new();
        details.set_error_info(error.reason(), DOMAIN, [] as [(String, String); 0]);
        if let Error::Invalid(violations) = &error {
            for violation in violations.iter().take(MAX_VIOLATIONS) {
                let (field, problem) =
                    (shortened(&violation.field, MAX_FIELD), shortened(&violation.description, MAX_FIELD));
                details.add_bad_request_violation(field, problem);
            }
        }
        if let Error::Gaps { gaps, .. } = &error {
            for gap in gaps.iter().take(MAX_GAPS) {
                details.add_precondition_failure_violation(
                    "GAP",
                    &gap.field,
                    shortened(&gap.description, MAX_GAP_DETAIL),
                );
            }
        }
        if let Some(delay) = error.retry_after() {
            details.set_retry_info(Some(delay));
            details.add_quota_failure_violation(error.reason(), &message);
        }
        Status::with_error_details(error.code(), message, details)
    }
}
