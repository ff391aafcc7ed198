//! What a child may still do once it is warm: read and write the files that it is handed, use memory and threads, and
//! talk to its parent. Two walls, because either may have a hole: landlock takes away every path and the network,
//! seccomp every system call that decoding and muxing don't need.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use libc::{
    CLONE_THREAD, CLONE_VM, EPERM, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, PR_SET_NAME, PRIO_PROCESS, PROT_EXEC,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

/// How closed the sandbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sandbox {
    /// Both walls stand.
    Full,
    /// The kernel doesn't know all of landlock, for this reason; seccomp stands.
    Partial(String),
}

/// System calls that can do nothing to anybody else, whatever their arguments. Those that name a file do it by
/// descriptor: `statx` and `newfstatat` would tell of any path, so sizes are asked with `fstat`.
const UNCONDITIONAL: &[i64] = &[
    // Files that are open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_copy_file_range,
    libc::SYS_close,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads. The other filter answers clone3.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
];

/// Closes the sandbox around this thread and those that it will start. `channel` is the socket to the parent.
///
/// # Errors
/// If the kernel refuses the filter: without it no hostile byte is touched.
pub(crate) fn close(channel: BorrowedFd<'_>) -> io::Result<Sandbox> {
    let sandbox = close_landlock().map_err(io::Error::other)?;
    close_seccomp(channel).map_err(io::Error::other)?;
    Ok(sandbox)
}

/// Handles every right that there is and grants none.
fn close_landlock() -> Result<Sandbox, RulesetError> {
    let newest = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Sandbox::Full,
        RulesetStatus::PartiallyEnforced => Sandbox::Partial("this kernel knows only a part of landlock".into()),
        RulesetStatus::NotEnforced => Sandbox::Partial("this kernel has no landlock".into()),
    })
}

fn close_seccomp(channel: BorrowedFd<'_>) -> seccompiler::Result<()> {
    // glibc starts threads with clone3, whose flags lie in memory where no filter sees them; told that there is no such
    // call, it uses clone. One filter has one answer for what it refuses, hence two.
    let no_clone3 = filter(
        BTreeMap::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )?;
    let allowed = filter(rules(channel)?, SeccompAction::Errno(EPERM as u32), SeccompAction::Allow)?;
    seccompiler::apply_filter(&no_clone3)?;
    seccompiler::apply_filter(&allowed)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> seccompiler::Result<BpfProgram> {
    let filter = SeccompFilter::new(rules, otherwise, on_match, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// The system calls that stay, with the arguments that they may have. What isn't here answers EPERM.
fn rules(channel: BorrowedFd<'_>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<_, _> = UNCONDITIONAL.iter().map(|call| (*call, vec![])).collect();
    let socket = channel.as_raw_fd() as u64;
    let this_process = std::process::id().into();
    let threads = (CLONE_VM | CLONE_THREAD) as u64;
    let executable = SeccompCmpOp::MaskedEq(PROT_EXEC as u64);
    for (call, alternatives) in [
        (libc::SYS_sendmsg, vec![equal(0, socket)]),
        (libc::SYS_recvmsg, vec![equal(0, socket)]),
        // A thread shares memory and process; without these flags it would be a fork.
        (libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(threads), threads)]),
        // No new code: what runs is what was loaded.
        (libc::SYS_mmap, vec![when(2, executable.clone(), 0)]),
        (libc::SYS_mprotect, vec![when(2, executable, 0)]),
        // F_SETOWN and F_SETLEASE, for two, would send signals to others.
        (libc::SYS_fcntl, [F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL].map(|command| equal(1, command as u64)).into()),
        (libc::SYS_prctl, vec![equal(0, PR_SET_NAME as u64)]),
        // Its own limits and priority, once, for the task.
        (libc::SYS_prlimit64, vec![equal(0, 0)]),
        (libc::SYS_getpriority, vec![equal(0, PRIO_PROCESS as u64)]),
        (libc::SYS_setpriority, vec![equal(0, PRIO_PROCESS as u64)]),
        // abort().
        (libc::SYS_tgkill, vec![equal(0, this_process)]),
    ] {
        let alternatives = alternatives.into_iter().map(|condition| SeccompRule::new(vec![condition?]));
        rules.insert(call, alternatives.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    when(argument, SeccompCmpOp::Eq, value)
}

/// Arguments are compared by their lower half: all that are looked at are 32 bits wide to the kernel.
fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, Dword, operator, value)
}

#[cfg(test)]
mod tests;
