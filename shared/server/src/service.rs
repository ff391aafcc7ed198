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
    /// Full gRPC name, `excerpt.export.v1.ExportService`.
    pub name: &'static str,
    /// The compiled descriptors of its package, imports included; there may be others among them.
    pub descriptors: &'static [u8],
    /// Its gRPC.
    pub routes: Routes,
    /// The product's own routes, without a fallback. Their handlers take a [`Caller`](crate::Caller) where they need one;
    /// requests without valid credentials don't reach them.
    pub http: axum::Router,
    /// What it has published.
    pub files: Arc<dyn Files>,
    /// Its own metrics; those of requests are added.
    pub metrics: Registry,
}

impl Service {
    /// A service that answers gRPC alone. The other fields are there to be set.
    pub fn new(program: &'static str, name: &'static str, descriptors: &'static [u8], routes: Routes) -> Self {
        Self {
            program,
            name,
            descriptors,
            routes,
            http: axum::Router::new(),
            files: Arc::new(NoFiles),
            metrics: Registry::with_prefix("excerpt"),
        }
    }
}
