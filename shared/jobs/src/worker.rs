//! Claims jobs as places get free, and runs them until told to stop.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Lane, Queue, Runner, drive, sweep};

/// A pause after a failure that isn't any job's: the database is away, or a loop panicked.
const PAUSE: Duration = Duration::from_secs(1);

/// What the writes may take that follow the stop of an attempt.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Who does the jobs of which kind.
pub(crate) type Runners = Arc<HashMap<&'static str, Arc<dyn Runner>>>;

impl Queue {
    /// Starts to do the jobs of these runners' kinds, in both lanes, and to look after what is left behind: attempts
    /// whose worker died, objects of attempts that didn't publish, jobs whose time has come. Jobs of other kinds are left
    /// alone. May be called again for other kinds: the limits of the lanes are the queue's.
    pub fn run_workers(&self, runners: Vec<Arc<dyn Runner>>) -> Workers {
        let runners: Runners = Arc::new(runners.into_iter().map(|runner| (runner.kind(), runner)).collect());
        let workers = Workers {
            stop_grace: self.0.settings.stop_grace,
            stop: CancellationToken::new(),
            loops: TaskTracker::new(),
            attempts: Attempts::default(),
        };
        if runners.is_empty() {
            return workers;
        }
        for lane in Lane::ALL {
            let (queue, runners) = (self.clone(), runners.clone());
            let (attempts, stop) = (workers.attempts.clone(), workers.stop.clone());
            workers.supervise("claim", move || {
                dispatch(queue.clone(), lane, runners.clone(), attempts.clone(), stop.clone())
            });
        }
        let (queue, stop) = (self.clone(), workers.stop.clone());
        workers.supervise("rescue", move || stop.clone().run_until_cancelled_owned(sweep::rescue(queue.clone())));
        let (queue, stop) = (self.clone(), workers.stop.clone());
        workers.supervise("sweep", move || {
            stop.clone().run_until_cancelled_owned(sweep::sweep(queue.clone(), runners.clone()))
        });
        workers
    }
}

/// Workers that run. Dropped without a drain they stop as well, but nobody waits for their attempts to end.
pub struct Workers {
    stop_grace: Duration,
    stop: CancellationToken,
    loops: TaskTracker,
    attempts: Attempts,
}

#[derive(Clone, Default)]
struct Attempts {
    tracker: TaskTracker,
    /// Tells all of them to stop.
    drained: CancellationToken,
}

impl Workers {
    /// Claims nothing more, lets running attempts finish for up to `grace`, then stops the rest and puts their jobs back
    /// into the queue as if they had not been tried. Returns whether all attempts came to an end.
    pub async fn drain(self, grace: Duration) -> bool {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.attempts.tracker.close();
        if tokio::time::timeout(grace, self.attempts.tracker.wait()).await.is_ok() {
            return true;
        }
        self.attempts.drained.cancel();
        tokio::time::timeout(self.stop_grace + LAST_WRITES, self.attempts.tracker.wait()).await.is_ok()
    }

    /// Runs a loop until it returns, and again if it panics.
    fn supervise<F>(&self, name: &'static str, run: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.loops.spawn(async move {
            while let Err(error) = tokio::spawn(run()).await {
                tracing::error!("the {name} loop failed and starts again: {error}");
                if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                    return;
                }
            }
        });
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        self.attempts.drained.cancel();
    }
}

/// Claims the jobs of a lane as its places get free.
async fn dispatch(queue: Queue, lane: Lane, runners: Runners, attempts: Attempts, stop: CancellationToken) {
    let kinds: Vec<_> = runners.keys().copied().collect();
    let mut work = queue.0.work.subscribe();
    loop {
        let Some(place) = stop.run_until_cancelled(queue.0.lanes.place(lane)).await else { return };
        // Before the claim: what comes while it looks is seen as a change after it.
        work.borrow_and_update();
        // Never cut short: a job that was claimed has to be driven.
        match queue.0.store.claim(lane, &kinds).await {
            Ok(Some(job)) => {
                let Some(runner) = runners.get(job.kind.as_str()).cloned() else { continue };
                let (queue, drained) = (queue.clone(), attempts.drained.clone());
                attempts.tracker.spawn(async move {
                    let _place = place;
                    drive::drive(queue, runner, job, drained).await;
                });
            }
            Ok(None) => {
                drop(place);
                let something = tokio::time::timeout(queue.0.settings.poll, work.changed());
                let _ = stop.run_until_cancelled(something).await;
            }
            Err(error) => {
                drop(place);
                tracing::warn!(lane = lane.name(), "nothing can be claimed: {error}");
                let _ = stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
