//! A row of the table, and the job in it.

use std::{fmt, sync::Arc};

use sqlx::FromRow;
use uuid::Uuid;

use crate::{Error, Failure, Job, Lane, State, clock::time};

/// How far apart stored revisions are. Those between are for what is shown and not stored: progress, ten times a second,
/// and places in the line. They are counted in the process that shows them, so whatever any process stores next, and the
/// state after a restart, is beyond all that a watcher has seen.
pub(crate) const LIVE_REVISIONS: i64 = 1_000_000;

/// A row of the table. It is generic over the database: the columns are integers and text on all.
#[derive(Debug, FromRow)]
pub(crate) struct JobRow {
    pub(crate) seq: i64,
    pub(crate) id: String,
    kind: String,
    owner: String,
    lane: String,
    priority: i64,
    request_id: Option<String>,
    pub(crate) request: String,
    label: Option<String>,
    state: String,
    revision: i64,
    pub(crate) epoch: i64,
    attempts: i64,
    crashes: i64,
    losses: i64,
    max_attempts: i64,
    cancel_requested: i64,
    progress: String,
    failure_reason: Option<String>,
    failure_message: Option<String>,
    outcome: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    expires_at: Option<i64>,
    queue_position: i64,
}

impl JobRow {
    pub(crate) fn decode(self) -> Result<Job, Error> {
        let corrupt = |problem: String| Error::Corrupt { id: self.id.clone(), problem };
        let json = |column: &str, text: &str| serde_json::from_str(text).map_err(|e| corrupt(format!("{column}: {e}")));
        let count = |value: i64| u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX });

        let state = State::from_name(&self.state).ok_or_else(|| corrupt(unknown("state", &self.state)))?;
        let failed =
            self.failure_reason.map(|reason| Failure { reason, message: self.failure_message.unwrap_or_default() });
        let (failure, last_failure) = match state {
            State::Failed => (failed, None),
            State::Queued | State::Running => (None, failed),
            State::Succeeded | State::Cancelled => (None, None),
        };
        Ok(Job {
            id: Uuid::parse_str(&self.id).map_err(|e| corrupt(unknown("id", e)))?,
            lane: Lane::from_name(&self.lane).ok_or_else(|| corrupt(unknown("lane", &self.lane)))?,
            priority: i32::try_from(self.priority).map_err(|e| corrupt(unknown("priority", e)))?,
            request: Arc::new(json("request", &self.request)?),
            progress: serde_json::from_str(&self.progress).map_err(|e| corrupt(format!("progress: {e}")))?,
            outcome: self.outcome.as_deref().map(|text| json("outcome", text)).transpose()?,
            kind: self.kind,
            owner: self.owner,
            request_id: self.request_id,
            label: self.label,
            state,
            revision: self.revision.saturating_mul(LIVE_REVISIONS),
            epoch: self.epoch,
            attempts: count(self.attempts),
            crashes: count(self.crashes),
            losses: count(self.losses),
            max_attempts: count(self.max_attempts),
            cancel_requested: self.cancel_requested != 0,
            failure,
            last_failure,
            created: time(self.created_at),
            started: self.started_at.map(time),
            ended: self.ended_at.map(time),
            expires: self.expires_at.map(time),
            queue_position: count(self.queue_position),
        })
    }
}

fn unknown(column: &str, value: impl fmt::Display) -> String {
    format!("{column}: {value} is not known")
}

/// A job that has left, or been left with, objects that nobody will ask for.
#[derive(Debug, FromRow)]
pub(crate) struct LitterRow {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) epoch: i64,
    pub(crate) discarded: i64,
    pub(crate) erased: i64,
}

/// How many jobs a lane of a kind has.
#[derive(Debug, FromRow)]
pub(crate) struct LoadRow {
    pub(crate) kind: String,
    pub(crate) lane: String,
    pub(crate) state: String,
    pub(crate) jobs: i64,
    pub(crate) oldest: i64,
}

/// Where a queued job stands.
#[derive(Debug, FromRow)]
pub(crate) struct PositionRow {
    pub(crate) id: String,
    pub(crate) queue_position: i64,
}
