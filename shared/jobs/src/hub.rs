//! The newest known state of the jobs that someone in this process watches or runs.
//!
//! A topic holds one snapshot. Whatever learns of a newer one (a write, a read, the runner's progress, a poll) puts it
//! there, and each watcher sees the newest when it looks: so a slow one misses steps, never the last. A topic lives as
//! long as someone holds it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::watch;
use uuid::Uuid;

use crate::{Job, Progress, State, row::LIVE_REVISIONS};

/// What is known of a job.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// Nothing yet.
    Nothing,
    /// Its newest state.
    Job(Arc<Job>),
    /// It is erased.
    Gone,
}

#[derive(Default, Clone)]
pub(crate) struct Hub(Arc<Mutex<HashMap<Uuid, Weak<Topic>>>>);

/// A job that is watched or run.
pub(crate) struct Topic {
    id: Uuid,
    hub: Hub,
    known: watch::Sender<Known>,
}

impl Hub {
    /// The topic of a job; a new one knows nothing.
    pub(crate) fn topic(&self, id: Uuid) -> Arc<Topic> {
        let mut topics = self.topics();
        if let Some(topic) = topics.get(&id).and_then(Weak::upgrade) {
            return topic;
        }
        let topic = Arc::new(Topic { id, hub: self.clone(), known: watch::Sender::new(Known::Nothing) });
        topics.insert(id, Arc::downgrade(&topic));
        topic
    }

    /// Takes in a state of a job, and returns the newest that is known.
    pub(crate) fn learn(&self, job: Job) -> Arc<Job> {
        let topic = self.topics().get(&job.id).and_then(Weak::upgrade);
        let job = Arc::new(job);
        topic.map_or_else(|| job.clone(), |topic| topic.learn(job.clone()))
    }

    /// Says that a job is erased.
    pub(crate) fn forget(&self, id: Uuid) {
        let topic = self.topics().get(&id).and_then(Weak::upgrade);
        if let Some(topic) = topic {
            topic.known.send_replace(Known::Gone);
        }
    }

    /// The jobs that someone waits for to change.
    pub(crate) fn watched(&self) -> Vec<Arc<Job>> {
        let topics: Vec<_> = self.topics().values().filter_map(Weak::upgrade).collect();
        let current = |topic: Arc<Topic>| match &*topic.known.borrow() {
            Known::Job(job) if !job.state.is_final() => Some(job.clone()),
            _ => None,
        };
        topics.into_iter().filter_map(current).collect()
    }

    /// Moves a queued job to its place.
    pub(crate) fn stand(&self, id: Uuid, position: u32) {
        let topic = self.topics().get(&id).and_then(Weak::upgrade);
        if let Some(topic) = topic {
            topic.step(|job| {
                let moved = job.state == State::Queued && job.queue_position != position;
                job.queue_position = position;
                moved
            });
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<Topic>>> {
        // Nothing is left half-done by a panic: each use is one operation on the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topic {
    pub(crate) fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Takes in a state of the job, and returns the newest that is known.
    pub(crate) fn learn(&self, job: Arc<Job>) -> Arc<Job> {
        let mut newest = job.clone();
        self.known.send_if_modified(|known| {
            match known {
                Known::Job(current) if current.revision >= job.revision => {
                    newest = current.clone();
                    return false;
                }
                // Progress is stored later than it is shown: what comes from the database must not take it back.
                Known::Job(current)
                    if current.epoch == job.epoch && current.progress.fraction > job.progress.fraction =>
                {
                    newest = Arc::new(Job { progress: current.progress, ..(*job).clone() });
                }
                Known::Nothing | Known::Job(_) => {}
                Known::Gone => return false,
            }
            *known = Known::Job(newest.clone());
            true
        });
        newest
    }

    /// Shows the progress of an attempt.
    pub(crate) fn show(&self, epoch: i64, progress: Progress) {
        self.step(|job| {
            let current = job.epoch == epoch && job.state == State::Running;
            job.progress = progress;
            current
        });
    }

    /// Changes the snapshot by what isn't stored; `change` says whether it is one.
    fn step(&self, change: impl FnOnce(&mut Job) -> bool) {
        self.known.send_if_modified(|known| {
            let Known::Job(current) = known else { return false };
            let mut next = (**current).clone();
            next.revision += 1;
            // After the last of them nothing is shown until something is stored.
            let changed = next.revision % LIVE_REVISIONS != 0 && change(&mut next);
            if changed {
                *known = Known::Job(Arc::new(next));
            }
            changed
        });
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let mut topics = self.hub.topics();
        // A new topic may have taken the place meanwhile.
        if topics.get(&self.id).is_some_and(|topic| topic.strong_count() == 0) {
            topics.remove(&self.id);
        }
    }
}
