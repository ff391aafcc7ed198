//! The stack: what a request passes on its way to the service, in order.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE},
};
use hyper::body::Incoming;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer};

use crate::{
    HttpError, Service,
    builtin::Builtin,
    files::{FILES_ROUTE, FilesRoute, serve_file},
    layers::{
        access::{Gate, METRICS_PATH, access, access_for_all},
        deadline::deadline,
        ending::ending,
        is_local_origin,
        observe::{Observer, REQUEST_ID, note_route, observe},
        shed::shed,
    },
    metrics::{self, RequestMetrics},
    reply::Protocol,
};

/// The longest body of a product's own requests.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The header that gRPC-Web's clients send with every request, and that tells its preflights from others.
const X_GRPC_WEB: &[u8] = b"x-grpc-web";

/// A service behind its stack. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Stack {
    /// gRPC, and plain HTTP.
    plain: Router,
    /// gRPC-Web: turned into gRPC, and then the same.
    web: Cors<GrpcWebService<Router>>,
}

impl Stack {
    /// Puts a service behind its stack. `stopping` is cancelled when the server stops.
    pub(crate) fn new(service: Service, builtin: Builtin, gate: Gate, stopping: CancellationToken) -> Self {
        let Service { http, public, files, metrics: mut registry, .. } = service;
        let observer = Observer { metrics: RequestMetrics::register(&mut registry), methods: builtin.methods };
        let room = Arc::new(Semaphore::new(gate.shared.config.limits.requests.get() as usize));
        let any_origin = !gate.shared.accounts.is_open();
        let files = FilesRoute { shared: gate.shared.clone(), files, service: gate.base.service() };

        let grpc = builtin.routes.into_axum_router().layer(from_fn_with_state(stopping, ending));
        let http = http_routes(http, files, registry);
        // Innermost: what comes after it may trust in the caller, and nothing before it does.
        let gated =
            Router::new().fallback_service(by_protocol(grpc, http)).layer(from_fn_with_state(gate.clone(), access));
        let public = limited(public).layer(from_fn_with_state(gate, access_for_all)).fallback_service(gated.clone());
        let layers = ServiceBuilder::new()
            // Outermost, so that refusals too have an id, a line in the log and a place in the metrics.
            .layer(from_fn_with_state(Arc::new(observer), observe))
            // Before any work: refusing must be cheap when there is too much of it.
            .layer(from_fn_with_state(room, shed))
            // Around everything that may wait.
            .layer(from_fn(deadline));
        let plain = Router::new().fallback_service(by_protocol(gated, public)).layer(layers);
        let web = cors(any_origin).layer(GrpcWebLayer::new().layer(plain.clone()));
        Self { plain, web }
    }

    /// Answers a request.
    pub(crate) async fn answer(self, request: http::Request<Incoming>) -> Response {
        let answer = match is_grpc_web(&request) {
            true => self.web.oneshot(request.map(Body::new)).await.map(|response| response.map(Body::new)),
            false => self.plain.oneshot(request.map(Body::new)).await,
        };
        answer.unwrap_or_else(|never| match never {})
    }
}

/// The product's routes, with files and metrics beside them. tonic-web never sees them: it refuses what it doesn't know.
fn http_routes(product: Router, files: FilesRoute, registry: Registry) -> Router {
    let routes = Router::new()
        .route(FILES_ROUTE, get(serve_file).with_state(files))
        .route(METRICS_PATH, get(serve_metrics).with_state(Arc::new(registry)))
        .merge(product);
    limited(routes).fallback(unknown_path)
}

/// Routes whose bodies have a limit, and which the metrics know by name.
fn limited(routes: Router) -> Router {
    routes.layer(from_fn(note_route)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// Sends gRPC one way and everything else the other: a gRPC method that doesn't exist is UNIMPLEMENTED, a path is 404.
fn by_protocol(
    grpc: Router,
    http: Router,
) -> impl tower::Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync {
    service_fn(move |request: Request| match Protocol::of(request.headers()) {
        Protocol::Grpc => grpc.clone().oneshot(request),
        Protocol::Http => http.clone().oneshot(request),
    })
}

/// Whether a request is gRPC-Web's, or a browser's question whether it may be sent.
fn is_grpc_web<B>(request: &http::Request<B>) -> bool {
    let mentions = |name: &HeaderName, text: &[u8]| {
        let values = request.headers().get_all(name);
        values.iter().any(|value| value.as_bytes().to_ascii_lowercase().windows(text.len()).any(|part| part == text))
    };
    match *request.method() {
        Method::OPTIONS => mentions(&ACCESS_CONTROL_REQUEST_HEADERS, X_GRPC_WEB),
        _ => mentions(&CONTENT_TYPE, b"application/grpc-web"),
    }
}

/// Lets browsers' pages call gRPC-Web. Accounts are named in each request, by a header that no page sends unasked, so any
/// page may try; without accounts only this machine's own pages may.
fn cors(any_origin: bool) -> CorsLayer {
    let origin =
        AllowOrigin::predicate(move |origin: &HeaderValue, _| any_origin || is_local_origin(origin.as_bytes()));
    let exposed = ["grpc-status", "grpc-message", "grpc-status-details-bin"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.into_iter().chain([REQUEST_ID]).collect::<Vec<_>>())
}

async fn serve_metrics(
    State(registry): State<Arc<Registry>>,
) -> Result<([(HeaderName, &'static str); 1], String), HttpError> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(errors::Error::internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}

async fn unknown_path(request: Request) -> HttpError {
    HttpError(errors::Error::NotFound { kind: "path", id: request.uri().path().chars().take(256).collect() })
}
