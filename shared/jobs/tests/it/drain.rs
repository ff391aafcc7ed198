//! Ending a process in good order.

use std::time::Duration;

use jobs::{AttemptError, Class, Objects, State};

use crate::fixture::{Place, Scripted, ended, eventually, get, new_job, next, reaches, replicated, settings, submit};

#[tokio::test]
async fn attempts_may_finish_within_the_grace() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (first, second) = (submit(&queue, new_job()).await, submit(&queue, new_job()).await);
    let (runner, mut starts) = Scripted::new();
    let workers = queue.run_workers(vec![runner]);
    let (one, other) = (next(&mut starts).await, next(&mut starts).await);
    let draining = tokio::spawn(workers.drain(Duration::from_secs(20)));
    let late = submit(&queue, new_job()).await;
    assert!(!one.attempt.is_stopped());
    one.succeed();
    other.succeed();
    assert!(draining.await.unwrap());
    for id in [first, second] {
        assert_eq!(get(&queue, &id).await.state, State::Succeeded);
    }
    assert_eq!(get(&queue, &late).await.state, State::Queued, "nothing more is claimed");
}

#[tokio::test]
async fn what_does_not_finish_is_put_back_uncounted() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let ids = [submit(&queue, new_job()).await, submit(&queue, new_job()).await];
    let (runner, mut starts) = Scripted::stubborn();
    let workers = queue.run_workers(vec![runner.clone()]);
    // One ends with what its child said when it was killed, the other doesn't listen at all.
    let (one, _other) = (next(&mut starts).await, next(&mut starts).await);
    let stopped = one.attempt.clone();
    tokio::spawn(async move {
        stopped.stopped().await;
        one.finish(Err(AttemptError::new(Class::Crash, "SIGKILL", "killed")));
    });
    assert!(workers.drain(Duration::from_millis(50)).await);
    for id in &ids {
        let job = get(&queue, id).await;
        assert_eq!((job.state, job.attempts, job.crashes, job.losses), (State::Queued, 0, 0, 0));
        assert!(job.last_failure.is_none() && runner.has_discarded(job.id, Objects::OfAttempt(1)));
    }
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    for _ in &ids {
        let started = next(&mut starts).await;
        assert_eq!((started.attempt.epoch(), started.attempt.job().attempts), (2, 1));
        started.succeed();
    }
    for id in &ids {
        assert_eq!(ended(&queue, id).await.state, State::Succeeded);
    }
}

#[tokio::test]
async fn a_job_put_back_goes_to_another_process_at_once() {
    let place = Place::new();
    let (leaving, staying) = (place.open(replicated()).await, place.open(replicated()).await);
    let id = submit(&leaving, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let workers = leaving.run_workers(vec![runner]);
    let _started = next(&mut starts).await;
    let (heir, mut heirs) = Scripted::new();
    let _others = staying.run_workers(vec![heir]);
    assert!(workers.drain(Duration::ZERO).await);
    next(&mut heirs).await.succeed();
    assert_eq!(ended(&staying, &id).await.attempts, 1);
}

#[tokio::test]
async fn workers_that_are_dropped_stop_too() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let workers = queue.run_workers(vec![runner.clone()]);
    let started = next(&mut starts).await;
    drop(workers);
    started.attempt.stopped().await;
    let job = reaches(&queue, &id, State::Queued).await;
    assert_eq!(job.attempts, 0);
    submit(&queue, new_job()).await;
    assert!(tokio::time::timeout(Duration::from_millis(100), starts.recv()).await.is_err());
    eventually("the queue to stay", async || get(&queue, &id).await.state == State::Queued).await;
}
