//! gRPC, gRPC-Web, health and reflection.

use prost::Message;
use protocol::export::v1::{GetExportRequest, GetExportResponse, WatchExportRequest};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::{v1, v1alpha};

use crate::{Running, start};

pub(crate) fn get(id: &str) -> GetExportRequest {
    GetExportRequest { id: id.to_owned() }
}

#[tokio::test]
async fn unary_and_streaming() {
    let server = start("").await;
    let mut client = server.client().await;
    let answer = client.get_export(get("owner")).await.unwrap();
    assert!(!answer.metadata().get("x-request-id").unwrap().is_empty());
    assert_eq!(answer.into_inner().export.unwrap().id, "local");
    let mut stream = client.watch_export(WatchExportRequest::default()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
}

#[tokio::test]
async fn what_does_not_exist_is_unimplemented() {
    let server = start("").await;
    for path in ["/excerpt.export.v1.ExportService/Nothing", "/excerpt.nothing.v1.Nothing/Get", "/files/job/clip.ts"] {
        let mut client = tonic::client::Grpc::new(server.channel().await);
        client.ready().await.unwrap();
        let codec = ProstCodec::<GetExportRequest, GetExportResponse>::default();
        let refused = client.unary(tonic::Request::new(get("x")), path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let server = start("").await;
    let mut client = server.client().await;
    let mut stream = client.watch_export(WatchExportRequest::default()).await.unwrap().into_inner();
    let refused = client.get_export(get("panic")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Internal, "internal error"));
    assert!(stream.message().await.unwrap().is_some(), "its neighbour on the connection goes on");
    client.get_export(get("x")).await.unwrap();
}

#[tokio::test]
async fn health_is_told_by_service() {
    let server = start("").await;
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "excerpt.export.v1.ExportService"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest { service: "excerpt.dvr_export.v1.DvrExportService".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

const SERVED: [&str; 4] = [
    "excerpt.export.v1.ExportService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

#[tokio::test]
async fn reflection_lists_what_is_served() {
    use v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest::*, server_reflection_response::MessageResponse::*,
    };
    let server = start("").await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let asked = [ListServices(String::new()), FileContainingSymbol(SERVED[0].to_owned())];
    let asked = asked.map(|message| ServerReflectionRequest { host: String::new(), message_request: Some(message) });
    let mut answers = client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap().into_inner();
    let Some(ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response else { panic!() };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, SERVED);
    let Some(FileDescriptorResponse(file)) = answers.message().await.unwrap().unwrap().message_response else {
        panic!()
    };
    assert_eq!(file.file_descriptor_proto.len(), 1);
}

#[tokio::test]
async fn reflection_in_its_old_version_does_too() {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest::*, server_reflection_response::MessageResponse::*,
    };
    let server = start("").await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let asked = [ServerReflectionRequest { host: String::new(), message_request: Some(ListServices(String::new())) }];
    let mut answers = client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap().into_inner();
    let Some(ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response else { panic!() };
    assert_eq!(list.service.len(), SERVED.len());
}

/// A message as gRPC frames it: uncompressed, its length, itself.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    [&[0][..], &(bytes.len() as u32).to_be_bytes(), &bytes].concat()
}

/// Gets an export over gRPC-Web.
pub(crate) async fn grpc_web(server: &Running, id: &str, headers: &[(&str, &str)]) -> crate::Answer {
    let headers = [&[("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")], headers].concat();
    let line = "POST /excerpt.export.v1.ExportService/GetExport";
    server.http(line, &headers, &framed(&get(id))).await
}

#[tokio::test]
async fn grpc_web_over_http_1() {
    let server = start(crate::ACCOUNTS).await;
    let answer = grpc_web(&server, "owner", &[("x-api-key", "k2"), ("origin", "https://clips.example.com")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/grpc-web+proto");
    assert_eq!(answer.header("access-control-allow-origin"), "https://clips.example.com");
    let length = u32::from_be_bytes(answer.body[1..5].try_into().unwrap()) as usize;
    let message = GetExportResponse::decode(&answer.body[5..5 + length]).unwrap();
    assert_eq!(message.export.unwrap().id, "b735c56ea4014685bc74c0a375236cc5");
    assert!(String::from_utf8_lossy(&answer.body[5 + length..]).contains("grpc-status:0"));

    let refused = grpc_web(&server, "owner", &[("x-api-key", "wrong")]).await;
    assert_eq!((refused.status, refused.header("grpc-status")), (200, "16"));
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-api-key,X-Grpc-Web"),
        ]
    };
    let line = "OPTIONS /excerpt.export.v1.ExportService/GetExport";
    let server = start(crate::ACCOUNTS).await;
    let answer = server.http(line, &preflight("https://clips.example.com"), b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (200, "POST"));
    assert!(answer.header("access-control-allow-headers").contains("x-api-key"));

    let open = start("").await;
    assert_eq!(
        open.http(line, &preflight("https://evil.example"), b"").await.header("access-control-allow-origin"),
        ""
    );
    let allowed = open.http(line, &preflight("http://localhost:3000"), b"").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "http://localhost:3000");
}
