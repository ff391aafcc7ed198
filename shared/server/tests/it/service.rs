//! The service under the server: small, but with every kind of answer.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use axum::{Extension, Json, Router, routing::post};
use bytes::Bytes;
use protocol::export::v1::{
    export_service_server::{ExportService, ExportServiceServer},
    *,
};
use serde_json::{Value, json};
use server::{BaseUrl, Caller, Files, HttpError, MAX_MESSAGE_BYTES, PublishedFile, Service, Shared};
use storage::{Existing, Key};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, service::Routes};

/// What the call `wait` waits for.
#[derive(Clone)]
pub(crate) struct Gate {
    /// A permit for each call that has begun.
    pub(crate) begun: Arc<Semaphore>,
    /// A permit for each call that may end.
    pub(crate) open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

/// The file that is published as `job/clip.ts` and, as a picture, as `job/frame.jpg`.
pub(crate) const CLIP: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// The size of the file that is published as `job/big.ts`: more than the system buffers.
pub(crate) const BIG_BYTES: usize = 32 << 20;

pub(crate) async fn service(shared: &Arc<Shared>, gate: Gate) -> Service {
    for (key, bytes) in [("clip", Bytes::from_static(CLIP)), ("big", vec![7; BIG_BYTES].into()), ("none", Bytes::new())]
    {
        shared.storage.put(&Key::parse(key).unwrap(), bytes, Existing::Replace).await.unwrap();
    }
    let exports = ExportServiceServer::new(Exports { shared: shared.clone(), gate });
    let routes = Routes::new(exports.max_decoding_message_size(MAX_MESSAGE_BYTES));
    let mut service = Service::new("export-service", "excerpt.export.v1.ExportService", protocol::DESCRIPTORS, routes);
    service.http = Router::new().route("/product/v1/{what}", post(product));
    service.public = Router::new().route("/product/signed/{what}", post(signed));
    service.files = Arc::new(Published);
    service
}

/// A product's own route: says who called, and gives back what was sent.
async fn product(caller: Caller, Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "owner": caller.owner, "body": body }))
}

/// A route that finds out by itself who called.
async fn signed(
    caller: Option<Extension<Caller>>,
    Extension(base): Extension<BaseUrl>,
    body: Bytes,
) -> Result<String, HttpError> {
    let owner = caller.map_or_else(|| "nobody".to_owned(), |Extension(caller)| caller.owner);
    match body.strip_prefix(b"signed:") {
        Some(_) => Ok(format!("{owner} at {base:?}")),
        None => Err(HttpError(errors::Error::Unauthenticated)),
    }
}

struct Published;

#[async_trait]
impl Files for Published {
    async fn resolve(&self, path: &str) -> Result<Option<PublishedFile>, errors::Error> {
        let (key, name) = match path {
            "job/clip.ts" => ("clip", "Zürich.ts"),
            "job/frame.jpg" => ("clip", "frame.jpg"),
            "job/big.ts" => ("big", "big.ts"),
            "job/none.ts" => ("none", "none.ts"),
            "job/lost.ts" => ("lost", "lost.ts"),
            _ => return Ok(None),
        };
        Ok(Some(PublishedFile { key: Key::parse(key).unwrap(), name: name.to_owned() }))
    }
}

struct Exports {
    shared: Arc<Shared>,
    gate: Gate,
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl ExportService for Exports {
    type WatchExportStream = BoxStream<WatchExportResponse>;
    type DownloadFileStream = BoxStream<DownloadFileResponse>;

    /// Answers as its id says.
    async fn get_export(&self, request: Request<GetExportRequest>) -> Result<Response<GetExportResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let base = BaseUrl::of(request.extensions())?.clone();
        let asked = request.into_inner().id;
        let id = match asked.as_str() {
            "owner" => caller.owner,
            "url" => self.shared.urls.url(&base, "job/clip.ts"),
            "wait" => {
                self.gate.begun.add_permits(1);
                self.gate.open.acquire().await.map_err(|_| Status::internal("the gate is closed"))?.forget();
                "waited".to_owned()
            }
            "panic" => panic!("asked to"),
            "invalid" => return Err(errors::Error::invalid("id", "it is invalid").into()),
            _ => asked,
        };
        Ok(Response::new(GetExportResponse { export: Some(Export { id, ..Export::default() }) }))
    }

    /// One message, and then nothing, for ever.
    async fn watch_export(
        &self,
        request: Request<WatchExportRequest>,
    ) -> Result<Response<Self::WatchExportStream>, Status> {
        let permit = self.shared.watches.open(&Caller::of(request.extensions())?.owner)?;
        let first = tokio_stream::once(Ok(WatchExportResponse { export: Some(Export::default()) }));
        let rest = tokio_stream::pending().map(move |never: Result<_, Status>| {
            let _held = &permit;
            never
        });
        Ok(Response::new(Box::pin(first.chain(rest))))
    }

    async fn create_export(&self, _: Request<CreateExportRequest>) -> Result<Response<CreateExportResponse>, Status> {
        Ok(Response::new(CreateExportResponse::default()))
    }

    async fn list_exports(&self, _: Request<ListExportsRequest>) -> Result<Response<ListExportsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn wait_export(&self, _: Request<WaitExportRequest>) -> Result<Response<WaitExportResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel_export(&self, _: Request<CancelExportRequest>) -> Result<Response<CancelExportResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn delete_export(&self, _: Request<DeleteExportRequest>) -> Result<Response<DeleteExportResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_thumbnail(&self, _: Request<GetThumbnailRequest>) -> Result<Response<GetThumbnailResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn download_file(
        &self,
        _: Request<DownloadFileRequest>,
    ) -> Result<Response<Self::DownloadFileStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_sources(&self, _: Request<ListSourcesRequest>) -> Result<Response<ListSourcesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_coverage(&self, _: Request<GetCoverageRequest>) -> Result<Response<GetCoverageResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
