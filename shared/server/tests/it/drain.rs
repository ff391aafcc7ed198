//! The end.

use std::time::{Duration, Instant};

use protocol::export::v1::WatchExportRequest;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{grpc::get, start};

/// What an end takes in which nothing has to be waited for.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
async fn what_was_asked_is_answered_and_streams_are_told() {
    let server = start("").await;
    let mut client = server.client().await;
    let mut stream = client.watch_export(WatchExportRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap();
    let mut health = HealthClient::new(server.channel().await);
    let mut health = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let waiting = tokio::spawn({
        let mut client = client.clone();
        async move { client.get_export(get("wait")).await }
    });
    server.gate.begun.acquire().await.unwrap().forget();

    let started = Instant::now();
    server.shutdown.cancel();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(health.message().await.unwrap_err().code(), Code::Unavailable);
    let ended = stream.message().await.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "the server is shutting down"));
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");
    server.gate.open.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().export.unwrap().id, "waited");
    drop(client);
    server.ended().await;
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[tokio::test]
async fn open_streams_and_idle_connections_do_not_hold_it_up() {
    let server = start("").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.client().await;
        let stream = client.watch_export(WatchExportRequest::default()).await.unwrap();
        clients.push((client, stream));
    }
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let started = Instant::now();
    server.shutdown.cancel();
    server.ended().await;
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[tokio::test]
async fn nobody_can_hold_it_up_for_more_than_ten_seconds() {
    let server = start("").await;
    // One asks for what never comes, one doesn't read what comes.
    let mut client = server.client().await;
    let waiting = tokio::spawn(async move { client.get_export(get("wait")).await });
    server.gate.begun.acquire().await.unwrap().forget();
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    deaf.write_all(b"GET /files/job/big.ts HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    deaf.readable().await.unwrap();
    let started = Instant::now();
    server.shutdown.cancel();
    server.ended().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(waiting.await.unwrap().is_err());
}
