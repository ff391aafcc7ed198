//! Statements with typed arguments and results: those that make, keep and end an attempt.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Error, Failure, Job, Lane, Progress, State,
    row::JobRow,
    sql,
    statement::Statement,
    store::{BATCH, Store, all, first, json, later, typed},
};

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

impl Store {
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
        outcome: &Value,
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{NewJob, Settings, SystemClock, database::Database};

    fn requeue() -> Settlement {
        Settlement {
            state: State::Queued,
            pause: Duration::ZERO,
            attempts: 0,
            crashes: 0,
            losses: 1,
            failure: None,
            progress: None,
        }
    }

    /// A rescuer acts on what it has read. Whatever happened since must make it do nothing.
    #[tokio::test]
    async fn a_rescue_that_comes_too_late_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
        let database = Database::open(&url, false).await.unwrap();
        let store = Store::new(database, Arc::new(SystemClock::default()), Settings::default());
        let new = NewJob::new("export", "me", Lane::Copy, Value::Null);
        store.insert(&new, new.check().unwrap()).await.unwrap().expect("there is room");

        let first = store.claim(Lane::Copy, &["export"]).await.unwrap().expect("a job");
        assert!(store.lost().await.unwrap().is_empty(), "its lease has just begun");
        store.forfeit().await.unwrap();
        let seen = store.lost().await.unwrap().pop().expect("it looks lost");

        store.beat(first.id, first.epoch, None, Progress::default()).await.unwrap().expect("it lives");
        assert!(store.rescue(seen.id, seen.epoch, requeue()).await.unwrap().is_none(), "a sign of life");
        store.forfeit().await.unwrap();
        store.rescue(seen.id, seen.epoch, requeue()).await.unwrap().expect("now it is lost");
        let second = store.claim(Lane::Copy, &["export"]).await.unwrap().expect("another attempt");
        store.forfeit().await.unwrap();
        assert!(store.rescue(seen.id, seen.epoch, requeue()).await.unwrap().is_none(), "another attempt");
        store.publish(second.id, second.epoch, &Value::Null, Progress::default()).await.unwrap().expect("done");
        assert!(store.rescue(second.id, second.epoch, requeue()).await.unwrap().is_none(), "an end");
    }
}
