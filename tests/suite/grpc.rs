//! A program that speaks gRPC plans, makes, follows, fetches and erases exports.

use std::{collections::HashSet, time::Duration};

use e2e::harness::{Server, eventually, is_final, lasting, spec, state};
use protocol::{
    export::v1::{
        CancelExportRequest, Container, CreateExportRequest, Cut, DeleteExportRequest, DownloadFileRequest, Export,
        ExportPlan, ExportSpec, GetExportRequest, GetThumbnailRequest, ListExportsRequest, ListExportsResponse,
        VideoCodec, WaitExportRequest, WatchExportRequest,
    },
    job::v1::JobState,
};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use crate::samples::{ORIGIN, ffprobe, numbers, write};

const UID: &str = "mp4_closed_b0.mp4";
const PATIENCE: Duration = Duration::from_secs(30);

async fn page(server: &Server, size: i32, token: &str, state: JobState) -> Result<ListExportsResponse, Status> {
    let request = ListExportsRequest { page_size: size, page_token: token.to_owned(), state: state.into() };
    Ok(server.client().list_exports(request).await?.into_inner())
}

async fn planned(server: &Server, spec: ExportSpec) -> ExportPlan {
    let request = CreateExportRequest { spec: Some(spec), validate_only: true, request_id: String::new() };
    let answer = server.client().create_export(request).await.unwrap().into_inner();
    assert_eq!(answer.export, None, "nothing is made");
    answer.plan.unwrap()
}

#[tokio::test]
async fn a_plan_is_what_comes_of_it() {
    let server = Server::start().await;
    let with = |uid: &str, cut: Cut, container: Container, codec: VideoCodec| ExportSpec {
        cut: cut.into(),
        container: container.into(),
        video_codec: codec.into(),
        ..spec(uid, 7_320, 5_000)
    };
    let specs = [
        with(UID, Cut::Exact, Container::Ts, VideoCodec::Keep),
        with("hls_fmp4_open_b3/index.m3u8", Cut::Exact, Container::Mp4, VideoCodec::Keep),
        with(UID, Cut::Keyframe, Container::Ts, VideoCodec::Keep),
        with(UID, Cut::EditList, Container::Mov, VideoCodec::Keep),
        with("dash_gap/stream.mpd", Cut::Exact, Container::Mp4, VideoCodec::Keep),
        with("dash_closed_b3/stream.mpd", Cut::Exact, Container::Mp4, VideoCodec::H264),
    ];
    for spec in specs {
        let plan = planned(&server, spec.clone()).await;
        let export = server.export(spec.clone()).await;
        let result = export.result.clone().unwrap_or_else(|| panic!("{export:?}"));
        let off = plan.size_bytes - result.size_bytes;
        assert!(
            off.abs() < result.size_bytes,
            "{spec:?}: {} bytes planned, {} made",
            plan.size_bytes,
            result.size_bytes
        );
        assert_eq!(ExportPlan { size_bytes: result.size_bytes, ..plan }, result, "{spec:?}");
        let file = export.file.unwrap();
        let path = write(&server, &file.name, &server.download(&export.id, 0).await.unwrap());
        let shown = if result.hidden_lead_in.is_some_and(|hidden| hidden != lasting(Duration::ZERO)) {
            // Decoders that know no edit lists show the lead-in too, so only the count can be compared.
            ffprobe(&path)["streams"][0]["nb_frames"].as_str().unwrap().parse().unwrap()
        } else {
            i64::try_from(numbers(&path).len()).unwrap()
        };
        assert!(shown >= result.frames && result.frames > 0, "{spec:?}: {shown} frames are in the file");
    }
    assert_eq!(page(&server, 0, "", JobState::Unspecified).await.unwrap().exports.len(), 6, "plans are not kept");
}

#[tokio::test]
async fn lists_come_in_pages_and_tokens_cannot_be_bent() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(server.create(spec(UID, number * 1_000, 200)).await.id);
    }
    for id in &made {
        assert_eq!(state(&server.ended_export(id).await), JobState::Succeeded);
    }
    made.reverse();
    let (mut listed, mut token, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let answer = page(&server, 3, &token, JobState::Unspecified).await.unwrap();
        sizes.push(answer.exports.len());
        listed.extend(answer.exports.into_iter().map(|export| export.id));
        // What comes in meanwhile doesn't shift the pages.
        server.create(spec(UID, 30_000, 200)).await;
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((listed, sizes), (made, vec![3, 3, 1]), "newest first");

    let token = page(&server, 3, "", JobState::Unspecified).await.unwrap().next_page_token;
    let mut bent = token.clone().into_bytes();
    bent[3] ^= 1;
    let bent = String::from_utf8(bent).unwrap();
    let abuses = [
        (3, bent.as_str(), JobState::Unspecified),
        (3, token.as_str(), JobState::Succeeded),
        (3, "'; drop table jobs; --", JobState::Unspecified),
        (3, &token[1..], JobState::Unspecified),
        (-1, "", JobState::Unspecified),
    ];
    for (size, token, state) in abuses {
        let refused = page(&server, size, token, state).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{size} {token:?} {state:?}: {refused}");
        assert!(refused.message().contains("page_"), "{refused}");
    }
    assert!(page(&server, i32::MAX, "", JobState::Unspecified).await.unwrap().exports.len() >= 10);
    assert_eq!(page(&server, 0, "", JobState::Failed).await.unwrap().exports, []);
    let request = ListExportsRequest { state: 99, ..ListExportsRequest::default() };
    assert_eq!(server.client().list_exports(request).await.unwrap_err().code(), Code::InvalidArgument);
}

/// Follows an export from a revision on, to the end of the stream.
async fn followed(server: &Server, id: &str, after_revision: i64) -> Vec<Export> {
    let request = WatchExportRequest { id: id.to_owned(), after_revision };
    let mut stream = server.client().watch_export(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(change) = stream.message().await.unwrap() {
        seen.push(change.export.unwrap());
    }
    seen
}

fn revision(export: &Export) -> i64 {
    export.status.as_ref().unwrap().revision
}

#[tokio::test]
async fn a_watch_begins_with_a_snapshot_and_ends_with_the_end() {
    let server = Server::start().await;
    let export = server.create(ExportSpec { video_codec: VideoCodec::H264.into(), ..spec(UID, 0, 20_000) }).await;
    let seen = followed(&server, &export.id, 0).await;
    assert!(seen.len() >= 3, "it is told how far it is: {seen:?}");
    assert_eq!(seen[0].spec, export.spec, "the snapshot is whole");
    assert!(seen.windows(2).all(|pair| revision(&pair[0]) < revision(&pair[1])), "revisions rise");
    let (last, before) = seen.split_last().unwrap();
    assert!(before.iter().all(|export| !is_final(state(export)) && export.file.is_none() && export.result.is_none()));
    assert_eq!((state(last), last.file.is_some()), (JobState::Succeeded, true));
    let fractions: Vec<f64> =
        seen.iter().map(|export| export.status.as_ref().unwrap().progress.as_ref().unwrap().fraction).collect();
    assert!(fractions.is_sorted() && fractions.last() == Some(&1.0), "{fractions:?}");
    let running = before.iter().filter(|export| state(export) == JobState::Running);
    assert!(running.filter_map(|export| export.status.as_ref()?.progress?.media_done).any(|done| done.seconds > 0));

    let middle = revision(&seen[seen.len() / 2]);
    let rest = followed(&server, &export.id, middle).await;
    assert_eq!(rest, std::slice::from_ref(last), "what was seen isn't told again, the end always is");
    assert_eq!(followed(&server, &export.id, revision(last)).await, std::slice::from_ref(last));

    let second = server.create(ExportSpec { video_codec: VideoCodec::H264.into(), ..spec(UID, 20_000, 20_000) }).await;
    let seen = followed(&server, &second.id, revision(&second)).await;
    assert!(seen.iter().all(|export| revision(export) > revision(&second)), "only what is new");
    assert_eq!(state(seen.last().unwrap()), JobState::Succeeded);
}

#[tokio::test]
async fn waiting_ends_with_the_export_or_with_the_time() {
    let server = Server::start().await;
    let mut client = server.client();
    let id = server.create(ExportSpec { video_codec: VideoCodec::H265.into(), ..spec(UID, 0, 60_000) }).await.id;
    let wait =
        |millis: u64| WaitExportRequest { id: id.clone(), timeout: Some(lasting(Duration::from_millis(millis))) };
    for millis in [0, 200] {
        let export = client.wait_export(wait(millis)).await.unwrap().into_inner().export.unwrap();
        assert!(!is_final(state(&export)), "{export:?}");
    }
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let refused = client.wait_export(WaitExportRequest { id: id.clone(), timeout: negative }).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("timeout"), "{refused}");
    let mut other = server.client();
    let (waited, cancelled) =
        tokio::join!(client.wait_export(wait(20_000)), other.cancel_export(CancelExportRequest { id: id.clone() }),);
    cancelled.unwrap();
    assert_eq!(state(&waited.unwrap().into_inner().export.unwrap()), JobState::Cancelled);
}

#[tokio::test]
async fn a_download_can_be_taken_up_anywhere() {
    let server = Server::start().await;
    let export = server.export(spec(UID, 0, 60_000)).await;
    let file = export.file.unwrap();
    let size = file.size_bytes;
    assert!(size > 512 << 10, "several pieces");
    let over_http = server.get(&file.url).await.body;
    let digest: String = Sha256::digest(&over_http).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((over_http.len() as i64, &digest), (size, &file.sha256));
    for offset in [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, size - 1, size] {
        let bytes = server.download(&export.id, offset).await.unwrap();
        assert!(bytes == over_http[usize::try_from(offset).unwrap()..], "from {offset} on");
    }
    let request = DownloadFileRequest { id: export.id.clone(), offset: 5, file_index: 0 };
    let mut stream = server.client().download_file(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!((first.size_bytes, &first.sha256), (size, &digest), "even of a part, the whole is told");
    while let Some(piece) = stream.message().await.unwrap() {
        assert!(!piece.data.is_empty() && piece.data.len() <= 256 << 10);
        assert_eq!((piece.size_bytes, piece.sha256.as_str()), (0, ""));
    }
    for offset in [-1, size + 1, i64::MIN, i64::MAX] {
        let refused = server.download(&export.id, offset).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{offset}: {refused}");
        assert!(refused.message().contains(&offset.to_string()), "{refused}");
    }
    let unfinished =
        server.create(ExportSpec { video_codec: VideoCodec::H265.into(), ..spec(UID, 0, 60_000) }).await.id;
    let refused = server.download(&unfinished, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
}

/// What every method says of an export: its code.
async fn codes_of(server: &Server, id: &str) -> HashSet<Code> {
    let mut client = server.client();
    let id = || id.to_owned();
    let answers = [
        client.get_export(GetExportRequest { id: id() }).await.map(drop),
        client.watch_export(WatchExportRequest { id: id(), after_revision: 0 }).await.map(drop),
        client.wait_export(WaitExportRequest { id: id(), timeout: None }).await.map(drop),
        client.cancel_export(CancelExportRequest { id: id() }).await.map(drop),
        client.download_file(DownloadFileRequest { id: id(), offset: 0, file_index: 0 }).await.map(drop),
        client.delete_export(DeleteExportRequest { id: id() }).await.map(drop),
    ];
    answers.into_iter().map(|answer| answer.err().map_or(Code::Ok, |status| status.code())).collect()
}

#[tokio::test]
async fn what_is_deleted_does_not_exist() {
    let server = Server::start().await;
    let done = server.export(spec(UID, 0, 1_000)).await;
    let url = done.file.unwrap().url;
    assert_eq!(server.get(&url).await.status, 200);
    let running = server.create(ExportSpec { video_codec: VideoCodec::H265.into(), ..spec(UID, 0, 60_000) }).await.id;
    assert!(eventually(PATIENCE, async || server.process().busy_child().is_some()).await, "it never runs");
    let worker = server.process().busy_child();
    for id in [&done.id, &running] {
        server.client().delete_export(DeleteExportRequest { id: id.clone() }).await.unwrap();
        assert_eq!(codes_of(&server, id).await, HashSet::from([Code::NotFound]), "{id}");
    }
    assert_eq!(server.get(&url).await.status, 404);
    let gone =
        eventually(PATIENCE, async || server.stored().is_empty() && worker.is_none_or(|worker| !worker.is_alive()));
    assert!(gone.await, "{:?} is left, or {worker:?}", server.stored());
    for id in ["", "x", "../../etc/passwd", "00000000-0000-0000-0000-000000000000", &"9".repeat(10_000)] {
        assert_eq!(codes_of(&server, id).await, HashSet::from([Code::NotFound]), "{} bytes", id.len());
    }
}

#[tokio::test]
async fn a_still_is_the_first_frame_at_or_after_its_time() {
    let server = Server::start().await;
    let asked = |uid: &str, millis: u64, height: i32| GetThumbnailRequest {
        uid: uid.to_owned(),
        start_time: None,
        mark: Some(lasting(Duration::from_millis(millis))),
        height,
    };
    for uid in [UID, "dash_closed_b0/stream.mpd", "hls_ts_closed_b0/index.m3u8"] {
        for (millis, height, frame, size) in [
            (0, 0, 0, (320, 180)),
            (12_480, 0, 312, (320, 180)),
            (12_481, 90, 313, (160, 90)),
            (59_960, 360, 1499, (640, 360)),
        ] {
            let still = server.client().get_thumbnail(asked(uid, millis, height)).await.unwrap().into_inner();
            assert_eq!((still.width, still.height), size, "{uid} {millis}");
            let path = write(&server, "still.jpg", &still.image);
            assert_eq!(numbers(&path), [frame], "{uid} {millis}");
            assert_eq!(ffprobe(&path)["streams"][0]["width"], size.0);
            let at = still.frame_time.unwrap();
            assert_eq!(at.seconds * 1000 + i64::from(at.nanos) / 1_000_000, ORIGIN + frame * 40, "{uid} {millis}");
        }
    }
    for height in [-1, 15, 4_321] {
        let refused = server.client().get_thumbnail(asked(UID, 0, height)).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains("height"), "{refused}");
    }
    let refused = server.client().get_thumbnail(asked(UID, 60_000, 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
}
