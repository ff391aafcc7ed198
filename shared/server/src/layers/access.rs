//! Who may ask for what. A request that passes carries its [`Caller`] and its [`BaseUrl`].

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::header::ORIGIN;

use super::{authority, is_health_check, is_local, is_local_host, is_local_origin, method_of};
use crate::{
    BaseUrl, Shared,
    builtin::REFLECTION,
    files::{FILES_PATH, host_of},
    reply::Protocol,
};

/// The path of the metrics.
pub(crate) const METRICS_PATH: &str = "/metrics";

/// What is to be known to let a request pass.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    /// The service's own URL, for requests that don't say how they reached it.
    pub(crate) base: BaseUrl,
    /// The address that the service listens on.
    pub(crate) listen: IpAddr,
}

/// Who may make a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Anybody: the answer is no secret, or the URL carries its own proof.
    Anybody,
    /// Whoever has an account, and programs on this machine.
    Neighbours,
    /// Whoever has an account.
    Accounts,
}

impl Audience {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        if is_health_check(request) || path.starts_with(FILES_PATH) {
            return Self::Anybody;
        }
        if path == METRICS_PATH || REFLECTION.iter().any(|name| method_of(request, name).is_some()) {
            return Self::Neighbours;
        }
        Self::Accounts
    }
}

/// Lets a request pass if its sender may make it.
pub(crate) async fn access(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let audience = Audience::of(&request);
    pass(&gate, audience, request, next).await
}

/// Lets a request pass whoever sent it: what it asks for looks for a proof of its own.
pub(crate) async fn access_for_all(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    pass(&gate, Audience::Anybody, request, next).await
}

async fn pass(gate: &Gate, audience: Audience, mut request: Request, next: Next) -> Response {
    let protocol = Protocol::of(request.headers());
    if let Some(reason) = gate.foreign_page(&request) {
        return protocol.forbid(reason);
    }
    match gate.shared.accounts.identify(request.headers()) {
        Ok(caller) => drop(request.extensions_mut().insert(caller)),
        Err(error) => match audience {
            Audience::Anybody => {}
            Audience::Neighbours if is_local(&request) => {}
            Audience::Neighbours | Audience::Accounts => return protocol.refuse(error),
        },
    }
    let base = gate.base.as_seen_by(authority(&request));
    request.extensions_mut().insert(base);
    next.run(request).await
}

impl Gate {
    /// Says why a request is not for us to answer, if a browser made it for a page from elsewhere. Where everything is
    /// open to this machine, any page that its user visits could otherwise reach in: by a plain form (its `Origin` tells),
    /// or by a name of its own that resolves to us (its `Host` tells).
    fn foreign_page(&self, request: &Request) -> Option<&'static str> {
        let for_this_machine = self.listen.to_canonical().is_loopback() && !self.shared.config.insecure;
        if !self.shared.accounts.is_open() || !for_this_machine {
            return None;
        }
        if request.headers().get_all(ORIGIN).iter().any(|origin| !is_local_origin(origin.as_bytes())) {
            return Some(
                "pages from elsewhere may not call this server while it has no accounts; --insecure lets them",
            );
        }
        let host = authority(request).map(host_of);
        if host.is_some_and(|host| !host.is_some_and(is_local_host)) {
            return Some("this server answers to localhost only while it has no accounts; --insecure lifts that");
        }
        None
    }
}
