//! A server that says what a test tells it to, over a real connection.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use protocol::export::v1::{
    export_service_server::{ExportService, ExportServiceServer},
    *,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::{Iter, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    client::{Service, connect},
    output::Output,
};

type Answer<T> = Result<Response<T>, Status>;
type Script<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

/// A server that says what a test tells it to.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    watches: VecDeque<Vec<Result<WatchExportResponse, Status>>>,
    file: Vec<u8>,
    /// How many bytes each download gives before its connection breaks.
    pieces: VecDeque<usize>,
    asked_after: Vec<i64>,
}

impl Fake {
    /// The next stream of a watch.
    pub(crate) fn watch(&self, updates: impl IntoIterator<Item = Result<Export, Status>>) {
        let update = |export| WatchExportResponse { export: Some(export) };
        let updates = updates.into_iter().map(|result| result.map(update)).collect();
        self.0.lock().unwrap().watches.push_back(updates);
    }

    /// The file to download, and how many bytes of it each connection gives.
    pub(crate) fn file(&self, content: &[u8], pieces: impl IntoIterator<Item = usize>) {
        let mut state = self.0.lock().unwrap();
        state.file = content.to_vec();
        state.pieces.extend(pieces);
    }

    /// The revisions and offsets that the streams began after.
    pub(crate) fn asked_after(&self) -> Vec<i64> {
        self.0.lock().unwrap().asked_after.clone()
    }

    /// Starts it, and connects to it.
    pub(crate) async fn serve(&self) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(ExportServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        connect(&format!("http://{address}"), Some("k1")).unwrap()
    }
}

#[tonic::async_trait]
impl ExportService for Fake {
    type WatchExportStream = Script<WatchExportResponse>;
    type DownloadFileStream = Script<DownloadFileResponse>;

    async fn watch_export(&self, request: Request<WatchExportRequest>) -> Answer<Self::WatchExportStream> {
        assert_eq!(request.metadata().get("x-api-key").unwrap(), "k1");
        let mut state = self.0.lock().unwrap();
        state.asked_after.push(request.into_inner().after_revision);
        let script = state.watches.pop_front().expect("one watch too many");
        Ok(Response::new(tokio_stream::iter(script)))
    }

    async fn download_file(&self, request: Request<DownloadFileRequest>) -> Answer<Self::DownloadFileStream> {
        let mut state = self.0.lock().unwrap();
        let offset = request.into_inner().offset;
        state.asked_after.push(offset);
        let length = state.pieces.pop_front().expect("one download too many");
        let data: Vec<u8> = state.file.iter().skip(offset as usize).take(length).copied().collect();
        let is_whole = offset as usize + data.len() == state.file.len();
        let piece = Ok(DownloadFileResponse { offset, data, ..Default::default() });
        let broken = (!is_whole).then(|| Err(Status::unavailable("draining")));
        Ok(Response::new(tokio_stream::iter([piece].into_iter().chain(broken).collect::<Vec<_>>())))
    }

    async fn create_export(&self, _: Request<CreateExportRequest>) -> Answer<CreateExportResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn get_export(&self, _: Request<GetExportRequest>) -> Answer<GetExportResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn list_exports(&self, _: Request<ListExportsRequest>) -> Answer<ListExportsResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn wait_export(&self, _: Request<WaitExportRequest>) -> Answer<WaitExportResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn cancel_export(&self, _: Request<CancelExportRequest>) -> Answer<CancelExportResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn delete_export(&self, _: Request<DeleteExportRequest>) -> Answer<DeleteExportResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn get_thumbnail(&self, _: Request<GetThumbnailRequest>) -> Answer<GetThumbnailResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn list_sources(&self, _: Request<ListSourcesRequest>) -> Answer<ListSourcesResponse> {
        Err(Status::unimplemented("not part of any test"))
    }

    async fn get_coverage(&self, _: Request<GetCoverageRequest>) -> Answer<GetCoverageResponse> {
        Err(Status::unimplemented("not part of any test"))
    }
}

/// What a program would read from standard output.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// An output that writes here.
    pub(crate) fn output(&self) -> Output {
        Output::to(true, Box::new(self.clone()))
    }

    /// A field of every line.
    pub(crate) fn all(&self, field: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()[field].take()).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
