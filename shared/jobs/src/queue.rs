//! The queue as services see it.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Clock, Error, Job, Lane, NewJob, Settings, State,
    clock::time,
    database::Database,
    error::PER_OWNER,
    hub::Hub,
    job::{canonical, parse_id},
    lanes::{Lanes, Running},
    page::Tokens,
    row::LoadRow,
    store::Store,
    watch,
};

/// Durable work: what is accepted here is done, or failed with a reason, whatever happens to this process. A clone is
/// another handle to the same queue.
#[derive(Clone)]
pub struct Queue(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hub: Hub,
    pub(crate) running: Running,
    pub(crate) lanes: Lanes,
    /// Rises when there may be something to claim.
    pub(crate) work: tokio::sync::watch::Sender<u64>,
    /// Rises when there may be something to sweep.
    pub(crate) litter: tokio::sync::watch::Sender<u64>,
    tokens: Tokens,
}

/// A job that was asked for.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job, as it is now.
    pub job: Arc<Job>,
    /// Whether it is new; if not, an earlier request with the same id made it.
    pub created: bool,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only jobs in this state.
    pub state: Option<State>,
    /// Only jobs with this label.
    pub label: Option<String>,
}

/// Some jobs of a list, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Arc<Job>>,
    /// Asks for the next page; empty on the last.
    pub next_page_token: String,
}

/// What a lane has to do for one kind of job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The kind of job.
    pub kind: String,
    /// The lane.
    pub lane: Lane,
    /// Queued or running.
    pub state: State,
    /// How many jobs.
    pub jobs: u64,
    /// How long ago the oldest of them was accepted.
    pub oldest: Duration,
}

/// Jobs on a page at most.
const MAX_PAGE: usize = 500;

impl Queue {
    /// Opens the queue in the database at `url` (`sqlite://path`) and brings its tables up to date.
    ///
    /// # Errors
    /// `Error::InUse` if another process works on the database, unless both have `Settings::replicas`; `Error::Invalid`
    /// for settings that don't fit together; `Error::Open`.
    pub async fn open(url: &str, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        settings.check()?;
        let database = Database::open(url, settings.replicas).await?;
        let store = Store::new(database, clock.clone(), settings.clone());
        if !settings.replicas {
            store.forfeit().await?;
        }
        let tokens = Tokens::new(store.key("page_token").await?);
        let queue = Self(Arc::new(Parts {
            lanes: Lanes::new(&settings),
            store,
            settings,
            clock,
            hub: Hub::default(),
            running: Running::default(),
            work: tokio::sync::watch::Sender::new(0),
            litter: tokio::sync::watch::Sender::new(0),
            tokens,
        }));
        tokio::spawn(watch::follow(Arc::downgrade(&queue.0), queue.0.settings.poll));
        Ok(queue)
    }

    /// Finishes the writes under way and gives the database up; every handle answers `Error::Unavailable` from then on.
    /// Workers are to be drained before.
    pub async fn close(&self) {
        self.0.store.close().await;
    }

    /// Accepts a job. Once this returns, the job survives whatever happens to this process.
    ///
    /// # Errors
    /// `Error::RequestIdReused`, which is found out before anything else; `Error::Invalid`; `Error::Full`;
    /// `Error::Unavailable`, after which only a request with an id can safely be made again.
    pub async fn submit(&self, new: NewJob) -> Result<Submitted, Error> {
        let request = new.check()?;
        if let Some(job) = self.requested(&new, &request).await? {
            return Ok(Submitted { job, created: false });
        }
        if let Some(job) = self.0.store.insert(&new, request.clone()).await? {
            self.0.work.send_modify(|count| *count += 1);
            // Read, because only then it is known where it stands; if that fails, it is accepted all the same.
            let job = self.0.store.get_any(job.id).await.ok().flatten().unwrap_or(job);
            return Ok(Submitted { job: self.0.hub.learn(job), created: true });
        }
        // Refused: because the same request came first by a hair, or because the queue is full.
        match self.requested(&new, &request).await? {
            Some(job) => Ok(Submitted { job, created: false }),
            None => Err(self.full(&new).await?),
        }
    }

    async fn requested(&self, new: &NewJob, request: &str) -> Result<Option<Arc<Job>>, Error> {
        match &new.request_id {
            Some(id) => self.matching(new.kind, &new.owner, id, request).await,
            None => Ok(None),
        }
    }

    /// The job that an earlier request with this id made: to be asked before a request is checked against anything that
    /// may have changed since.
    ///
    /// # Errors
    /// `Error::RequestIdReused` if it was another request.
    pub async fn find_request(
        &self,
        kind: &'static str,
        owner: &str,
        request_id: &str,
        request: &Value,
    ) -> Result<Option<Arc<Job>>, Error> {
        self.matching(kind, owner, request_id, &canonical(request)).await
    }

    async fn matching(&self, kind: &str, owner: &str, id: &str, request: &str) -> Result<Option<Arc<Job>>, Error> {
        match self.0.store.find_request(kind, owner, id).await? {
            Some((job, stored)) if stored == request => Ok(Some(self.0.hub.learn(job))),
            Some((job, _)) => Err(Error::RequestIdReused { request_id: id.to_owned(), id: job.id.to_string() }),
            None => Ok(None),
        }
    }

    async fn full(&self, new: &NewJob) -> Result<Error, Error> {
        let settings = &self.0.settings;
        let own = self.0.store.count_queued(&new.owner).await?;
        let (limit, value) = if own >= settings.max_queued_per_owner {
            (PER_OWNER, settings.max_queued_per_owner)
        } else {
            ("max_queued", settings.max_queued)
        };
        Ok(Error::Full { limit, value, retry_after: self.0.lanes.next_place(new.lane) })
    }

    /// One job.
    ///
    /// # Errors
    /// `Error::NotFound` if there is none, or if it isn't the owner's.
    pub async fn get(&self, kind: &'static str, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        let job = self.0.store.get(kind, owner, id).await?.ok_or_else(|| Error::not_found(kind, id))?;
        Ok(self.0.hub.learn(job))
    }

    /// One job, whoever it belongs to: for those to whom knowing its id is proof enough, such as a signed URL.
    ///
    /// # Errors
    /// `Error::Unavailable`; one that doesn't exist is no error.
    pub async fn find(&self, kind: &'static str, id: &str) -> Result<Option<Arc<Job>>, Error> {
        let Some(uuid) = parse_id(id) else { return Ok(None) };
        let job = self.0.store.get_any(uuid).await?.filter(|job| job.kind == kind);
        Ok(job.map(|job| self.0.hub.learn(job)))
    }

    /// A page of an owner's jobs, newest first; at most 500. `page_token` is empty, or from the page before. Jobs that
    /// are added meanwhile don't shift the pages that follow.
    ///
    /// # Errors
    /// `Error::PageToken` if the token isn't from this list.
    pub async fn list(
        &self,
        kind: &'static str,
        owner: &str,
        filter: &Filter,
        page_size: usize,
        page_token: &str,
    ) -> Result<Page, Error> {
        let Parts { store, tokens, hub, .. } = &*self.0;
        let before = match page_token {
            "" => i64::MAX,
            token => tokens.open(token, kind, owner, filter)?,
        };
        let size = page_size.clamp(1, MAX_PAGE);
        // One more than wanted: whether there is a next page.
        let mut rows = store.list(kind, owner, filter, before, size as i64 + 1).await?;
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more).map(|(seq, _)| *seq);
        Ok(Page {
            jobs: rows.into_iter().filter_map(|(_, job)| job).map(|job| hub.learn(job)).collect(),
            next_page_token: last.map(|seq| tokens.seal(seq, kind, owner, filter)).unwrap_or_default(),
        })
    }

    /// Asks for a job to be stopped. A queued one is cancelled at once; a running one of this process is told at once, and
    /// one of another process with its next heartbeat. Asking twice is the same as asking once.
    ///
    /// # Errors
    /// `Error::NotFound`; `Error::Ended` if it has ended in another way.
    pub async fn cancel(&self, kind: &'static str, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        if let Some(job) = self.0.store.cancel(kind, owner, id).await? {
            self.0.running.cancel(job.id);
            return Ok(self.0.hub.learn(job));
        }
        let job = self.get(kind, owner, id).await?;
        match job.state {
            State::Succeeded | State::Failed => Err(Error::Ended { id: id.to_owned(), state: job.state }),
            State::Queued | State::Running | State::Cancelled => Ok(job),
        }
    }

    /// Erases a job: from here on it doesn't exist, and its request id is free. If it runs it is cancelled first. Its
    /// objects, and then its row, are swept by the workers of its kind, however often they are interrupted.
    ///
    /// # Errors
    /// `Error::NotFound`, the second time too.
    pub async fn delete(&self, kind: &'static str, owner: &str, id: &str) -> Result<Arc<Job>, Error> {
        let job = self.0.store.erase(kind, owner, id).await?.ok_or_else(|| Error::not_found(kind, id))?;
        self.0.running.cancel(job.id);
        self.0.hub.forget(job.id);
        self.0.litter.send_modify(|count| *count += 1);
        Ok(Arc::new(job))
    }

    /// What is queued and running, for metrics.
    pub async fn load(&self) -> Result<Vec<Load>, Error> {
        let now = self.0.clock.wall();
        let rows = self.0.store.load().await?.into_iter();
        let known = |row: LoadRow| {
            Some(Load {
                lane: Lane::from_name(&row.lane)?,
                state: State::from_name(&row.state)?,
                kind: row.kind,
                jobs: u64::try_from(row.jobs).unwrap_or_default(),
                oldest: now.duration_since(time(row.oldest)).unwrap_or_default(),
            })
        };
        Ok(rows.filter_map(known).collect())
    }

    /// Reads a job again that a write has put back into the queue: only a read knows where it stands.
    pub(crate) async fn refresh(&self, id: Uuid) {
        match self.0.store.get_any(id).await {
            Ok(Some(job)) => drop(self.0.hub.learn(job)),
            Ok(None) => {}
            Err(error) => tracing::warn!(job = %id, "can't be read: {error}"),
        }
    }
}
