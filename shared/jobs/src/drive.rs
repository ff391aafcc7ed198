//! Takes one attempt from its claim to its end: runs it, keeps its lease, and settles what came of it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Attempt, AttemptError, Class, Error, Failure, Job, Objects, Queue, Runner, Settings, State, attempt::Stop,
    lease::Settlement, progress::complete,
};

/// How soon a write is tried again that decides about an attempt.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a failure's message that are kept.
const MAX_MESSAGE: usize = 2_000;

/// Makes one attempt at a job that was claimed.
pub(crate) async fn drive(queue: Queue, runner: Arc<dyn Runner>, job: Job, drained: CancellationToken) {
    let (id, lane, started) = (job.id, job.lane, Instant::now());
    let topic = queue.0.hub.topic(id);
    let attempt = Attempt::new(topic.learn(Arc::new(job)), topic, queue.0.clock.clone());
    let _registered = queue.0.running.register(&attempt);
    let told = attempt.clone();
    let _drained = Aborted(tokio::spawn(async move {
        drained.cancelled().await;
        told.stop(Stop::Drained);
    }));
    let _beating = Aborted(tokio::spawn(beat(queue.clone(), attempt.clone())));

    let result = run(runner.clone(), &attempt, queue.0.settings.stop_grace).await;
    let published = match result {
        Ok(outcome) => publish(&queue, &attempt, &outcome).await,
        Err(error) => {
            end(&queue, &attempt, error).await;
            false
        }
    };
    if !published {
        discard(&queue, &*runner, &attempt).await;
        queue.0.litter.send_modify(|count| *count += 1);
    }
    queue.0.lanes.took(lane, started.elapsed());
    queue.0.work.send_modify(|count| *count += 1);
}

/// Runs the runner in a task of its own: a panic is the end of one attempt, and one that doesn't stop is dropped.
async fn run(runner: Arc<dyn Runner>, attempt: &Attempt, grace: Duration) -> Result<Value, AttemptError> {
    let own = attempt.clone();
    let mut task = Aborted(tokio::spawn(async move { runner.run(&own).await }));
    let deadline = pin!(async {
        attempt.stopped().await;
        tokio::time::sleep(grace).await;
    });
    let ended = tokio::select! {
        ended = &mut task.0 => ended,
        () = deadline => return Err(AttemptError::cancelled()),
    };
    ended.unwrap_or_else(|error| {
        Err(AttemptError::new(Class::Crash, "PANICKED", format!("the attempt failed: {error}")))
    })
}

/// Renews the lease until the attempt has ended; this is also how it learns that it is to stop.
async fn beat(queue: Queue, attempt: Attempt) {
    // The first one at once: a cancellation may have come between the claim and the moment it could be told.
    loop {
        let news = attempt.news();
        let progress = news.map(|(_, progress)| progress);
        match queue.0.store.beat(attempt.job().id, attempt.epoch(), progress, attempt.latest()).await {
            Ok(Some(job)) => {
                if let Some((reports, _)) = news {
                    attempt.stored(reports);
                }
                if job.cancel_requested {
                    attempt.stop(Stop::Cancelled);
                }
                queue.0.hub.learn(job);
            }
            Ok(None) => return attempt.stop(Stop::LeaseLost),
            // The work goes on: whether it may publish is decided when it does.
            Err(error) => tracing::warn!(job = %attempt.job().id, "the lease can't be renewed: {error}"),
        }
        tokio::time::sleep(queue.0.settings.heartbeat).await;
    }
}

/// Publishes an outcome, if the attempt still may. Returns whether it did.
async fn publish(queue: &Queue, attempt: &Attempt, outcome: &Value) -> bool {
    let (id, epoch, progress) = (attempt.job().id, attempt.epoch(), complete(attempt.latest()));
    let published = decided(id, async || match queue.0.store.publish(id, epoch, outcome, progress).await? {
        Some(job) => Ok(Some(job)),
        // Not ours to publish; or a try before this one was carried out although its answer was lost.
        None => {
            let job = queue.0.store.get_any(id).await?;
            Ok(job.filter(|job| job.state == State::Succeeded && job.epoch == epoch))
        }
    })
    .await;
    let Some(job) = published else {
        end(queue, attempt, AttemptError::cancelled()).await;
        return false;
    };
    queue.0.hub.learn(job);
    true
}

/// Ends an attempt that has no result.
async fn end(queue: &Queue, attempt: &Attempt, error: AttemptError) {
    let id = attempt.job().id;
    if attempt.why_stopped().is_none() {
        tracing::warn!(job = %id, attempt = attempt.job().attempts, reason = %error.reason, "attempt failed: {error}");
    }
    let settle = async || {
        let settlement = settlement(&queue.0.settings, attempt, error.clone());
        queue.0.store.settle(id, attempt.epoch(), settlement).await
    };
    // None: the lease is lost, and the job is in other hands.
    if let Some(job) = decided(id, settle).await {
        announce(queue, job).await;
    }
}

/// Shows what became of a job whose attempt ended.
pub(crate) async fn announce(queue: &Queue, job: Job) {
    if job.state == State::Queued {
        queue.refresh(job.id).await;
    } else {
        queue.0.hub.learn(job);
    }
}

/// What follows an attempt without a result.
fn settlement(settings: &Settings, attempt: &Attempt, error: AttemptError) -> Settlement {
    let job = attempt.job();
    let ended = Settlement {
        state: State::Queued,
        pause: Duration::ZERO,
        attempts: 0,
        crashes: 0,
        losses: 0,
        failure: None,
        progress: Some(attempt.latest()),
    };
    let hopeless = matches!(error.class, Class::Input | Class::Deadline);
    if attempt.why_stopped() == Some(Stop::Drained) && !hopeless {
        // Put back as if it had not been tried: the process ends, and that says nothing about the job.
        return Settlement { attempts: -1, ..ended };
    }
    let crashed = error.class == Class::Crash;
    let crashes = job.crashes + u32::from(crashed);
    let mut failure = Failure { reason: error.reason.into_owned(), message: shortened(error.message) };
    let quarantined = crashed && crashes >= settings.max_crashes;
    if quarantined {
        let message = format!("quarantined after {crashes} crashes: {}", failure.message);
        failure = Failure { reason: "CRASHED".into(), message };
    }
    let last = hopeless || quarantined || job.attempts >= job.max_attempts;
    // A disk isn't emptied within a second.
    let patience = if error.class == Class::NoSpace { 5 } else { 0 };
    Settlement {
        state: if last { State::Failed } else { State::Queued },
        pause: settings.backoff(job.attempts.saturating_add(patience)),
        crashes: crashed.into(),
        failure: Some(failure),
        ..ended
    }
}

/// A message may quote what hostile media made a demuxer say.
fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

/// Removes what the attempt made. What can't be removed now is left to the sweep, which knows from the row.
async fn discard(queue: &Queue, runner: &dyn Runner, attempt: &Attempt) {
    let (id, epoch) = (attempt.job().id, attempt.epoch());
    match runner.discard(id, Objects::OfAttempt(epoch)).await {
        Ok(()) => {
            if let Err(error) = queue.0.store.discarded(&id.to_string(), epoch - 1, epoch).await {
                tracing::warn!(job = %id, "can't be marked as swept: {error}");
            }
        }
        Err(error) => tracing::warn!(job = %id, epoch, "objects can't be removed: {error}"),
    }
}

/// Asks until there is an answer. While the database is away nothing else could be done either, and an attempt that
/// loses its lease meanwhile is refused in the end.
async fn decided<T, F: Future<Output = Result<T, Error>>>(id: Uuid, ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!(job = %id, "the end of an attempt can't be stored yet: {error}"),
        }
        tokio::time::sleep(PATIENCE).await;
    }
}

/// A task that doesn't outlive its handle.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
