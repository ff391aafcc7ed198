//! Expiry, and objects that nobody will ask for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use errors::BoxError;
use jobs::{Attempt, AttemptError, Class, Error, Objects, Runner, Settings, State};
use serde_json::Value;
use uuid::Uuid;

use crate::fixture::{KIND, OWNER, Place, Scripted, ended, eventually, get, new_job, next, settings, submit};

#[tokio::test]
async fn ended_jobs_are_erased_when_their_time_has_come() {
    let place = Place::new();
    let retention = Duration::from_secs(3600);
    let queue = place.open(Settings { retention, ..settings() }).await;
    let (runner, mut starts) = Scripted::new();
    let _workers = queue.run_workers(vec![runner.clone()]);
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(submit(&queue, new_job()).await);
        next(&mut starts).await.succeed();
    }
    for id in &ids {
        ended(&queue, id).await;
    }
    let job = get(&queue, &ids[0]).await;
    assert_eq!(job.expires, job.ended.map(|ended| ended + retention));
    place.clock.advance(retention - Duration::from_secs(1));
    let later = submit(&queue, new_job()).await;
    next(&mut starts).await.succeed();
    ended(&queue, &later).await;

    place.clock.advance(Duration::from_secs(1));
    eventually("the rows to go", async || place.count("SELECT count(*) FROM jobs").await == 1).await;
    assert_eq!(get(&queue, &later).await.state, State::Succeeded);
    assert!(matches!(queue.get(KIND, OWNER, &ids[0]).await, Err(Error::NotFound { .. })));
    let discarded = runner.discarded.lock().unwrap().clone();
    assert!(ids.iter().all(|id| discarded.contains(&(id.parse().unwrap(), Objects::OfJob))));
}

/// A runner whose storage is away at first.
struct Forgetful {
    inner: Arc<Scripted>,
    storage: AtomicBool,
}

#[async_trait]
impl Runner for Forgetful {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, attempt: &Attempt) -> Result<Value, AttemptError> {
        self.inner.run(attempt).await
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        if !self.storage.load(Ordering::Relaxed) {
            return Err("the bucket is away".into());
        }
        self.inner.discard(job, objects).await
    }
}

#[tokio::test]
async fn objects_that_could_not_be_removed_are_removed_later() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let (inner, mut starts) = Scripted::new();
    let runner = Arc::new(Forgetful { inner: inner.clone(), storage: AtomicBool::new(false) });
    let _workers = queue.run_workers(vec![runner.clone()]);
    let retried = submit(&queue, new_job()).await;
    next(&mut starts).await.finish(Err(AttemptError::new(Class::Transient, "STORAGE", "away")));
    next(&mut starts).await.succeed();
    let retried = ended(&queue, &retried).await.id;
    let failed = submit(&queue, new_job()).await;
    next(&mut starts).await.finish(Err(AttemptError::new(Class::Input, "BAD", "bad")));
    let failed = ended(&queue, &failed).await.id;
    let erased = submit(&queue, new_job()).await;
    next(&mut starts).await.succeed();
    ended(&queue, &erased).await;
    let erased = queue.delete(KIND, OWNER, &erased).await.unwrap().id;
    assert_eq!(place.count("SELECT count(*) FROM jobs").await, 3, "the row stays as long as the objects");

    runner.storage.store(true, Ordering::Relaxed);
    for (job, objects) in [(retried, Objects::OfAttempt(1)), (failed, Objects::OfAttempt(1)), (erased, Objects::OfJob)]
    {
        eventually("the objects to go", async || inner.has_discarded(job, objects)).await;
    }
    eventually("nothing more to sweep", async || {
        place.count("SELECT count(*) FROM jobs WHERE discarded < epoch OR erased = 1").await == 0
    })
    .await;
    assert!(!inner.has_discarded(retried, Objects::OfAttempt(2)), "never the winner's");
}
