//! How much is taken from whom.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use protocol::export::v1::{CreateExportRequest, WatchExportRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Request, metadata::MetadataValue};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    PATIENCE,
    grpc::{get, grpc_web},
    start,
};

#[tokio::test]
async fn messages() {
    let server = start("").await;
    let mut client = server.client().await;
    // The id, its tag and its length make the message.
    let message = |bytes: usize| CreateExportRequest { request_id: "x".repeat(bytes - 4), ..Default::default() };
    client.create_export(message(server::MAX_MESSAGE_BYTES)).await.unwrap();
    for bytes in [server::MAX_MESSAGE_BYTES + 1, server::MAX_MESSAGE_BYTES * 100] {
        let refused = client.create_export(message(bytes)).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{bytes}: {refused}");
    }
    client.create_export(message(1000)).await.unwrap();
}

#[tokio::test]
async fn headers() {
    let server = start("").await;
    let call = async |bytes: usize| {
        let mut request = Request::new(get("x"));
        request.metadata_mut().insert("x-long", MetadataValue::try_from("y".repeat(bytes)).unwrap());
        server.client().await.get_export(request).await.map(|_| ())
    };
    call(12_000).await.unwrap();
    for bytes in [17_000, 200_000] {
        assert!(call(bytes).await.is_err(), "{bytes}");
        let answer = server.get("/nothing", &[("x-long", &"y".repeat(bytes))]).await;
        assert_eq!(answer.status, 431, "{bytes}");
    }
    call(1000).await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_but_health_answers() {
    let server = start("[limits]\nrequests = 1").await;
    let mut client = server.client().await;
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.get_export(get("wait")).await });
    server.gate.begun.acquire().await.unwrap().forget();
    let refused = client.get_export(get("x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!refused.details().is_empty(), "it says when to come back");
    let over_http = server.get("/nothing", &[]).await;
    assert_eq!((over_http.status, over_http.header("retry-after")), (503, "1"));
    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    server.gate.open.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().export.unwrap().id, "waited");
    client.get_export(get("x")).await.unwrap();
}

#[tokio::test]
async fn watches() {
    let server = start("[limits]\nwatches_per_account = 2").await;
    let mut client = server.client().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(client.watch_export(WatchExportRequest::default()).await.unwrap());
    }
    let refused = client.watch_export(WatchExportRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    open.clear();
    let freed = timeout(PATIENCE, async {
        while client.watch_export(WatchExportRequest::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    freed.await.unwrap();
}

#[tokio::test]
async fn a_deadline_of_the_client_is_kept() {
    let server = start("").await;
    // Not by a gRPC client: that would give up by itself.
    let answer = grpc_web(&server, "wait", &[("grpc-timeout", "100m")]).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "4"));
    assert_eq!(grpc_web(&server, "x", &[("grpc-timeout", "99999999H")]).await.header("grpc-status"), "");
}

/// Reads until the server closes the connection; how long that took.
async fn closed(mut stream: TcpStream) -> Duration {
    let started = Instant::now();
    // Reset is as good as closed.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("the connection is closed");
    started.elapsed()
}

#[tokio::test]
async fn connections() {
    let server = start("[limits]\nconnections = 2").await;
    let held = [server.channel().await, server.channel().await];
    let refused = closed(TcpStream::connect(server.address).await.unwrap()).await;
    assert!(refused < Duration::from_secs(4), "at once, not after the greeting's time: {refused:?}");
    drop(held);
    let again = timeout(PATIENCE, async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let _ = stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            if answer.starts_with(b"HTTP/1.1 404") {
                return;
            }
        }
    });
    again.await.expect("there is room again");
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let server = start("").await;
    let silent = ["", "P", "PRI * HTTP/2.0\r\n", "GET / HT"].map(async |greeting| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        assert!(closed(stream).await < Duration::from_secs(8), "{greeting:?}");
    });
    join_all(silent).await;
}

#[tokio::test]
async fn running_out_of_files_is_survived() {
    let mut server = Command::new(env::current_exe().unwrap())
        .args(["--exact", "limits::serve_with_few_files", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address =
        lines.find_map(|line| line.split_once("export-service http://").map(|(_, it)| it.to_owned())).unwrap();

    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(TcpStream::connect(&address).await.unwrap());
    }
    drop(held);
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let answer = crate::Answer::read(&mut stream).await;
    assert_eq!(answer.status, 404);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

#[tokio::test]
#[ignore = "run by running_out_of_files_is_survived, in a process of its own"]
async fn serve_with_few_files() {
    let server = start("").await;
    let few = rustix::process::Rlimit { current: Some(48), maximum: Some(48) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let stop = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    stop.await.unwrap().unwrap();
    server.shutdown.cancel();
    server.ended().await;
}
