//! The one place that knows which database it is: SQLite, with one connection that writes and a few that read.
//!
//! Writes go through a task that owns the writing connection, and each is one statement. The task takes all that have
//! gathered while it was busy into one transaction: many callers share one sync of the disk, and a reply is given only
//! after it. A caller that goes away can't cancel anything halfway (with sqlx 0.9.0 that can poison a session and lose
//! acknowledged writes of others): it merely isn't there for the answer.
//!
//! PostgreSQL fits below the same two functions: `write` and `read` run a statement in a spawned task, [`ROW_LOCK`] becomes
//! `FOR UPDATE SKIP LOCKED`, with an advisory lock around claims and inserts (or the limits of owners race), and leases
//! are measured with its clock, which all replicas share.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Error, statement::Statement};

/// A row, as the database gives it.
pub(crate) type Row = SqliteRow;

/// What the inner SELECT of a claim ends with, so that two claims never meet. SQLite writes one at a time anyway.
pub(crate) const ROW_LOCK: &str = "";

/// Writes that share a transaction at most, and writes that wait for theirs; more are refused at once.
const MAX_BATCH: usize = 128;
const MAX_WAITING: usize = 1_024;

/// How long a connection waits for a lock of another process, and a query for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

/// A database that is open.
pub(crate) struct Database {
    writes: mpsc::Sender<Write>,
    reads: SqlitePool,
    closing: CancellationToken,
    closed: CancellationToken,
}

struct Write {
    statement: Statement,
    reply: oneshot::Sender<Result<Vec<Row>, Error>>,
}

impl Database {
    /// Opens `sqlite://path`, creates it if it isn't there, and brings its tables up to date.
    pub(crate) async fn open(url: &str, replicas: bool) -> Result<Self, Error> {
        let failed = |source: errors::BoxError| Error::Open { url: without_credentials(url), source };
        if !url.starts_with("sqlite://") {
            return Err(failed("only sqlite://path is known".into()));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|e| failed(e.into()))?;
        let path = options.get_filename().to_owned();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
        }
        let lock = lock(&path, replicas)?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL may lose an acknowledged job when the power goes.
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864")
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(|e| failed(e.into()))?;
        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.map_err(|e| failed(e.into()))?;
        if journal != "wal" {
            return Err(failed(format!("its journal is {journal:?}: the queue needs a file on a local disk").into()));
        }
        migrate(&mut connection).await.map_err(|e| failed(e.into()))?;

        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_lazy_with(options.clone().read_only(true));
        let (writes, waiting) = mpsc::channel(MAX_WAITING);
        let (closing, closed) = (CancellationToken::new(), CancellationToken::new());
        let writer =
            Writer { options, connection: Some(connection), _lock: lock, _closed: closed.clone().drop_guard() };
        tokio::spawn(writer.run(waiting, closing.clone()));
        Ok(Self { writes, reads, closing, closed })
    }

    /// Runs a statement that changes rows. `Error::Unavailable` says that it may or may not have happened.
    pub(crate) async fn write(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let (reply, answer) = oneshot::channel();
        self.writes.try_send(Write { statement, reply }).map_err(|refused| {
            Error::Unavailable(match refused {
                mpsc::error::TrySendError::Full(_) => format!("{MAX_WAITING} writes wait already").into(),
                mpsc::error::TrySendError::Closed(_) => "it is closed".into(),
            })
        })?;
        answer.await.map_err(|_| Error::Unavailable("the writer has stopped".into()))?
    }

    /// Runs a statement that changes nothing.
    pub(crate) async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let pool = self.reads.clone();
        let task = tokio::spawn(async move { statement.query().fetch_all(&pool).await });
        task.await.map_err(|e| Error::Unavailable(e.into()))?.map_err(|e| Error::Unavailable(e.into()))
    }

    /// Finishes the writes that wait, refuses more, and gives up the lock.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.reads.close().await;
        self.closed.cancelled().await;
    }

    /// Whether it takes no more writes.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }
}

/// The address as it may be shown: what stands before the host of a network database is nobody's business.
fn without_credentials(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://…@{host}"),
        None => url.to_owned(),
    }
}

/// Locks a file beside the database, not the database: closing that one a second time would drop SQLite's own locks.
fn lock(path: &Path, shared: bool) -> Result<File, Error> {
    let mut name = OsString::from(path);
    name.push("-lock");
    let name = PathBuf::from(name);
    let failed = |e: std::io::Error| Error::Open { url: name.display().to_string(), source: e.into() };
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(failed)?;
    match if shared { file.try_lock_shared() } else { file.try_lock() } {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned(), lock: name }),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::migrate::MigrateError> {
    let mut migrator = sqlx::migrate!("./migrations/sqlite");
    // Other crates keep tables in the same database, with migrations of their own.
    migrator.dangerous_set_table_name("job_migrations");
    // A newer version may have been here, and migrations only add.
    migrator.set_ignore_missing(true);
    migrator.run(connection).await
}

/// The task that owns the writing connection.
struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    _lock: File,
    _closed: tokio_util::sync::DropGuard,
}

/// What went wrong with a transaction.
enum Fault {
    /// One of its statements: nothing of it happened.
    Statement(sqlx::Error),
    /// Its begin or its commit: it may have happened as a whole.
    Transaction(sqlx::Error),
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Write>, closing: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled(), if !waiting.is_closed() => waiting.close(),
                taken = waiting.recv_many(&mut batch, MAX_BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    self.serve(std::mem::take(&mut batch)).await;
                }
            }
        }
        if let Some(connection) = self.connection.take() {
            // Nothing is lost if this fails: every reply was given after a commit.
            let _ = connection.close().await;
        }
    }

    async fn serve(&mut self, batch: Vec<Write>) {
        match self.transact(&batch).await {
            Ok(results) => {
                for (write, rows) in batch.into_iter().zip(results) {
                    // An error means that the caller has gone away.
                    let _ = write.reply.send(Ok(rows));
                }
            }
            // One bad statement must not fail the others'.
            Err(Fault::Statement(_)) if batch.len() > 1 => {
                for write in batch {
                    Box::pin(self.serve(vec![write])).await;
                }
            }
            Err(Fault::Statement(error) | Fault::Transaction(error)) => {
                let error = Arc::new(error);
                for write in batch {
                    let _ = write.reply.send(Err(Error::Unavailable(error.clone().into())));
                }
            }
        }
    }

    async fn transact(&mut self, batch: &[Write]) -> Result<Vec<Vec<Row>>, Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(Fault::Transaction)?,
        };
        let connection = self.connection.insert(connection);
        let results = apply(connection, batch).await;
        if results.is_err() {
            // Closing rolls back. After a sync that failed, a connection isn't to be trusted at all.
            if let Some(connection) = self.connection.take() {
                let _ = connection.close_hard().await;
            }
        }
        results
    }
}

async fn apply(connection: &mut SqliteConnection, batch: &[Write]) -> Result<Vec<Vec<Row>>, Fault> {
    if let [write] = batch {
        return match write.statement.query().fetch_all(connection).await {
            Ok(rows) => Ok(vec![rows]),
            Err(error) => Err(Fault::Transaction(error)),
        };
    }
    // IMMEDIATE: a transaction that reads first and writes later fails at once, whatever the timeout.
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(Fault::Transaction)?;
    let mut results = Vec::with_capacity(batch.len());
    for write in batch {
        results.push(write.statement.query().fetch_all(&mut *connection).await.map_err(Fault::Statement)?);
    }
    sqlx::raw_sql("COMMIT").execute(connection).await.map_err(Fault::Transaction)?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn one_bad_statement_does_not_fail_those_that_share_its_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
        let database = Database::open(&url, false).await.unwrap();
        let add = |name: &str| {
            Statement::new("INSERT INTO job_keys (name, value) VALUES ($1, $2)").text(name).blob(name.as_bytes())
        };
        // The one in the middle comes twice. All are waiting before the writer gets to run.
        let names = ["a", "b", "c", "b", "d"];
        let results = join_all(names.map(|name| database.write(add(name)))).await;
        let written: Vec<_> = results.iter().map(Result::is_ok).collect();
        assert_eq!(written, [true, true, true, false, true]);
        let rows = database.read(Statement::new("SELECT name FROM job_keys ORDER BY name")).await.unwrap();
        assert_eq!(rows.len(), 4);
        database.close().await;
        assert!(database.write(add("e")).await.is_err() && database.is_closed());
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("postgres://me:s3cr@t@host/db"), "postgres://…@host/db");
        assert_eq!(without_credentials("sqlite:///data/jobs.db"), "sqlite:///data/jobs.db");
    }
}
