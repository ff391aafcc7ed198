//! What runs in this process: the places of each lane, and the attempts that take them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{Attempt, Lane, Settings, attempt::Stop};

/// The places of each lane.
pub(crate) struct Lanes([Places; Lane::ALL.len()]);

struct Places {
    limit: u32,
    free: Arc<Semaphore>,
    /// How long an attempt takes of late; zero before the first.
    usual: Mutex<Duration>,
}

/// Bounds of the time after which a refused caller is to come back.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);

/// The weight of the newest attempt in what is usual: one part of this many.
const MEMORY: u32 = 8;

impl Lanes {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self(Lane::ALL.map(|lane| {
            let limit = settings.limit(lane).min(Semaphore::MAX_PERMITS);
            Places {
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                free: Arc::new(Semaphore::new(limit)),
                usual: Mutex::default(),
            }
        }))
    }

    /// Waits for a free place, and takes it.
    pub(crate) async fn place(&self, lane: Lane) -> OwnedSemaphorePermit {
        self.of(lane).free.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Notes how long an attempt took.
    pub(crate) fn took(&self, lane: Lane, duration: Duration) {
        let mut usual = self.of(lane).usual.lock().unwrap_or_else(PoisonError::into_inner);
        *usual = if usual.is_zero() { duration } else { (*usual * (MEMORY - 1) + duration) / MEMORY };
    }

    /// When the next place should be free, if all are taken.
    pub(crate) fn next_place(&self, lane: Lane) -> Duration {
        let places = self.of(lane);
        let usual = *places.usual.lock().unwrap_or_else(PoisonError::into_inner);
        (usual / places.limit.max(1)).clamp(SOONEST, LATEST)
    }

    fn of(&self, lane: Lane) -> &Places {
        &self.0[lane as usize]
    }
}

/// The attempts that run in this process, by job.
#[derive(Default, Clone)]
pub(crate) struct Running(Arc<Mutex<HashMap<Uuid, Attempt>>>);

/// Takes an attempt off the list when dropped.
pub(crate) struct Registered {
    running: Running,
    id: Uuid,
    epoch: i64,
}

impl Running {
    pub(crate) fn register(&self, attempt: &Attempt) -> Registered {
        let (id, epoch) = (attempt.job().id, attempt.epoch());
        self.attempts().insert(id, attempt.clone());
        Registered { running: self.clone(), id, epoch }
    }

    /// Tells the attempt at a job, if it runs here, that the job is cancelled.
    pub(crate) fn cancel(&self, id: Uuid) {
        if let Some(attempt) = self.attempts().get(&id) {
            attempt.stop(Stop::Cancelled);
        }
    }

    /// Whether this attempt runs here.
    pub(crate) fn holds(&self, id: Uuid, epoch: i64) -> bool {
        self.attempts().get(&id).is_some_and(|attempt| attempt.epoch() == epoch)
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<Uuid, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.running.holds(self.id, self.epoch) {
            self.running.attempts().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lane_has_as_many_places_as_its_limit() {
        let lanes = Lanes::new(&Settings { copy_limit: 2, encode_limit: 0, ..Settings::default() });
        let _both = (lanes.place(Lane::Copy).await, lanes.place(Lane::Copy).await);
        for lane in Lane::ALL {
            let place = tokio::time::timeout(Duration::from_millis(20), lanes.place(lane)).await;
            assert!(place.is_err(), "{lane}");
        }
    }

    #[test]
    fn a_refused_caller_comes_back_when_a_place_should_be_free() {
        let lanes = Lanes::new(&Settings { copy_limit: 4, ..Settings::default() });
        assert_eq!(lanes.next_place(Lane::Copy), SOONEST);
        lanes.took(Lane::Copy, Duration::from_secs(40));
        assert_eq!(lanes.next_place(Lane::Copy), Duration::from_secs(10));
        lanes.took(Lane::Copy, Duration::from_secs(1_000_000));
        assert_eq!(lanes.next_place(Lane::Copy), LATEST);
    }
}
