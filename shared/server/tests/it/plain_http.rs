//! The product's routes, metrics, and what lies beside them.

use serde_json::Value;

use crate::{grpc::get, start};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn product_routes_beside_grpc() {
    let server = start("").await;
    let answer = server.http("POST /product/v1/export", &[JSON], br#"{"a":1}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"body":{"a":1},"owner":"local"}"#);
    assert_eq!(server.get("/product/v1/export", &[]).await.status, 405);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let server = start("").await;
    for path in [
        "/",
        "/nothing",
        "/files",
        "/files/",
        "/files/nothing",
        "/product/v1",
        "/excerpt.export.v1.ExportService/GetExport",
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let answer = server.get("/nothing", &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["reason"], "NOT_FOUND");
    assert_eq!(body["error"]["message"], "path \"/nothing\" does not exist");
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = start("").await;
    let string = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
    assert_eq!(server.http("POST /product/v1/export", &[JSON], &string(1 << 20)).await.status, 200);
    assert_eq!(server.http("POST /product/v1/export", &[JSON], &string((1 << 20) + 1)).await.status, 413);
    assert_eq!(server.http("POST /product/v1/export", &[JSON], b"{").await.status, 400);
}

#[tokio::test]
async fn request_ids_are_kept_if_they_are_ids() {
    let server = start("").await;
    assert_eq!(server.get("/nothing", &[("x-request-id", "mine-1")]).await.header("x-request-id"), "mine-1");
    for not_an_id in ["", "a b", "<script>", &"x".repeat(65)] {
        let id = server.get("/nothing", &[("x-request-id", not_an_id)]).await.header("x-request-id").to_owned();
        assert_eq!(id.len(), 36, "{not_an_id:?} was answered with {id:?}");
    }
}

#[tokio::test]
async fn metrics_count_by_method_and_status_and_nothing_that_callers_choose() {
    let server = start("").await;
    let mut client = server.client().await;
    client.get_export(get("x")).await.unwrap();
    client.get_export(get("invalid")).await.unwrap_err();
    server.http("POST /product/v1/secret-name", &[JSON], b"{}").await;
    server.get("/secret-path", &[]).await;
    let answer = server.get("/metrics", &[]).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    for line in [
        r#"excerpt_requests_total{method="/excerpt.export.v1.ExportService/GetExport",code="Ok"} 1"#,
        r#"excerpt_requests_total{method="/excerpt.export.v1.ExportService/GetExport",code="InvalidArgument"} 1"#,
        r#"excerpt_requests_total{method="/product/v1/{what}",code="200"} 1"#,
        r#"excerpt_requests_total{method="http",code="404"} 1"#,
        "excerpt_requests_in_flight 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}
