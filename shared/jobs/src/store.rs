//! Statements with typed arguments and results. Each method is one statement; what they mean together is not known here.

use std::{sync::Arc, time::Duration};

use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::{
    Clock, Error, Failure, Job, Lane, NewJob, Progress, Settings, State,
    clock::nanos,
    database::{Database, Row},
    queue::Filter,
    row::{JobRow, LitterRow, LoadRow, PositionRow},
    sql,
    statement::Statement,
};

/// Rows that a sweep takes at once.
const BATCH: i64 = 100;

/// Ids that a poll asks for at once; SQLite takes 32,766 arguments, PostgreSQL 65,535.
const POLL_BATCH: usize = 500;

/// How an attempt ended that has no result.
#[derive(Debug)]
pub(crate) struct Settlement {
    /// Queued for another attempt, or failed.
    pub(crate) state: State,
    /// Before another attempt.
    pub(crate) pause: Duration,
    /// To be added to the counts.
    pub(crate) attempts: i64,
    pub(crate) crashes: i64,
    pub(crate) losses: i64,
    pub(crate) failure: Option<Failure>,
    pub(crate) progress: Option<Progress>,
}

pub(crate) struct Store {
    database: Database,
    clock: Arc<dyn Clock>,
    settings: Settings,
    worker: String,
}

impl Store {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { database, clock, settings, worker: format!("{}-{}", std::process::id(), Uuid::now_v7()) }
    }

    /// `None`: a limit is reached, or the request id is taken.
    pub(crate) async fn insert(&self, new: &NewJob, request: String) -> Result<Option<Job>, Error> {
        let max_attempts = new.max_attempts.unwrap_or(self.settings.max_attempts);
        let statement = Statement::new(sql::INSERT)
            .text(Uuid::now_v7())
            .text(new.kind)
            .text(&new.owner)
            .text(new.lane.name())
            .int(i64::from(new.priority))
            .optional_text(new.request_id.clone())
            .text(request)
            .optional_text(new.label.clone())
            .int(i64::from(max_attempts))
            .int(self.wall())
            .int(self.steady())
            .text(json(&Progress::default()))
            .int(i64::from(self.settings.max_queued))
            .int(i64::from(self.settings.max_queued_per_owner));
        first(self.database.write(statement).await?)
    }

    pub(crate) async fn get(&self, kind: &str, owner: &str, id: &str) -> Result<Option<Job>, Error> {
        first(self.database.read(Statement::new(sql::GET).text(kind).text(owner).text(id)).await?)
    }

    pub(crate) async fn get_any(&self, id: Uuid) -> Result<Option<Job>, Error> {
        first(self.database.read(Statement::new(sql::GET_ANY).text(id)).await?)
    }

    /// The jobs of these ids that exist. Those that can't be read are left out.
    pub(crate) async fn get_many(&self, ids: &[Uuid]) -> Result<Vec<Job>, Error> {
        let mut jobs = Vec::with_capacity(ids.len());
        for ids in ids.chunks(POLL_BATCH) {
            let statement = ids.iter().fold(Statement::new(sql::get_many(ids.len())), |s, id| s.text(*id));
            jobs.extend(readable(self.database.read(statement).await?)?);
        }
        Ok(jobs)
    }

    /// The job of a request id, and its request as it is stored.
    pub(crate) async fn find_request(&self, kind: &str, owner: &str, id: &str) -> Result<Option<(Job, String)>, Error> {
        let rows = self.database.read(Statement::new(sql::FIND_REQUEST).text(kind).text(owner).text(id)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let row: JobRow = typed(row)?;
        let request = row.request.clone();
        Ok(Some((row.decode()?, request)))
    }

    pub(crate) async fn count_queued(&self, owner: &str) -> Result<u32, Error> {
        let rows = self.database.read(Statement::new(sql::COUNT_QUEUED).text(owner)).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get("jobs")).map_err(unavailable)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// At most `count` jobs below `before`, newest first, and the seq of the last row looked at.
    pub(crate) async fn list(
        &self,
        kind: &str,
        owner: &str,
        filter: &Filter,
        before: i64,
        count: i64,
    ) -> Result<Vec<(i64, Option<Job>)>, Error> {
        let mut statement = Statement::new(sql::list(filter)).text(kind).text(owner).int(before).int(count);
        if let Some(state) = filter.state {
            statement = statement.text(state.name());
        }
        if let Some(label) = &filter.label {
            statement = statement.text(label);
        }
        let rows = self.database.read(statement).await?;
        rows.iter().map(|row| typed(row).map(|row: JobRow| (row.seq, legible(row)))).collect()
    }

    /// Every queued job and where it stands.
    pub(crate) async fn positions(&self) -> Result<Vec<(Uuid, u32)>, Error> {
        let rows = self.database.read(Statement::new(sql::POSITIONS)).await?;
        let rows: Vec<PositionRow> = all(&rows)?;
        let position = |row: PositionRow| {
            Some((Uuid::parse_str(&row.id).ok()?, u32::try_from(row.queue_position).unwrap_or(u32::MAX)))
        };
        Ok(rows.into_iter().filter_map(position).collect())
    }

    /// The job of `lane` that is next, now running. A job that can't be read is failed and passed over.
    pub(crate) async fn claim(&self, lane: Lane, kinds: &[&'static str]) -> Result<Option<Job>, Error> {
        loop {
            let statement = Statement::new(sql::claim(kinds.len()))
                .text(lane.name())
                .int(self.steady())
                .int(i64::from(self.settings.max_running_per_owner))
                .int(self.lease_end())
                .int(self.wall())
                .text(&self.worker)
                .text(json(&Progress::default()));
            let statement = kinds.iter().fold(statement, |statement, kind| statement.text(*kind));
            let rows = self.database.write(statement).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let row: JobRow = typed(row)?;
            let (id, epoch) = (row.id.clone(), row.epoch);
            match row.decode() {
                Ok(job) => return Ok(Some(job)),
                Err(error) => self.quarantine(&id, epoch, &error).await?,
            }
        }
    }

    /// Fails a running job that can't be read, so that it isn't tried for ever.
    async fn quarantine(&self, id: &str, epoch: i64, error: &Error) -> Result<(), Error> {
        tracing::error!(job = id, "{error}; it is failed");
        let failure = Failure { reason: "CORRUPT".into(), message: error.to_string() };
        let settlement = Settlement {
            state: State::Failed,
            pause: Duration::ZERO,
            attempts: 0,
            crashes: 0,
            losses: 0,
            failure: Some(failure),
            progress: None,
        };
        self.database.write(self.settle_statement(id, epoch, settlement, i64::MAX)).await.map(drop)
    }

    /// `None`: the lease is lost.
    pub(crate) async fn beat(
        &self,
        id: Uuid,
        epoch: i64,
        news: Option<Progress>,
        last: Progress,
    ) -> Result<Option<Job>, Error> {
        let statement = Statement::new(sql::BEAT)
            .text(id)
            .int(epoch)
            .int(self.lease_end())
            .text(json(&news.unwrap_or(last)))
            .int(i64::from(news.is_some()));
        first(self.database.write(statement).await?)
    }

    /// `None`: refused.
    pub(crate) async fn publish(
        &self,
        id: Uuid,
        epoch: i64,
        outcome: &serde_json::Value,
        progress: Progress,
    ) -> Result<Option<Job>, Error> {
        let statement = Statement::new(sql::PUBLISH)
            .text(id)
            .int(epoch)
            .text(outcome.to_string())
            .text(json(&progress))
            .int(self.wall())
            .int(self.expiry());
        first(self.database.write(statement).await?)
    }

    /// `None`: it is no longer this attempt's to end.
    pub(crate) async fn settle(&self, id: Uuid, epoch: i64, settlement: Settlement) -> Result<Option<Job>, Error> {
        first(self.database.write(self.settle_statement(&id.to_string(), epoch, settlement, i64::MAX)).await?)
    }

    /// As `settle`, for an attempt of a worker that gives no sign of life. `None`: it has, meanwhile.
    pub(crate) async fn rescue(&self, id: Uuid, epoch: i64, settlement: Settlement) -> Result<Option<Job>, Error> {
        first(self.database.write(self.settle_statement(&id.to_string(), epoch, settlement, self.steady())).await?)
    }

    fn settle_statement(&self, id: &str, epoch: i64, settlement: Settlement, lease_before: i64) -> Statement {
        let (reason, message) = settlement.failure.map(|failure| (failure.reason, failure.message)).unzip();
        Statement::new(sql::SETTLE)
            .text(id)
            .int(epoch)
            .text(settlement.state.name())
            .int(self.wall())
            .int(self.expiry())
            .int(later(self.steady(), settlement.pause))
            .int(settlement.attempts)
            .int(settlement.crashes)
            .int(settlement.losses)
            .optional_text(reason)
            .optional_text(message)
            .optional_text(settlement.progress.map(|progress| json(&progress)))
            .int(lease_before)
    }

    /// `None`: there is nothing to cancel.
    pub(crate) async fn cancel(&self, kind: &str, owner: &str, id: &str) -> Result<Option<Job>, Error> {
        let statement = Statement::new(sql::CANCEL).text(kind).text(owner).text(id).int(self.wall()).int(self.expiry());
        first(self.database.write(statement).await?)
    }

    /// `None`: no such job.
    pub(crate) async fn erase(&self, kind: &str, owner: &str, id: &str) -> Result<Option<Job>, Error> {
        first(self.database.write(Statement::new(sql::ERASE).text(kind).text(owner).text(id).int(self.wall())).await?)
    }

    /// Erases jobs whose time has come, and returns their ids: none when there are no more.
    pub(crate) async fn expire(&self) -> Result<Vec<Uuid>, Error> {
        let rows = self.database.write(Statement::new(sql::EXPIRE).int(self.wall()).int(BATCH)).await?;
        let rows: Vec<JobRow> = all(&rows)?;
        Ok(rows.iter().filter_map(|row| Uuid::parse_str(&row.id).ok()).collect())
    }

    /// Running jobs whose lease has ended. One that can't be read is failed instead.
    pub(crate) async fn lost(&self) -> Result<Vec<Job>, Error> {
        let rows = self.database.read(Statement::new(sql::LOST).int(self.steady()).int(BATCH)).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in all::<JobRow>(&rows)? {
            let (id, epoch) = (row.id.clone(), row.epoch);
            match row.decode() {
                Ok(job) => jobs.push(job),
                Err(error) => self.quarantine(&id, epoch, &error).await?,
            }
        }
        Ok(jobs)
    }

    /// Ends all leases: only for the one process that works on the database, before it claims.
    pub(crate) async fn forfeit(&self) -> Result<(), Error> {
        self.database.write(Statement::new(sql::FORFEIT)).await?;
        let latest = later(self.steady(), self.settings.backoff_cap);
        self.database.write(Statement::new(sql::SHORTEN_PAUSES).int(self.steady()).int(latest)).await.map(drop)
    }

    /// Jobs after `after` with something to sweep, in order of seq.
    pub(crate) async fn litter(&self, after: i64) -> Result<Vec<LitterRow>, Error> {
        all(&self.database.read(Statement::new(sql::LITTER).int(after).int(BATCH)).await?)
    }

    /// Notes that no attempt from `from` (exclusive) to `epoch` has left anything behind.
    pub(crate) async fn discarded(&self, id: &str, from: i64, epoch: i64) -> Result<(), Error> {
        self.database.write(Statement::new(sql::DISCARDED).text(id).int(epoch).int(from)).await.map(drop)
    }

    pub(crate) async fn remove(&self, id: &str) -> Result<(), Error> {
        self.database.write(Statement::new(sql::REMOVE).text(id)).await.map(drop)
    }

    pub(crate) async fn load(&self) -> Result<Vec<LoadRow>, Error> {
        all(&self.database.read(Statement::new(sql::LOAD)).await?)
    }

    /// The key of that name, made of random bytes if there is none yet.
    pub(crate) async fn key(&self, name: &str) -> Result<Vec<u8>, Error> {
        let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        self.database.write(Statement::new(sql::ADD_KEY).text(name).blob(random)).await?;
        let rows = self.database.read(Statement::new(sql::GET_KEY).text(name)).await?;
        let row = rows.first().ok_or_else(|| Error::Unavailable(format!("its key {name:?} is gone").into()))?;
        row.try_get("value").map_err(unavailable)
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.database.is_closed()
    }

    fn wall(&self) -> i64 {
        nanos(self.clock.wall())
    }

    fn steady(&self) -> i64 {
        nanos(self.clock.steady())
    }

    fn lease_end(&self) -> i64 {
        later(self.steady(), self.settings.lease)
    }

    fn expiry(&self) -> i64 {
        later(self.wall(), self.settings.retention)
    }
}

fn later(instant: i64, by: Duration) -> i64 {
    instant.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

fn json(progress: &Progress) -> String {
    serde_json::to_string(progress).expect("numbers and names are always JSON")
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(error.into())
}

fn typed<T: for<'r> FromRow<'r, Row>>(row: &Row) -> Result<T, Error> {
    T::from_row(row).map_err(unavailable)
}

fn all<T: for<'r> FromRow<'r, Row>>(rows: &[Row]) -> Result<Vec<T>, Error> {
    rows.iter().map(typed).collect()
}

fn first(rows: Vec<Row>) -> Result<Option<Job>, Error> {
    rows.first().map(|row| typed::<JobRow>(row)?.decode()).transpose()
}

fn readable(rows: Vec<Row>) -> Result<Vec<Job>, Error> {
    Ok(all(&rows)?.into_iter().filter_map(legible).collect())
}

/// The job of a row, unless it is damaged: then that is said, and the others are served.
fn legible(row: JobRow) -> Option<Job> {
    row.decode().inspect_err(|error| tracing::error!("{error}")).ok()
}
