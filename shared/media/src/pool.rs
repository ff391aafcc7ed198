//! The parent's side: a few children are kept warm, each takes one task, and none is trusted.

mod child;
mod fetch;
mod session;
mod spares;

use std::{fs::File, io, path::PathBuf, sync::Arc, time::Duration};

use self::{
    session::{Failure, Session},
    spares::Spares,
};
use crate::{Error, Outcome, Progress, Task, worker};

/// How often a task is handed to another child because the one that should have had it was dead before it began.
const MAX_REPLACEMENTS: u32 = 2;

/// How a [`Pool`] starts its children.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Absolute path of the program to start; its `main` begins with
    /// [`run_worker_if_requested`](crate::run_worker_if_requested). By default, the program that is running, even if
    /// its file has been replaced since.
    pub program: PathBuf,
    /// How many children wait for a task, over and above those that have one. With none, each task waits for its child
    /// to start.
    pub warm: usize,
    /// Where tasks keep what they read from afar, at most 128 MiB each, in files without a name.
    pub scratch: PathBuf,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), warm: 2, scratch: std::env::temp_dir() }
    }
}

/// What a task may use. Going over any of them ends its child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time in all.
    pub wall: Duration,
    /// Time in which neither phase, media time nor bytes written change, nor a source is opened or a part of a remote one
    /// comes for the first time.
    pub no_progress: Duration,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Size of the output.
    pub output_bytes: u64,
    /// Whether others come first on the processor; for work that takes long, such as encoding.
    pub background: bool,
}

/// Where the sources of a task lie.
pub trait Sources: Send + Sync {
    /// Opens the source of this name for reading. It must not take long: the task isn't watched meanwhile.
    ///
    /// # Errors
    /// Whatever kept it from being opened. The task may go on without that source.
    fn open(&self, name: &str) -> io::Result<Opened>;
}

/// A source, as it lies.
pub enum Opened {
    /// A file of this machine, which the child reads itself.
    Local(File),
    /// Something far away, which this process reads for the child, and no more of it than the child needs.
    Remote(Arc<dyn RangeReader>),
}

/// Reads a source that lies elsewhere. It is called from threads of the pool's own, from several at once, and may
/// block; a read must end by itself some time, also when nobody waits for it any more. What passes off by itself is for
/// the reader to try again.
pub trait RangeReader: Send + Sync {
    /// The length of the source in bytes; asked first. All later reads are of the version that it was asked of.
    ///
    /// # Errors
    /// `NotFound` if it isn't there.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on. It ends within the source.
    ///
    /// # Errors
    /// Whatever kept it from being read whole, another version taking its place included.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The caller's hold on a running task. Both are called from the thread that is in [`Pool::run`], some twenty times a
/// second.
pub trait Control: Sync {
    /// Whether the task should stop.
    fn cancelled(&self) -> bool;

    /// Takes note of how far the task is.
    fn progress(&self, progress: Progress);
}

/// Children that wait for tasks. Dropping it ends them.
pub struct Pool {
    spares: Spares,
    scratch: PathBuf,
}

impl Pool {
    /// Starts warming children up.
    ///
    /// # Errors
    /// `Error::Internal` if this process is itself a worker (`main` doesn't begin with `run_worker_if_requested`), or
    /// the system has no resources left.
    pub fn new(config: PoolConfig) -> Result<Self, Error> {
        if worker::is_requested() {
            return Err(Error::Internal(
                "a worker has no workers: main must begin with run_worker_if_requested".into(),
            ));
        }
        let scratch = config.scratch.clone();
        let spares =
            Spares::new(config).map_err(|error| Error::Internal(format!("no media process starts: {error}")))?;
        Ok(Self { spares, scratch })
    }

    /// Does `task` in a child process and waits for it. `output` is for tasks that write a file: empty, open for
    /// reading and writing. When this returns, the child is dead, whatever came of the task, and nobody else holds
    /// `output`.
    ///
    /// # Errors
    /// What the task itself says; `Error::Limit` if it went over one of `limits`; `Error::Cancelled`, within half a
    /// second of being asked to stop; `Error::Crashed` if the child died or made no sense.
    pub fn run(
        &self,
        task: &Task,
        sources: &dyn Sources,
        output: Option<&File>,
        limits: &Limits,
        control: &dyn Control,
    ) -> Result<Outcome, Error> {
        let mut replacements = 0;
        loop {
            if control.cancelled() {
                return Err(Error::Cancelled);
            }
            let child = self.spares.take().map_err(|error| Error::Io(format!("no media process starts: {error}")))?;
            match Session::new(child, task, sources, limits, control, &self.scratch).run(output) {
                Ok(outcome) => return Ok(outcome),
                Err(Failure::Task(error)) => return Err(named(error, task)),
                Err(Failure::Lost { begun: false, why }) if replacements < MAX_REPLACEMENTS => {
                    replacements += 1;
                    tracing::warn!(why, "a media process was dead before it began; another takes its task");
                }
                Err(Failure::Lost { why, .. }) => return Err(Error::Crashed(why)),
            }
        }
    }
}

/// An error about a source by the name that its caller gave it.
fn named(error: Error, task: &Task) -> Error {
    match error {
        Error::Damaged { source_index, problem, .. } => match task.input().sources.get(source_index as usize) {
            Some(name) => Error::Unusable(format!("{name}: {problem}")),
            None => Error::Unusable(problem),
        },
        other => other,
    }
}
