//! What follows when an attempt fails, by whose fault it was.

use std::time::Duration;

use jobs::{AttemptError, Class, NewJob, Objects, Settings, State};

use crate::fixture::{
    Place, Scripted, Starts, ended, eventually, get, in_time, new_job, next, reaches, settings, submit,
};

async fn fail(starts: &mut Starts, class: Class) {
    next(starts).await.finish(Err(AttemptError::new(class, "SOME_REASON", "it was like this")));
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_up_to_the_limit() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, NewJob { max_attempts: Some(3), ..new_job() }).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    fail(&mut starts, Class::Transient).await;
    fail(&mut starts, Class::NoSpace).await;

    let third = next(&mut starts).await;
    let job = third.attempt.job().clone();
    assert_eq!((job.attempts, job.crashes, job.failure.clone()), (3, 0, None));
    assert_eq!(job.last_failure.expect("the second's").message, "it was like this");
    third.finish(Err(AttemptError::new(Class::Transient, "STORAGE", "still away")));

    let ended = ended(&queue, &id).await;
    let failure = ended.failure.clone().expect("it failed");
    assert_eq!(
        (ended.state, failure.reason.as_str(), failure.message.as_str()),
        (State::Failed, "STORAGE", "still away")
    );
    assert!(ended.last_failure.is_none() && ended.outcome.is_none() && ended.expires > ended.ended);
    for epoch in 1..=3 {
        eventually("objects to go", async || runner.has_discarded(job.id, Objects::OfAttempt(epoch))).await;
    }
}

#[tokio::test]
async fn a_success_after_a_failure_leaves_no_failure() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    fail(&mut starts, Class::Transient).await;
    next(&mut starts).await.succeed();
    let job = ended(&queue, &id).await;
    assert_eq!((job.state, job.attempts), (State::Succeeded, 2));
    assert!(job.failure.is_none() && job.last_failure.is_none());
    assert_eq!(job.progress.fraction, 1.0);
}

#[tokio::test]
async fn faults_of_the_request_are_not_tried_again() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    for class in [Class::Input, Class::Deadline] {
        let id = submit(&queue, new_job()).await;
        fail(&mut starts, class).await;
        let job = ended(&queue, &id).await;
        assert_eq!((job.state, job.attempts), (State::Failed, 1), "{class:?}");
        assert_eq!(job.failure.clone().expect("it failed").reason, "SOME_REASON");
    }
}

#[tokio::test]
async fn two_crashes_are_enough() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    fail(&mut starts, Class::Crash).await;
    fail(&mut starts, Class::Transient).await;
    fail(&mut starts, Class::Crash).await;
    let job = ended(&queue, &id).await;
    let failure = job.failure.clone().expect("it failed");
    assert_eq!((job.state, job.attempts, job.crashes), (State::Failed, 3, 2));
    assert_eq!(failure.reason, "CRASHED");
    assert_eq!(failure.message, "quarantined after 2 crashes: it was like this");
}

#[tokio::test]
async fn a_runner_that_panics_has_crashed() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    let healthy = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    // The scripted runner panics when its attempt is dropped.
    let (first, second) = (next(&mut starts).await, next(&mut starts).await);
    drop(first);
    drop(next(&mut starts).await);
    let job = ended(&queue, &id).await;
    assert_eq!((job.state, job.crashes, job.failure.clone().unwrap().reason.as_str()), (State::Failed, 2, "CRASHED"));
    second.succeed();
    assert_eq!(ended(&queue, &healthy).await.state, State::Succeeded);
}

#[tokio::test]
async fn poison_jobs_do_not_hold_up_the_others() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 1, ..settings() }).await;
    for _ in 0..20 {
        submit(&queue, crate::fixture::owned_by("poisoner")).await;
    }
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let mut before = 0;
    loop {
        let started = next(&mut starts).await;
        if started.attempt.job().id.to_string() == id {
            started.succeed();
            break;
        }
        before += 1;
        started.finish(Err(AttemptError::new(Class::Crash, "SIGSEGV", "the media process died")));
    }
    assert!(before <= 3, "{before} attempts of another owner came first");
    assert_eq!(ended(&queue, &id).await.state, State::Succeeded);
}

#[tokio::test]
async fn another_attempt_waits_for_its_pause() {
    let place = Place::new();
    let pause = Duration::from_secs(60);
    let queue = place.open(Settings { backoff_base: pause, backoff_cap: pause, ..settings() }).await;
    let id = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    fail(&mut starts, Class::Transient).await;
    let job = reaches(&queue, &id, State::Queued).await;
    assert_eq!(job.last_failure.clone().expect("the first's").reason, "SOME_REASON");
    // The pause is random, up to a minute: it isn't over at once, but for one time in thousands.
    assert!(tokio::time::timeout(Duration::from_millis(100), starts.recv()).await.is_err());
    place.clock.advance(pause);
    let second = in_time("the second attempt", starts.recv()).await.expect("the runner lives");
    assert_eq!(second.attempt.job().attempts, 2);
    second.succeed();
    ended(&queue, &id).await;
}

/// A clock that is set back between two starts must not put a job off for ever.
#[tokio::test]
async fn a_pause_is_never_longer_than_its_cap_after_a_restart() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    queue.close().await;
    place.sql("UPDATE jobs SET run_at = 9000000000000000000").await;
    let queue = place.open(settings()).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    next(&mut starts).await.succeed();
    assert_eq!(get(&queue, &id).await.attempts, 1);
}
