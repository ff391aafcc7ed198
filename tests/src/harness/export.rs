//! A gRPC client of the export service, and what tests ask of it.

use std::time::{Duration, Instant};

use prost_types::Timestamp;
use protocol::{
    export::v1::{
        CreateExportRequest, DownloadFileRequest, Export, ExportSpec, WaitExportRequest,
        export_service_client::ExportServiceClient,
    },
    job::v1::JobState,
};
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::Server;

/// A client of the export service.
pub type Client = ExportServiceClient<InterceptedService<Channel, Key>>;

/// How long the longest export of a test may take.
const LONGEST: Duration = Duration::from_secs(180);

/// The API key that a client sends, if any.
#[derive(Debug, Clone)]
pub struct Key(Option<&'static str>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = self.0 {
            request.metadata_mut().insert("x-api-key", key.parse().expect("keys of tests are ASCII"));
        }
        Ok(request)
    }
}

impl Server {
    /// A client with a connection of its own.
    pub fn client(&self) -> Client {
        self.client_with(None)
    }

    /// A client that sends an API key.
    pub fn client_as(&self, key: &'static str) -> Client {
        self.client_with(Some(key))
    }

    fn client_with(&self, key: Option<&'static str>) -> Client {
        let endpoint = Endpoint::from_shared(self.url.clone()).expect("the server's address is one");
        // It reconnects by itself, so that it outlives a restart of the server.
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).connect_lazy();
        ExportServiceClient::with_interceptor(channel, Key(key)).max_decoding_message_size(64 << 20)
    }

    /// Asks for an export, and returns it as accepted.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(&self, spec: ExportSpec) -> Export {
        let request = CreateExportRequest { spec: Some(spec), ..CreateExportRequest::default() };
        let answer = self.client().create_export(request).await;
        answer.expect("it should be accepted").into_inner().export.expect("an accepted export is returned")
    }

    /// Asks for an export, and waits for its end, whatever that is.
    pub async fn export(&self, spec: ExportSpec) -> Export {
        let id = self.create(spec).await.id;
        self.ended_export(&id).await
    }

    /// Waits for the end of an export, whatever it is.
    ///
    /// # Panics
    /// If it doesn't come.
    pub async fn ended_export(&self, id: &str) -> Export {
        let (mut client, deadline) = (self.client(), Instant::now() + LONGEST);
        loop {
            let request = WaitExportRequest { id: id.to_owned(), timeout: None };
            let export = client.wait_export(request).await.expect("it exists").into_inner().export;
            let export = export.expect("an export is returned");
            if is_final(state(&export)) {
                return export;
            }
            assert!(Instant::now() < deadline, "{export:?} does not end");
        }
    }

    /// The file of an export from `offset` on, as gRPC streams it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn download(&self, id: &str, offset: i64) -> Result<Vec<u8>, Status> {
        let request = DownloadFileRequest { id: id.to_owned(), offset, file_index: 0 };
        let mut stream = self.client().download_file(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.message().await? {
            assert_eq!(piece.offset, offset + bytes.len() as i64, "pieces follow one another");
            bytes.extend(piece.data);
        }
        Ok(bytes)
    }
}

/// A part of a recording, by its own clock: `mark` and `duration` in milliseconds.
pub fn spec(uid: &str, mark: u64, duration: u64) -> ExportSpec {
    ExportSpec {
        uid: uid.to_owned(),
        mark: Some(lasting(Duration::from_millis(mark))),
        duration: Some(lasting(Duration::from_millis(duration))),
        ..ExportSpec::default()
    }
}

/// The state of an export.
pub fn state(export: &Export) -> JobState {
    export.status.as_ref().map_or(JobState::Unspecified, |status| status.state())
}

/// Whether a state is one that stays.
pub fn is_final(state: JobState) -> bool {
    matches!(state, JobState::Succeeded | JobState::Failed | JobState::Cancelled)
}

/// An instant on the wire, from milliseconds since 1970.
pub fn at(millis: i64) -> Timestamp {
    Timestamp { seconds: millis.div_euclid(1000), nanos: (millis.rem_euclid(1000) * 1_000_000) as i32 }
}

/// A length of time on the wire.
pub fn lasting(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("tests ask for no centuries")
}
