//! A database in a folder of its own, a clock that is set by hand, and a runner whose attempts end when the test says so.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use errors::BoxError;
use jobs::{Attempt, AttemptError, Clock, Job, Lane, NewJob, Objects, Queue, Runner, Settings, State};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub(crate) const KIND: &str = "export";
pub(crate) const OWNER: &str = "a735c56ea4014685bc74c0a375236cc5";

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder with a database in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), clock: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("jobs.db").display())
    }

    pub(crate) async fn open(&self, settings: Settings) -> Queue {
        Queue::open(&self.url(), settings, self.clock.clone()).await.expect("a queue")
    }

    /// A connection behind the queue's back.
    pub(crate) async fn sql(&self, sql: &'static str) {
        let mut connection = SqliteConnection::connect(&self.url()).await.expect("a connection");
        sqlx::query(sql).execute(&mut connection).await.expect(sql);
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = SqliteConnection::connect(&self.url()).await.expect("a connection");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
    }
}

/// Defaults, but quick to notice things; two attempts follow each other without a pause.
pub(crate) fn settings() -> Settings {
    Settings {
        heartbeat: Duration::from_millis(20),
        poll: Duration::from_millis(10),
        sweep: Duration::from_millis(20),
        stop_grace: Duration::from_millis(300),
        backoff_base: Duration::ZERO,
        ..Settings::default()
    }
}

/// A heartbeat that never comes while a test runs, and the lease that goes with it.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);
pub(crate) const LONG_LEASE: Duration = Duration::from_secs(3 * 3600);

/// As `settings`, for a process that gives no sign of life after the first.
pub(crate) fn silent() -> Settings {
    Settings { heartbeat: NEVER, lease: LONG_LEASE, ..settings() }
}

/// As `settings`, for a database that several handles share as several processes would.
pub(crate) fn replicated() -> Settings {
    Settings { replicas: true, ..settings() }
}

pub(crate) struct ManualClock(Mutex<SystemTime>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)))
    }
}

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn steady(&self) -> SystemTime {
        self.wall()
    }
}

/// A runner whose attempts end when the test says so.
pub(crate) struct Scripted {
    kind: &'static str,
    obedient: bool,
    started: mpsc::UnboundedSender<Started>,
    pub(crate) discarded: Mutex<Vec<(Uuid, Objects)>>,
}

/// An attempt that has started.
pub(crate) struct Started {
    pub(crate) attempt: Attempt,
    finish: oneshot::Sender<Result<Value, AttemptError>>,
}

pub(crate) type Starts = mpsc::UnboundedReceiver<Started>;

impl Scripted {
    /// Its attempts stop when they are told to.
    pub(crate) fn new() -> (Arc<Self>, Starts) {
        Self::of(KIND, true)
    }

    /// Its attempts don't listen.
    pub(crate) fn stubborn() -> (Arc<Self>, Starts) {
        Self::of(KIND, false)
    }

    pub(crate) fn of(kind: &'static str, obedient: bool) -> (Arc<Self>, Starts) {
        let (started, starts) = mpsc::unbounded_channel();
        (Arc::new(Self { kind, obedient, started, discarded: Mutex::default() }), starts)
    }

    pub(crate) fn has_discarded(&self, id: Uuid, objects: Objects) -> bool {
        self.discarded.lock().unwrap().contains(&(id, objects))
    }
}

#[async_trait]
impl Runner for Scripted {
    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn run(&self, attempt: &Attempt) -> Result<Value, AttemptError> {
        let (finish, finished) = oneshot::channel();
        // An error means that the test is over.
        let _ = self.started.send(Started { attempt: attempt.clone(), finish });
        let stopped = async {
            attempt.stopped().await;
            if !self.obedient {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            result = finished => result.unwrap_or_else(|_| panic!("the test dropped the attempt")),
            () = stopped => Err(AttemptError::cancelled()),
        }
    }

    async fn discard(&self, job: Uuid, objects: Objects) -> Result<(), BoxError> {
        self.discarded.lock().unwrap().push((job, objects));
        Ok(())
    }
}

impl Started {
    /// Ends the attempt. One that has been stopped already doesn't listen.
    pub(crate) fn finish(self, result: Result<Value, AttemptError>) {
        let _ = self.finish.send(result);
    }

    pub(crate) fn succeed(self) {
        let outcome = json!({ "epoch": self.attempt.epoch() });
        self.finish(Ok(outcome));
    }
}

/// The next attempt that starts.
pub(crate) async fn next(starts: &mut Starts) -> Started {
    in_time("an attempt to start", starts.recv()).await.expect("the runner lives")
}

pub(crate) fn new_job() -> NewJob {
    NewJob::new(KIND, OWNER, Lane::Copy, json!({ "uid": "news.mpd" }))
}

pub(crate) fn requested(request_id: &str) -> NewJob {
    NewJob { request_id: Some(request_id.to_owned()), ..new_job() }
}

pub(crate) fn owned_by(owner: &str) -> NewJob {
    NewJob { owner: owner.to_owned(), ..new_job() }
}

/// Submits a job, and returns its id.
pub(crate) async fn submit(queue: &Queue, new: NewJob) -> String {
    queue.submit(new).await.expect("a job").job.id.to_string()
}

/// Lets time pass beyond the lease of a silent worker, and waits until that is noticed. Its attempt has started, so its
/// only sign of life was given before: that one comes first.
pub(crate) async fn outlive_lease(place: &Place, queue: &Queue, id: &str) {
    let losses = get(queue, id).await.losses;
    place.clock.advance(LONG_LEASE + Duration::from_secs(1));
    eventually("the rescue", async || get(queue, id).await.losses > losses).await;
}

pub(crate) async fn get(queue: &Queue, id: &str) -> Arc<Job> {
    queue.get(KIND, OWNER, id).await.expect("a job")
}

/// Waits for a job to end.
pub(crate) async fn ended(queue: &Queue, id: &str) -> Arc<Job> {
    let job = queue.wait(KIND, OWNER, id, DEADLINE).await.expect("a job");
    assert!(job.state.is_final(), "still {}", job.state);
    job
}

pub(crate) async fn reaches(queue: &Queue, id: &str, state: State) -> Arc<Job> {
    eventually(&format!("{id} to be {state}"), async || get(queue, id).await.state == state).await;
    get(queue, id).await
}

/// Asks again and again until the answer is yes.
pub(crate) async fn eventually(what: &str, ask: impl AsyncFn() -> bool) {
    in_time(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}
