//! Somebody explores the server with a generic client and no proto at hand.

use std::{path::Path, process::Stdio};

use e2e::harness::Server;
use serde_json::{Value, json};
use tokio::process::Command;

const SERVICE: &str = "excerpt.export.v1.ExportService";

/// What a run of `buf curl` said, or why it failed.
async fn buf(arguments: &[&str], url: &str) -> Result<String, String> {
    let buf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/node/node_modules/.bin/buf");
    assert!(buf.exists(), "there is no {}; `make setup` installs it", buf.display());
    let mut command = Command::new(buf);
    command.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]).args(arguments).arg(url);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

async fn call(server: &Server, method: &str, request: Value) -> Value {
    let answer = buf(&["--data", &request.to_string()], &format!("{}/{method}", server.url)).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn everything_is_found_and_called_through_reflection() {
    let server = Server::start().await;
    let services = buf(&["--list-services"], &server.url).await.unwrap();
    let services: Vec<_> = services.lines().collect();
    for service in [SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(services.contains(&service), "{services:?}");
    }
    let methods = buf(&["--list-methods"], &server.url).await.unwrap();
    let methods: Vec<_> =
        methods.lines().filter_map(|line| line.strip_prefix("excerpt.export.v1.ExportService/")).collect();
    let expected = [
        "CancelExport",
        "CreateExport",
        "DeleteExport",
        "DownloadFile",
        "GetExport",
        "GetThumbnail",
        "ListExports",
        "WaitExport",
        "WatchExport",
    ];
    assert!(expected.iter().all(|method| methods.contains(method)), "{methods:?}");

    assert_eq!(call(&server, "grpc.health.v1.Health/Check", json!({})).await["status"], "SERVING");
    assert_eq!(call(&server, "grpc.health.v1.Health/Check", json!({ "service": SERVICE })).await["status"], "SERVING");
    let spec = json!({ "uid": "mp4_closed_b0.mp4", "mark": "2.5s", "duration": "1s", "container": "CONTAINER_MP4" });
    let created =
        call(&server, &format!("{SERVICE}/CreateExport"), json!({ "requestId": "by hand", "spec": spec })).await;
    let id = created["export"]["id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let waited = call(&server, &format!("{SERVICE}/WaitExport"), json!({ "id": id })).await;
    assert_eq!(waited["export"]["status"]["state"], "JOB_STATE_SUCCEEDED", "{waited}");
    let got = call(&server, &format!("{SERVICE}/GetExport"), json!({ "id": id })).await;
    assert_eq!(got["export"], waited["export"]);
    assert_eq!(got["export"]["result"]["frames"], "25");
    let watched = call(&server, &format!("{SERVICE}/WatchExport"), json!({ "id": id })).await;
    assert_eq!(watched["export"], got["export"]);
    let listed = call(&server, &format!("{SERVICE}/ListExports"), json!({ "pageSize": 5 })).await;
    assert_eq!(listed["exports"], json!([got["export"]]));
}

#[tokio::test]
async fn what_is_refused_tells_why() {
    let server = Server::start().await;
    let url = format!("{}/{SERVICE}/CreateExport", server.url);
    let refused = buf(&["--data", r#"{"spec": {"uid": "a.mp4", "duration": "-1s"}}"#], &url).await.unwrap_err();
    assert!(refused.contains("invalid_argument") && refused.contains("spec.duration"), "{refused}");
    let refused = buf(&["--data", "{}"], &format!("{}/{SERVICE}/EraseEverything", server.url)).await.unwrap_err();
    assert!(refused.contains("EraseEverything"), "{refused}");
}
