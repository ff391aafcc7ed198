//! A child process: started, listened to, killed and reaped.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::Once,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use crate::{
    sandbox::Sandbox,
    wire::{Channel, Fault},
    worker::SUBCOMMAND,
};

/// How long a child may take to warm up. A twentieth of a second is usual; a busy machine needs patience.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a child that has closed its channel may take to die by itself, which tells why.
const DEATH_PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How much of the end of a dead child's log is kept.
const LOG_TAIL_BYTES: usize = 1 << 10;

/// A child process. Dropping it kills it, and all that it may have started, and reaps it.
pub(super) struct Child {
    pub(super) channel: Channel,
    pub(super) ready: bool,
    process: std::process::Child,
    /// How it ended, once it is reaped: from then on its number may be another's.
    status: Option<ExitStatus>,
    started: Instant,
    /// What it writes to standard error. Nobody reads while it lives: what doesn't fit into the pipe is lost.
    log: File,
}

/// What a child uses.
pub(super) struct Usage {
    pub(super) resident_bytes: u64,
    pub(super) threads: u64,
}

impl Child {
    /// The caller's thread must live at least as long as the child: the kernel kills the child when it ends.
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Writing to a full pipe fails, so that a child is never held up by it.
        let (log, log_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let process = Command::new(program)
            .args([SUBCOMMAND, &std::process::id().to_string()])
            .env_clear()
            // Every arena reserves 64 MiB of the address space, which is limited.
            .env("MALLOC_ARENA_MAX", "4")
            .current_dir("/")
            .process_group(0)
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(log_end)
            .spawn()?;
        let channel = Channel::of_parent(ours);
        Ok(Self { channel, ready: false, process, status: None, started: Instant::now(), log: log.into() })
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Takes note that it is warm.
    ///
    /// # Errors
    /// `Fault::Protocol` if it said so before.
    pub(super) fn greet(&mut self, sandbox: &Sandbox) -> Result<(), Fault> {
        static WARN: Once = Once::new();
        if let Sandbox::Partial(reason) = sandbox {
            WARN.call_once(|| tracing::warn!(reason, "the sandbox of media processes is not as tight as it could be"));
        }
        if std::mem::replace(&mut self.ready, true) {
            return Err(Fault::Protocol("it got ready twice".into()));
        }
        Ok(())
    }

    /// Whether it should have been warm long ago.
    pub(super) fn is_overdue(&self) -> bool {
        !self.ready && self.started.elapsed() > START_PATIENCE
    }

    /// What it uses now; `None` if it is dead.
    pub(super) fn usage(&self) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        // proc_pid_stat(5): the name, in parentheses, may have anything in it. The state, field 3, is the first after
        // it.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(20 - 3);
        let threads = fields.next()?.parse().ok()?;
        let pages: u64 = fields.nth(24 - 21)?.parse().ok()?;
        Some(Usage { resident_bytes: pages.saturating_mul(rustix::param::page_size() as u64), threads })
    }

    /// Waits a moment for it to die by itself, and makes it if it doesn't.
    pub(super) fn wait_for_death(&mut self) -> io::Result<ExitStatus> {
        if let Ok(pidfd) = pidfd_open(self.pid(), PidfdFlags::empty()) {
            // Whatever this says, the process is killed next.
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&DEATH_PATIENCE));
        }
        self.kill()
    }

    /// Kills it and all that it may have started. If it was dying already, its status still tells of what.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // It fails if all are dead, and then there is nothing to kill.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let status = self.process.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// The end of what a dead child wrote to standard error, fit for a log of ours.
    pub(super) fn last_words(&mut self) -> String {
        let mut words = Vec::new();
        // It ends with an error if something outlived the child and holds the pipe; what came before that counts.
        let _ = self.log.read_to_end(&mut words);
        let tail = &words[words.len().saturating_sub(LOG_TAIL_BYTES)..];
        String::from_utf8_lossy(tail).trim().escape_debug().to_string()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::error!(pid = self.process.id(), %error, "a media process can't be reaped");
        }
    }
}
