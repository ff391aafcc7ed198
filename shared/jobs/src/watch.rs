//! Following a job to its end.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{Stream, TryStreamExt, stream};
use tokio::sync::watch;

use crate::{
    Error, Job, Queue, State,
    hub::{Known, Topic},
    job::parse_id,
    queue::Parts,
};

impl Queue {
    /// Streams a job: as it is, once it is beyond `after_revision` (0: at once), then as it changes, and last, always, in
    /// its final state, with which the stream ends. Whoever reads slowly gets the newest state, not every one. How many
    /// watch a job makes no difference to the database.
    ///
    /// # Errors
    /// `Error::NotFound` at the start, or when the job is erased.
    pub fn watch(
        &self,
        kind: &'static str,
        owner: &str,
        id: &str,
        after_revision: i64,
    ) -> impl Stream<Item = Result<Arc<Job>, Error>> + Send + use<> {
        let watcher = Watcher {
            queue: self.clone(),
            kind,
            owner: owner.to_owned(),
            id: id.to_owned(),
            seen: after_revision,
            ended: false,
            subscription: None,
        };
        stream::try_unfold(watcher, |mut watcher| async move { Ok(watcher.next().await?.map(|job| (job, watcher))) })
    }

    /// Waits until a job has ended or the time is up, and returns it as it is then.
    ///
    /// # Errors
    /// `Error::NotFound`.
    pub async fn wait(&self, kind: &'static str, owner: &str, id: &str, timeout: Duration) -> Result<Arc<Job>, Error> {
        let to_its_end = self.watch(kind, owner, id, 0).try_fold(None, |_, job| async { Ok(Some(job)) });
        match tokio::time::timeout(timeout, to_its_end).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(Some(job))) => Ok(job),
            Ok(Ok(None)) | Err(_) => self.get(kind, owner, id).await,
        }
    }
}

struct Watcher {
    queue: Queue,
    kind: &'static str,
    owner: String,
    id: String,
    seen: i64,
    ended: bool,
    /// The topic is held so that it lives.
    subscription: Option<(Arc<Topic>, watch::Receiver<Known>)>,
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<Arc<Job>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let (_, changes) = match &mut self.subscription {
            Some(subscription) => subscription,
            empty => empty.insert(subscribe(&self.queue, self.kind, &self.owner, &self.id).await?),
        };
        loop {
            match &*changes.borrow_and_update() {
                Known::Gone => return Err(Error::not_found(self.kind, &self.id)),
                // The final state is sent even to one who has seen it: the stream must not end without.
                Known::Job(job) if job.revision > self.seen || job.state.is_final() => {
                    self.seen = job.revision;
                    self.ended = job.state.is_final();
                    return Ok(Some(job.clone()));
                }
                Known::Nothing | Known::Job(_) => {}
            }
            changes.changed().await.map_err(|_| Error::not_found(self.kind, &self.id))?;
        }
    }
}

/// Subscribes first and reads then, so that no change falls between. What is watched already isn't read again.
async fn subscribe(
    queue: &Queue,
    kind: &'static str,
    owner: &str,
    id: &str,
) -> Result<(Arc<Topic>, watch::Receiver<Known>), Error> {
    let topic = queue.0.hub.topic(parse_id(id).ok_or_else(|| Error::not_found(kind, id))?);
    let changes = topic.subscribe();
    let theirs = match &*changes.borrow() {
        Known::Job(job) => Some(job.kind == kind && job.owner == owner),
        Known::Gone => Some(false),
        Known::Nothing => None,
    };
    match theirs {
        Some(true) => {}
        Some(false) => return Err(Error::not_found(kind, id)),
        None => drop(queue.get(kind, owner, id).await?),
    }
    Ok((topic, changes))
}

/// Keeps up with what no write of this process tells: other processes, and the line in front of queued jobs. One query
/// for all that is watched.
pub(crate) async fn follow(queue: Weak<Parts>, poll: Duration) {
    let mut ticks = tokio::time::interval(poll);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(parts) = queue.upgrade().filter(|parts| !parts.store.is_closed()) else { return };
        if let Err(error) = look(&parts).await {
            tracing::warn!("watched jobs can't be read: {error}");
        }
    }
}

async fn look(parts: &Parts) -> Result<(), Error> {
    let watched = parts.hub.watched();
    if parts.settings.replicas && !watched.is_empty() {
        let ids: Vec<_> = watched.iter().map(|job| job.id).collect();
        let mut missing: HashSet<_> = ids.iter().copied().collect();
        for job in parts.store.get_many(&ids).await? {
            missing.remove(&job.id);
            parts.hub.learn(job);
        }
        missing.into_iter().for_each(|id| parts.hub.forget(id));
    }
    if watched.iter().any(|job| job.state == State::Queued) {
        for (id, position) in parts.store.positions().await? {
            parts.hub.stand(id, position);
        }
    }
    Ok(())
}
