//! Request ids, and what a caller can rely on once a job is accepted.

use std::collections::HashSet;

use futures_util::{FutureExt, future::join_all};
use jobs::{Error, Lane, NewJob, Settings, State};
use serde_json::json;

use crate::fixture::{KIND, OWNER, Place, get, new_job, owned_by, requested, settings, submit};

#[tokio::test(flavor = "multi_thread")]
async fn hundred_identical_requests_at_once_make_one_job() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let all = join_all((0..100).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.submit(requested("r1")).await.unwrap() })
    }))
    .await;
    let answers: Vec<_> = all.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.job.id).collect::<HashSet<_>>().len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    assert_eq!(place.count("SELECT count(*) FROM jobs").await, 1);
}

#[tokio::test]
async fn same_request_id_with_another_body_is_refused_even_when_the_queue_is_full() {
    let place = Place::new();
    let queue = place.open(Settings { max_queued: 1, ..settings() }).await;
    let first = submit(&queue, requested("r1")).await;

    let again = queue.submit(requested("r1")).await.unwrap();
    assert_eq!((again.created, again.job.id.to_string()), (false, first.clone()));
    let other = NewJob { request: json!({ "uid": "sport.mpd" }), ..requested("r1") };
    match queue.submit(other).await {
        Err(Error::RequestIdReused { request_id, id }) => assert_eq!((request_id.as_str(), id), ("r1", first)),
        answer => panic!("{answer:?}"),
    }
    assert!(matches!(queue.submit(requested("r2")).await, Err(Error::Full { limit: "max_queued", value: 1, .. })));
}

#[tokio::test]
async fn order_of_keys_in_a_request_does_not_matter() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let with = |text: &str| NewJob { request: serde_json::from_str(text).unwrap(), ..requested("r1") };
    let first = queue.submit(with(r#"{"uid": "a", "mark": {"in": 1, "out": 2}}"#)).await.unwrap();
    let again = queue.submit(with(r#"{"mark": {"out": 2, "in": 1}, "uid": "a"}"#)).await.unwrap();
    assert_eq!(first.job.id, again.job.id);
}

#[tokio::test]
async fn request_ids_of_owners_and_kinds_are_apart() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let mine = queue.submit(requested("r1")).await.unwrap();
    let theirs = queue.submit(NewJob { owner: "other".into(), ..requested("r1") }).await.unwrap();
    let of_another_kind = queue.submit(NewJob { kind: "dvr_export", ..requested("r1") }).await.unwrap();
    assert!(mine.created && theirs.created && of_another_kind.created);
}

#[tokio::test]
async fn a_request_can_be_looked_up_before_anything_is_checked() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let body = new_job().request;
    assert!(queue.find_request(KIND, OWNER, "r1", &body).await.unwrap().is_none());
    let id = submit(&queue, requested("r1")).await;
    let found = queue.find_request(KIND, OWNER, "r1", &body).await.unwrap().expect("it was made");
    assert_eq!(found.id.to_string(), id);
    assert!(queue.find_request(KIND, "other", "r1", &body).await.unwrap().is_none());
    let other = queue.find_request(KIND, OWNER, "r1", &json!({})).await;
    assert!(matches!(other, Err(Error::RequestIdReused { .. })), "{other:?}");
}

#[tokio::test]
async fn a_new_job_is_as_it_was_asked_for() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let new = NewJob { priority: -3, lane: Lane::Encode, label: Some("asset".into()), ..requested("r1") };
    let id = submit(&queue, new.clone()).await;
    let job = get(&queue, &id).await;
    assert_eq!((job.kind.as_str(), job.owner.as_str(), job.lane, job.priority), (KIND, OWNER, Lane::Encode, -3));
    assert_eq!((job.request_id.as_deref(), job.label.as_deref()), (Some("r1"), Some("asset")));
    assert_eq!((&*job.request, job.state, job.attempts, job.epoch), (&new.request, State::Queued, 0, 0));
    assert!(job.revision > 0 && job.started.is_none() && job.ended.is_none() && job.outcome.is_none());
    assert_eq!(job.max_attempts, settings().max_attempts);
}

#[tokio::test]
async fn what_is_not_yours_looks_like_what_is_not_there() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, owned_by("someone else")).await;
    let mut messages = HashSet::new();
    for asked in [id.as_str(), "0199f7a0-0000-7000-8000-000000000000", "not an id", "'; DROP TABLE jobs; --", ""] {
        let errors = [
            queue.get(KIND, OWNER, asked).await.expect_err("get"),
            queue.cancel(KIND, OWNER, asked).await.expect_err("cancel"),
            queue.delete(KIND, OWNER, asked).await.expect_err("delete"),
            queue.wait(KIND, OWNER, asked, std::time::Duration::ZERO).await.expect_err("wait"),
        ];
        for error in errors {
            messages.insert(errors::Error::from(error).to_string().replace(&format!("{asked:?}"), "ID"));
        }
    }
    assert_eq!(messages, HashSet::from(["export ID does not exist".to_owned()]));
    assert!(queue.get("dvr_export", "someone else", &id).await.is_err(), "nor under another kind");
    assert!(queue.get(KIND, "someone else", &id).await.is_ok());
}

#[tokio::test]
async fn an_id_is_found_whoever_it_belongs_to_but_only_as_it_was_given_out() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, owned_by("someone else")).await;
    let found = queue.find(KIND, &id).await.unwrap().expect("it exists");
    assert_eq!((found.id.to_string(), found.owner.as_str()), (id.clone(), "someone else"));
    for (kind, id) in
        [("dvr_export", id.clone()), (KIND, id.to_uppercase()), (KIND, id.replace('-', "")), (KIND, "x".into())]
    {
        assert!(queue.find(kind, &id).await.unwrap().is_none(), "{kind} {id}");
    }
    queue.delete(KIND, "someone else", &id).await.unwrap();
    assert!(queue.find(KIND, &id).await.unwrap().is_none(), "erased");
}

/// A gRPC deadline drops the handler wherever it is.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_database_usable() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    for polls in 0..60 {
        let mut future = Box::pin(queue.submit(requested(&format!("dropped {polls}"))));
        for _ in 0..polls % 12 {
            if future.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(future);
        let id = submit(&queue, requested(&format!("kept {polls}"))).await;
        assert_eq!(get(&queue, &id).await.state, State::Queued);
    }
    queue.close().await;
    let kept = place.count("SELECT count(*) FROM jobs WHERE request_id LIKE 'kept %'").await;
    assert_eq!(kept, 60, "what was acknowledged is there for everyone");
}

#[tokio::test]
async fn a_closed_queue_says_so() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let id = submit(&queue, new_job()).await;
    queue.close().await;
    assert!(matches!(queue.submit(new_job()).await, Err(Error::Unavailable(_))));
    assert!(matches!(queue.get(KIND, OWNER, &id).await, Err(Error::Unavailable(_))));
    let queue = place.open(settings()).await;
    assert_eq!(get(&queue, &id).await.state, State::Queued, "and the job is still there");
}
