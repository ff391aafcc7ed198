//! Accepts connections and serves them, each within limits, until it is told to stop; then ends them in order.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BaseUrl, Config, Error, Limits, Service, Shared,
    builtin::Builtin,
    layers::{Connection, access::Gate},
    stack::Stack,
    wire::Wire,
};

/// The longest list of headers.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The longest that reading the headers of an HTTP/1.1 request may take, and that its connection may be idle.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// An HTTP/2 peer is asked for a sign of life so often …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// … and has so long to give it.
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
/// The age at which a connection is given up, so that clients spread over new replicas …
const MAX_AGE: Duration = Duration::from_secs(3600);
/// … and how long what it carries then may still take.
const AGE_GRACE: Duration = Duration::from_secs(60);
/// How long everything may take to end when the server stops. With what comes before and after, a process ends in 10 s.
const DRAIN_TIME: Duration = Duration::from_secs(9);
/// How long to wait before accepting again, after the system had nothing left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes the address of the service at `place` (0 to 4, in the order of the design's table).
///
/// # Errors
/// Names the address that can't be had.
pub async fn bind(config: &Config, place: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(config.listen, config.port(place));
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves one service until `shutdown`, says on stdout where, and then brings everything to an end, in at most 9 s: health
/// says NOT_SERVING, nothing new is accepted, what was asked is answered, streams end with UNAVAILABLE.
///
/// # Errors
/// If the listener or the descriptors of the service are unusable. Nothing that a peer does is an error here.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(|source| Error::Listen {
        address: SocketAddr::new(shared.config.listen, shared.config.base_port),
        source,
    })?;
    let (program, stopping, limits) = (service.program, CancellationToken::new(), shared.config.limits.clone());
    let builtin = Builtin::new(service.routes.clone(), &service.names, service.descriptors).await?;
    let health = builtin.health.clone();
    let base = BaseUrl::new(program, &shared.config.files, address);
    let gate = Gate { shared, base, listen: address.ip() };
    let stack = Stack::new(service, builtin, gate, stopping.clone());
    // Whoever started us may have closed stdout: no reason not to serve.
    let _ = writeln!(io::stdout(), "{program} http://{address}");

    let server = Server::new(stack, &limits, stopping);
    tokio::select! {
        () = server.accept(&listener) => {}
        () = shutdown.cancelled() => {}
    }
    health.stop().await;
    drop(listener);
    server.drain(program).await;
    Ok(())
}

struct Server {
    stack: Stack,
    builder: Arc<Builder<TokioExecutor>>,
    room: Arc<Semaphore>,
    connections: TaskTracker,
    /// Cancelled when everything is to end in order …
    stopping: CancellationToken,
    /// … and when that has taken too long.
    abort: CancellationToken,
}

impl Server {
    fn new(stack: Stack, limits: &Limits, stopping: CancellationToken) -> Self {
        Self {
            stack,
            builder: Arc::new(builder(limits)),
            room: Arc::new(Semaphore::new(limits.connections.get() as usize)),
            connections: TaskTracker::new(),
            stopping,
            abort: CancellationToken::new(),
        }
    }

    /// Accepts connections, for ever. No error of the system ends this: it passes, or a restart would not help either.
    async fn accept(&self, listener: &TcpListener) {
        let mut full = false;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let room = self.room.clone().try_acquire_owned().ok();
                    // Said once, not for each: whoever floods us would flood the log too.
                    if room.is_none() && !full {
                        tracing::warn!(%peer, "connections are refused: as many are open as may be");
                    }
                    full = room.is_none();
                    if let Some(room) = room {
                        self.start(stream, peer, room);
                    }
                }
                // The peer gave up before it was accepted.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "connections can't be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, room: OwnedSemaphorePermit) {
        let connection = Connection { peer, ending: self.stopping.child_token() };
        let (stack, builder, abort) = (self.stack.clone(), self.builder.clone(), self.abort.clone());
        self.connections.spawn(async move {
            tokio::select! {
                () = carry(stream, connection, stack, &builder) => {}
                () = abort.cancelled() => {}
            }
            drop(room);
        });
    }

    async fn drain(&self, program: &str) {
        self.stopping.cancel();
        self.connections.close();
        if timeout(DRAIN_TIME, self.connections.wait()).await.is_err() {
            tracing::warn!(program, open = self.connections.len(), "connections were still in use, and are cut off");
            self.abort.cancel();
            self.connections.wait().await;
        }
    }
}

/// Carries one connection from its first byte to its last.
async fn carry(stream: TcpStream, connection: Connection, stack: Stack, builder: &Builder<TokioExecutor>) {
    // Small messages must not wait for their acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, peer = %connection.peer, "nodelay is not to be had");
    }
    let (peer, ending) = (connection.peer, connection.ending.clone());
    let answer = service_fn(move |mut request: http::Request<_>| {
        request.extensions_mut().insert(connection.clone());
        let stack = stack.clone();
        async move { Ok::<_, Infallible>(stack.answer(request).await) }
    });
    let mut http = pin!(builder.serve_connection(TokioIo::new(Wire::new(stream)), answer));
    let result = tokio::select! {
        result = http.as_mut() => Some(result),
        () = sleep(MAX_AGE) => None,
        () = ending.cancelled() => None,
    };
    let result = match result {
        Some(result) => result,
        None => {
            ending.cancel();
            http.as_mut().graceful_shutdown();
            timeout(AGE_GRACE, http).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, error, "connection broke off");
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADER_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_concurrent_streams(limits.streams_per_connection.get())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIME);
    builder
}

/// Whether accepting failed because of one connection, and the next may do better.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
