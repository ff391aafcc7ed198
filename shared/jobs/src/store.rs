//! Statements with typed arguments and results: those that services and sweeps need. Each method is one statement; what
//! they mean together is not known here.

use std::{sync::Arc, time::Duration};

use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::{
    Clock, Error, Job, NewJob, Progress, Settings,
    clock::nanos,
    database::{Database, Row},
    queue::Filter,
    row::{JobRow, LitterRow, LoadRow, PositionRow},
    sql,
    statement::Statement,
};

/// Rows that a sweep takes at once.
pub(crate) const BATCH: i64 = 100;

/// Ids that a poll asks for at once; SQLite takes 32,766 arguments, PostgreSQL 65,535.
const POLL_BATCH: usize = 500;

pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) worker: String,
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

    pub(crate) fn wall(&self) -> i64 {
        nanos(self.clock.wall())
    }

    pub(crate) fn steady(&self) -> i64 {
        nanos(self.clock.steady())
    }

    pub(crate) fn lease_end(&self) -> i64 {
        later(self.steady(), self.settings.lease)
    }

    pub(crate) fn expiry(&self) -> i64 {
        later(self.wall(), self.settings.retention)
    }
}

pub(crate) fn later(instant: i64, by: Duration) -> i64 {
    instant.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

pub(crate) fn json(progress: &Progress) -> String {
    serde_json::to_string(progress).expect("numbers and names are always JSON")
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(error.into())
}

pub(crate) fn typed<T: for<'r> FromRow<'r, Row>>(row: &Row) -> Result<T, Error> {
    T::from_row(row).map_err(unavailable)
}

pub(crate) fn all<T: for<'r> FromRow<'r, Row>>(rows: &[Row]) -> Result<Vec<T>, Error> {
    rows.iter().map(typed).collect()
}

pub(crate) fn first(rows: Vec<Row>) -> Result<Option<Job>, Error> {
    rows.first().map(|row| typed::<JobRow>(row)?.decode()).transpose()
}

fn readable(rows: Vec<Row>) -> Result<Vec<Job>, Error> {
    Ok(all(&rows)?.into_iter().filter_map(legible).collect())
}

/// The job of a row, unless it is damaged: then that is said, and the others are served.
fn legible(row: JobRow) -> Option<Job> {
    row.decode().inspect_err(|error| tracing::error!("{error}")).ok()
}
