//! Export: a clip, or a still, of a recording, cut to the frame. It does the job of TVU's `POST /resource/v1/export`,
//! answers that request unchanged, and offers the same over gRPC. What it knows is what such a request means; cutting is
//! `media`'s, queueing is `jobs`', and what was recorded when is `recordings`'.
//!
//! ```text
//! grpc.rs      one short function per RPC
//! tvu.rs       TVU's HTTP request            tvu/body.rs  its JSON, as clients really send it
//! convert.rs   wire to domain, and all validation        convert/reply.rs  domain to wire
//! export.rs    the domain: what is asked for, and what came of it
//! exports.rs   what callers can do with exports, whatever they speak
//! worker.rs    one attempt at an export, or at a still
//! files.rs     what of it can be downloaded
//! ```

mod convert;
mod export;
mod exports;
mod files;
mod grpc;
mod tvu;
mod worker;

use std::sync::Arc;

use protocol::export::v1::export_service_server::ExportServiceServer;
use server::{MAX_MESSAGE_BYTES, Service, Suite};

use crate::{
    exports::Exports,
    worker::{ExportRunner, StillRunner},
};

/// The service's place among the five: its port is the base port and this.
pub const PLACE: u16 = 0;

/// The service, ready to be served.
pub fn service(suite: &Arc<Suite>) -> Service {
    let exports = Exports::new(suite.clone());
    let grpc = ExportServiceServer::new(grpc::Grpc::new(exports.clone()));
    let routes = tonic::service::Routes::new(grpc.max_decoding_message_size(MAX_MESSAGE_BYTES));
    let mut service = Service::new("export-service", "excerpt.export.v1.ExportService", protocol::DESCRIPTORS, routes);
    service.http = tvu::routes(exports.clone());
    service.files = Arc::new(files::ExportFiles::new(exports));
    service
}

/// Who does the service's jobs.
pub fn runners(suite: &Arc<Suite>) -> Vec<Arc<dyn jobs::Runner>> {
    vec![Arc::new(ExportRunner::new(suite.clone())), Arc::new(StillRunner::new(suite.clone()))]
}
