//! Children kept warm. One thread starts them all and lives as long as they do: the kernel kills a child when the
//! thread that started it ends, and that is to be the end of this process, not of a caller.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::{
    PoolConfig,
    child::{Child, START_PATIENCE},
};
use crate::wire::{Fault, FromChild};

/// How long the replacement of a spare waits while there is another.
const REFILL_DELAY: Duration = Duration::from_millis(250);
/// How long the place of a lost spare stays empty: a program that can't start must not be started all day.
const PAUSE: Duration = Duration::from_secs(1);

/// Children that wait for tasks. Dropping it ends them.
pub(super) struct Spares {
    desk: Arc<Desk>,
    starter: Option<JoinHandle<()>>,
}

/// Where callers and the starter meet.
struct Desk {
    state: Mutex<State>,
    /// Watches the spares and the bell.
    epoll: OwnedFd,
    /// Wakes the starter.
    bell: OwnedFd,
}

#[derive(Default)]
struct State {
    /// Spares that were taken aren't replaced before.
    refill_at: Option<Instant>,
    /// Oldest first.
    spares: Vec<Child>,
    /// Callers who came when there was none.
    waiting: Vec<SyncSender<io::Result<Child>>>,
    closed: bool,
}

impl Spares {
    pub(super) fn new(config: PoolConfig) -> io::Result<Self> {
        let desk = Arc::new(Desk::new()?);
        let starter = Starter { config, desk: desk.clone(), paused_until: None };
        let starter = thread::Builder::new().name("media-spares".into()).spawn(|| starter.run())?;
        Ok(Self { desk, starter: Some(starter) })
    }

    /// The child that has been warm the longest, or else the one that will be warm soonest.
    pub(super) fn take(&self) -> io::Result<Child> {
        let (seat, child) = sync_channel(1);
        {
            let mut state = self.desk.state();
            if let Some(spare) = state.take() {
                epoll::delete(&self.desk.epoll, &spare.channel)?;
                self.desk.ring()?;
                return Ok(spare);
            }
            state.waiting.push(seat);
        }
        self.desk.ring()?;
        child.recv().map_err(|_| io::Error::other("the thread that starts media processes is gone"))?
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.desk.state().closed = true;
        if let (Ok(()), Some(starter)) = (self.desk.ring(), self.starter.take()) {
            // An error says that it panicked, and then its children are dead already.
            let _ = starter.join();
        }
    }
}

impl Desk {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok(Self { state: Mutex::default(), epoll, bell })
    }

    /// The state is whole at all times, whoever panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> io::Result<()> {
        rustix::io::write(&self.bell, &1u64.to_ne_bytes())?;
        Ok(())
    }

    fn add(&self, spare: Child) -> io::Result<()> {
        epoll::add(&self.epoll, &spare.channel, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        self.state().spares.push(spare);
        Ok(())
    }
}

impl State {
    fn take(&mut self) -> Option<Child> {
        let warm = self.spares.iter().position(|spare| spare.ready).unwrap_or(0);
        let taken = (!self.spares.is_empty()).then(|| self.spares.remove(warm));
        // Starting a process costs as much as a short task: while there is another spare, the task goes first.
        self.refill_at = (!self.spares.is_empty()).then(|| Instant::now() + REFILL_DELAY);
        taken
    }
}

struct Starter {
    config: PoolConfig,
    desk: Arc<Desk>,
    paused_until: Option<Instant>,
}

impl Starter {
    fn run(mut self) {
        loop {
            let waiting = std::mem::take(&mut self.desk.state().waiting);
            for seat in waiting {
                // The caller is there until it is served; if it were not, the child would end here.
                let _ = seat.send(Child::start(&self.config.program));
            }
            let (missing, closed, refill_at) = {
                let state = self.desk.state();
                (state.spares.len() < self.config.warm, state.closed, state.refill_at)
            };
            let resume_at = self.paused_until.max(refill_at);
            if closed {
                self.desk.state().spares.clear();
                return;
            }
            let paused = resume_at.is_some_and(|until| Instant::now() < until);
            // One at a time: callers may have come meanwhile.
            if missing && !paused {
                self.add_spare()
            } else {
                self.wait(resume_at.filter(|_| missing))
            }
            self.look_after();
        }
    }

    fn add_spare(&mut self) {
        match Child::start(&self.config.program).and_then(|spare| self.desk.add(spare)) {
            Ok(()) => self.paused_until = None,
            Err(error) => {
                tracing::warn!(%error, program = %self.config.program.display(), "a media process doesn't start");
                self.paused_until = Some(Instant::now() + PAUSE);
            }
        }
    }

    /// Waits until the bell rings, a spare says something or dies, or it is time to look again.
    fn wait(&self, resume_at: Option<Instant>) {
        let now = Instant::now();
        let is_warming = self.desk.state().spares.iter().any(|spare| !spare.ready);
        let overdue = is_warming.then(|| now + START_PATIENCE);
        let timeout = resume_at.into_iter().chain(overdue).min();
        let timeout = timeout.and_then(|at| Timespec::try_from(at.saturating_duration_since(now)).ok());
        let mut event = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        // Whatever woke it, everything is looked at next.
        let _ = epoll::wait(&self.desk.epoll, &mut event, timeout.as_ref());
        let _ = rustix::io::read(&self.desk.bell, &mut [0; 8]);
    }

    /// Hears which spares are ready, and ends those that are dead, late or make no sense.
    fn look_after(&mut self) {
        let is_lost = |spare: &mut Child| hear(spare).is_err() || spare.is_overdue();
        let lost: Vec<_> = self.desk.state().spares.extract_if(.., is_lost).collect();
        for mut spare in lost {
            let (status, pid, log) = (spare.kill(), spare.pid(), spare.last_words());
            tracing::warn!(%pid, ?status, log, "a spare media process was lost");
            self.paused_until = Some(Instant::now() + PAUSE);
        }
    }
}

/// All that a spare may say is that it is ready.
fn hear(spare: &mut Child) -> Result<(), Fault> {
    match spare.channel.receive::<FromChild>()? {
        None => Ok(()),
        Some((FromChild::Ready(sandbox), _)) => spare.greet(&sandbox),
        Some(_) => Err(Fault::Protocol("it spoke without having a task".into())),
    }
}
