//! The child's side: takes one task from its parent, runs it, answers, and exits. Nothing of a hostile source outlives
//! it.

mod blocks;
mod desk;

use std::{
    any::Any,
    env, fs,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::Arc,
};

use rustix::{
    event::PollFlags,
    process::{DumpableBehavior, Pid, Resource, Rlimit, Signal},
    thread::{CapabilitySet, CapabilitySets},
};

use self::desk::Desk;
use crate::{
    Error, Outcome, Task, sandbox, verbs,
    wire::{Channel, Fault, FromChild, Order, ToChild},
};

/// Makes a program run as a worker: `<program> __media-worker <process id of the parent>`.
pub(crate) const SUBCOMMAND: &str = "__media-worker";

/// Open files: a handful of sources, the output, and what FFmpeg needs, with room to spare.
const MAX_FILES: u64 = 256;
/// How much later than others a background task gets the processor.
const BACKGROUND_NICENESS: i32 = 5;

/// Runs a worker and never returns, if that is what this process was started for; returns at once if not.
///
/// The first line of `main` of every program that has a [`Pool`](crate::Pool): before it starts threads or opens files.
pub fn run_worker_if_requested() {
    if !is_requested() {
        return;
    }
    let parent = env::args_os().nth(2).and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    process::exit(match work(parent) {
        Ok(()) => 0,
        Err(error) => {
            // Standard error is a pipe that the parent reads when a child is dead; if that fails, nobody is left to
            // tell.
            let _ = writeln!(io::stderr(), "{error:#}");
            1
        }
    })
}

/// Whether this process was started to be a worker.
pub(crate) fn is_requested() -> bool {
    env::args_os().nth(1).is_some_and(|argument| argument == SUBCOMMAND)
}

fn work(parent: Option<Pid>) -> io::Result<()> {
    rustix::thread::set_name(c"media-worker")?;
    die_with(parent)?;
    let mut channel = take_channel()?;
    give_up_rights(&channel)?;
    verbs::warm_up();
    let mapped = mapped_bytes()?;
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the sandbox would not hold threads that run already"));
    }
    let sandbox = sandbox::close(channel.as_fd())?;
    send(&mut channel, &FromChild::Ready(sandbox))?;

    let (order, output) = match receive(&mut channel)? {
        (ToChild::Task(order), output) => (order, output),
        (other, _) => return Err(io::Error::other(format!("instead of a task came {other:?}"))),
    };
    hold_to(&order, mapped)?;
    let desk = Arc::new(Desk::new(channel, output));
    let outcome = catch(&order.task, desk.clone());
    let mut line = desk.line();
    match line.channel.queue(&FromChild::Done(outcome), None) {
        Err(Fault::Protocol(why)) => line.send(&FromChild::Done(Err(Error::Limit(format!("the outcome: {why}"))))),
        queued => queued.and_then(|()| drain(&mut line.channel)),
    }
    .map_err(io::Error::other)
}

/// Makes the kernel kill this process when its parent ends.
fn die_with(parent: Option<Pid>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that.
    if parent.is_none() || rustix::process::getppid() != parent {
        return Err(io::Error::other("the parent is gone"));
    }
    Ok(())
}

/// Takes over the socket that came as standard input.
fn take_channel() -> io::Result<Channel> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Channel::of_child(socket))
}

/// Gives up, for good, all that the process has from where it was started and needs for no task.
fn give_up_rights(channel: &Channel) -> io::Result<()> {
    // Out of memory, this process goes before any other. Some containers don't let us say so.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, MAX_FILES)?;
    close_other_files(channel)?;
    // Even for root: else it could raise its limits again.
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, nothing)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Closes what whoever started the parent has left open (a build tool's pipes, say).
fn close_other_files(channel: &Channel) -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && *number != channel.as_fd().as_raw_fd())
        .collect();
    for number in open {
        // One of them was the directory itself, and is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn mapped_bytes() -> io::Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = statm.split(' ').next().and_then(|pages| pages.parse().ok());
    Ok(pages.ok_or(io::ErrorKind::InvalidData)? * rustix::param::page_size() as u64)
}

/// Sets the limits of a task. The parent watches over them too, and more closely; these hold even if it doesn't get to
/// it.
fn hold_to(order: &Order<'_>, mapped: u64) -> io::Result<()> {
    limit(Resource::As, mapped.saturating_add(order.address_space_bytes))?;
    limit(Resource::Fsize, order.output_bytes)?;
    limit(Resource::Cpu, order.cpu_seconds)?;
    if order.background {
        rustix::process::nice(BACKGROUND_NICENESS)?;
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// A fault of ours must not look like a crash of FFmpeg's.
fn catch(task: &Task, desk: Arc<Desk>) -> Result<Outcome, Error> {
    catch_unwind(AssertUnwindSafe(|| verbs::execute(task, desk)))
        .unwrap_or_else(|panic| Err(Error::Internal(format!("a panic: {}", message_of(&*panic)))))
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

fn send(channel: &mut Channel, message: &FromChild) -> Result<(), Fault> {
    channel.queue(message, None)?;
    drain(channel)
}

/// Sends all that is in line, waiting for the parent where need be.
fn drain(channel: &mut Channel) -> Result<(), Fault> {
    channel.flush()?;
    while channel.is_backed_up() {
        channel.wait(PollFlags::OUT, None)?;
        channel.flush()?;
    }
    Ok(())
}

/// Waits for a message.
fn receive(channel: &mut Channel) -> Result<(ToChild<'static>, Option<File>), Fault> {
    loop {
        if let Some(message) = channel.receive()? {
            return Ok(message);
        }
        channel.wait(PollFlags::IN, None)?;
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Internal(format!("the parent can't be reached: {fault}"))
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}
