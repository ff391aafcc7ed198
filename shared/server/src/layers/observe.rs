//! Gives each request an id, counts it, and leaves a line about it in the log when all of it is answered. A handler that
//! panics costs this one request.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::{Frame, SizeHint};
use tonic::{Code, Status};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{metrics::RequestMetrics, reply::Protocol};

/// The header that carries a request's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest path that goes to the log whole.
const MAX_PATH_BYTES: usize = 256;

/// What is to be known to observe requests.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) metrics: RequestMetrics,
    /// The paths of the gRPC methods that exist here.
    pub(crate) methods: HashSet<String>,
}

/// Answers a request, observed.
pub(crate) async fn observe(State(observer): State<Arc<Observer>>, request: Request, next: Next) -> Response {
    let (id, protocol) = (request_id(request.headers()), Protocol::of(request.headers()));
    // The query stays out of the log: it carries signatures.
    let path = request.uri().path();
    let path = path.get(..MAX_PATH_BYTES).unwrap_or(path);
    let span = tracing::info_span!("request", id = %id, method = %request.method(), path);
    let mut record = Record::new(observer, &request, protocol, span.clone());

    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let mut response = answer.unwrap_or_else(|_| protocol.refuse(errors::Error::internal("the handler panicked")));
    record.note_headers(&response);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.map(|body| Body::new(Observed { body, record }))
}

/// Copies the route that a request matched to its answer, for the metrics: an argument of the path must not become one of
/// their labels.
pub(crate) async fn note_route(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// The id that the sender gave, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_id = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(is_id).map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// What becomes of a request. It is written down when dropped: at the end of the answer, or when nobody waits for it.
struct Record {
    observer: Arc<Observer>,
    protocol: Protocol,
    method: String,
    /// gRPC or HTTP status; absent until it is known.
    code: Option<String>,
    fault: bool,
    started: Instant,
    span: Span,
}

impl Record {
    fn new(observer: Arc<Observer>, request: &Request, protocol: Protocol, span: Span) -> Self {
        let method = match protocol {
            Protocol::Grpc => observer.methods.get(request.uri().path()).map_or("unknown", String::as_str),
            Protocol::Http => "http",
        };
        let method = method.to_owned();
        observer.metrics.begin();
        Self { observer, protocol, method, code: None, fault: false, started: Instant::now(), span }
    }

    fn note_headers(&mut self, response: &Response) {
        if let Some(route) = response.extensions().get::<MatchedPath>() {
            self.method = route.as_str().to_owned();
        }
        match self.protocol {
            Protocol::Grpc => self.note_status(response.headers()),
            Protocol::Http => {
                // Refusing and passing on are no faults; there may be very many of them.
                self.fault = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
                self.code = Some(response.status().as_u16().to_string());
            }
        }
    }

    /// Reads a gRPC status from headers or trailers, whichever have it.
    fn note_status(&mut self, headers: &HeaderMap) {
        if let Some(code) = Status::from_header_map(headers).map(|status| status.code()) {
            self.fault = matches!(code, Code::Internal | Code::Unknown | Code::DataLoss);
            self.code = Some(format!("{code:?}"));
        }
    }

    fn note_break(&mut self) {
        self.fault = true;
        self.code = Some("broken".to_owned());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        let code = self.code.take().unwrap_or_else(|| "gone".to_owned());
        let _entered = self.span.enter();
        match self.fault {
            true => tracing::warn!(code, ?time, "answered"),
            false => tracing::debug!(code, ?time, "answered"),
        }
        self.observer.metrics.end(std::mem::take(&mut self.method), code, time);
    }
}

/// An answer's body, and its record.
struct Observed {
    body: Body,
    record: Record,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Protocol::Grpc, Some(trailers)) = (self.record.protocol, frame.trailers_ref()) {
                    self.record.note_status(trailers);
                }
            }
            Some(Err(error)) => {
                tracing::warn!(parent: &self.record.span, %error, "the answer broke off");
                self.record.note_break();
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
