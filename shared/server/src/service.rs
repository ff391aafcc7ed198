//! One service, as the server sees it.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tonic::service::Routes;

use crate::{Files, NoFiles};

/// The longest gRPC message that a service takes in. tonic asks each generated server for it:
/// `ExportServiceServer::new(…).max_decoding_message_size(server::MAX_MESSAGE_BYTES)`.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// One service: what it answers, and what it is called.
pub struct Service {
    /// Name of the program, `export-service`: it tells services of one process apart.
    pub program: &'static str,
    /// Full names of its gRPC services, `excerpt.export.v1.ExportService`: one, or several of as many packages. Health and
    /// reflection know these and no others.
    pub names: Vec<&'static str>,
    /// The compiled descriptors of their packages, imports included; there may be others among them.
    pub descriptors: &'static [u8],
    /// Its gRPC.
    pub routes: Routes,
    /// The product's own routes, without a fallback. Their handlers take a [`Caller`](crate::Caller) where they need one;
    /// requests without valid credentials don't reach them.
    pub http: axum::Router,
    /// Routes that anybody may call, without a fallback: their handlers find out by themselves whether a request is what it
    /// claims to be, by a signature in its body for instance. A [`Caller`](crate::Caller) is there for those who send
    /// credentials, or where no accounts are configured. A path is here or in `http`, not in both.
    pub public: axum::Router,
    /// What it has published.
    pub files: Arc<dyn Files>,
    /// Its own metrics; those of requests are added.
    pub metrics: Registry,
}

impl Service {
    /// A service that answers one gRPC service alone. The other fields are there to be set, and further names to be added.
    pub fn new(program: &'static str, name: &'static str, descriptors: &'static [u8], routes: Routes) -> Self {
        Self {
            program,
            names: vec![name],
            descriptors,
            routes,
            http: axum::Router::new(),
            public: axum::Router::new(),
            files: Arc::new(NoFiles),
            metrics: Registry::with_prefix("excerpt"),
        }
    }
}
