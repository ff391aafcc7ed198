//! What a request passes on its way to the service; [`crate::stack`] puts it in order.

pub(crate) mod access;
pub(crate) mod deadline;
pub(crate) mod ending;
pub(crate) mod observe;
pub(crate) mod shed;

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::{
    Uri,
    header::{FORWARDED, HOST},
};
use tokio_util::sync::CancellationToken;

use crate::builtin::HEALTH;

/// The connection that a request came by: an extension of every request.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Cancelled when the connection is to be given up, because of its age or because the server stops.
    pub(crate) ending: CancellationToken,
}

/// The method of `service` that a request calls, if it calls one.
fn method_of<'a>(request: &'a Request, service: &str) -> Option<&'a str> {
    request.uri().path().strip_prefix('/')?.strip_prefix(service)?.strip_prefix('/')
}

/// Whether a request asks how we are: it is answered however busy we are.
fn is_health_check(request: &Request) -> bool {
    method_of(request, HEALTH).is_some()
}

/// Whether a request comes from this machine, and not through a proxy on it.
fn is_local(request: &Request) -> bool {
    let connection = request.extensions().get::<Connection>();
    let forwarded = request.headers().contains_key(FORWARDED) || request.headers().contains_key("x-forwarded-for");
    connection.is_some_and(|connection| connection.peer.ip().to_canonical().is_loopback()) && !forwarded
}

/// The host and port that a request was sent to, as its sender names them.
pub(crate) fn authority(request: &Request) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

/// Whether a host name means this machine wherever it is looked up.
pub(crate) fn is_local_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// Whether a browser's page comes from this machine, by its `Origin`.
pub(crate) fn is_local_origin(origin: &[u8]) -> bool {
    Uri::try_from(origin).is_ok_and(|origin| origin.host().is_some_and(is_local_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_origins() {
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "http://app.localhost"] {
            assert!(is_local_origin(origin.as_bytes()), "{origin}");
        }
        for origin in ["null", "", "https://example.com", "http://localhost.example.com", "http://127.0.0.1.nip.io"] {
            assert!(!is_local_origin(origin.as_bytes()), "{origin}");
        }
    }
}
