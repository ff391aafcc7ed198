//! Who may ask for what.

use tonic::{
    Code, Request,
    metadata::{AsciiMetadataKey, MetadataValue},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{ACCOUNTS, Running, grpc::get, start};

const JSON: (&str, &str) = ("content-type", "application/json");
/// `root:secret`.
const BASIC: (&str, &str) = ("authorization", "Basic cm9vdDpzZWNyZXQ=");
const A: &str = "a735c56ea4014685bc74c0a375236cc5";
const B: &str = "b735c56ea4014685bc74c0a375236cc5";

/// Calls with these headers; who that is, or how it was refused.
async fn call(server: &Running, headers: &[(&'static str, &str)]) -> Result<String, (Code, String)> {
    let mut request = Request::new(get("owner"));
    for (name, value) in headers {
        let name = AsciiMetadataKey::from_static(name);
        request.metadata_mut().append(name, MetadataValue::try_from(*value).unwrap());
    }
    let answer = server.client().await.get_export(request).await;
    let refused = |status: tonic::Status| (status.code(), status.message().to_owned());
    answer.map(|answer| answer.into_inner().export.unwrap().id).map_err(refused)
}

#[tokio::test]
async fn accounts_are_asked_for_over_grpc() {
    let server = start(ACCOUNTS).await;
    for (headers, owner) in [
        (&[("authorization", "Bearer k1")][..], A),
        (&[("x-api-key", "k2")], B),
        (&[BASIC], A),
        (&[("authorization", "Bearer k1"), ("x-api-key", "k1")], A),
    ] {
        assert_eq!(call(&server, headers).await.as_deref(), Ok(owner), "{headers:?}");
    }
    let refusal = (Code::Unauthenticated, "valid credentials are required".to_owned());
    for headers in [
        &[][..],
        &[("x-api-key", "")],
        &[("x-api-key", "wrong")],
        &[("authorization", "Bearer k1"), ("x-api-key", "k2")],
        &[("authorization", "Bearer k1"), ("authorization", "Bearer k2")],
    ] {
        assert_eq!(call(&server, headers).await.unwrap_err(), refusal, "{headers:?}");
    }
}

#[tokio::test]
async fn accounts_are_asked_for_over_http() {
    let server = start(ACCOUNTS).await;
    for (headers, owner) in [(("authorization", "Bearer k1"), A), (("x-api-key", "k2"), B), (BASIC, A)] {
        let answer = server.http("POST /product/v1/export", &[JSON, headers], b"1").await;
        assert!(answer.text().contains(owner), "{answer:?}");
    }
    for headers in [&[JSON][..], &[JSON, ("x-api-key", "wrong")], &[JSON, BASIC, ("x-api-key", "k1")]] {
        let answer = server.http("POST /product/v1/export", headers, b"1").await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains("Basic"));
        assert!(answer.text().contains("valid credentials are required"));
    }
    assert_eq!(server.get("/nothing", &[]).await.status, 401, "strangers aren't told what exists");
    assert_eq!(server.get("/nothing", &[BASIC]).await.status, 404);
}

#[tokio::test]
async fn a_route_can_look_for_a_proof_of_its_own() {
    let server = start(ACCOUNTS).await;
    let call = async |headers: &[(&str, &str)], body: &[u8]| {
        let answer = server.http("POST /product/signed/x", headers, body).await;
        (answer.status, answer.text().to_owned())
    };
    let (status, text) = call(&[], b"signed:1").await;
    assert!(status == 200 && text.starts_with("nobody at "), "{text}");
    assert!(text.contains(&server.address.to_string()), "the address is known: {text}");
    assert!(call(&[("x-api-key", "wrong")], b"signed:1").await.1.starts_with("nobody at "));
    assert!(call(&[("x-api-key", "k1")], b"signed:1").await.1.starts_with(A));
    assert_eq!(call(&[], b"1").await.0, 401);
    assert_eq!(call(&[], &vec![0; (1 << 20) + 1]).await.0, 413, "its body has a limit too");
    for path in ["POST /product/signed", "POST /product/v1/signed", "GET /nothing"] {
        assert_eq!(server.http(path, &[JSON], b"signed:1").await.status, 401, "{path} is not one of them");
    }
    // What speaks gRPC is gRPC's, whatever its path.
    let grpc = server.http("POST /product/signed/x", &[("content-type", "application/grpc")], b"signed:1").await;
    assert_eq!(grpc.header("grpc-status"), "16", "{grpc:?}");
    let metrics = server.get("/metrics", &[]).await;
    let line = r#"excerpt_requests_total{method="/product/signed/{what}",code="200"} 3"#;
    assert!(metrics.text().lines().any(|found| found == line), "{}", metrics.text());

    let open = start("").await;
    assert!(open.http("POST /product/signed/x", &[], b"signed:1").await.text().starts_with("local at "));
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(open.http("POST /product/signed/x", &foreign, b"signed:1").await.status, 403);
}

#[tokio::test]
async fn health_is_for_all_and_metrics_for_neighbours() {
    let server = start(ACCOUNTS).await;
    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(server.get("/metrics", &[]).await.status, 200);
    // A proxy on this machine is not a neighbour: it speaks for others.
    let proxied = ("x-forwarded-for", "203.0.113.7");
    assert_eq!(server.get("/metrics", &[proxied]).await.status, 401);
    assert_eq!(server.get("/metrics", &[proxied, ("x-api-key", "k1")]).await.status, 200);
    let reflection = "POST /grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answer = server.http(reflection, &[("content-type", "application/grpc-web"), proxied], b"").await;
    assert_eq!(answer.header("grpc-status"), "16");
}

#[tokio::test]
async fn without_accounts_pages_from_elsewhere_are_kept_out() {
    let server = start("").await;
    let own = format!("localhost:{}", server.address.port());
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("host", "evil.example", 403),
        ("host", "evil.example:50051", 403),
        ("origin", "http://localhost:3000", 200),
        ("host", own.as_str(), 200),
    ] {
        // A plain form may send this without asking first.
        let answer = server.http("POST /product/v1/export", &[JSON, (name, value)], b"1").await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    let refused = call(&server, &[("origin", "https://evil.example")]).await.unwrap_err();
    assert_eq!(refused.0, Code::PermissionDenied);

    let server = start(ACCOUNTS).await;
    let headers = [JSON, BASIC, ("origin", "https://clips.example.com"), ("host", "clips.example.com")];
    assert_eq!(server.http("POST /product/v1/export", &headers, b"1").await.status, 200);
}
