//! A newsroom's system that knows TVU's service asks this one instead.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use e2e::harness::{Reply, Server, Setup};
use protocol::export::v1::{Export, ListExportsRequest};
use serde_json::{Value, json};

use crate::samples::{ORIGIN, RATE, copy, edited_playlist, ffprobe, numbers, write};

const EXPORT: &str = "/resource/v1/export";
const DELETE: &str = "/resource/v1/delete";
/// A sample recording of 25 frames per second.
const UID: &str = "dash_closed_b0/stream.mpd";

/// The example of the product's own page, but for the end of the uid: commas, times and all.
const EXAMPLE: &str = r#"{
	"start_position": 1578344206261,
	"mark_pos": "01:00",
	"duration": 128000,
	"uid": "mp4/1715F514A891B80A0000000000000002/20200106-19-24-36_1715F514A891B80A0000000000000002_938531849D11D411_a6aafadb-f126-4ae5-87c6-4ac6caba6325/1/stream.m3u8",
	"media_type": "ts",
	"export_type": 0,
	"fetch_media": true,
	"file_name": "CNN4_RAL4_Feb.20200305191626537",
	"story": {
		"id": "1715F514A891B80A0000000000000002",
		"name": "20200106-19-24-36_1715F514A891B80A",
		"slug_info": "base64 string",
	},
}
"#;

/// A request for a part of the sample recording: `mark` and `duration` as they are written.
fn request(mark: &str, duration: i64, fetch: bool) -> Value {
    json!({ "uid": UID, "start_position": ORIGIN, "mark_pos": mark, "duration": duration, "fetch_media": fetch })
}

/// `request`, with some of its fields changed; null takes one out.
fn with(mut request: Value, changes: Value) -> String {
    for (name, value) in changes.as_object().expect("changes are fields") {
        request[name] = value.clone();
    }
    request.to_string()
}

/// Asks as a client of the product does: again after `TimeWait`, until the work is finished or refused.
async fn polled(server: &Server, body: &str) -> (Vec<i64>, Value) {
    let mut codes = Vec::new();
    loop {
        let answer = server.post(EXPORT, body).await.json();
        codes.push(answer["error_code"].as_i64().expect("a number"));
        if codes.last() != Some(&1) {
            return (codes, answer);
        }
        assert!(codes.len() < 400, "still working: {answer}");
        let wait = answer["data"]["TimeWait"].as_u64().expect("a number");
        assert!((1..=2_000).contains(&wait), "{answer}");
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// The file at the `VideoPath` of a finished request, saved under its `FileName`.
async fn video(server: &Server, answer: &Value) -> std::path::PathBuf {
    let reply = server.get(text(answer, "VideoPath")).await;
    assert_eq!(reply.status, 200);
    write(server, text(answer, "FileName"), &reply.body)
}

fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer["data"][field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}"))
}

async fn exports(server: &Server) -> Vec<Export> {
    server.client().list_exports(ListExportsRequest::default()).await.unwrap().into_inner().exports
}

/// Lays the sample recording end to end, four times, where the product's example looks for it: 240 s.
fn lay_out_the_example(server: &Server) {
    let uid = serde_json::from_str::<Value>(&EXAMPLE.replace(",\n\t}", "\n\t}").replace(",\n}", "\n}")).unwrap();
    edited_playlist(server, "hls_ts_closed_b0/index.m3u8", uid["uid"].as_str().unwrap(), |_| {
        let mut playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
        playlist.push_str("#EXT-X-PROGRAM-DATE-TIME:2020-01-06T20:56:46.261Z\n");
        for number in 0..120 {
            if number > 0 && number % 30 == 0 {
                playlist.push_str("#EXT-X-DISCONTINUITY\n");
            }
            playlist.push_str(&format!("#EXTINF:2.000000,\n{:05}.ts\n", number % 30));
        }
        playlist + "#EXT-X-ENDLIST\n"
    });
}

#[tokio::test]
async fn the_products_example_goes_from_1_to_5_and_its_urls_deliver() {
    let server = Setup::new().own_library().start().await;
    lay_out_the_example(&server);
    let first = server.post(EXPORT, EXAMPLE).await;
    let first = first.json();
    assert_eq!((&first["error_code"], &first["error_message"]), (&json!(1), &json!("Work is processing")), "{first}");
    assert_eq!(first["data"]["S3Dir"], "export");
    assert!(first["data"]["TimeWait"].as_i64().is_some_and(|wait| wait > 0), "{first}");
    assert!(first["data"]["TotalTime"].as_i64().is_some_and(|total| total > 0), "{first}");

    let (_, last) = polled(&server, EXAMPLE).await;
    assert_eq!((&last["error_code"], &last["error_message"]), (&json!(5), &json!("Work Finish")), "{last}");
    assert_eq!(last["data"]["TimeWait"], 0);
    assert_eq!(text(&last, "FileName"), "CNN4_RAL4_Feb.20200305191626537.ts");
    assert!(last["data"].get("LackLength").is_none(), "nothing is missing: {last}");
    for field in ["ImagePath", "VideoPath", "FileName"] {
        assert_eq!(last["data"][field], first["data"][field], "{field} is known from the first");
    }
    // From 60 s, 128 s: two whole minutes, and 8 s of the last.
    let expected: Vec<i64> = (1500..4700).map(|number| number % 1500).collect();
    assert_eq!(numbers(&video(&server, &last).await), expected);
    check_delivery(&server, text(&last, "VideoPath"), "video/mp2t").await;
    let picture = check_delivery(&server, text(&last, "ImagePath"), "image/jpeg").await;
    assert_eq!(numbers(&write(&server, "first.jpg", &picture)), [0], "the picture is the first frame of the clip");
}

/// GET, HEAD, ranges and validators of a URL that was handed out; returns what is there.
async fn check_delivery(server: &Server, url: &str, kind: &str) -> Vec<u8> {
    let whole = server.get(url).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, kind));
    let size = whole.body.len();
    assert_eq!(whole.header("content-length"), size.to_string());

    let head = server.head(url).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, whole.header("etag")));
    assert_eq!(head.header("content-length"), size.to_string());

    for (range, expected) in [("0-0", 0..1), ("100-299", 100..300), ("-188", size - 188..size)] {
        let part = server.get_with(url, &format!("range: bytes={range}")).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {}-{}/{size}", expected.start, expected.end - 1));
        assert!(part.body == whole.body[expected], "{range}");
    }
    let beyond = server.get_with(url, &format!("range: bytes={size}-")).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));

    let etag = format!("if-none-match: {}", whole.header("etag"));
    let unchanged = server.get_with(url, &etag).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(server.get_with(url, "if-none-match: \"another\"").await.status, 200);
    whole.body
}

#[tokio::test]
async fn without_fetch_media_only_the_still_is_made() {
    let server = Server::start().await;
    for body in [
        request("00:07.520", 5000, false).to_string(),
        with(request("00:07.520", 5000, true), json!({ "fetch_media": null })),
    ] {
        let answer = server.post(EXPORT, &body).await.json();
        assert_eq!((&answer["error_code"], &answer["error_message"]), (&json!(0), &json!("success")), "{answer}");
        assert_eq!((&answer["data"]["TimeWait"], &answer["data"]["S3Dir"]), (&json!(0), &json!("export")));
        assert!(answer["data"].get("VideoPath").is_none(), "{answer}");
        let picture = server.get(text(&answer, "ImagePath")).await;
        assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
        assert_eq!(numbers(&write(&server, "still.jpg", &picture.body)), [188], "{body}");
    }
    assert_eq!(exports(&server).await, []);
    assert_eq!(server.stored().len(), 1, "the same still is made once: {:?}", server.stored());
}

#[tokio::test]
async fn the_same_request_again_never_starts_a_second_export() {
    let server = Server::start().await;
    let body = request("00:01", 3000, true);
    let (spread_out, other_order) =
        (format!("{body:#}"), format!("{{\"fetch_media\": true, {}", &body.to_string()[1..]));
    let bodies = [body.to_string(), spread_out, other_order];
    let asked = bodies.iter().cycle().take(12).map(|body| server.post(EXPORT, body));
    for reply in futures_util::future::join_all(asked).await {
        let code = reply.json()["error_code"].as_i64();
        assert!(reply.status == 200 && [Some(1), Some(5)].contains(&code), "{}", reply.json());
    }
    let (_, done) = polled(&server, &bodies[0]).await;
    assert_eq!(done["error_code"], 5);
    assert_eq!(exports(&server).await.len(), 1);

    let changes = [json!({ "duration": 3001 }), json!({ "media_type": "mov" }), json!({ "file_name": "other" })];
    for (number, change) in changes.into_iter().enumerate() {
        let (_, answer) = polled(&server, &with(body.clone(), change.clone())).await;
        assert_eq!(answer["error_code"], 5, "{change}: {answer}");
        assert_eq!(exports(&server).await.len(), number + 2, "{change}");
    }
}

#[tokio::test]
async fn mark_pos_may_be_written_in_several_ways() {
    let server = Server::start().await;
    let marks = [
        ("00:12", 300),
        ("0:12", 300),
        ("00:00:12", 300),
        ("00:12.000", 300),
        ("00:00:12.04", 301),
        ("00:12.520", 313),
    ];
    for (mark, frame) in marks {
        let answer = server.post(EXPORT, &request(mark, 1000, false).to_string()).await.json();
        let picture = server.get(text(&answer, "ImagePath")).await;
        assert_eq!(numbers(&write(&server, "still.jpg", &picture.body)), [frame], "{mark}");
    }
    for mark in ["12", "00:60", "1:2:3:4", "00:12,5", "-00:01", "", "noon"] {
        let reply = server.post(EXPORT, &request(mark, 1000, false).to_string()).await;
        refused(&reply, 400, 18, "mark_pos");
    }
}

/// Checks that a request was refused with this status and code, and a message that names `what`.
fn refused(reply: &Reply, status: u16, code: i64, what: &str) {
    let answer = reply.json();
    assert_eq!((reply.status, &answer["error_code"]), (status, &json!(code)), "{answer}");
    let message = answer["error_message"].as_str().expect("a message");
    assert!(message.contains(what), "{message:?} does not name {what}");
}

#[tokio::test]
async fn each_format_is_what_was_asked_for() {
    let server = Server::start().await;
    let formats = [
        ("mov", 0, "h264", "mov,mp4,m4a,3gp,3g2,mj2"),
        ("mov", 2, "hevc", "mov,mp4,m4a,3gp,3g2,mj2"),
        ("ts", 1, "h264", "mpegts"),
        ("ts", 2, "hevc", "mpegts"),
    ];
    for (media_type, export_type, codec, container) in formats {
        let change = json!({ "media_type": media_type, "export_type": export_type, "file_name": "clip" });
        let (_, answer) = polled(&server, &with(request("00:03.280", 2000, true), change)).await;
        assert_eq!(text(&answer, "FileName"), format!("clip.{media_type}"));
        let path = video(&server, &answer).await;
        let probe = ffprobe(&path);
        assert_eq!(probe["format"]["format_name"], container);
        let names: Vec<_> = probe["streams"].as_array().unwrap().iter().map(|stream| &stream["codec_name"]).collect();
        assert_eq!(names, [codec, "aac"], "{media_type} {export_type}");
        assert_eq!(numbers(&path), (82..132).collect::<Vec<_>>(), "{media_type} {export_type}");
    }
}

#[tokio::test]
async fn what_a_gap_takes_away_is_said() {
    let server = Setup::new().own_library().start().await;
    copy(&server, "dash_gap/stream.mpd", "dash_gap/stream.mpd");
    copy(&server, "hls_ts_gap/index.m3u8", "hls_ts_gap/index.m3u8");
    // Here the segments are there, but marked as missing.
    edited_playlist(&server, "hls_ts_closed_b0/index.m3u8", "marked/index.m3u8", |playlist| {
        let marked = |playlist: String, name: &str| playlist.replace(name, &format!("#EXT-X-GAP\n{name}"));
        marked(marked(playlist, "00005.ts"), "00006.ts")
    });
    for uid in ["dash_gap/stream.mpd", "hls_ts_gap/index.m3u8", "marked/index.m3u8"] {
        let (_, answer) = polled(&server, &with(request("00:08.400", 10_000, true), json!({ "uid": uid }))).await;
        assert_eq!(
            (&answer["error_code"], &answer["data"]["LackLength"]),
            (&json!(5), &json!(4000)),
            "{uid}: {answer}"
        );
        let expected: Vec<i64> = (210..460).filter(|frame| !(10 * RATE..14 * RATE).contains(frame)).collect();
        assert_eq!(numbers(&video(&server, &answer).await), expected, "{uid}");
        let inside = with(request("00:11", 2000, true), json!({ "uid": uid }));
        refused(&server.post(EXPORT, &inside).await, 400, 50, "gap");
    }
}

#[tokio::test]
async fn the_story_goes_into_the_file() {
    let server = Server::start().await;
    let slug = json!({ "slug_id": "abcdefghig", "slug_name": "Zürich — 7 pm", "slug_date": "", "clip_length": "" });
    let story = json!({ "id": "1715", "name": "Evening news", "slug_info": BASE64_STANDARD.encode(slug.to_string()) });
    let change = json!({ "media_type": "mov", "story": story });
    let (_, answer) = polled(&server, &with(request("00:00", 1000, true), change)).await;
    let tags = &ffprobe(&video(&server, &answer).await)["format"]["tags"];
    assert_eq!(tags["title"], "Evening news");
    let comment: Value = serde_json::from_str(tags["comment"].as_str().expect("the slug")).unwrap();
    assert_eq!(comment, slug);
    let kept = exports(&server).await.remove(0).spec.unwrap().story.unwrap();
    assert_eq!((kept.id.as_str(), kept.slug_info.as_str()), ("1715", story["slug_info"].as_str().unwrap()));
}

#[tokio::test]
async fn a_mistake_is_told_by_name() {
    let server = Server::start().await;
    let mistakes = [
        (json!({ "uid": null }), 400, 18, "uid"),
        (json!({ "uid": 7 }), 400, 18, "uid"),
        (json!({ "uid": "../etc/passwd.mp4" }), 400, 18, "uid"),
        (json!({ "uid": "nothing/stream.mpd" }), 404, 10, "nothing/stream.mpd"),
        (json!({ "start_position": null }), 400, 18, "start_position"),
        (json!({ "start_position": "noon" }), 400, 18, "start_position"),
        (json!({ "start_position": -1 }), 400, 18, "start_position"),
        (json!({ "start_position": ORIGIN - 86_400_000 }), 400, 50, "outside"),
        (json!({ "mark_pos": null }), 400, 18, "mark_pos"),
        (json!({ "mark_pos": 60 }), 400, 18, "mark_pos"),
        (json!({ "mark_pos": "23:59:00" }), 400, 50, "outside"),
        (json!({ "duration": null }), 400, 18, "duration"),
        (json!({ "duration": 0 }), 400, 18, "duration"),
        (json!({ "duration": -5 }), 400, 18, "duration"),
        (json!({ "duration": 1e15 }), 400, 18, "duration"),
        (json!({ "duration": "long" }), 400, 18, "duration"),
        (json!({ "media_type": "avi" }), 400, 18, "media_type"),
        (json!({ "export_type": 3 }), 400, 18, "export_type"),
        (json!({ "fetch_media": "yes" }), 400, 18, "fetch_media"),
        (json!({ "file_name": "../clip" }), 400, 18, "file_name"),
        (json!({ "file_name": "x".repeat(300) }), 400, 18, "file_name"),
        (json!({ "story": "news" }), 400, 18, "story"),
        (json!({ "story": { "slug_info": "%%%" } }), 400, 18, "story.slug_info"),
        (json!({ "story": { "slug_info": "W10=" } }), 400, 18, "story.slug_info"),
    ];
    for fetch in [true, false] {
        for (change, status, code, what) in &mistakes {
            let reply = server.post(EXPORT, &with(request("00:01", 1000, fetch), change.clone())).await;
            refused(&reply, *status, *code, what);
        }
    }
    for body in ["", "{", "[]", "null", "{\"uid\": \"a\"} x"] {
        refused(&server.post(EXPORT, body).await, 400, 18, "body");
    }
    assert_eq!(exports(&server).await, []);
    assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new());
    assert_eq!(server.get(&format!("{}{EXPORT}", server.url)).await.status, 405, "it is for POST");
}

#[tokio::test]
async fn a_file_that_is_deleted_is_gone() {
    let server = Server::start().await;
    let body = with(request("00:02", 1000, true), json!({ "file_name": "to-be-deleted" }));
    let (_, answer) = polled(&server, &body).await;
    let url = text(&answer, "VideoPath").to_owned();
    assert_eq!(server.get(&url).await.status, 200);

    let delete = |name: &str| json!({ "file_name": name, "uid": UID }).to_string();
    refused(&server.post(DELETE, &delete("never-made")).await, 404, 10, "never-made");
    refused(&server.post(DELETE, "{}").await, 400, 18, "file_name");
    let reply = server.post(DELETE, &delete("to-be-deleted")).await;
    assert_eq!((reply.status, &reply.json()["error_code"]), (200, &json!(0)));
    assert_eq!(server.get(&url).await.status, 404);
    assert_eq!(exports(&server).await, []);
    refused(&server.post(DELETE, &delete("to-be-deleted")).await, 404, 10, "to-be-deleted");

    let (_, again) = polled(&server, &body).await;
    assert_eq!(again["error_code"], 5, "it can be asked for again: {again}");
    assert_ne!(text(&again, "VideoPath"), url, "and is another file then");
}
