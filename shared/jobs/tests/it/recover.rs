//! Workers that die, freeze and wake up late; databases that two processes want.

use std::{sync::Arc, time::Duration};

use jobs::{AttemptError, Class, Error, Objects, Queue, Settings, State};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::fixture::{
    KIND, LONG_LEASE, ManualClock, OWNER, Place, Scripted, ended, eventually, get, new_job, next, outlive_lease,
    replicated, settings, silent, submit,
};

/// A process whose heartbeats don't come: frozen, in the middle of the only job that it has a place for.
fn frozen() -> Settings {
    Settings { copy_limit: 1, replicas: true, ..silent() }
}

#[tokio::test]
async fn a_thawed_worker_changes_nothing() {
    let place = Place::new();
    let (old, new) = (place.open(frozen()).await, place.open(replicated()).await);
    let id = submit(&old, new_job()).await;
    let (frozen_runner, mut frozen_starts) = Scripted::stubborn();
    let _frozen = old.run_workers(vec![frozen_runner.clone()]);
    let asleep = next(&mut frozen_starts).await;

    let (runner, mut starts) = Scripted::new();
    let _workers = new.run_workers(vec![runner.clone()]);
    outlive_lease(&place, &new, &id).await;
    let second = next(&mut starts).await;
    assert_eq!((second.attempt.epoch(), second.attempt.job().losses), (2, 1));
    let job = second.attempt.job().id;
    second.succeed();
    let published = ended(&new, &id).await;

    asleep.finish(Ok(json!("stale")));
    eventually("its objects to go", async || frozen_runner.has_discarded(job, Objects::OfAttempt(1))).await;
    assert_eq!(*get(&new, &id).await, *published);
    assert_eq!(published.outcome, Some(json!({ "epoch": 2 })));
    let discarded = runner.discarded.lock().unwrap().clone();
    assert!(!discarded.contains(&(job, Objects::OfAttempt(2))), "never the winner's: {discarded:?}");
}

#[tokio::test]
async fn a_late_end_of_an_old_attempt_does_not_touch_the_new_one() {
    let late_ends = [Ok(json!("stale")), Err(AttemptError::new(Class::Input, "SOURCE_UNUSABLE", "it looked bad"))];
    for late_end in late_ends {
        let place = Place::new();
        let (old, new) = (place.open(frozen()).await, place.open(replicated()).await);
        let id = submit(&old, new_job()).await;
        let (frozen_runner, mut frozen_starts) = Scripted::stubborn();
        let _frozen = old.run_workers(vec![frozen_runner.clone()]);
        let asleep = next(&mut frozen_starts).await;
        let (runner, mut starts) = Scripted::new();
        let _workers = new.run_workers(vec![runner]);
        outlive_lease(&place, &new, &id).await;
        let second = next(&mut starts).await;
        let job = second.attempt.job().id;

        asleep.finish(late_end);
        eventually("its objects to go", async || frozen_runner.has_discarded(job, Objects::OfAttempt(1))).await;
        assert_eq!(get(&new, &id).await.state, State::Running);
        second.succeed();
        assert_eq!(ended(&new, &id).await.outcome, Some(json!({ "epoch": 2 })));
    }
}

/// The write that published was carried out, but its answer was lost: the next try must not take that for a refusal.
#[tokio::test]
async fn an_outcome_whose_answer_was_lost_is_kept() {
    let place = Place::new();
    let queue = place.open(silent()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let workers = queue.run_workers(vec![runner.clone()]);
    let started = next(&mut starts).await;
    place.sql("UPDATE jobs SET state = 'SUCCEEDED', outcome = '{\"epoch\":1}', revision = revision + 1").await;
    started.succeed();
    assert!(workers.drain(Duration::from_secs(20)).await);
    assert_eq!(get(&queue, &id).await.outcome, Some(json!({ "epoch": 1 })));
    assert!(runner.discarded.lock().unwrap().is_empty());
}

/// The lease was taken by someone whose clock runs ahead; the heartbeat finds out.
#[tokio::test]
async fn an_attempt_that_lost_its_lease_is_stopped() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 1, ..replicated() }).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let first = next(&mut starts).await;

    let ahead = Arc::new(ManualClock::default());
    ahead.advance(LONG_LEASE);
    let other = Queue::open(&place.url(), replicated(), ahead).await.unwrap();
    let (other_runner, mut other_starts) = Scripted::new();
    let _others = other.run_workers(vec![other_runner]);
    let second = next(&mut other_starts).await;
    tokio::time::timeout(Duration::from_secs(10), first.attempt.stopped()).await.expect("the first is stopped");
    let job = second.attempt.job().id;
    eventually("its objects to go", async || runner.has_discarded(job, Objects::OfAttempt(1))).await;
    second.succeed();
    assert_eq!(ended(&queue, &id).await.outcome, Some(json!({ "epoch": 2 })));
}

/// The rescuer must not act on what it saw before the job ended (F6).
#[tokio::test]
async fn rescue_leaves_ended_and_living_jobs_alone() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 2, ..frozen() }).await;
    let (done, alive) = (submit(&queue, new_job()).await, submit(&queue, new_job()).await);
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let (first, second) = (next(&mut starts).await, next(&mut starts).await);
    assert_eq!(first.attempt.job().id.to_string(), done);
    first.succeed();
    let published = ended(&queue, &done).await;

    // All leases are over by this clock, but the attempt lives in this very process, whose heartbeat is only late.
    place.clock.advance(LONG_LEASE * 2);
    let (idle, _starts) = Scripted::of("nothing", true);
    let _again = queue.run_workers(vec![idle]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(*get(&queue, &done).await, *published);
    let running = get(&queue, &alive).await;
    assert_eq!((running.state, running.epoch, running.losses), (State::Running, 1, 0));
    second.succeed();
    assert_eq!(ended(&queue, &alive).await.state, State::Succeeded);
}

/// kill -9, then start again: what ran is taken up at once, without waiting for the lease to end.
#[test]
fn a_restart_takes_running_jobs_up_at_once() {
    let place = Place::new();
    let mut id = String::new();
    for kill in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let queue = reopen(&place).await;
            if kill == 0 {
                id = submit(&queue, new_job()).await;
            }
            let (runner, mut starts) = Scripted::new();
            std::mem::forget(queue.run_workers(vec![runner.clone()]));
            let started = next(&mut starts).await;
            assert_eq!((started.attempt.epoch(), started.attempt.job().losses), (kill + 1, kill as u32));
            let job = started.attempt.job().id;
            if kill > 0 {
                // What the dead one may have written.
                let litter = Objects::OfAttempt(kill);
                eventually("its objects to go", async || runner.has_discarded(job, litter)).await;
            }
            std::mem::forget(started);
        });
        // Everything stops where it is, as with a kill.
        runtime.shutdown_background();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let queue = reopen(&place).await;
        let (runner, mut starts) = Scripted::new();
        let _workers = queue.run_workers(vec![runner]);
        next(&mut starts).await.succeed();
        let job = ended(&queue, &id).await;
        assert_eq!((job.state, job.attempts, job.losses, job.crashes), (State::Succeeded, 4, 3, 0));
    });
}

/// The lock goes with the last thread of the runtime that was shut down.
async fn reopen(place: &Place) -> Queue {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        match Queue::open(&place.url(), settings(), place.clock.clone()).await {
            Ok(queue) => return queue,
            Err(Error::InUse { .. }) if std::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_job_whose_worker_dies_again_and_again_is_failed() {
    let place = Place::new();
    let settings = Settings { max_losses: 2, ..replicated() };
    let queue = place.open(Settings { max_losses: 2, copy_limit: 2, ..frozen() }).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = queue.run_workers(vec![runner]);
    let mut asleep = Vec::new();
    for _ in 0..2 {
        asleep.push(next(&mut starts).await);
        let rescuer = place.open(settings.clone()).await;
        let (idle, _starts) = Scripted::of("nothing", true);
        let workers = rescuer.run_workers(vec![idle]);
        outlive_lease(&place, &rescuer, &id).await;
        workers.drain(Duration::ZERO).await;
    }
    let job = ended(&queue, &id).await;
    let failure = job.failure.clone().expect("it failed");
    assert_eq!((job.state, failure.reason.as_str()), (State::Failed, "WORKER_LOST"));
}

#[tokio::test]
async fn the_last_attempt_is_failed_when_its_worker_dies() {
    let place = Place::new();
    let queue = place.open(frozen()).await;
    let id = submit(&queue, jobs::NewJob { max_attempts: Some(1), ..new_job() }).await;
    let (runner, mut starts) = Scripted::stubborn();
    let _workers = queue.run_workers(vec![runner]);
    let _asleep = next(&mut starts).await;
    let rescuer = place.open(replicated()).await;
    let (idle, _starts) = Scripted::of("nothing", true);
    let _rescuers = rescuer.run_workers(vec![idle]);
    outlive_lease(&place, &rescuer, &id).await;
    let job = ended(&rescuer, &id).await;
    assert_eq!((job.state, job.failure.clone().unwrap().reason.as_str()), (State::Failed, "WORKER_LOST"));
}

#[tokio::test]
async fn a_second_process_is_told_which_file_is_in_use() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let url = place.url();
    let second = |settings| Queue::open(&url, settings, place.clock.clone());
    for settings in [settings(), replicated()] {
        let error = second(settings).await.err().expect("refused");
        assert!(matches!(&error, Error::InUse { .. }) && error.to_string().contains("jobs.db"), "{error}");
    }
    queue.close().await;
    let shared = (second(replicated()).await.unwrap(), second(replicated()).await.unwrap());
    assert!(second(settings()).await.is_err(), "replicas don't let one in that wants it for itself");
    drop(shared);
}

#[tokio::test]
async fn a_bad_address_is_named() {
    let place = Place::new();
    for url in ["postgres://nowhere", "sqlite::memory:", "sqlite:///proc/nothing/jobs.db", "nonsense", ""] {
        let error = Queue::open(url, settings(), place.clock.clone()).await.err().expect(url).to_string();
        assert!(error.contains(url) || error.contains("/proc/nothing"), "{error}");
    }
}

#[tokio::test]
async fn the_key_of_page_tokens_survives_a_restart() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    for _ in 0..3 {
        submit(&queue, new_job()).await;
    }
    let token = queue.list(KIND, OWNER, &jobs::Filter::default(), 2, "").await.unwrap().next_page_token;
    queue.close().await;
    let queue = place.open(settings()).await;
    assert_eq!(queue.list(KIND, OWNER, &jobs::Filter::default(), 2, &token).await.unwrap().jobs.len(), 1);
}

/// Another program holds the database for longer than a write waits. Nobody is told that something was done which wasn't,
/// and what is done isn't forgotten.
#[tokio::test]
async fn an_outcome_waits_until_the_database_is_back() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    let mut other = SqliteConnection::connect(&place.url()).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    started.succeed();
    let refused = queue.submit(new_job()).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(get(&queue, &id).await.state, State::Running, "reads go on");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(ended(&queue, &id).await.outcome, Some(json!({ "epoch": 1 })));
    assert_eq!(place.count("SELECT count(*) FROM jobs").await, 1);
}
