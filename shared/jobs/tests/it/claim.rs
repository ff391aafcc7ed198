//! Who gets to run, and in which order.

use std::{collections::HashSet, time::Duration};

use jobs::{Lane, NewJob, Runner, Settings, State};
use serde_json::json;

use crate::fixture::{
    KIND, OWNER, Place, Scripted, ended, eventually, get, new_job, next, owned_by, reaches, replicated, settings,
    submit,
};

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_give_each_attempt_to_one() {
    const JOBS: usize = 200;
    let place = Place::new();
    let mut handles = Vec::new();
    for _ in 0..4 {
        let queue = place.open(Settings { max_running_per_owner: u32::MAX, ..replicated() }).await;
        let (runner, starts) = Scripted::new();
        handles.push((queue, runner, starts));
    }
    for _ in 0..JOBS {
        submit(&handles[0].0, new_job()).await;
    }
    let mut collectors = Vec::new();
    for (queue, runner, mut starts) in handles {
        let workers = queue.run_workers(vec![runner]);
        collectors.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            // The queue is empty when nothing has started for a while: then no job was left out.
            while let Ok(Some(started)) = tokio::time::timeout(Duration::from_secs(2), starts.recv()).await {
                claimed.push((started.attempt.job().id, started.attempt.epoch()));
                started.succeed();
            }
            workers.drain(Duration::from_secs(5)).await;
            claimed
        }));
    }
    let mut claims = Vec::new();
    for collector in collectors {
        claims.extend(collector.await.unwrap());
    }
    assert_eq!(claims.len(), JOBS);
    assert_eq!(claims.iter().collect::<HashSet<_>>().len(), JOBS, "no attempt was given out twice");
    assert!(claims.iter().all(|(_, epoch)| *epoch == 1));
    assert_eq!(place.count("SELECT count(*) FROM jobs WHERE state = 'SUCCEEDED'").await, JOBS as i64);
}

#[tokio::test]
async fn lanes_have_limits_of_their_own() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 2, encode_limit: 1, ..settings() }).await;
    for lane in [Lane::Copy, Lane::Copy, Lane::Copy, Lane::Encode, Lane::Encode] {
        submit(&queue, NewJob { lane, ..new_job() }).await;
    }
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let running = [next(&mut starts).await, next(&mut starts).await, next(&mut starts).await];
    let encoding = running.iter().filter(|started| started.attempt.job().lane == Lane::Encode).count();
    assert_eq!(encoding, 1);
    assert!(tokio::time::timeout(Duration::from_millis(100), starts.recv()).await.is_err(), "all places are taken");
    for started in running {
        started.succeed();
    }
    assert_ne!(next(&mut starts).await.attempt.job().lane, next(&mut starts).await.attempt.job().lane);
}

/// One place, one owner with hundreds of jobs queued first: another's job is next but one.
#[tokio::test]
async fn owners_take_turns() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 1, ..settings() }).await;
    for _ in 0..300 {
        submit(&queue, owned_by("greedy")).await;
    }
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    for _ in 0..20 {
        next(&mut starts).await.succeed();
    }
    let running = next(&mut starts).await;
    for owner in ["modest", "modest", "late"] {
        submit(&queue, owned_by(owner)).await;
    }
    running.succeed();
    let mut order = Vec::new();
    for _ in 0..8 {
        let started = next(&mut starts).await;
        order.push(started.attempt.job().owner.clone());
        started.succeed();
    }
    let greedy_before = |owner: &str| order.iter().take_while(|o| *o != owner).filter(|o| *o == "greedy").count();
    assert!(greedy_before("modest") <= 1 && greedy_before("late") <= 1, "{order:?}");
    let last_modest = order.iter().rposition(|owner| owner == "modest").expect("both have run");
    assert_eq!(order[..last_modest].iter().filter(|owner| *owner == "modest").count(), 1, "{order:?}");
    assert!(order[..last_modest].iter().filter(|owner| *owner == "greedy").count() <= 2, "{order:?}");
}

/// A job that waits for its next attempt has an early turn. It must not give early turns to all who come after.
#[tokio::test]
async fn a_job_that_is_tried_again_does_not_upset_the_turns() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let retried = submit(&queue, owned_by("unlucky")).await;
    for _ in 0..50 {
        submit(&queue, owned_by("greedy")).await;
    }
    place.sql("UPDATE jobs SET attempts = 1, run_at = 9e18 WHERE owner = 'unlucky'").await;
    place.sql("UPDATE jobs SET state = 'SUCCEEDED' WHERE owner = 'greedy' AND turn <= 40").await;
    submit(&queue, owned_by("new")).await;
    assert_eq!(place.count("SELECT turn FROM jobs WHERE owner = 'new'").await, 41);
    assert_eq!(queue.get(KIND, "unlucky", &retried).await.unwrap().queue_position, 0);
}

#[tokio::test]
async fn higher_priority_goes_first_and_positions_tell_the_order() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 1, ..settings() }).await;
    let mut ids = Vec::new();
    for priority in [0, 5, -5, 5] {
        ids.push(submit(&queue, NewJob { priority, ..new_job() }).await);
    }
    let encode = submit(&queue, NewJob { lane: Lane::Encode, ..new_job() }).await;
    for (id, position) in ids.iter().zip([2, 0, 3, 1]) {
        assert_eq!(get(&queue, id).await.queue_position, position);
    }
    assert_eq!(get(&queue, &encode).await.queue_position, 0, "another lane is another line");

    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let mut order = Vec::new();
    while order.len() < 4 {
        let started = next(&mut starts).await;
        if started.attempt.job().lane == Lane::Copy {
            order.push(started.attempt.job().id.to_string());
        }
        started.succeed();
    }
    assert_eq!(order, [1, 3, 0, 2].map(|n| ids[n].clone()));
}

#[tokio::test]
async fn an_owner_at_its_limit_leaves_places_to_others() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 4, max_running_per_owner: 2, ..settings() }).await;
    for _ in 0..10 {
        submit(&queue, owned_by("greedy")).await;
    }
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let (first, _second) = (next(&mut starts).await, next(&mut starts).await);
    assert!(tokio::time::timeout(Duration::from_millis(100), starts.recv()).await.is_err(), "two of four places");
    submit(&queue, owned_by("modest")).await;
    assert_eq!(next(&mut starts).await.attempt.job().owner, "modest");
    first.succeed();
    assert_eq!(next(&mut starts).await.attempt.job().owner, "greedy", "a place of its own is free again");
}

#[tokio::test]
async fn jobs_of_an_unknown_kind_are_left_alone() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let unknown = queue.submit(NewJob { kind: "hologram", ..new_job() }).await.unwrap().job.id.to_string();
    let known = submit(&queue, new_job()).await;
    let (runner, mut starts) = Scripted::new();
    let workers = queue.run_workers(vec![runner.clone()]);
    next(&mut starts).await.succeed();
    assert_eq!(ended(&queue, &known).await.state, State::Succeeded);
    assert_eq!(queue.get("hologram", OWNER, &unknown).await.unwrap().state, State::Queued);

    let (other, mut other_starts) = Scripted::of("hologram", true);
    let more = queue.run_workers(vec![other as std::sync::Arc<dyn Runner>]);
    next(&mut other_starts).await.succeed();
    eventually("the other kind", async || {
        queue.get("hologram", OWNER, &unknown).await.unwrap().state == State::Succeeded
    })
    .await;
    assert!(workers.drain(Duration::ZERO).await && more.drain(Duration::ZERO).await);
}

#[tokio::test]
async fn a_damaged_job_is_failed_and_the_others_are_served() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let damaged = submit(&queue, NewJob { priority: 9, ..new_job() }).await;
    let strange = submit(&queue, NewJob { request: json!("strange"), ..new_job() }).await;
    let healthy = submit(&queue, new_job()).await;
    place.sql("UPDATE jobs SET request = '{' WHERE priority = 9").await;
    place.sql("UPDATE jobs SET state = 'PAUSED' WHERE request = '\"strange\"'").await;

    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let started = next(&mut starts).await;
    assert_eq!(started.attempt.job().id.to_string(), healthy);
    reaches(&queue, &healthy, State::Running).await;
    started.succeed();
    ended(&queue, &healthy).await;
    for id in [damaged, strange] {
        let error = queue.get(KIND, OWNER, &id).await.expect_err("it is damaged").to_string();
        assert!(error.contains(&id) && error.contains("damaged"), "{error}");
    }
    let page = queue.list(KIND, OWNER, &jobs::Filter::default(), 10, "").await.unwrap();
    assert_eq!(page.jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), [healthy]);
    assert_eq!(place.count("SELECT count(*) FROM jobs WHERE failure_reason = 'CORRUPT' AND state = 'FAILED'").await, 1);
}
