//! One short function per RPC: validate, ask, convert.

use std::{pin::Pin, time::Duration};

use errors::Error;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use protocol::export::v1::{self as proto, export_service_server::ExportService};
use server::{BaseUrl, Caller};
use tonic::{Request, Response, Status};

use crate::{
    convert::{self, Violations},
    exports::Exports,
};

/// How long `WaitExport` waits if it isn't told, and at most: less than the server's limit for a call.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
const LONGEST_WAIT: Duration = Duration::from_secs(25);
const DEFAULT_PAGE: i32 = 50;
const THUMBNAIL_HEIGHTS: std::ops::RangeInclusive<i32> = 16..=4320;

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The gRPC service.
pub(crate) struct Grpc {
    exports: Exports,
}

impl Grpc {
    pub(crate) fn new(exports: Exports) -> Self {
        Self { exports }
    }

    fn export(&self, job: &jobs::Job, base: &BaseUrl) -> Result<Option<proto::Export>, Error> {
        convert::export(job, &self.exports.suite.shared.urls, base).map(Some)
    }
}

/// Who asks, and by which address.
fn context<T>(request: &Request<T>) -> Result<(Caller, BaseUrl), Error> {
    Ok((Caller::of(request.extensions())?, BaseUrl::of(request.extensions())?.clone()))
}

#[tonic::async_trait]
impl ExportService for Grpc {
    type WatchExportStream = Streaming<proto::WatchExportResponse>;
    type DownloadFileStream = Streaming<proto::DownloadFileResponse>;

    async fn create_export(
        &self,
        request: Request<proto::CreateExportRequest>,
    ) -> Result<Response<proto::CreateExportResponse>, Status> {
        let (caller, base) = context(&request)?;
        let request = request.into_inner();
        let request_id = convert::request_id(request.request_id)?;
        let spec = convert::export_spec(request.spec, self.exports.suite.shared.config.export.max_duration())?;
        if request.validate_only {
            let plan = convert::plan(self.exports.plan(spec).await?);
            return Ok(Response::new(proto::CreateExportResponse { export: None, plan: Some(plan) }));
        }
        let job = self.exports.create(&caller.owner, request_id, spec).await?;
        Ok(Response::new(proto::CreateExportResponse { export: self.export(&job, &base)?, plan: None }))
    }

    async fn get_export(
        &self,
        request: Request<proto::GetExportRequest>,
    ) -> Result<Response<proto::GetExportResponse>, Status> {
        let (caller, base) = context(&request)?;
        let job = self.exports.get(&caller.owner, &request.into_inner().id).await?;
        Ok(Response::new(proto::GetExportResponse { export: self.export(&job, &base)? }))
    }

    async fn list_exports(
        &self,
        request: Request<proto::ListExportsRequest>,
    ) -> Result<Response<proto::ListExportsResponse>, Status> {
        let (caller, base) = context(&request)?;
        let request = request.into_inner();
        let state = convert::state_filter(request.state)?;
        let size = if request.page_size == 0 { DEFAULT_PAGE } else { request.page_size };
        let size = usize::try_from(size).map_err(|_| Error::invalid("page_size", format!("{size} is less than 0")))?;
        let page = self.exports.list(&caller.owner, state, size, &request.page_token).await?;
        let exports = page.jobs.iter().map(|job| convert::export(job, &self.exports.suite.shared.urls, &base));
        Ok(Response::new(proto::ListExportsResponse {
            exports: exports.collect::<Result<_, _>>()?,
            next_page_token: page.next_page_token,
        }))
    }

    async fn watch_export(
        &self,
        request: Request<proto::WatchExportRequest>,
    ) -> Result<Response<Self::WatchExportStream>, Status> {
        let (caller, base) = context(&request)?;
        let request = request.into_inner();
        let permit = self.exports.suite.shared.watches.open(&caller.owner)?;
        // An unknown export is refused here, not in the stream.
        self.exports.get(&caller.owner, &request.id).await?;
        let exports = self.exports.clone();
        let changes = exports.watch(&caller.owner, &request.id, request.after_revision).map(move |job| {
            let _permit = &permit;
            let job = job.map_err(Error::from)?;
            let export = convert::export(&job, &exports.suite.shared.urls, &base)?;
            Ok(proto::WatchExportResponse { export: Some(export) })
        });
        Ok(Response::new(Box::pin(changes)))
    }

    async fn wait_export(
        &self,
        request: Request<proto::WaitExportRequest>,
    ) -> Result<Response<proto::WaitExportResponse>, Status> {
        let (caller, base) = context(&request)?;
        let request = request.into_inner();
        let timeout = match &request.timeout {
            None => DEFAULT_WAIT,
            Some(timeout) => convert::nanos(timeout)
                .and_then(|nanos| u64::try_from(nanos).ok())
                .map(Duration::from_nanos)
                .ok_or_else(|| Error::invalid("timeout", "it must be 0 or more"))?,
        };
        let job = self.exports.wait(&caller.owner, &request.id, timeout.min(LONGEST_WAIT)).await?;
        Ok(Response::new(proto::WaitExportResponse { export: self.export(&job, &base)? }))
    }

    async fn cancel_export(
        &self,
        request: Request<proto::CancelExportRequest>,
    ) -> Result<Response<proto::CancelExportResponse>, Status> {
        let (caller, base) = context(&request)?;
        let job = self.exports.cancel(&caller.owner, &request.into_inner().id).await?;
        Ok(Response::new(proto::CancelExportResponse { export: self.export(&job, &base)? }))
    }

    async fn delete_export(
        &self,
        request: Request<proto::DeleteExportRequest>,
    ) -> Result<Response<proto::DeleteExportResponse>, Status> {
        let (caller, _) = context(&request)?;
        self.exports.delete(&caller.owner, &request.into_inner().id).await?;
        Ok(Response::new(proto::DeleteExportResponse {}))
    }

    async fn get_thumbnail(
        &self,
        request: Request<proto::GetThumbnailRequest>,
    ) -> Result<Response<proto::GetThumbnailResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let position = convert::position("", request.uid, request.start_time, request.mark, &mut violations);
        if request.height != 0 && !THUMBNAIL_HEIGHTS.contains(&request.height) {
            violations.add("height", format!("{} is not between 16 and 4320", request.height));
        }
        let position = violations.check(position)?;
        let height = u32::try_from(request.height).ok().filter(|height| *height > 0);
        let picture = self.exports.thumbnail(position, height).await?;
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        Ok(Response::new(proto::GetThumbnailResponse {
            image: picture.image,
            width: side(picture.width),
            height: side(picture.height),
            frame_time: Some(convert::timestamp(picture.at)),
        }))
    }

    async fn download_file(
        &self,
        request: Request<proto::DownloadFileRequest>,
    ) -> Result<Response<Self::DownloadFileStream>, Status> {
        let (caller, _) = context(&request)?;
        let request = request.into_inner();
        let index = usize::try_from(request.file_index)
            .map_err(|_| Error::OutOfRange(format!("file_index {} is less than 0", request.file_index)))?;
        let (file, reader) = self.exports.open_file(&caller.owner, &request.id, index).await?;
        let size = reader.object().size_bytes;
        let offset = u64::try_from(request.offset).ok().filter(|offset| *offset <= size).ok_or_else(|| {
            Error::OutOfRange(format!("offset {} is not between 0 and the size of the file, {size}", request.offset))
        })?;
        let first = proto::DownloadFileResponse {
            offset: request.offset,
            data: Vec::new(),
            size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
            sha256: file.report.sha256,
        };
        let pieces =
            reader.stream(offset..size).map_err(Error::from)?.map_err(|error| Status::from(Error::from(error)));
        let pieces = pieces.scan(request.offset, |offset, piece| {
            let message = piece.map(|data| {
                let message =
                    proto::DownloadFileResponse { offset: *offset, data: data.to_vec(), ..Default::default() };
                *offset += message.data.len() as i64;
                message
            });
            std::future::ready(Some(message))
        });
        Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(pieces))))
    }

    async fn list_sources(
        &self,
        request: Request<proto::ListSourcesRequest>,
    ) -> Result<Response<proto::ListSourcesResponse>, Status> {
        Caller::of(request.extensions())?;
        let request = request.into_inner();
        let page = self.exports.sources(request.folder, request.page_size, request.page_token).await?;
        Ok(Response::new(convert::sources(page)))
    }

    async fn get_coverage(
        &self,
        request: Request<proto::GetCoverageRequest>,
    ) -> Result<Response<proto::GetCoverageResponse>, Status> {
        Caller::of(request.extensions())?;
        let mut request = request.into_inner();
        let (size, token) = (request.page_size, std::mem::take(&mut request.page_token));
        let page = self.exports.coverage(convert::coverage_query(request)?, size, token).await?;
        Ok(Response::new(convert::coverage(page)))
    }
}
