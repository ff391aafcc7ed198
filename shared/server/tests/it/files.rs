//! `GET /files/…`.

use tonic::{Request, metadata::MetadataValue};

use crate::{
    ACCOUNTS, Running,
    grpc::get,
    service::{BIG_BYTES, CLIP},
    start,
};

const PATH: &str = "/files/job/clip.ts";

#[tokio::test]
async fn whole_files() {
    let server = start("").await;
    let answer = server.get(PATH, &[]).await;
    assert_eq!((answer.status, &answer.body[..]), (200, CLIP));
    for (name, value) in [
        ("content-length", "36"),
        ("content-type", "video/mp2t"),
        ("content-disposition", "attachment; filename=\"Z_rich.ts\"; filename*=UTF-8''Z%C3%BCrich.ts"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let head = server.http(&format!("HEAD {PATH}"), &[("range", "bytes=0-1")], b"").await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "36"));
    let image = server.get("/files/job/frame.jpg", &[]).await;
    assert_eq!(image.header("content-disposition"), "inline; filename=\"frame.jpg\"");
    assert_eq!(server.get("/files/job/lost.ts", &[]).await.status, 404);
    assert_eq!(server.http(&format!("POST {PATH}"), &[], b"x").await.status, 405);
    for path in ["/files/%2e%2e/clip", "/files/../clip", "/files/job%2fclip.ts%00", "/files/%ff", "/files/clip"] {
        let status = server.get(path, &[]).await.status;
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
}

#[tokio::test]
async fn large_files_arrive_whole() {
    let server = start("").await;
    let answer = server.get("/files/job/big.ts", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (200, BIG_BYTES));
    let rest = server.get("/files/job/big.ts", &[("range", "bytes=1000000-")]).await;
    assert_eq!((rest.status, rest.body.len()), (206, BIG_BYTES - 1_000_000));
    assert!(answer.body.iter().chain(&rest.body).all(|byte| *byte == 7));
}

#[tokio::test]
async fn ranges() {
    let server = start("").await;
    for (range, expected) in [("bytes=0-0", 0..1), ("bytes=10-", 10..36), ("bytes=-6", 30..36), ("bytes=30-99", 30..36)]
    {
        let answer = server.get(PATH, &[("range", range)]).await;
        assert_eq!((answer.status, &answer.body[..]), (206, &CLIP[expected.clone()]), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {}-{}/36", expected.start, expected.end - 1));
        assert_eq!(answer.header("content-length"), expected.len().to_string());
    }
    for range in ["bytes=0-1,4-5", "bytes=5-4", "lines=0-1"] {
        let answer = server.get(PATH, &[("range", range)]).await;
        assert_eq!((answer.status, &answer.body[..]), (200, CLIP), "{range}");
    }
    for (path, size) in [(PATH, 36), ("/files/job/none.ts", 0)] {
        let answer = server.get(path, &[("range", "bytes=36-")]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, format!("bytes */{size}").as_str()));
    }
    assert_eq!(server.get("/files/job/none.ts", &[]).await.header("content-length"), "0");
}

#[tokio::test]
async fn validators() {
    let server = start("").await;
    let etag = server.get(PATH, &[]).await.header("etag").to_owned();
    let known = server.get(PATH, &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag.as_str()));
    assert_eq!(server.get(PATH, &[("if-none-match", "\"other\"")]).await.status, 200);
    let range = ("range", "bytes=0-1");
    assert_eq!(server.get(PATH, &[range, ("if-range", &etag)]).await.status, 206);
    assert_eq!(server.get(PATH, &[range, ("if-range", "\"other\"")]).await.status, 200);
}

/// The URL that the service hands out, without its host.
async fn signed(server: &Running) -> String {
    let mut request = Request::new(get("url"));
    request.metadata_mut().insert("x-api-key", MetadataValue::from_static("k1"));
    let url = server.client().await.get_export(request).await.unwrap().into_inner().export.unwrap().id;
    url.strip_prefix(&format!("http://{}", server.address)).unwrap().to_owned()
}

#[tokio::test]
async fn with_accounts_only_signed_urls_work_and_they_work_alone() {
    let server = start(ACCOUNTS).await;
    let url = signed(&server).await;
    assert_eq!(server.get(&url, &[]).await.body, CLIP);
    assert_eq!(server.http(&format!("HEAD {url}"), &[], b"").await.status, 200);

    let other_file = url.replace("clip.ts", "frame.jpg");
    let other_time = url.replace("expires=1", "expires=2");
    let other_signature = url.replace("signature=", "signature=0");
    let missing = url.replace("clip.ts", "missing.ts");
    for bad in [PATH, &other_file, &other_time, &other_signature, &missing, &url[..url.len() - 1]] {
        let answer = server.get(bad, &[]).await;
        assert_eq!(answer.status, 403, "{bad}");
        assert!(answer.text().contains("was not handed out by this service"), "{bad}");
    }
    // Another server has another secret.
    assert_eq!(start(ACCOUNTS).await.get(&url, &[]).await.status, 403);
}
