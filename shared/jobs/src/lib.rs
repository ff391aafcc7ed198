//! Work that outlives its request: a queue in SQL, with states, progress, retries and cancellation. What a job does is
//! not known here; a [`Runner`] does it, and what it made counts once the queue has let it publish.
//!
//! An attempt holds a lease, renews it with a heartbeat, and has a number (its epoch) that every write of it carries. A
//! worker that dies, or freezes and wakes up late, has lost its lease to the next attempt, and nothing it says changes
//! anything. So a job may run twice, but has one outcome.
//!
//! ```text
//! queue.rs      submit, get, list, cancel, delete
//! watch.rs      watch, wait             hub.rs    the newest known state of what is watched
//! worker.rs     claims                  lanes.rs  places of each lane, attempts that take them
//! drive.rs      one attempt, from claim to end
//! attempt.rs    one attempt, as its runner sees it
//! sweep.rs      rescue, expiry, objects left behind
//! store.rs      statements, typed; lease.rs those of attempts
//! sql.rs        their text: all SQL is there, and in migrations/
//! database.rs   SQLite: one writer, group commit, a few readers
//! ```

mod attempt;
mod clock;
mod database;
mod drive;
mod error;
mod hub;
mod job;
mod lanes;
mod lease;
mod page;
mod progress;
mod queue;
mod row;
mod settings;
mod sql;
mod statement;
mod store;
mod sweep;
mod watch;
mod worker;

pub use attempt::{Attempt, AttemptError, Class, Objects, Runner};
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use job::{Failure, Job, Lane, NewJob, State};
pub use progress::{Phase, Progress, Report};
pub use queue::{Filter, Load, Page, Queue, Submitted};
pub use settings::Settings;
pub use worker::Workers;
