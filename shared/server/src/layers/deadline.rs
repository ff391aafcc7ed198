//! No request is answered later than its sender waits, and none later than 30 s. What is streamed after the headers is
//! not counted: watching and downloading take as long as they take.
//!
//! The handler is dropped at the deadline, as it is when the client goes away. Whatever must not stop half-way (a
//! transaction, a publication) runs in a task of its own.

use std::time::Duration;

use axum::{extract::Request, middleware::Next, response::Response};
use http::HeaderMap;

use crate::reply::Protocol;

/// The longest that an answer may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Answers in time, if only that it takes too long.
pub(crate) async fn deadline(request: Request, next: Next) -> Response {
    let protocol = Protocol::of(request.headers());
    let time = wanted(request.headers()).map_or(LONGEST, |wanted| wanted.min(LONGEST));
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => protocol.refuse(errors::Error::TimedOut(format!("the request took longer than {time:?}"))),
    }
}

/// The `grpc-timeout` of a request (gRPC over HTTP/2, "Timeout"): up to eight digits and a unit. A malformed one says
/// nothing.
fn wanted(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts() {
        let cases = [
            ("1n", Some(Duration::from_nanos(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("999999999S", None),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(wanted(&headers), expected, "{text:?}");
        }
        assert_eq!(wanted(&HeaderMap::new()), None);
    }
}
