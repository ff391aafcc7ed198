//! Two tenants share a server, and see nothing of one another.

use e2e::harness::{Server, Setup, spec, state};
use protocol::{
    export::v1::{
        CancelExportRequest, CreateExportRequest, DeleteExportRequest, DownloadFileRequest, Export, GetExportRequest,
        ListExportsRequest, WaitExportRequest, WatchExportRequest,
    },
    job::v1::JobState,
};
use serde_json::json;
use tonic::{Code, Status};

use crate::samples::ORIGIN;

const UID: &str = "mp4_closed_b0.mp4";
const ALICE: &str = "alices-key";
const BOB: &str = "bobs-key";
const ACCOUNTS: &str = r#"
[[accounts]]
id = "a735c56ea4014685bc74c0a375236cc5"
api_keys = ["alices-key"]
[[accounts]]
id = "b735c56ea4014685bc74c0a375236cc5"
api_keys = ["bobs-key", "bobs-next-key"]
user = "bob"
password = "secret"
"#;

async fn server() -> Server {
    Setup::new().config(ACCOUNTS).start().await
}

fn request(id: &str) -> CreateExportRequest {
    CreateExportRequest { request_id: id.to_owned(), spec: Some(spec(UID, 1_000, 1_000)), validate_only: false }
}

/// Makes an export, and waits for its end.
async fn made(server: &Server, key: &'static str) -> Export {
    let mut client = server.client_as(key);
    let id = client.create_export(request("same for both")).await.unwrap().into_inner().export.unwrap().id;
    let export =
        client.wait_export(WaitExportRequest { id, timeout: None }).await.unwrap().into_inner().export.unwrap();
    assert_eq!(state(&export), JobState::Succeeded, "{export:?}");
    export
}

#[tokio::test]
async fn without_a_key_nothing_is_done() {
    let server = server().await;
    assert!(server.is_healthy().await, "health is no secret");
    for mut client in [server.client(), server.client_as("no key of anybody's"), server.client_as("alices-key ")] {
        let refused = client.create_export(request("")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        let refused = client.list_exports(ListExportsRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    }
    let body = json!({ "uid": UID, "start_position": ORIGIN, "mark_pos": "00:01", "duration": 1000 }).to_string();
    let path = "/resource/v1/export";
    let refused = server.post(path, &body).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("Bearer"), "{refused:?}");
    assert_eq!(server.post_as("wrong", path, &body).await.status, 401);
    let accepted = server.post_as("bobs-next-key", path, &body).await;
    assert_eq!((accepted.status, &accepted.json()["error_code"]), (200, &json!(0)), "{}", accepted.json());
}

/// What every method says of an export.
async fn answers(server: &Server, key: &'static str, id: &str) -> Vec<Status> {
    let mut client = server.client_as(key);
    let id = || id.to_owned();
    let answers = [
        client.get_export(GetExportRequest { id: id() }).await.map(drop),
        client.watch_export(WatchExportRequest { id: id(), after_revision: 0 }).await.map(drop),
        client.wait_export(WaitExportRequest { id: id(), timeout: None }).await.map(drop),
        client.cancel_export(CancelExportRequest { id: id() }).await.map(drop),
        client.download_file(DownloadFileRequest { id: id(), offset: 0, file_index: 0 }).await.map(drop),
        client.delete_export(DeleteExportRequest { id: id() }).await.map(drop),
    ];
    answers.into_iter().map(Result::unwrap_err).collect()
}

#[tokio::test]
async fn what_another_has_looks_like_what_nobody_has() {
    let server = server().await;
    let (alices, bobs) = (made(&server, ALICE).await, made(&server, BOB).await);
    assert_ne!(alices.id, bobs.id, "request ids are each tenant's own");
    for (key, own) in [(ALICE, &alices.id), (BOB, &bobs.id)] {
        let listed = server.client_as(key).list_exports(ListExportsRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.exports.iter().map(|export| &export.id).collect::<Vec<_>>(), [own]);
    }
    let nobodys = "01890000-0000-7000-8000-000000000000";
    let (foreign, unknown) = (answers(&server, BOB, &alices.id).await, answers(&server, BOB, nobodys).await);
    for (foreign, unknown) in foreign.iter().zip(&unknown) {
        assert_eq!((foreign.code(), unknown.code()), (Code::NotFound, Code::NotFound), "{foreign} {unknown}");
        assert_eq!(foreign.message().replace(&alices.id, nobodys), unknown.message());
    }
    let kept = server.client_as(ALICE).get_export(GetExportRequest { id: alices.id.clone() }).await.unwrap();
    assert_eq!(state(kept.into_inner().export.as_ref().unwrap()), JobState::Succeeded, "Bob could not touch it");

    let named = json!({ "file_name": alices.file.unwrap().name, "uid": UID }).to_string();
    // Bob's file has the same name: his is the one that goes.
    assert_eq!(server.post_as(BOB, "/resource/v1/delete", &named).await.status, 200);
    assert_eq!(server.post_as(BOB, "/resource/v1/delete", &named).await.status, 404);
    assert!(server.client_as(ALICE).get_export(GetExportRequest { id: alices.id }).await.is_ok());
}

#[tokio::test]
async fn a_url_works_by_itself_until_it_is_bent_or_the_file_is_gone() {
    let server = server().await;
    let export = made(&server, ALICE).await;
    let file = export.file.unwrap();
    let good = server.get(&file.url).await;
    assert_eq!((good.status, good.body.len() as i64), (200, file.size_bytes));
    let other = made(&server, BOB).await;

    let (plain, query) = file.url.split_once('?').expect("it is signed");
    let later = query.replace("expires=1", "expires=2");
    let mut signature = query.to_owned();
    let last = if signature.pop() == Some('0') { '1' } else { '0' };
    signature.push(last);
    let bent = [
        plain.to_owned(),
        format!("{plain}?{later}"),
        format!("{plain}?{signature}"),
        format!("{plain}?{query}&{query}"),
        format!("{plain}?signature=&expires="),
        format!("{}?{query}", plain.replace(&export.id, &other.id)),
        format!("{}?{query}", plain.replace("/files/", "/files/../")),
        format!("{plain}%2F..?{query}"),
    ];
    for url in bent {
        let reply = server.get(&url).await;
        assert!([403, 404].contains(&reply.status), "{url}: {}", reply.status);
        assert!(reply.body.len() < 1_000, "{url}");
    }
    // An account's own key is no proof either: only the URL is.
    assert_eq!(server.get_with(plain, &format!("x-api-key: {ALICE}")).await.status, 403);

    server.client_as(ALICE).delete_export(DeleteExportRequest { id: export.id }).await.unwrap();
    assert_eq!(server.get(&file.url).await.status, 404);
    assert_eq!(server.get(&other.file.unwrap().url).await.status, 200, "the other's is still there");
}
