//! A real server on a port of its own, with a small service in it, and real clients.

#![allow(clippy::unwrap_used)]

mod access;
mod config;
mod drain;
mod files;
mod grpc;
mod limits;
mod plain_http;
mod service;

use std::{collections::HashMap, fs, net::SocketAddr, time::Duration};

use protocol::export::v1::export_service_client::ExportServiceClient;
use server::{Config, ServeArgs, Shared, serve};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use service::Gate;

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two accounts.
const ACCOUNTS: &str = r#"
    [[accounts]]
    id = "a735c56ea4014685bc74c0a375236cc5"
    api_keys = ["k1"]
    user = "root"
    password = "secret"
    [[accounts]]
    id = "B735C56EA4014685BC74C0A375236CC5"
    api_keys = ["k2"]
"#;

/// A running server.
struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    /// Opens the handlers that wait.
    gate: Gate,
    task: JoinHandle<Result<(), server::Error>>,
    _folder: TempDir,
}

/// Starts a server with this config file.
async fn start(config: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let config = load(&folder, config).unwrap();
    let listener = TcpListener::bind((config.listen, 0)).await.unwrap();
    let (address, shutdown, gate) = (listener.local_addr().unwrap(), CancellationToken::new(), Gate::default());
    let shared = Shared::open(config).await.unwrap();
    let service = service::service(&shared, gate.clone()).await;
    let task = tokio::spawn(serve(listener, service, shared, shutdown.clone()));
    Running { address, shutdown, gate, task, _folder: folder }
}

/// Reads a config file with this text; all folders are below `folder`.
fn load(folder: &TempDir, text: &str) -> Result<Config, server::ConfigError> {
    let file = folder.path().join("excerpt.toml");
    fs::write(&file, text).unwrap();
    let args = ServeArgs { config: Some(file), data: Some(folder.path().join("data")), ..ServeArgs::default() };
    Config::load(args)
}

impl Running {
    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> ExportServiceClient<Channel> {
        ExportServiceClient::new(self.channel().await)
    }

    /// Sends a request over HTTP/1.1 and reads the answer.
    async fn http(&self, request_line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{request_line} HTTP/1.1\r\nconnection: close\r\n");
        let has = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        if !has("host") {
            head += &format!("host: {}\r\n", self.address);
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = [head.as_bytes(), b"\r\n", body].concat();
        // A server that refuses early may not read all of it.
        let _ = stream.write_all(&request).await;
        Answer::read(&mut stream).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.http(&format!("GET {path}"), headers, b"").await
    }

    /// Waits until the server has ended, which must not have failed.
    async fn ended(self) {
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// An HTTP/1.1 answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A connection that is reset after the answer has still answered.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("an answer has headers");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let body = bytes[end + 4..].to_vec();
        let body = if headers.contains_key("transfer-encoding") { unchunk(&body) } else { body };
        Self { status, headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Joins the chunks of a body (RFC 9112 §7.1).
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|part| part == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}
