//! How much may be queued, and what a refused caller is told.

use std::time::Duration;

use futures_util::future::join_all;
use jobs::{Error, Lane, NewJob, Settings, State};
use serde_json::json;

use crate::fixture::{KIND, OWNER, Place, Scripted, new_job, next, owned_by, settings, submit};

#[tokio::test]
async fn a_full_queue_says_which_limit_and_when_to_come_back() {
    let place = Place::new();
    let queue = place.open(Settings { max_queued: 5, max_queued_per_owner: 3, ..settings() }).await;
    for _ in 0..3 {
        submit(&queue, new_job()).await;
    }
    let refused = |answer: Result<jobs::Submitted, Error>| match answer {
        Err(Error::Full { limit, value, retry_after }) => (limit, value, retry_after),
        answer => panic!("{answer:?}"),
    };
    let (limit, value, retry_after) = refused(queue.submit(new_job()).await);
    assert_eq!((limit, value), ("max_queued_per_owner", 3));
    assert!(retry_after >= Duration::from_secs(1));
    submit(&queue, owned_by("other")).await;
    let last = submit(&queue, owned_by("other")).await;
    assert_eq!(refused(queue.submit(owned_by("third")).await).0, "max_queued");

    let error = errors::Error::from(queue.submit(owned_by("third")).await.unwrap_err());
    assert!(matches!(&error, errors::Error::Exhausted { .. }), "{error:?}");
    assert_eq!(error.to_string(), "max_queued is 5, and that many jobs are queued");
    queue.cancel(KIND, "other", &last).await.unwrap();
    submit(&queue, owned_by("third")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_when_all_come_at_once() {
    let place = Place::new();
    let queue = place.open(Settings { max_queued_per_owner: 10, ..settings() }).await;
    let answers = join_all((0..100).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.submit(new_job()).await })
    }))
    .await;
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().map(|answer| answer.unwrap()).partition(Result::is_ok);
    assert_eq!((accepted.len(), refused.len()), (10, 90));
    assert!(refused.iter().all(|answer| matches!(answer, Err(Error::Full { .. }))));
}

#[tokio::test]
async fn parts_that_are_too_long_are_named() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let long = "x".repeat(257);
    for (field, new) in [
        ("request_id", NewJob { request_id: Some(long.clone()), ..new_job() }),
        ("label", NewJob { label: Some(long), ..new_job() }),
        ("request", NewJob { request: json!("x".repeat(2 << 20)), ..new_job() }),
    ] {
        match queue.submit(new).await {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            answer => panic!("{answer:?}"),
        }
    }
    assert_eq!(place.count("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn the_load_tells_what_is_queued_and_running() {
    let place = Place::new();
    let queue = place.open(Settings { copy_limit: 1, encode_limit: 0, ..settings() }).await;
    assert!(queue.load().await.unwrap().is_empty());
    for lane in [Lane::Copy, Lane::Copy, Lane::Copy, Lane::Encode] {
        submit(&queue, NewJob { lane, ..new_job() }).await;
    }
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner]);
    let _running = next(&mut starts).await;
    place.clock.advance(Duration::from_secs(7));
    let load = queue.load().await.unwrap();
    let of = |lane: Lane, state: State| {
        let mut found = load.iter().filter(|load| load.lane == lane && load.state == state);
        found.next().map(|load| (load.jobs, load.oldest))
    };
    let age = Duration::from_secs(7);
    assert_eq!(of(Lane::Copy, State::Queued), Some((2, age)));
    assert_eq!(of(Lane::Copy, State::Running), Some((1, age)));
    assert_eq!(of(Lane::Encode, State::Queued), Some((1, age)));
    assert!(load.iter().all(|load| load.kind == KIND), "of {OWNER}: {load:?}");
}
