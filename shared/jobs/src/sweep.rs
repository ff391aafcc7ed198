//! Looks after what is left behind: by workers that died, by attempts that didn't publish, by jobs whose time has come.
//! All of it is known from rows, and each step may be done twice, so an interruption at any point is made good later.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    Error, Failure, Job, Objects, Queue, Settings, State, drive::announce, lease::Settlement, row::LitterRow,
    worker::Runners,
};

/// Puts jobs back into the queue whose worker gives no sign of life. Any process may do this for any other.
pub(crate) async fn rescue(queue: Queue) {
    let mut ticks = tokio::time::interval(queue.0.settings.heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = rescue_lost(&queue).await {
            tracing::warn!("lost jobs can't be rescued: {error}");
        }
    }
}

async fn rescue_lost(queue: &Queue) -> Result<(), Error> {
    for job in queue.0.store.lost().await? {
        // It lives, only its heartbeat is late: the database was away, or this process was frozen.
        if queue.0.running.holds(job.id, job.epoch) {
            continue;
        }
        let settlement = lost(&queue.0.settings, &job);
        // None: there was a sign of life, or an end, after we looked.
        if let Some(job) = queue.0.store.rescue(job.id, job.epoch, settlement).await? {
            tracing::warn!(job = %job.id, attempt = job.attempts, state = %job.state, "a worker was lost");
            announce(queue, job).await;
            queue.0.work.send_modify(|count| *count += 1);
            queue.0.litter.send_modify(|count| *count += 1);
        }
    }
    Ok(())
}

/// What follows an attempt whose worker was lost. The first time it is tried again at once: most likely the server was
/// stopped, and the job has nothing to do with it.
fn lost(settings: &Settings, job: &Job) -> Settlement {
    let losses = job.losses + 1;
    let hopeless = job.attempts >= job.max_attempts || losses >= settings.max_losses;
    let message = format!("the worker of attempt {} was lost, {losses} of {}", job.attempts, settings.max_losses);
    Settlement {
        state: if hopeless { State::Failed } else { State::Queued },
        pause: if losses == 1 { Duration::ZERO } else { settings.backoff(losses - 1) },
        attempts: 0,
        crashes: 0,
        losses: 1,
        failure: Some(Failure { reason: "WORKER_LOST".into(), message }),
        progress: None,
    }
}

/// Erases what has expired, and removes objects that nobody will ask for.
pub(crate) async fn sweep(queue: Queue, runners: Runners) {
    let mut litter = queue.0.litter.subscribe();
    loop {
        litter.borrow_and_update();
        if let Err(error) = sweep_all(&queue, &runners).await {
            tracing::warn!("objects can't be swept: {error}");
        }
        // The sender lives as long as the queue, which this loop holds: only the time can be up.
        let _ = tokio::time::timeout(queue.0.settings.sweep, litter.changed()).await;
    }
}

async fn sweep_all(queue: &Queue, runners: &Runners) -> Result<(), Error> {
    loop {
        let expired = queue.0.store.expire().await?;
        if expired.is_empty() {
            break;
        }
        expired.into_iter().for_each(|id| queue.0.hub.forget(id));
    }
    // Onward from the last one looked at: objects that can't be removed now must not hold up the others.
    let mut after = 0;
    loop {
        let rows = queue.0.store.litter(after).await?;
        // Onward from the last: objects that can't be removed now must not hold up the others.
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.seq;
        for row in &rows {
            if let Err(error) = tidy(queue, runners, row).await {
                tracing::warn!(job = row.id, "objects can't be removed: {error}");
            }
        }
    }
}

/// Removes everything of a job that is erased, its row last; of any other, what its attempts left behind, up to the one
/// that runs or has published.
async fn tidy(queue: &Queue, runners: &Runners, row: &LitterRow) -> Result<(), errors::BoxError> {
    let Some(runner) = runners.get(row.kind.as_str()) else { return Ok(()) };
    let id = Uuid::parse_str(&row.id)?;
    if row.erased != 0 {
        runner.discard(id, Objects::OfJob).await?;
        return Ok(queue.0.store.remove(&row.id).await?);
    }
    let state = State::from_name(&row.state).ok_or_else(|| format!("its state {:?} is not known", row.state))?;
    let last = if matches!(state, State::Running | State::Succeeded) { row.epoch - 1 } else { row.epoch };
    for epoch in row.discarded + 1..=last {
        runner.discard(id, Objects::OfAttempt(epoch)).await?;
    }
    Ok(queue.0.store.discarded(&row.id, row.discarded, last).await?)
}
