//! Refusals, in the protocol of the request.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;
use tonic::Status;

/// What a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    /// Tells by the content type, as gRPC wants it. gRPC-Web has become gRPC when this is asked.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            true => Self::Grpc,
            false => Self::Http,
        }
    }

    /// Answers with `error`.
    pub(crate) fn refuse(self, error: errors::Error) -> Response {
        match self {
            Self::Grpc => Status::from(error).into_http(),
            Self::Http => HttpError(error).into_response(),
        }
    }

    /// Answers that this isn't allowed, whoever asks.
    pub(crate) fn forbid(self, message: &str) -> Response {
        match self {
            Self::Grpc => Status::permission_denied(message).into_http(),
            Self::Http => body(StatusCode::FORBIDDEN, "FORBIDDEN", message),
        }
    }
}

/// An error as an HTTP answer: its status, and `{"error": {"reason", "message"}}`. Products with an answer of their own
/// don't use it.
#[derive(Debug)]
pub struct HttpError(pub errors::Error);

impl From<errors::Error> for HttpError {
    fn from(error: errors::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        error.log();
        let mut response = body(error.http_status(), error.reason(), &error.to_string());
        if let Some(delay) = error.retry_after() {
            // Whole seconds, not less than asked for.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if matches!(error, errors::Error::Unauthenticated) {
            let schemes = http::HeaderValue::from_static("Bearer, Basic realm=\"excerpt\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
        }
        response
    }
}

fn body(status: StatusCode, reason: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "reason": reason, "message": message } }))).into_response()
}
