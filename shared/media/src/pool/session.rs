//! One task on one child: what the child asks for, says and uses, held against what it may.

mod sources;

use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::ExitStatus,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use rustix::{event::PollFlags, process::Signal};

use super::{
    Control, Limits, Sources,
    child::{Child, START_PATIENCE},
    fetch::Fetcher,
};
use crate::{
    Error, Outcome, Progress, Task,
    wire::{Fault, FromChild, Order, ToChild},
};

/// How often the caller is asked and the child looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a child may take to stop when asked to.
const CANCEL_PATIENCE: Duration = Duration::from_millis(300);
/// Progress messages between two ticks: a child sends one in two ticks, and one more for each phase.
const MAX_PROGRESS_PER_TICK: u32 = 64;
/// Threads of a child. Decoders and encoders start a few for each processor.
const MAX_THREADS: u64 = 1024;
/// Address space for each byte of memory allowed, and on top of that: reserved is not used.
const ADDRESS_SPACE_FACTOR: u64 = 2;
const ADDRESS_SPACE_RESERVE: u64 = 512 << 20;
/// Asked once: the answer is in a handful of files.
static PROCESSORS: LazyLock<u64> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, |count| count.get() as u64));

/// Why a session has no outcome.
pub(super) enum Failure {
    /// That is the answer.
    Task(Error),
    /// The child died or made no sense. Before it has begun, no source can have had a part in it.
    Lost { begun: bool, why: String },
}

/// What ends a session before its outcome.
enum End {
    Task(Error),
    Channel(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Channel(fault)
    }
}

pub(super) struct Session<'a> {
    child: Child,
    task: &'a Task,
    sources: &'a dyn Sources,
    limits: &'a Limits,
    control: &'a dyn Control,
    started: Instant,
    next_tick: Instant,
    cancelled: Option<Instant>,
    /// Whether it has said anything about the task.
    begun: bool,
    opened: HashSet<u32>,
    /// Reads sources that lie elsewhere, once there is one.
    fetcher: Option<Fetcher>,
    /// Where its scratch file is.
    scratch: &'a Path,
    progress: Progress,
    /// When the work last moved.
    moved: Instant,
    /// Whether the caller doesn't know of `progress` yet.
    unreported: bool,
    progress_in_tick: u32,
    resident_bytes: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        child: Child,
        task: &'a Task,
        sources: &'a dyn Sources,
        limits: &'a Limits,
        control: &'a dyn Control,
        scratch: &'a Path,
    ) -> Self {
        let now = Instant::now();
        Self {
            child,
            task,
            sources,
            limits,
            control,
            started: now,
            next_tick: now + TICK,
            cancelled: None,
            begun: false,
            opened: HashSet::new(),
            fetcher: None,
            scratch,
            progress: Progress::default(),
            moved: now,
            unreported: false,
            progress_in_tick: 0,
            resident_bytes: 0,
        }
    }

    /// Sees the task through. The child is dead when this returns.
    pub(super) fn run(mut self, output: Option<&File>) -> Result<Outcome, Failure> {
        let end = self.send_task(output).and_then(|()| self.converse());
        if self.unreported {
            self.control.progress(self.progress);
        }
        match end {
            _ if self.cancelled.is_some() => Err(Failure::Task(Error::Cancelled)),
            Ok(Err(error @ Error::Internal(_))) => {
                // Perhaps a panic, and then it has told where.
                let (status, pid, log) = (self.child.kill(), self.child.pid(), self.child.last_words());
                tracing::error!(%pid, ?status, %error, log, "a media process met a fault of ours");
                Err(Failure::Task(error))
            }
            Ok(answer) => answer.map_err(Failure::Task),
            Err(End::Task(error)) => Err(Failure::Task(error)),
            Err(End::Channel(fault)) => Err(self.explain(fault)),
        }
    }

    fn send_task(&mut self, output: Option<&File>) -> Result<(), End> {
        let limits = self.limits;
        let memory = limits.memory_bytes.saturating_mul(ADDRESS_SPACE_FACTOR).saturating_add(ADDRESS_SPACE_RESERVE);
        let order = Order {
            task: Cow::Borrowed(self.task),
            has_output: output.is_some(),
            address_space_bytes: memory,
            output_bytes: limits.output_bytes,
            cpu_seconds: limits.wall.as_secs().saturating_add(1).saturating_mul(*PROCESSORS),
            background: limits.background,
        };
        let output = output.map(File::try_clone).transpose();
        let output = output.map_err(|error| End::Task(Error::Io(format!("the output: {error}"))))?;
        self.child
            .channel
            .queue(&ToChild::Task(order), output)
            .map_err(|fault| End::Task(Error::Limit(format!("the task: {fault}"))))
    }

    /// Listens and answers until the child is done, and watches it meanwhile.
    fn converse(&mut self) -> Result<Result<Outcome, Error>, End> {
        loop {
            let now = Instant::now();
            if now >= self.next_tick {
                self.tick(now)?;
                self.next_tick = now + TICK;
            }
            self.deliver()?;
            self.child.channel.flush()?;
            match self.child.channel.receive()? {
                Some((FromChild::Done(answer), _)) => return self.accept(answer),
                Some((message, _)) => self.hear(message)?,
                None => {
                    let mut events = PollFlags::IN;
                    events.set(PollFlags::OUT, self.child.channel.is_backed_up());
                    let bell = self.fetcher.as_ref().map(Fetcher::bell);
                    self.child.channel.wait_or(events, bell, Some(self.next_tick.saturating_duration_since(now)))?;
                }
            }
        }
    }

    fn hear(&mut self, message: FromChild) -> Result<(), End> {
        match message {
            FromChild::Ready(sandbox) => {
                self.child.greet(&sandbox)?;
                self.moved = Instant::now();
                return Ok(());
            }
            _ if !self.child.ready => return Err(protocol("it spoke before it was ready")),
            FromChild::Open { source } => self.open(source)?,
            FromChild::Fetch(run) => self.fetch(run)?,
            FromChild::Progress(progress) => self.note(progress)?,
            FromChild::Done(_) => return Err(protocol("it was done twice")),
        }
        self.begun = true;
        Ok(())
    }

    fn note(&mut self, progress: Progress) -> Result<(), End> {
        self.progress_in_tick += 1;
        if self.progress_in_tick > MAX_PROGRESS_PER_TICK {
            return Err(protocol("it floods its parent with progress"));
        }
        let mark = |progress: &Progress| (progress.phase, progress.media_done, progress.written_bytes);
        if mark(&progress) != mark(&self.progress) {
            self.moved = Instant::now();
        }
        self.progress = progress;
        self.unreported = true;
        Ok(())
    }

    fn accept(&mut self, answer: Result<Outcome, Error>) -> Result<Result<Outcome, Error>, End> {
        if !self.child.ready {
            return Err(protocol("it was done before it was ready"));
        }
        match (&answer, self.task) {
            (Ok(Outcome::Probe(_)), Task::Probe(_))
            | (Ok(Outcome::Thumbnail(_)), Task::Thumbnail(_))
            | (Ok(Outcome::Clip(_)), Task::Plan(_) | Task::Clip(_))
            | (Err(_), _) => Ok(answer),
            (Ok(_), _) => Err(protocol("its outcome is of another kind than its task")),
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), End> {
        self.progress_in_tick = 0;
        if std::mem::take(&mut self.unreported) {
            self.control.progress(self.progress);
        }
        match self.cancelled {
            Some(at) if now.duration_since(at) >= CANCEL_PATIENCE => return Err(End::Task(Error::Cancelled)),
            None if self.control.cancelled() => {
                self.cancelled = Some(now);
                self.child.channel.queue(&ToChild::Cancel, None)?;
            }
            _ => {}
        }
        if self.child.is_overdue() {
            return Err(protocol(format!("it was not ready after {START_PATIENCE:?}")));
        }
        self.check_limits(now)
    }

    fn check_limits(&mut self, now: Instant) -> Result<(), End> {
        let Limits { wall, no_progress, memory_bytes, .. } = *self.limits;
        if now.duration_since(self.started) > wall {
            return Err(limit(format!("it took longer than {wall:?}")));
        }
        if now.duration_since(self.moved) > no_progress {
            return Err(limit(format!("it got nowhere for {no_progress:?}")));
        }
        let Some(usage) = self.child.usage() else { return Ok(()) };
        self.resident_bytes = usage.resident_bytes;
        if usage.resident_bytes > memory_bytes {
            return Err(limit(format!(
                "it took {} bytes of memory, and {memory_bytes} are allowed",
                usage.resident_bytes
            )));
        }
        if usage.threads > MAX_THREADS {
            return Err(limit(format!("it started {} threads, and {MAX_THREADS} are allowed", usage.threads)));
        }
        Ok(())
    }

    /// Says why a child was lost.
    fn explain(&mut self, fault: Fault) -> Failure {
        let (status, begun) = match fault {
            Fault::Closed => (self.child.wait_for_death(), self.begun),
            // It lives, or lived to say something that it shouldn't: another one would say it too.
            Fault::Protocol(_) => (self.child.kill(), true),
        };
        let pid = self.child.pid();
        let log = self.child.last_words();
        let why = match (fault, status) {
            (Fault::Protocol(why), _) => why,
            (Fault::Closed, Ok(status)) => match self.limit_behind(status) {
                Some(error) => return Failure::Task(error),
                None => self.describe(status),
            },
            (Fault::Closed, Err(error)) => error.to_string(),
        };
        tracing::warn!(%pid, why, log, "a media process was lost");
        Failure::Lost { begun, why }
    }

    /// The limit that the kernel ended it for, if it was that.
    fn limit_behind(&self, status: ExitStatus) -> Option<Error> {
        match Signal::from_named_raw(status.signal()?)? {
            Signal::XFSZ => Some(Error::Limit(format!("the output is over {} bytes", self.limits.output_bytes))),
            Signal::XCPU => Some(Error::Limit(format!("it took more than {:?} of every processor", self.limits.wall))),
            _ => None,
        }
    }

    fn describe(&self, status: ExitStatus) -> String {
        let used = self.resident_bytes;
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::KILL) => format!("{status} at {used} bytes of memory; the kernel does that when it runs out"),
            _ => status.to_string(),
        }
    }
}

fn protocol(why: impl Into<String>) -> End {
    End::Channel(Fault::Protocol(why.into()))
}

fn limit(what: String) -> End {
    End::Task(Error::Limit(what))
}
