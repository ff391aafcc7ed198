//! Processes, as `/proc` shows them.

use std::{fs, process::Child};

use rustix::process::{Pid, Signal, kill_process};

/// How a media process is started: the program, this, and the id of its parent.
const MEDIA_PROCESS: &str = "__media-worker";

/// A process, told from a later one with the same id by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: Pid,
    started: u64,
}

impl Process {
    /// A child that hasn't been waited for.
    pub fn of_child(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        Self { pid, started: Stat::of(pid).map_or(0, |stat| stat.started) }
    }

    /// Whether it still runs; a zombie doesn't.
    pub fn is_alive(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Its media processes: those that work, and those that wait for work.
    pub fn children(&self) -> Vec<Self> {
        media_processes().into_iter().filter(|(_, parent)| *parent == self.pid).map(|(process, _)| process).collect()
    }

    /// The media process of it that works. Those that wait for work have a single thread.
    pub fn busy_child(&self) -> Option<Self> {
        self.children().into_iter().find(|child| Stat::of(child.pid).is_some_and(|stat| stat.threads > 1))
    }

    /// Kills it; one that has ended is left in peace.
    pub fn kill(&self) {
        if self.is_alive() {
            // It may end this very moment.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Every media process of the machine, and the id of the server that started it.
pub fn media_processes() -> Vec<(Process, Pid)> {
    let entries = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter_map(|pid| {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let mut arguments = line.split('\0').skip(1);
        let parent = arguments.next().filter(|first| *first == MEDIA_PROCESS).and(arguments.next())?;
        let started = Stat::of(pid)?.started;
        Some((Process { pid, started }, Pid::from_raw(parent.parse().ok()?)?))
    })
    .collect()
}

/// Of proc_pid_stat(5), what is of use.
struct Stat {
    state: char,
    threads: u64,
    started: u64,
}

impl Stat {
    fn of(pid: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name, in parentheses, may have anything in it. What follows begins with field 3.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { state: fields.first()?.chars().next()?, threads: number(20)?, started: number(22)? })
    }
}
