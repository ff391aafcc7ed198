//! Cancelling and erasing, in each state and against the end of the work.

use std::time::{Duration, Instant};

use jobs::{AttemptError, Class, Error, Objects, State};
use serde_json::json;

use crate::fixture::{
    KIND, OWNER, Place, Scripted, ended, eventually, get, new_job, next, reaches, replicated, requested, settings,
    silent, submit,
};

/// What a caller is promised.
const TERMINAL_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_never_runs() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let job = queue.cancel(KIND, OWNER, &id).await.unwrap();
    assert_eq!((job.state, job.cancel_requested), (State::Cancelled, true));
    assert!(job.ended.is_some() && job.expires.is_some());
    let again = queue.cancel(KIND, OWNER, &id).await.unwrap();
    assert_eq!(again, job, "twice is the same as once");

    let next_id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    assert_eq!(started.attempt.job().id.to_string(), next_id);
    started.succeed();
}

#[tokio::test]
async fn a_running_job_is_told_at_once() {
    let place = Place::new();
    // The heartbeat would bring it too, but much later.
    let queue = place.open(silent()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let started = next(&mut starts).await;
    assert!(!started.attempt.is_stopped() && started.attempt.check().is_ok());

    let asked = Instant::now();
    let job = queue.cancel(KIND, OWNER, &id).await.unwrap();
    assert!(job.cancel_requested);
    assert_eq!(ended(&queue, &id).await.state, State::Cancelled);
    assert!(asked.elapsed() < TERMINAL_WITHIN, "{:?}", asked.elapsed());
    assert!(started.attempt.is_stopped() && started.attempt.check().is_err());
    eventually("objects to go", async || runner.has_discarded(job.id, Objects::OfAttempt(1))).await;
}

#[tokio::test]
async fn an_attempt_that_does_not_listen_is_dropped() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    let asked = Instant::now();
    queue.cancel(KIND, OWNER, &id).await.unwrap();
    assert_eq!(ended(&queue, &id).await.state, State::Cancelled);
    assert!(asked.elapsed() < TERMINAL_WITHIN, "{:?}", asked.elapsed());
    started.succeed();
    assert_eq!(get(&queue, &id).await.state, State::Cancelled);
}

#[tokio::test]
async fn a_job_of_another_process_is_told_with_its_heartbeat() {
    let place = Place::new();
    let (one, other) = (place.open(replicated()).await, place.open(replicated()).await);
    let id = submit(&one, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = one.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    other.cancel(KIND, OWNER, &id).await.unwrap();
    assert_eq!(ended(&other, &id).await.state, State::Cancelled);
    assert!(started.attempt.is_stopped());
}

#[tokio::test]
async fn what_has_ended_can_not_be_cancelled() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    for (result, state) in
        [(Ok(json!({})), State::Succeeded), (Err(AttemptError::new(Class::Input, "BAD", "bad")), State::Failed)]
    {
        let id = submit(&queue, new_job()).await;
        next(&mut starts).await.finish(result);
        let before = ended(&queue, &id).await;
        match queue.cancel(KIND, OWNER, &id).await {
            Err(Error::Ended { state: found, .. }) => assert_eq!(found, state),
            answer => panic!("{answer:?}"),
        }
        assert_eq!(*get(&queue, &id).await, *before);
    }
}

/// Whoever comes first wins, both see the same end, and a cancelled job leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_races_completion() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let mut ends = [0, 0];
    for round in 0..60 {
        let id = submit(&queue, new_job()).await;
        let started = next(&mut starts).await;
        let job = started.attempt.job().id;
        let cancelling = tokio::spawn({
            let (queue, id) = (queue.clone(), id.clone());
            async move {
                if round % 2 == 0 {
                    tokio::task::yield_now().await;
                }
                queue.cancel(KIND, OWNER, &id).await
            }
        });
        started.succeed();
        let answer = cancelling.await.unwrap();
        let end = ended(&queue, &id).await;
        match end.state {
            State::Succeeded => {
                assert!(matches!(answer, Err(Error::Ended { state: State::Succeeded, .. })), "{answer:?}");
                assert!(!runner.has_discarded(job, Objects::OfAttempt(1)));
            }
            State::Cancelled => {
                assert!(answer.is_ok() && end.outcome.is_none(), "{answer:?}");
                eventually("objects to go", async || runner.has_discarded(job, Objects::OfAttempt(1))).await;
            }
            state => panic!("{state}"),
        }
        ends[usize::from(end.state == State::Cancelled)] += 1;
    }
    assert_eq!(ends.iter().sum::<i32>(), 60);
}

#[tokio::test]
async fn a_cancelled_attempt_that_fails_is_cancelled_not_failed() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    queue.cancel(KIND, OWNER, &id).await.unwrap();
    started.finish(Err(AttemptError::new(Class::Crash, "SIGKILL", "killed, because it was told to stop")));
    let job = ended(&queue, &id).await;
    assert_eq!((job.state, job.failure.clone()), (State::Cancelled, None));
}

#[tokio::test]
async fn an_erased_job_is_gone_and_its_objects_and_row_follow() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let id = submit(&queue, requested("r1")).await;
    next(&mut starts).await.succeed();
    ended(&queue, &id).await;

    let job = queue.delete(KIND, OWNER, &id).await.unwrap();
    assert!(matches!(queue.get(KIND, OWNER, &id).await, Err(Error::NotFound { .. })));
    assert!(matches!(queue.delete(KIND, OWNER, &id).await, Err(Error::NotFound { .. })));
    eventually("objects to go", async || runner.has_discarded(job.id, Objects::OfJob)).await;
    eventually("the row to go", async || place.count("SELECT count(*) FROM jobs").await == 0).await;
    assert!(queue.submit(requested("r1")).await.unwrap().created, "the request id is free again");
}

#[tokio::test]
async fn a_running_job_that_is_erased_is_stopped_first() {
    let place = Place::new();
    let queue = place.open(silent()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let started = next(&mut starts).await;
    reaches(&queue, &id, State::Running).await;
    let job = queue.delete(KIND, OWNER, &id).await.unwrap();
    assert!(matches!(queue.get(KIND, OWNER, &id).await, Err(Error::NotFound { .. })));
    eventually("the row to go", async || place.count("SELECT count(*) FROM jobs").await == 0).await;
    assert!(started.attempt.is_stopped());
    let discarded = runner.discarded.lock().unwrap().clone();
    assert_eq!(discarded.last(), Some(&(job.id, Objects::OfJob)), "its own first, then all: {discarded:?}");
}

/// The process dies between the call and the sweep: the row remembers.
#[tokio::test]
async fn an_erasure_is_finished_after_a_restart() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let job = queue.delete(KIND, OWNER, &id).await.unwrap();
    queue.close().await;
    assert_eq!(place.count("SELECT count(*) FROM jobs").await, 1);

    let queue = place.open(settings()).await;
    assert!(queue.get(KIND, OWNER, &id).await.is_err());
    let (runner, _starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    eventually("the row to go", async || place.count("SELECT count(*) FROM jobs").await == 0).await;
    assert!(runner.has_discarded(job.id, Objects::OfJob));
}
