//! Watching: a snapshot first, the end last, and no step back between.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, TryStreamExt, future::join_all};
use jobs::{Attempt, AttemptError, Class, Error, Job, NewJob, Phase, Report, Settings, State};
use serde_json::json;

use crate::fixture::{
    KIND, OWNER, Place, Scripted, Starts, ended, eventually, get, in_time, new_job, next, outlive_lease, replicated,
    settings, silent, submit,
};

async fn following(stream: &mut (impl Stream<Item = Result<Arc<Job>, Error>> + Unpin)) -> Arc<Job> {
    in_time("the next state", stream.next()).await.expect("the stream goes on").expect("a job")
}

fn report(attempt: &Attempt, done: u64) {
    let (media_done, media_total) = (Duration::from_secs(done), Duration::from_secs(100));
    attempt.progress(Report { phase: Phase::Render, media_done, media_total, written_bytes: done });
}

/// Checks what every watcher can rely on.
fn consistent(seen: &[Arc<Job>]) {
    for pair in seen.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(before.revision < after.revision, "{before:?} then {after:?}");
        assert!(before.epoch <= after.epoch && !before.state.is_final(), "{before:?} then {after:?}");
        if before.epoch == after.epoch {
            assert!(before.progress.fraction <= after.progress.fraction, "{before:?} then {after:?}");
        }
    }
    assert!(seen.last().is_some_and(|job| job.state.is_final()));
}

async fn run_through(starts: &mut Starts) {
    let started = next(starts).await;
    for done in [10, 30, 50, 70, 90] {
        report(&started.attempt, done);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    started.succeed();
}

#[tokio::test]
async fn a_watcher_sees_the_job_from_its_snapshot_to_its_end() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let mut watch = pin!(queue.watch(KIND, OWNER, &id, 0));
    assert_eq!(following(&mut watch).await.state, State::Queued, "at once, and whole");
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let (_, seen) = tokio::join!(run_through(&mut starts), watch.try_collect::<Vec<_>>());
    let seen = seen.unwrap();
    consistent(&seen);
    assert!(seen.iter().any(|job| job.state == State::Running && job.progress.fraction > 0.0));
    let last = seen.last().unwrap();
    assert_eq!((last.state, last.outcome.clone()), (State::Succeeded, Some(json!({ "epoch": 1 }))));
}

#[tokio::test]
async fn progress_is_shown_before_it_is_stored() {
    let place = Place::new();
    let queue = place.open(silent()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    report(&started.attempt, 50);
    let job = get(&queue, &id).await;
    assert!(job.progress.fraction > 0.4, "{:?}", job.progress);
    assert_eq!(job.progress.media_done, Duration::from_secs(50));
    let page = queue.list(KIND, OWNER, &jobs::Filter::default(), 1, "").await.unwrap();
    assert_eq!(page.jobs[0].progress, job.progress, "in a list too");
    started.succeed();
    assert!(ended(&queue, &id).await.revision > job.revision);
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_state_and_the_last() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let mut watch = pin!(queue.watch(KIND, OWNER, &id, 0));
    following(&mut watch).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    run_through(&mut starts).await;
    eventually("the end", async || get(&queue, &id).await.state.is_final()).await;
    assert_eq!(following(&mut watch).await.state, State::Succeeded, "all between is left out");
    assert!(in_time("the end of the stream", watch.next()).await.is_none());
}

#[tokio::test]
async fn a_watch_goes_on_from_a_revision() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let seen = get(&queue, &id).await.revision;
    let mut watch = pin!(queue.watch(KIND, OWNER, &id, seen));
    assert!(tokio::time::timeout(Duration::from_millis(100), watch.next()).await.is_err(), "nothing new");
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    let running = following(&mut watch).await;
    assert!(running.revision > seen && running.state == State::Running);
    started.succeed();
    let end = ended(&queue, &id).await;
    for after in [i64::MIN, 0, end.revision - 1, end.revision, i64::MAX] {
        let all = queue.watch(KIND, OWNER, &id, after).try_collect::<Vec<_>>();
        let seen = in_time("the end of the stream", all).await.unwrap();
        assert_eq!(seen, std::slice::from_ref(&end), "after {after}");
    }
}

/// What a watcher saw here must be older, by its number, than anything that another process writes later.
#[tokio::test]
async fn revisions_rise_across_processes_and_restarts() {
    let place = Place::new();
    let frozen = Settings { replicas: true, copy_limit: 1, ..silent() };
    let (one, other) = (place.open(frozen).await, place.open(replicated()).await);
    let id = submit(&one, new_job()).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = one.run_workers(vec![runner]);
    let asleep = next(&mut starts).await;
    // Unstored progress is shown here only. The first heartbeat, which stores it, may still be under way.
    eventually("progress to be shown", async || {
        report(&asleep.attempt, 10);
        get(&one, &id).await.revision > get(&other, &id).await.revision
    })
    .await;
    let shown = get(&one, &id).await;

    let (idle, _starts) = Scripted::of("nothing", true);
    let _rescuers = other.run_workers(vec![idle]);
    outlive_lease(&place, &other, &id).await;
    let rescued = following(&mut pin!(other.watch(KIND, OWNER, &id, shown.revision))).await;
    assert!(rescued.revision > shown.revision && rescued.state == State::Queued);
    asleep.succeed();
}

#[tokio::test]
async fn a_job_of_another_process_can_be_watched() {
    let place = Place::new();
    let (one, other) = (place.open(replicated()).await, place.open(replicated()).await);
    let id = submit(&one, new_job()).await;
    let mut watch = pin!(other.watch(KIND, OWNER, &id, 0));
    assert_eq!(following(&mut watch).await.state, State::Queued);
    let (runner, mut starts) = Scripted::new();
    let _workers = one.run_workers(vec![runner]);
    let (_, seen) = tokio::join!(run_through(&mut starts), watch.try_collect::<Vec<_>>());
    let seen = seen.unwrap();
    consistent(&seen);
    assert!(seen.iter().any(|job| job.progress.fraction > 0.0 && job.state == State::Running), "progress comes too");
}

#[tokio::test]
async fn a_thousand_watchers_of_one_job_all_see_its_end() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let watchers: Vec<_> =
        (0..1000).map(|_| tokio::spawn(queue.watch(KIND, OWNER, &id, 0).try_collect::<Vec<_>>())).collect();
    // Some of them never read.
    let _stalled: Vec<_> = (0..500).map(|_| queue.watch(KIND, OWNER, &id, 0)).collect();
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    run_through(&mut starts).await;
    for seen in in_time("all watchers", join_all(watchers)).await {
        consistent(&seen.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_place_in_the_line_is_followed() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let ahead = submit(&queue, new_job()).await;
    let id = submit(&queue, new_job()).await;
    let mut watch = pin!(queue.watch(KIND, OWNER, &id, 0));
    assert_eq!(following(&mut watch).await.queue_position, 1);
    queue.cancel(KIND, OWNER, &ahead).await.unwrap();
    let moved = following(&mut watch).await;
    assert_eq!((moved.state, moved.queue_position), (State::Queued, 0));
}

#[tokio::test]
async fn a_retry_is_seen_with_the_failure_before_it() {
    let place = Place::new();
    let pause = Duration::from_secs(60);
    let queue = place.open(Settings { backoff_base: pause, backoff_cap: pause, ..settings() }).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    let mut watch = pin!(queue.watch(KIND, OWNER, &id, 0));
    assert_eq!(following(&mut watch).await.state, State::Running);
    started.finish(Err(AttemptError::new(Class::Transient, "STORAGE", "the bucket is away")));
    let queued = following(&mut watch).await;
    assert_eq!((queued.state, queued.last_failure.clone().unwrap().reason.as_str()), (State::Queued, "STORAGE"));
}

#[tokio::test]
async fn watchers_of_an_erased_job_are_told() {
    let place = Place::new();
    let (one, other) = (place.open(replicated()).await, place.open(replicated()).await);
    let id = submit(&one, new_job()).await;
    let mut near = pin!(one.watch(KIND, OWNER, &id, 0));
    let mut far = pin!(other.watch(KIND, OWNER, &id, 0));
    following(&mut near).await;
    following(&mut far).await;
    one.delete(KIND, OWNER, &id).await.unwrap();
    for watch in [&mut near as &mut (dyn Stream<Item = _> + Unpin), &mut far] {
        let end = in_time("the end", watch.next()).await;
        assert!(matches!(end, Some(Err(Error::NotFound { .. }))), "{end:?}");
        assert!(watch.next().await.is_none());
    }
}

#[tokio::test]
async fn watching_is_refused_to_others() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let mut mine = pin!(queue.watch(KIND, OWNER, &id, 0));
    following(&mut mine).await;
    let upper = id.to_uppercase();
    for (kind, owner, id) in [(KIND, "other", &id), ("dvr_export", OWNER, &id), (KIND, OWNER, &upper)] {
        let answer = pin!(queue.watch(kind, owner, id, 0)).next().await;
        assert!(matches!(answer, Some(Err(Error::NotFound { .. }))), "{answer:?}");
    }
}

#[tokio::test]
async fn waiting_ends_with_the_job_or_with_the_time() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, NewJob { lane: jobs::Lane::Encode, ..new_job() }).await;
    let job = queue.wait(KIND, OWNER, &id, Duration::from_millis(50)).await.unwrap();
    assert_eq!(job.state, State::Queued);
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let (_, job) = tokio::join!(run_through(&mut starts), queue.wait(KIND, OWNER, &id, Duration::from_secs(20)));
    assert_eq!(job.unwrap().state, State::Succeeded);
}
