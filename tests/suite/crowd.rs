//! Many at once, and clients that don't behave.

use std::time::{Duration, Instant};

use e2e::harness::{Server, Setup, eventually, is_final, spec, state};
use futures_util::future::join_all;
use protocol::{
    export::v1::{
        CancelExportRequest, CreateExportRequest, Export, ExportSpec, GetExportRequest, ListExportsRequest, VideoCodec,
        WatchExportRequest,
    },
    job::v1::{JobPhase, JobState},
};
use serde_json::json;
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::samples::ORIGIN;

const UID: &str = "mp4_closed_b0.mp4";
/// A cancelled export has ended by then.
const CANCELLED: Duration = Duration::from_secs(2);
/// What a test waits for happens by then, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn asked(request_id: &str, spec: ExportSpec) -> CreateExportRequest {
    CreateExportRequest { request_id: request_id.to_owned(), spec: Some(spec), validate_only: false }
}

/// Encoding all of it takes longer than any test here.
fn long() -> ExportSpec {
    ExportSpec { video_codec: VideoCodec::H265.into(), ..spec(UID, 0, 60_000) }
}

async fn watch(server: &Server, id: &str) -> Streaming<protocol::export::v1::WatchExportResponse> {
    let request = WatchExportRequest { id: id.to_owned(), after_revision: 0 };
    server.client().watch_export(request).await.unwrap().into_inner()
}

async fn get(server: &Server, id: &str) -> Export {
    let request = GetExportRequest { id: id.to_owned() };
    server.client().get_export(request).await.unwrap().into_inner().export.unwrap()
}

async fn list(server: &Server) -> Vec<Export> {
    server.client().list_exports(ListExportsRequest::default()).await.unwrap().into_inner().exports
}

/// Watches an export until it is in this phase.
async fn reaches(server: &Server, id: &str, phase: JobPhase) {
    let mut changes = watch(server, id).await;
    loop {
        let change = tokio::time::timeout(PATIENCE, changes.message()).await.expect("in time").unwrap();
        let status = change.expect("it hasn't ended").export.unwrap().status.unwrap();
        if status.state() == JobState::Running && status.progress.unwrap().phase() == phase {
            return;
        }
    }
}

#[tokio::test]
async fn a_hundred_identical_requests_make_one_export() {
    let server = Server::start().await;
    let request = asked("only one", spec(UID, 1_000, 2_000));
    let answers = join_all((0..100).map(async |_| server.client().create_export(request.clone()).await)).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().into_inner().export.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(state(&server.ended_export(&ids[0]).await), JobState::Succeeded);
    assert_eq!(list(&server).await.len(), 1);
    assert_eq!(server.stored().len(), 1);

    let other = asked("only one", spec(UID, 1_000, 2_001));
    let refused = server.client().create_export(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert!(refused.message().contains("only one") && refused.message().contains(&ids[0]), "{refused}");
}

#[tokio::test]
async fn clients_that_hang_up_while_they_ask_change_nothing() {
    let server = Server::start().await;
    let request = |number: u64| asked(&format!("hasty {number}"), spec(UID, number * 100, 500));
    let hasty = (0..30).map(async |number| {
        let patience = Duration::from_millis(number);
        // Whether an answer comes in time is not the point.
        let _ = tokio::time::timeout(patience, server.client().create_export(request(number))).await;
    });
    join_all(hasty).await;
    for number in 0..30 {
        let id = server.client().create_export(request(number)).await.unwrap().into_inner().export.unwrap().id;
        assert_eq!(state(&server.ended_export(&id).await), JobState::Succeeded);
    }
    assert_eq!(list(&server).await.len(), 30, "each request has made one export, answered or not");
}

#[tokio::test]
async fn clients_that_hang_up_while_they_watch_give_their_place_back() {
    let server = Setup::new().config("[limits]\nwatches_per_account = 4\n").start().await;
    let id = server.create(long()).await.id;
    for _ in 0..3 {
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut changes = watch(&server, &id).await;
            changes.message().await.unwrap().expect("a snapshot comes first");
            open.push(changes);
        }
        let request = WatchExportRequest { id: id.clone(), after_revision: 0 };
        let refused = server.client().watch_export(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        drop(open);
        let free = eventually(PATIENCE, async || server.client().watch_export(request.clone()).await.is_ok()).await;
        assert!(free, "the places of those who hung up stay taken");
    }
    assert!(!is_final(state(&get(&server, &id).await)), "the export goes on");
}

#[tokio::test]
async fn a_watcher_that_never_reads_holds_nobody_up() {
    let mut server = Server::start().await;
    let id = server.create(ExportSpec { video_codec: VideoCodec::H264.into(), ..spec(UID, 0, 10_000) }).await.id;
    let mut lazy = watch(&server, &id).await;
    let mut eager = watch(&server, &id).await;
    let mut last = None;
    while let Some(change) = eager.message().await.unwrap() {
        last = change.export;
    }
    let last = last.expect("a snapshot comes first");
    assert_eq!(state(&last), JobState::Succeeded);
    // It is told the end even so, when it wakes up.
    let mut told = None;
    while let Some(change) = lazy.message().await.unwrap() {
        told = change.export;
    }
    assert_eq!(told.as_ref(), Some(&last));

    let id = server.create(long()).await.id;
    let _lazy = watch(&server, &id).await;
    let took = server.terminate().await;
    assert!(took < Duration::from_secs(10), "it took {took:?} to end");
}

/// Cancels an export, and checks that it ends in time, leaves nothing, and its media process is dead.
async fn check_cancelled(server: &Server, id: &str) {
    let worker = server.process().busy_child();
    let start = Instant::now();
    let request = CancelExportRequest { id: id.to_owned() };
    server.client().cancel_export(request.clone()).await.unwrap();
    while !is_final(state(&get(server, id).await)) {
        assert!(start.elapsed() < CANCELLED * 5, "it never ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = start.elapsed();
    assert!(took < CANCELLED, "it took {took:?}");
    assert!(worker.is_none_or(|worker| !worker.is_alive()), "{worker:?} lives on");
    let export = get(server, id).await;
    assert_eq!((state(&export), &export.file), (JobState::Cancelled, &None));
    let again = server.client().cancel_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!(state(&again), JobState::Cancelled, "asking twice is the same as asking once");
}

#[tokio::test]
async fn an_export_can_be_cancelled_while_it_waits_and_while_it_is_encoded() {
    let server = Setup::new().config("[jobs]\nencode = 1\n").start().await;
    let running = server.create(long()).await.id;
    reaches(&server, &running, JobPhase::Render).await;
    let busy = eventually(PATIENCE, async || server.process().busy_child().is_some()).await;
    assert!(busy, "it isn't encoded");

    let queued = server.create(ExportSpec { file_name: "next".to_owned(), ..long() }).await;
    assert_eq!(state(&queued), JobState::Queued);
    let request = CancelExportRequest { id: queued.id.clone() };
    let cancelled = server.client().cancel_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!(state(&cancelled), JobState::Cancelled, "nothing is to be waited for");

    assert_eq!(state(&get(&server, &running).await), JobState::Running);
    check_cancelled(&server, &running).await;
    let id = server.create(spec(UID, 0, 1_000)).await.id;
    assert_eq!(state(&server.ended_export(&id).await), JobState::Succeeded, "others go on");
    let request = CancelExportRequest { id: id.clone() };
    let refused = server.client().cancel_export(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains(&id), "{refused}");
    assert!(eventually(PATIENCE, async || server.stored().len() == 1).await, "{:?}", server.stored());
}

#[tokio::test]
async fn an_export_can_be_cancelled_at_any_moment() {
    let server = Server::start().await;
    let (mut cancelled, mut succeeded) = (0, 0);
    // Copying takes a tenth of a second: small steps hit rendering, verifying and publishing too.
    for delay in (0..200).step_by(5) {
        let id =
            server.create(ExportSpec { file_name: format!("after {delay} ms"), ..spec(UID, 1_240, 55_000) }).await.id;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let start = Instant::now();
        match server.client().cancel_export(CancelExportRequest { id: id.clone() }).await {
            Ok(_) => {
                let export = server.ended_export(&id).await;
                assert!(start.elapsed() < CANCELLED, "after {delay} ms: it took {:?}", start.elapsed());
                assert_eq!((state(&export), &export.file), (JobState::Cancelled, &None), "after {delay} ms");
                cancelled += 1;
            }
            Err(refused) => {
                assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
                assert_eq!(state(&get(&server, &id).await), JobState::Succeeded, "after {delay} ms");
                succeeded += 1;
            }
        }
    }
    assert!(cancelled > 0);
    let clean = eventually(PATIENCE, async || server.stored().len() == succeeded).await;
    assert!(clean, "{succeeded} succeeded, but there is {:?}", server.stored());
    assert!(eventually(PATIENCE, async || server.process().busy_child().is_none()).await);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let server = Setup::new().config("[jobs]\nencode = 1\nqueued = 2\n").start().await;
    let running = server.create(long()).await.id;
    reaches(&server, &running, JobPhase::Render).await;
    let waiting = asked("waiting", ExportSpec { file_name: "1".to_owned(), ..long() });
    let first = server.client().create_export(waiting.clone()).await.unwrap().into_inner().export.unwrap();
    let second = server.create(ExportSpec { file_name: "2".to_owned(), ..long() }).await;
    let positions = [&first, &second].map(|export| export.status.as_ref().unwrap().queue_position);
    assert_eq!(positions, [0, 1], "{first:?} {second:?}");

    let request = asked("one too many", ExportSpec { file_name: "3".to_owned(), ..long() });
    let refused = server.client().create_export(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let delay = refused.get_details_retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(delay > Duration::ZERO && delay < Duration::from_secs(3600), "{delay:?}");
    let quota = refused.get_details_quota_failure().expect("QuotaFailure").violations;
    assert!(quota.iter().any(|violation| violation.description.contains('2')), "the limit is named: {quota:?}");

    let body = json!({ "uid": UID, "start_position": ORIGIN, "mark_pos": "00:00", "duration": 5000, "export_type": 2,
        "fetch_media": true });
    let reply = server.post("/resource/v1/export", &body.to_string()).await;
    assert_eq!((reply.status, &reply.json()["error_code"]), (503, &json!(31)), "{}", reply.json());
    let seconds: u64 = reply.header("retry-after").parse().expect("seconds");
    assert!((1..3600).contains(&seconds), "{seconds}");

    let same = server.client().create_export(waiting).await.unwrap().into_inner().export.unwrap();
    assert_eq!(same.id, first.id, "who was accepted before is not turned away now");
    check_cancelled(&server, &running).await;
    let accepted = eventually(PATIENCE, async || {
        let request = asked("one too many", ExportSpec { file_name: "3".to_owned(), ..long() });
        server.client().create_export(request).await.is_ok()
    });
    assert!(accepted.await, "there is a place again");
}
