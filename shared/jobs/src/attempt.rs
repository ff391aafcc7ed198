//! One attempt at a job, as its runner sees it.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use errors::BoxError;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Clock, Job, Progress, Report, hub::Topic, progress::Meter};

/// Does the jobs of one kind.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// The kind of job that it does.
    fn kind(&self) -> &'static str;

    /// Makes one attempt, and returns its outcome. An attempt may be made again, and two may overlap for a while (a
    /// worker that was frozen wakes up), so whatever it makes is keyed by job and epoch; the queue lets one of them
    /// publish. Once the attempt is stopped this must return soon (`Settings::stop_grace`), or it is dropped.
    async fn run(&self, attempt: &Attempt) -> Result<Value, AttemptError>;

    /// Removes objects that nobody will ask for. May be called again, and for what was never made.
    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError>;
}

/// Which objects of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objects {
    /// Those of the attempt with this epoch, which hasn't published and never will.
    OfAttempt(i64),
    /// All: the job is erased.
    OfJob,
}

/// Whose fault it is that an attempt failed: this decides what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request or its source. The job fails: another attempt would end in the same way.
    Input,
    /// Storage, network, database. Another attempt follows, after a pause.
    Transient,
    /// The media process died. Another attempt follows, but few: the job is the likely cause.
    Crash,
    /// There is no room for the result. Another attempt follows, after a longer pause.
    NoSpace,
    /// It took longer than it may. The job fails.
    Deadline,
    /// The attempt was stopped, as it was told to be.
    Cancelled,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AttemptError {
    /// Whose fault it is.
    pub class: Class,
    /// Stable, upper snake case, for programs.
    pub reason: Cow<'static, str>,
    /// For people: names the thing and the value.
    pub message: String,
}

impl AttemptError {
    /// Says whose fault it is, and why.
    pub fn new(class: Class, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), message: message.into() }
    }

    /// The attempt has stopped because it was told to.
    pub fn cancelled() -> Self {
        Self::new(Class::Cancelled, "CANCELLED", "cancelled")
    }
}

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Someone asked for the job to be cancelled.
    Cancelled,
    /// Another attempt has taken its place.
    LeaseLost,
    /// The process is about to end.
    Drained,
}

/// Progress is shown this often at most. It is stored with each heartbeat.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// One attempt at a job. A clone is another handle to the same attempt.
#[derive(Clone)]
pub struct Attempt(Arc<Parts>);

struct Parts {
    job: Arc<Job>,
    clock: Arc<dyn Clock>,
    topic: Arc<Topic>,
    token: CancellationToken,
    why: OnceLock<Stop>,
    gauge: Mutex<Gauge>,
}

struct Gauge {
    meter: Meter,
    shown: Option<Instant>,
    /// How many reports were taken in, and how many of them are stored.
    reports: u64,
    stored: u64,
}

impl Attempt {
    pub(crate) fn new(job: Arc<Job>, topic: Arc<Topic>, clock: Arc<dyn Clock>) -> Self {
        let gauge = Gauge { meter: Meter::new(clock.steady()), shown: None, reports: 0, stored: 0 };
        let (token, why) = (CancellationToken::new(), OnceLock::new());
        Self(Arc::new(Parts { job, clock, topic, token, why, gauge: Mutex::new(gauge) }))
    }

    /// The job, as it was when the attempt started.
    pub fn job(&self) -> &Job {
        &self.0.job
    }

    /// Number of the attempt among the job's: what its objects are to be keyed by.
    pub fn epoch(&self) -> i64 {
        self.0.job.epoch
    }

    /// Says how far the attempt is. Cheap, never blocks, callable from any thread, as often as one likes.
    pub fn progress(&self, report: Report) {
        let mut gauge = self.gauge();
        gauge.meter.update(report, self.0.clock.steady());
        gauge.reports += 1;
        if gauge.shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            gauge.shown = Some(Instant::now());
            self.0.topic.show(self.epoch(), gauge.meter.progress());
        }
    }

    /// Whether the attempt is to stop: the job is cancelled, or another attempt has taken its place, or the process ends.
    pub fn is_stopped(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Returns once the attempt is to stop.
    pub async fn stopped(&self) {
        self.0.token.cancelled().await;
    }

    /// An error to return if the attempt is to stop.
    ///
    /// # Errors
    /// `AttemptError::cancelled()`.
    pub fn check(&self) -> Result<(), AttemptError> {
        if self.is_stopped() { Err(AttemptError::cancelled()) } else { Ok(()) }
    }

    /// Tells the attempt to stop; the first reason counts.
    pub(crate) fn stop(&self, why: Stop) {
        // An error means that there is a reason already.
        let _ = self.0.why.set(why);
        self.0.token.cancel();
    }

    pub(crate) fn why_stopped(&self) -> Option<Stop> {
        self.0.why.get().copied()
    }

    pub(crate) fn latest(&self) -> Progress {
        self.gauge().meter.progress()
    }

    /// Progress that isn't stored yet, and what to tell `stored` once it is.
    pub(crate) fn news(&self) -> Option<(u64, Progress)> {
        let gauge = self.gauge();
        (gauge.reports > gauge.stored).then(|| (gauge.reports, gauge.meter.progress()))
    }

    pub(crate) fn stored(&self, reports: u64) {
        self.gauge().stored = reports;
    }

    fn gauge(&self) -> MutexGuard<'_, Gauge> {
        self.0.gauge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
