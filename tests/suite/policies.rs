//! What becomes of gaps: closed up, split at, refused. The plan says the same as the result.

use std::time::Duration;

use e2e::{
    fixtures,
    harness::{Server, Setup, at, eventually, lasting, spec, state},
};
use protocol::{
    export::v1::{
        Container, CreateExportRequest, DownloadFileRequest, Export, ExportPlan, ExportSpec, GapPolicy, VideoCodec,
    },
    job::v1::JobState,
    recording::v1::GapReason,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::samples::{ORIGIN, RATE, copy, edited_playlist, numbers, write};

/// Has nothing between 10 s and 14 s.
const GAP: &str = "dash_gap/stream.mpd";
const HLS: &str = "hls_ts_closed_b0/index.m3u8";

fn with(policy: GapPolicy, spec: ExportSpec) -> ExportSpec {
    ExportSpec { gap_policy: policy.into(), container: Container::Mp4.into(), ..spec }
}

async fn planned(server: &Server, spec: ExportSpec) -> Result<ExportPlan, Status> {
    let request = CreateExportRequest { spec: Some(spec), validate_only: true, request_id: String::new() };
    Ok(server.client().create_export(request).await?.into_inner().plan.unwrap())
}

async fn download(server: &Server, id: &str, file_index: i32) -> Result<Vec<u8>, Status> {
    let request = DownloadFileRequest { id: id.to_owned(), offset: 0, file_index };
    let mut stream = server.client().download_file(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.message().await? {
        bytes.extend(piece.data);
    }
    Ok(bytes)
}

/// The numbers of the frames in each file of an export, which must be what the export says of them.
async fn frames(server: &Server, export: &Export) -> Vec<Vec<i64>> {
    let mut all = Vec::new();
    for (index, file) in (0..).zip(&export.files) {
        let bytes = download(server, &export.id, index).await.unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.len() as i64, &digest), (file.size_bytes, &file.sha256), "{}", file.name);
        assert_eq!(server.get(&file.url).await.body, bytes, "{}", file.url);
        let numbers = numbers(&write(server, &file.name, &bytes));
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(file.actual_mark_in, Some(at(ORIGIN + first * 1000 / RATE)), "{}", file.name);
        assert_eq!(file.actual_mark_out, Some(at(ORIGIN + (last + 1) * 1000 / RATE)), "{}", file.name);
        all.push(numbers);
    }
    all
}

/// The frames of a sample at 25 frames a second from one instant, in milliseconds from its start, to another.
fn expected(from: i64, to: i64) -> Vec<i64> {
    (from * RATE / 1000..to * RATE / 1000).collect()
}

#[tokio::test]
async fn each_stretch_between_gaps_becomes_a_file() {
    let server = Server::start().await;
    assert_eq!(fixtures::named(GAP).gap_ms, Some((10_000, 14_000)));
    let spec = ExportSpec { file_name: "news.mp4".into(), ..with(GapPolicy::Split, spec(GAP, 8_480, 8_000)) };
    let plan = planned(&server, spec.clone()).await.unwrap();
    let export = server.export(spec).await;
    assert_eq!(state(&export), JobState::Succeeded, "{export:?}");
    assert_eq!(frames(&server, &export).await, [expected(8_480, 10_000), expected(14_000, 16_480)]);
    let names: Vec<_> = export.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["news_1.mp4", "news_2.mp4"]);
    assert_eq!(export.file.as_ref(), export.files.first());

    let result = export.result.unwrap();
    assert_eq!(ExportPlan { size_bytes: result.size_bytes, ..plan }, result);
    assert_eq!(result.files.iter().map(|file| file.frames).collect::<Vec<_>>(), [38, 62]);
    assert_eq!((result.frames, result.duration), (100, Some(lasting(Duration::from_secs(4)))));
    let [gap] = &result.gaps[..] else { panic!("{:?}", result.gaps) };
    assert_eq!((gap.start_time, gap.reason()), (Some(at(ORIGIN + 10_000)), GapReason::NotRecorded));
    assert_eq!(gap.duration, Some(lasting(Duration::from_secs(4))));

    for (index, code) in [(2, Code::OutOfRange), (-1, Code::OutOfRange), (i32::MAX, Code::OutOfRange)] {
        let refused = download(&server, &export.id, index).await.unwrap_err();
        assert!(refused.code() == code && refused.message().contains("file_index"), "{refused}");
    }
    // The name that was asked for leads to the first.
    let url = export.files[0].url.replace("news_1.mp4", "news.mp4");
    assert_eq!(server.get(&url).await.body, download(&server, &export.id, 0).await.unwrap());
    assert_eq!(server.get(&url.replace("news.mp4", "news_3.mp4")).await.status, 404);
}

#[tokio::test]
async fn without_a_gap_there_is_one_file_of_the_name_that_was_asked_for() {
    let server = Setup::new().own_library().start().await;
    copy(&server, HLS, "plain/index.m3u8");
    // The clock goes on: nothing is missing, only the timestamps may jump here.
    edited_playlist(&server, HLS, "jump/index.m3u8", |playlist| {
        let mut lines: Vec<&str> = playlist.lines().collect();
        let middle = lines.iter().rposition(|line| line.starts_with("#EXTINF")).unwrap() / 2;
        let at = (middle..).find(|at| lines[*at].starts_with("#EXTINF")).unwrap();
        lines.insert(at, "#EXT-X-DISCONTINUITY");
        lines.join("\n")
    });
    for uid in ["plain/index.m3u8", "jump/index.m3u8"] {
        let spec = ExportSpec { file_name: "all.mp4".into(), ..with(GapPolicy::Split, spec(uid, 1_000, 50_000)) };
        let export = server.export(spec).await;
        assert_eq!(state(&export), JobState::Succeeded, "{export:?}");
        assert_eq!(export.files.iter().map(|file| &file.name[..]).collect::<Vec<_>>(), ["all.mp4"], "{uid}");
        assert_eq!(frames(&server, &export).await, [expected(1_000, 51_000)], "{uid}");
    }
}

#[tokio::test]
async fn tvus_answer_lists_all_files() {
    let server = Server::start().await;
    let body = |policy: &str| {
        json!({ "uid": GAP, "start_position": ORIGIN, "mark_pos": "00:08", "duration": 8_000, "fetch_media": true,
            "file_name": "news", "gap_policy": policy })
        .to_string()
    };
    let mut answer = server.post("/resource/v1/export", &body("split")).await.json();
    let promised = answer["data"]["VideoPath"].clone();
    let finished = eventually(Duration::from_secs(60), async || {
        answer = server.post("/resource/v1/export", &body("split")).await.json();
        answer["error_code"] != 1
    });
    assert!(finished.await && answer["error_code"] == 5, "{answer}");
    let data = &answer["data"];
    let files = data["Files"].as_array().unwrap();
    assert_eq!(files.iter().map(|file| &file["FileName"]).collect::<Vec<_>>(), ["news_1.ts", "news_2.ts"]);
    assert_eq!((&data["FileName"], &data["VideoPath"]), (&files[0]["FileName"], &files[0]["VideoPath"]));
    assert_eq!(files[1]["StartPosition"], ORIGIN + 14_000);
    assert_eq!((&files[0]["Duration"], &data["LackLength"]), (&json!(2_000), &json!(4_000)));
    let first = server.get(data["VideoPath"].as_str().unwrap()).await;
    let early = server.get(promised.as_str().unwrap()).await;
    assert!(first.status == 200 && first.body == early.body, "what was promised while it was made leads there too");
    assert_eq!(numbers(&write(&server, "news_1.ts", &first.body)), expected(8_000, 10_000));

    let refused = server.post("/resource/v1/export", &body("fail")).await;
    assert_eq!((refused.status, &refused.json()["error_code"]), (422, &json!(20)));
    assert!(refused.json()["error_message"].as_str().unwrap().contains("there is a gap from"), "{refused:?}");
    let refused = server.post("/resource/v1/export", &body("ignore")).await;
    assert_eq!((refused.status, &refused.json()["error_code"]), (400, &json!(18)));
}

#[tokio::test]
async fn a_gap_is_refused_where_there_may_be_none() {
    let server = Server::start().await;
    let asked = with(GapPolicy::Fail, spec(GAP, 8_480, 8_000));
    let request = CreateExportRequest { spec: Some(asked.clone()), ..CreateExportRequest::default() };
    for refused in
        [server.client().create_export(request).await.unwrap_err(), planned(&server, asked).await.unwrap_err()]
    {
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("there is a gap from 2026-01-06T19:24:46Z to"), "{refused}");
        let details = refused.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "GAP");
        let [gap] = &details.precondition_failure().unwrap().violations[..] else { panic!("{details:?}") };
        assert_eq!((gap.r#type.as_str(), gap.subject.as_str()), ("GAP", "2026-01-06T19:24:46Z/2026-01-06T19:24:50Z"));
    }
    // Nothing is recorded beyond the end either.
    let beyond = planned(&server, with(GapPolicy::Fail, spec(HLS, 55_000, 10_000))).await.unwrap_err();
    let details = beyond.get_error_details();
    assert_eq!(details.precondition_failure().unwrap().violations[0].description, "outside of the recording");

    for spec in [spec(GAP, 2_000, 8_000), spec(GAP, 14_000, 2_000)] {
        let export = server.export(with(GapPolicy::Fail, spec)).await;
        assert_eq!((state(&export), export.files.len()), (JobState::Succeeded, 1), "{export:?}");
    }
}

#[tokio::test]
async fn skip_is_the_default() {
    let server = Server::start().await;
    let asked = spec(GAP, 8_480, 8_000);
    let (default, skip) = (
        server.export(with(GapPolicy::Unspecified, asked.clone())).await,
        server.export(with(GapPolicy::Skip, asked)).await,
    );
    assert_eq!(default.result, skip.result);
    let both: Vec<i64> = expected(8_480, 10_000).into_iter().chain(expected(14_000, 16_480)).collect();
    assert_eq!(frames(&server, &default).await, [both]);
    assert_eq!(default.spec.unwrap().gap_policy(), GapPolicy::Skip, "what is meant by it is told");
}

#[tokio::test]
async fn split_files_are_encoded_each_for_itself() {
    let server = Server::start().await;
    let asked = ExportSpec { video_codec: VideoCodec::H264.into(), ..spec(GAP, 9_000, 6_000) };
    let export = server.export(with(GapPolicy::Split, asked)).await;
    assert_eq!(state(&export), JobState::Succeeded, "{export:?}");
    assert_eq!(frames(&server, &export).await, [expected(9_000, 10_000), expected(14_000, 15_000)]);
    let progress = export.status.unwrap().progress.unwrap();
    assert_eq!(progress.media_done, Some(lasting(Duration::from_secs(2))), "of all files");
}
