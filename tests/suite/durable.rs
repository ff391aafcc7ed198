//! Work that was accepted is done, whatever is killed meanwhile.

use std::{path::PathBuf, time::Duration};

use e2e::harness::{Server, eventually, is_final, spec, state};
use protocol::{
    export::v1::{CreateExportRequest, Export, ExportSpec, ListExportsRequest, VideoCodec, WatchExportRequest},
    job::v1::{JobPhase, JobState},
};

use crate::samples::{numbers, write};

/// A sample recording of 1500 frames, 60 s.
const UID: &str = "mp4_closed_b0.mp4";
/// How long an ordered end may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How long until a new export is being encoded, on a busy machine.
const BEGIN: Duration = Duration::from_secs(60);

/// Encoding takes long enough to be interrupted.
fn encoded(seconds: u64) -> ExportSpec {
    ExportSpec { video_codec: VideoCodec::H265.into(), ..spec(UID, 0, seconds * 1_000) }
}

/// Waits until this attempt has encoded some of the export, and returns it as it is then.
async fn half_done(server: &Server, id: &str, attempt: i32) -> Export {
    let request = WatchExportRequest { id: id.to_owned(), after_revision: 0 };
    let mut changes = server.client().watch_export(request).await.unwrap().into_inner();
    loop {
        let change = tokio::time::timeout(BEGIN, changes.message()).await.expect("it begins in time").unwrap();
        let export = change.expect("it hasn't ended").export.unwrap();
        assert!(!is_final(state(&export)), "too late: {export:?}");
        let status = export.status.as_ref().unwrap();
        let progress = status.progress.as_ref().unwrap();
        let has_begun =
            progress.phase() == JobPhase::Render && progress.media_done.is_some_and(|done| done.seconds > 0);
        if status.state() == JobState::Running && status.attempts == attempt && has_begun {
            return export;
        }
    }
}

/// What in the storage can be seen: drafts can't.
fn visible(server: &Server) -> Vec<PathBuf> {
    server.stored().into_iter().filter(|path| !path.starts_with(".staging")).collect()
}

/// Checks that an export was done whole, and that nothing but its file is left.
async fn check_whole(server: &Server, export: &Export, attempts: i32) {
    let frames = 25 * export.spec.as_ref().unwrap().duration.unwrap().seconds;
    let status = export.status.as_ref().unwrap();
    assert_eq!((status.state(), status.attempts), (JobState::Succeeded, attempts), "{status:?}");
    let file = export.file.as_ref().unwrap();
    let reply = server.get(&file.url).await;
    assert_eq!((reply.status, reply.body.len() as i64), (200, file.size_bytes));
    assert_eq!(numbers(&write(server, &file.name, &reply.body)), (0..frames).collect::<Vec<_>>());
    let exports = server.client().list_exports(ListExportsRequest::default()).await.unwrap().into_inner().exports;
    assert_eq!(exports.len(), 1);
    let alone = eventually(DRAIN, async || server.stored().len() == 1).await;
    assert!(alone, "besides the file there is something left: {:?}", server.stored());
}

#[tokio::test]
async fn a_server_that_is_killed_takes_its_work_up_again() {
    let mut server = Server::start().await;
    let id = server.create(encoded(30)).await.id;
    let export = half_done(&server, &id, 1).await;
    let url = format!("{}/files/exports/{id}/{}", server.url, export.spec.as_ref().unwrap().file_name);
    assert_eq!(server.get(&url).await.status, 404, "nothing can be downloaded before it is whole");
    assert_eq!(visible(&server), Vec::<PathBuf>::new());

    let children = server.process().children();
    server.kill().await;
    assert_eq!(visible(&server), Vec::<PathBuf>::new());
    assert!(eventually(DRAIN, async || children.iter().all(|child| !child.is_alive())).await, "{children:?} live on");

    server.start_again().await;
    let export = server.ended_export(&id).await;
    assert_eq!(export.file.as_ref().unwrap().url, url);
    check_whole(&server, &export, 2).await;
}

#[tokio::test]
async fn a_media_process_that_is_killed_costs_one_attempt() {
    let server = Server::start().await;
    let id = server.create(encoded(30)).await.id;
    half_done(&server, &id, 1).await;
    server.process().busy_child().expect("a media process works").kill();
    let export = server.ended_export(&id).await;
    assert!(server.process().is_alive() && server.is_healthy().await);
    check_whole(&server, &export, 2).await;
}

#[tokio::test]
async fn an_export_whose_media_process_dies_again_and_again_fails_and_says_so() {
    let server = Server::start().await;
    let id = server.create(encoded(30)).await.id;
    for attempt in 1..=2 {
        half_done(&server, &id, attempt).await;
        server.process().busy_child().expect("a media process works").kill();
    }
    let export = server.ended_export(&id).await;
    let status = export.status.unwrap();
    let failure = status.failure.expect("it failed");
    assert_eq!((status.attempts, failure.reason.as_str()), (2, "CRASHED"), "{failure:?}");
    assert!(failure.message.contains("SIGKILL") || failure.message.contains("signal 9"), "{failure:?}");
    assert!(server.is_healthy().await);
    assert!(eventually(DRAIN, async || server.stored().is_empty()).await, "{:?}", server.stored());
}

#[tokio::test]
async fn a_server_that_is_told_to_end_does_so_in_time_and_loses_nothing() {
    let mut server = Server::start().await;
    let id = server.create(encoded(60)).await.id;
    half_done(&server, &id, 1).await;
    let request = WatchExportRequest { id: id.clone(), after_revision: 0 };
    // A connection that stays open, with a stream that nobody reads.
    let _watched = server.client().watch_export(request).await.unwrap();
    let took = server.terminate().await;
    assert!(took <= DRAIN, "it took {took:?}");
    server.start_again().await;
    let export = server.ended_export(&id).await;
    // An attempt that was ended in order doesn't count.
    check_whole(&server, &export, 1).await;
}

#[tokio::test]
async fn whenever_the_server_is_killed_every_export_has_one_result() {
    const EXPORTS: u64 = 12;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = Server::start().await;
    let wanted = |number: u64| CreateExportRequest {
        request_id: format!("clip {number}"),
        spec: Some(spec(UID, number * 3_000 + 440, 2_000)),
        validate_only: false,
    };
    for _ in 0..3 {
        // Whoever doesn't hear that it was accepted asks again.
        for number in 0..EXPORTS {
            server.client().create_export(wanted(number)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..400))).await;
        server.kill().await;
        server.start_again().await;
    }
    let mut client = server.client();
    for number in 0..EXPORTS {
        let id = client.create_export(wanted(number)).await.unwrap().into_inner().export.unwrap().id;
        let export = server.ended_export(&id).await;
        assert_eq!(state(&export), JobState::Succeeded, "seed {seed}: {export:?}");
        let file = export.file.unwrap();
        let reply = server.get(&file.url).await;
        let first = i64::try_from(number * 75 + 11).unwrap();
        let path = write(&server, &file.name, &reply.body);
        assert_eq!(numbers(&path), (first..first + 50).collect::<Vec<_>>(), "seed {seed}, {id}");
    }
    let exports = client.list_exports(ListExportsRequest::default()).await.unwrap().into_inner().exports;
    assert_eq!(exports.len() as u64, EXPORTS);
    let clean = eventually(DRAIN * 3, async || server.stored().len() as u64 == EXPORTS).await;
    assert!(clean, "seed {seed}: {:?}", server.stored());
}
