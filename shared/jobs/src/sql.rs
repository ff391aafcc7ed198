//! Every statement, in the words that SQLite and PostgreSQL share: `$1`, RETURNING, ON CONFLICT, integers and text.
//!
//! Each is complete in itself and guarded by what it expects to find. A worker's writes carry the epoch of its attempt,
//! so that one that lost its lease changes nothing, however late it wakes; the rescuer's carry the epoch that it saw.

use crate::{database::ROW_LOCK, queue::Filter};

/// The columns of a `JobRow`, by name: a column that a newer version adds must not break this one.
macro_rules! columns {
    () => {
        "seq, id, kind, owner, lane, priority, request_id, request, label, state, revision, epoch, attempts, crashes, \
         losses, max_attempts, cancel_requested, progress, failure_reason, failure_message, outcome, created_at, \
         started_at, ended_at, expires_at"
    };
}

/// What a write answers. Where a queued job stands is only worked out when it is read.
macro_rules! returning {
    () => {
        concat!(" RETURNING ", columns!(), ", 0 AS queue_position")
    };
}

/// A job as it is read.
macro_rules! select_job {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", CASE WHEN state = 'QUEUED' THEN (
                SELECT count(*) FROM jobs AS q WHERE q.state = 'QUEUED' AND q.lane = jobs.lane AND (
                    q.priority > jobs.priority OR q.priority = jobs.priority AND (
                        q.turn < jobs.turn OR q.turn = jobs.turn AND q.seq < jobs.seq))
            ) ELSE 0 END AS queue_position FROM jobs "
        )
    };
}

/// Owners take turns: an owner's jobs get the numbers from the lowest that waits for its first start upward, so that
/// however many one has queued, another's first job comes next.
///
/// 1 id, 2 kind, 3 owner, 4 lane, 5 priority, 6 request id, 7 request, 8 label, 9 max attempts, 10 wall time, 11 steady
/// time, 12 progress, 13 limit of all owners, 14 limit of one. No row: a limit is reached, or the request id is taken.
pub(crate) const INSERT: &str = concat!(
    "INSERT INTO jobs (id, kind, owner, lane, priority, request_id, request, label, max_attempts, created_at, run_at,
        progress, state, revision, turn)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'QUEUED', 1, (
        SELECT coalesce(max(turn), 1) FROM (
            SELECT (SELECT turn FROM jobs WHERE state = 'QUEUED' AND lane = $4 AND priority = $5 AND attempts = 0
                ORDER BY turn LIMIT 1) AS turn
            UNION ALL
            SELECT (SELECT turn + 1 FROM jobs WHERE state = 'QUEUED' AND owner = $3 AND lane = $4 AND priority = $5
                ORDER BY turn DESC LIMIT 1)
        ) AS turns)
    WHERE (SELECT count(*) FROM jobs WHERE state = 'QUEUED') < $13
        AND (SELECT count(*) FROM jobs WHERE state = 'QUEUED' AND owner = $3) < $14
    ON CONFLICT (kind, owner, request_id) DO NOTHING",
    returning!()
);

/// 1 kind, 2 owner, 3 id.
pub(crate) const GET: &str = concat!(select_job!(), "WHERE kind = $1 AND owner = $2 AND id = $3 AND erased = 0");

/// 1 id. For the queue's own use.
pub(crate) const GET_ANY: &str = concat!(select_job!(), "WHERE id = $1 AND erased = 0");

/// 1 kind, 2 owner, 3 request id.
pub(crate) const FIND_REQUEST: &str = concat!(select_job!(), "WHERE kind = $1 AND owner = $2 AND request_id = $3");

/// 1 owner. How many it has queued.
pub(crate) const COUNT_QUEUED: &str = "SELECT count(*) AS jobs FROM jobs WHERE state = 'QUEUED' AND owner = $1";

/// 1 kind, 2 owner, 3 below this seq, 4 how many, then the filter's.
pub(crate) fn list(filter: &Filter) -> String {
    let mut sql = concat!(select_job!(), "WHERE kind = $1 AND owner = $2 AND erased = 0 AND seq < $3").to_owned();
    let mut next = 5;
    for (wanted, column) in [(filter.state.is_some(), "state"), (filter.label.is_some(), "label")] {
        if wanted {
            sql.push_str(&format!(" AND {column} = ${next}"));
            next += 1;
        }
    }
    sql.push_str(" ORDER BY seq DESC LIMIT $4");
    sql
}

/// 1 to n: ids.
pub(crate) fn get_many(count: usize) -> String {
    format!(concat!(select_job!(), "WHERE erased = 0 AND id IN ({})"), placeholders(1, count))
}

/// Where each queued job stands.
pub(crate) const POSITIONS: &str = "SELECT id,
        row_number() OVER (PARTITION BY lane ORDER BY priority DESC, turn, seq) - 1 AS queue_position
    FROM jobs WHERE state = 'QUEUED'";

/// 1 lane, 2 steady time, 3 limit of one owner, 4 lease end, 5 wall time, 6 worker, 7 progress, 8…: kinds.
pub(crate) fn claim(kinds: usize) -> String {
    format!(
        concat!(
            "UPDATE jobs SET state = 'RUNNING', epoch = epoch + 1, attempts = attempts + 1, revision = revision + 1,
                lease_until = $4, started_at = $5, worker = $6, progress = $7
            WHERE seq = (
                SELECT seq FROM jobs WHERE state = 'QUEUED' AND lane = $1 AND run_at <= $2 AND kind IN ({})
                    AND owner NOT IN (
                        SELECT owner FROM jobs WHERE state = 'RUNNING' GROUP BY owner HAVING count(*) >= $3)
                ORDER BY priority DESC, turn, seq LIMIT 1 {})",
            returning!()
        ),
        placeholders(8, kinds),
        ROW_LOCK
    )
}

/// 1 id, 2 epoch, 3 lease end, 4 progress, 5 whether that is news. No row: the lease is lost.
pub(crate) const BEAT: &str = concat!(
    "UPDATE jobs SET lease_until = $3, progress = $4, revision = revision + $5
    WHERE id = $1 AND epoch = $2 AND state = 'RUNNING'",
    returning!()
);

/// 1 id, 2 epoch, 3 outcome, 4 progress, 5 wall time, 6 expiry. No row: refused.
pub(crate) const PUBLISH: &str = concat!(
    "UPDATE jobs SET state = 'SUCCEEDED', outcome = $3, progress = $4, ended_at = $5, expires_at = $6, worker = NULL,
        failure_reason = NULL, failure_message = NULL, revision = revision + 1,
        discarded = CASE WHEN discarded = epoch - 1 THEN epoch ELSE discarded END
    WHERE id = $1 AND epoch = $2 AND state = 'RUNNING' AND cancel_requested = 0",
    returning!()
);

/// The end of an attempt without a result; a requested cancellation comes before whatever else it would lead to.
///
/// 1 id, 2 epoch, 3 state, 4 wall time, 5 expiry, 6 not before, 7 attempts, 8 crashes, 9 losses to add, 10 reason,
/// 11 message, 12 progress, 13 only if the lease ended before this. No row: it is no longer this attempt's to end.
pub(crate) const SETTLE: &str = concat!(
    "UPDATE jobs SET state = CASE WHEN cancel_requested = 1 THEN 'CANCELLED' ELSE $3 END,
        ended_at = CASE WHEN cancel_requested = 1 OR $3 <> 'QUEUED' THEN $4 END,
        expires_at = CASE WHEN cancel_requested = 1 OR $3 <> 'QUEUED' THEN $5 END,
        run_at = $6, attempts = attempts + $7, crashes = crashes + $8, losses = losses + $9,
        failure_reason = coalesce($10, failure_reason), failure_message = coalesce($11, failure_message),
        progress = coalesce($12, progress), worker = NULL, revision = revision + 1
    WHERE id = $1 AND epoch = $2 AND state = 'RUNNING' AND lease_until < $13",
    returning!()
);

/// 1 kind, 2 owner, 3 id, 4 wall time, 5 expiry. A running job is left to its worker. No row: nothing to cancel.
pub(crate) const CANCEL: &str = concat!(
    "UPDATE jobs SET cancel_requested = 1, revision = revision + 1,
        ended_at = CASE WHEN state = 'QUEUED' THEN $4 ELSE ended_at END,
        expires_at = CASE WHEN state = 'QUEUED' THEN $5 ELSE expires_at END,
        state = CASE WHEN state = 'QUEUED' THEN 'CANCELLED' ELSE state END
    WHERE kind = $1 AND owner = $2 AND id = $3 AND erased = 0 AND cancel_requested = 0
        AND state IN ('QUEUED', 'RUNNING')",
    returning!()
);

/// 1 kind, 2 owner, 3 id, 4 wall time. The job is gone for its owner, and its request id is free.
pub(crate) const ERASE: &str = concat!(
    "UPDATE jobs SET erased = 1, request_id = NULL, revision = revision + 1,
        cancel_requested = CASE WHEN state IN ('QUEUED', 'RUNNING') THEN 1 ELSE cancel_requested END,
        ended_at = CASE WHEN state = 'QUEUED' THEN $4 ELSE ended_at END,
        state = CASE WHEN state = 'QUEUED' THEN 'CANCELLED' ELSE state END
    WHERE kind = $1 AND owner = $2 AND id = $3 AND erased = 0",
    returning!()
);

/// 1 wall time, 2 how many at most.
pub(crate) const EXPIRE: &str = concat!(
    "UPDATE jobs SET erased = 1, request_id = NULL, revision = revision + 1
    WHERE seq IN (SELECT seq FROM jobs WHERE expires_at <= $1 AND erased = 0 ORDER BY expires_at LIMIT $2)",
    returning!()
);

/// 1 steady time, 2 how many at most. Attempts whose lease has ended.
pub(crate) const LOST: &str = concat!(
    "SELECT ",
    columns!(),
    ", 0 AS queue_position FROM jobs WHERE state = 'RUNNING' AND lease_until < $1 ORDER BY lease_until LIMIT $2"
);

/// No process but this one can have a lease: all of them have ended.
pub(crate) const FORFEIT: &str = "UPDATE jobs SET lease_until = 0 WHERE state = 'RUNNING'";

/// 1 steady time, 2 the latest that a pause may end. A clock that was set back must not make a pause longer.
pub(crate) const SHORTEN_PAUSES: &str = "UPDATE jobs SET run_at = $1 WHERE state = 'QUEUED' AND run_at > $2";

/// Jobs that are gone for their owners and run no more, and attempts that were lost, failed or put back: all but the one
/// that runs or has published. 1 after this seq, 2 how many.
pub(crate) const LITTER: &str = "SELECT seq, id, kind, state, epoch, discarded, erased FROM jobs
        WHERE erased = 1 AND state IN ('SUCCEEDED', 'FAILED', 'CANCELLED') AND seq > $1
    UNION ALL
    SELECT seq, id, kind, state, epoch, discarded, erased FROM jobs
        WHERE discarded < epoch AND (discarded < epoch - 1 OR state NOT IN ('RUNNING', 'SUCCEEDED'))
            AND erased = 0 AND seq > $1
    ORDER BY seq LIMIT $2";

/// Attempts after `$3` up to `$2` have left nothing behind; the one that published, if it is the next, never will.
///
/// 1 id, 2 epoch, 3 from which.
pub(crate) const DISCARDED: &str = "UPDATE jobs
    SET discarded = CASE WHEN state = 'SUCCEEDED' AND epoch = $2 + 1 THEN epoch ELSE $2 END
    WHERE id = $1 AND discarded >= $3 AND discarded < $2";

/// 1 id.
pub(crate) const REMOVE: &str = "DELETE FROM jobs WHERE id = $1 AND erased = 1";

/// What is to do and being done.
pub(crate) const LOAD: &str = "SELECT kind, lane, state, count(*) AS jobs, min(created_at) AS oldest FROM jobs
        WHERE state = 'QUEUED' GROUP BY kind, lane, state
    UNION ALL
    SELECT kind, lane, state, count(*) AS jobs, min(created_at) AS oldest FROM jobs
        WHERE state = 'RUNNING' GROUP BY kind, lane, state";

/// 1 name, 2 value.
pub(crate) const ADD_KEY: &str = "INSERT INTO job_keys (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

/// 1 name.
pub(crate) const GET_KEY: &str = "SELECT value FROM job_keys WHERE name = $1";

/// `$first, …`, `count` of them.
fn placeholders(first: usize, count: usize) -> String {
    let list: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::*;
    use crate::State;

    /// The steps that SQLite takes for a statement.
    async fn plan(sql: &str) -> Vec<String> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::migrate!("./migrations/sqlite").run(&mut connection).await.unwrap();
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps = sqlx::query(explained).fetch_all(&mut connection).await.unwrap();
        steps.iter().map(|step| step.get("detail")).collect()
    }

    /// However much is done and queued, nothing that is asked often looks at all rows, or sorts them.
    #[tokio::test]
    async fn frequent_statements_find_their_rows_by_index() {
        let filters = [
            Filter::default(),
            Filter { state: Some(State::Failed), label: None },
            Filter { state: None, label: Some("asset".into()) },
            Filter { state: Some(State::Queued), label: Some("asset".into()) },
        ];
        let mut statements = vec![claim(5), get_many(3)];
        statements.extend(filters.iter().map(list));
        statements.extend(
            [
                INSERT,
                GET,
                GET_ANY,
                FIND_REQUEST,
                COUNT_QUEUED,
                BEAT,
                PUBLISH,
                SETTLE,
                CANCEL,
                ERASE,
                EXPIRE,
                LOST,
                LITTER,
            ]
            .map(str::to_owned),
        );
        for sql in statements {
            for step in plan(&sql).await {
                let whole_table = step.starts_with("SCAN jobs") && !step.contains("INDEX");
                let sorted = step.contains("TEMP B-TREE FOR ORDER BY") && !sql.contains("ORDER BY lease_until");
                assert!(!whole_table && !sorted, "{step}: {sql}");
            }
        }
    }

    #[tokio::test]
    async fn a_claim_takes_the_first_of_the_index() {
        let steps = plan(&claim(2)).await;
        assert!(steps.iter().any(|step| step.contains("USING INDEX jobs_queued (lane=?)")), "{steps:?}");
    }
}
