//! The connection to a server, and how long to wait for one that went away.

use std::time::Duration;

use protocol::export::v1::export_service_client::ExportServiceClient;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{failure::Failure, output::Output};

/// The export service of a server.
pub(crate) type Service = ExportServiceClient<InterceptedService<Channel, ApiKey>>;

/// An answer that takes longer than this will not come. Streams may take longer once they have begun.
const ANSWER: Duration = Duration::from_secs(30);
/// A server that is silent for this long is gone, though its connection is still open.
const SILENCE: Duration = Duration::from_secs(10);
/// A server that restarts is back sooner than this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Thumbnails may be larger than the 4 MiB that gRPC allows by default.
const MESSAGE: usize = 64 << 20;

/// Adds the caller's key to every request.
#[derive(Clone)]
pub(crate) struct ApiKey(Option<MetadataValue<Ascii>>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("x-api-key", key.clone());
        }
        Ok(request)
    }
}

/// The service at `url`. Nothing is sent yet; a connection that breaks later is made again when it is needed.
///
/// # Errors
/// If the URL or the key can't be right.
pub(crate) fn connect(url: &str, api_key: Option<&str>) -> Result<Service, Failure> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .ok()
        .filter(|endpoint| endpoint.uri().scheme_str() == Some("http") && endpoint.uri().host().is_some())
        .ok_or_else(|| Failure::new(format!("--server {url:?} is not a URL such as http://127.0.0.1:50051")))?;
    let channel = endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(ANSWER)
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .tcp_nodelay(true)
        .connect_lazy();
    let key = api_key.map(|key| key.parse::<MetadataValue<Ascii>>()).transpose();
    let mut key = key.map_err(|_| Failure::new("--api-key holds a character that no key has"))?;
    key.iter_mut().for_each(|key| key.set_sensitive(true));
    Ok(ExportServiceClient::with_interceptor(channel, ApiKey(key)).max_decoding_message_size(MESSAGE))
}

/// How long to keep trying to reach a server that went away, at ever longer intervals.
pub(crate) struct Patience {
    next: Duration,
    left: Duration,
}

impl Patience {
    /// All of it.
    pub(crate) fn new() -> Self {
        Self { next: Duration::from_millis(100), left: PATIENCE }
    }

    /// Waits a while after a call was broken off, and says so the first time.
    ///
    /// # Errors
    /// If trying again would not help, or was tried for long enough.
    pub(crate) async fn after(&mut self, broken: Status, output: &Output) -> Result<(), Failure> {
        if !is_passing(&broken) {
            return Err(broken.into());
        }
        if self.left.is_zero() {
            return Err(
                Failure::from(broken).and("what the server has accepted goes on; the same command takes it up again")
            );
        }
        if self.left == PATIENCE {
            output.remark(&format!("the connection broke ({}); trying again", broken.message()));
        }
        tokio::time::sleep(self.next).await;
        self.left = self.left.saturating_sub(self.next);
        self.next = (self.next * 2).min(Duration::from_secs(5));
        Ok(())
    }
}

/// Why a stream was not followed to its end.
pub(crate) enum Stop {
    /// The connection broke; it may be worth trying again.
    Broken(Status),
    /// Trying again would not help.
    Failed(Failure),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Broken(status)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Whether the connection broke, or the server is on its way down or up. What a server says itself has no source.
fn is_passing(status: &Status) -> bool {
    let broken = std::error::Error::source(status).is_some();
    broken || matches!(status.code(), Code::Unavailable | Code::Aborted | Code::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lines;

    #[tokio::test(start_paused = true)]
    async fn only_what_can_pass_is_waited_for() {
        let mut patience = Patience::new();
        let output = Lines::default().output();
        assert!(patience.after(Status::not_found("export x"), &output).await.is_err());
        let mut tries = 0;
        while patience.after(Status::unavailable("draining"), &output).await.is_ok() {
            tries += 1;
        }
        assert!((20..40).contains(&tries), "{tries} tries");
    }

    #[test]
    fn servers_that_cannot_be_right_are_refused() {
        for url in ["", "127.0.0.1:50051", "ftp://host", "http://", "not a url", "https://host"] {
            assert!(connect(url, None).is_err(), "{url}");
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        assert!(connect("http://127.0.0.1:50051", Some("k\n1")).is_err());
        assert!(connect("http://127.0.0.1:50051", Some("k1")).is_ok());
    }
}
