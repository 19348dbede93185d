//! Processes: starting, ending, collecting and signalling them.

use std::ffi::c_int;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Sys;

/// Which side of [`fork`] this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with a race-free handle on the new.
    Parent(Child),
}

/// A child by number and by pidfd: the number for messages and waiting, the pidfd for signals (no pid reuse).
#[derive(Debug)]
pub struct Child {
    /// The process id.
    pub pid: Pid,
    /// Becomes readable when the child has ended (pidfd_open(2)).
    pub pidfd: OwnedFd,
}

/// CLONE_INTO_CGROUP of linux/sched.h: beyond 32 bits, where the C library's `int` constant overflows.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the new process sends to this one when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// SIGCHLD, as fork(2) has it.
    Signal,
    /// Nothing: where SIGCHLD is blocked, it would stay pending and outlive an exec. [`reap`] collects the child.
    Nothing,
}

/// clone(2) as fork(2) does it, with a pidfd (CLONE_PIDFD, Linux 5.2), into new namespaces (`flags`: CLONE_NEW*). Signal
/// handlers and mask are inherited. Not by clone3(2): filters of containers and services deny that, because they cannot see
/// its flags.
/// Errors: what clone says; ENOSPC where no more namespaces may be made.
pub fn fork(flags: c_int, at_end: AtEnd) -> Sys<Fork> {
    // The low eight bits are the signal's; no CLONE_NEW* but CLONE_NEWTIME, which is for unshare(2), is among them.
    if flags & 0xff != 0 {
        return Err(Errno::EINVAL);
    }
    let mut pidfd: RawFd = -1;
    let signal = if at_end == AtEnd::Signal { libc::SIGCHLD } else { 0 };
    let flags = libc::c_long::from(libc::CLONE_PIDFD | flags | signal);
    let stack = ptr::null::<u8>();
    // SAFETY: no CLONE_VM and no stack, so this is a fork: the child has its own copy of everything. A single thread,
    // so no lock is held by a thread that the child lacks. The kernel writes one int to `pidfd` before returning.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, stack, &raw mut pidfd, 0_usize, 0_usize) })?;
    side(pid, pidfd)
}

/// The same, with SIGCHLD, directly into a cgroup (CLONE_INTO_CGROUP, Linux 5.7), which clone3(2) alone can do.
/// Errors: what clone3 says; ENOSYS or EPERM where a filter denies it.
pub fn fork_into(cgroup: BorrowedFd<'_>) -> Sys<Fork> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers; zero means "not used" in each.
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64 | CLONE_INTO_CGROUP;
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = cgroup.as_raw_fd() as u64;
    // SAFETY: as in `fork`.
    let pid =
        Errno::result(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, mem::size_of::<libc::clone_args>()) })?;
    side(pid, pidfd)
}

/// What a fork with CLONE_PIDFD has returned.
fn side(pid: libc::c_long, pidfd: RawFd) -> Sys<Fork> {
    if pid == 0 {
        return Ok(Fork::Child);
    }
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    if pidfd < 0 {
        // A kernel before CLONE_PIDFD, which clone(2) ignores without a word.
        // SAFETY: kill and waitpid have no precondition; `pid` is our child, and nobody has collected it.
        unsafe { (libc::kill(pid, libc::SIGKILL), libc::waitpid(pid, ptr::null_mut(), libc::__WALL)) };
        return Err(Errno::ENOSYS);
    }
    // SAFETY: the kernel has just opened this descriptor for us: it wrote a number that is none of an error.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid: Pid::from_raw(pid), pidfd }))
}

/// Ends this process at once with `code`; what a forked child uses (no C or Rust clean-up runs twice).
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit(2) has no precondition.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// Ends this process by `signal` as if nobody had caught it, without a core file of its own; by exit code 128+N where
/// the signal does not end a process.
pub fn die_of(signal: c_int) -> ! {
    // SAFETY: plain calls on this process; the signal set lives on the stack during the calls.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::kill(libc::getpid(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
    }
    exit_now(u8::try_from(128 + signal).unwrap_or(255))
}

/// How a process ended, and what it and its waited-for descendants used (wait4(2), getrusage(2)).
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    /// Which child.
    pub pid: Pid,
    /// The raw wait status; [`crate::wait::Ended::from_raw`] reads it.
    pub status: c_int,
    /// Resource usage of the child and of the descendants that it waited for.
    pub usage: libc::rusage,
}

/// wait4(2): collects `pid` (or any child, with -1) if it has ended; `None` where it has not.
/// Errors: ECHILD where there is no such child.
pub fn reap(pid: Pid, block: bool) -> Sys<Option<Reaped>> {
    wait4(pid, if block { 0 } else { libc::WNOHANG })
}

/// The same without waiting, for a child that has ended or that a signal has stopped (WUNTRACED).
/// Errors: ECHILD where there is no such child.
pub fn reap_or_see_stopped(pid: Pid) -> Sys<Option<Reaped>> {
    wait4(pid, libc::WNOHANG | libc::WUNTRACED)
}

fn wait4(pid: Pid, flags: c_int) -> Sys<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: rusage is plain integers.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    let flags = flags | libc::__WALL;
    loop {
        // SAFETY: the kernel writes one int and one rusage.
        match Errno::result(unsafe { libc::wait4(pid.as_raw(), &raw mut status, flags, &raw mut usage) }) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some(Reaped { pid: Pid::from_raw(pid), status, usage })),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// pidfd_send_signal(2) (Linux 5.1): signals exactly that process, never one that took over its number.
/// Errors: ESRCH where it has been collected.
pub fn signal_process(pidfd: impl AsFd, signal: c_int) -> Sys<()> {
    let null: *const libc::siginfo_t = ptr::null();
    // SAFETY: numbers and a null pointer, which means "as kill(2)".
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, null, 0) })
        .map(drop)
}

/// Sets a signal to be ignored, or to its default; says whether it was ignored before (sigaction(2)).
/// Errors: EINVAL for a number that is no signal, or for SIGKILL and SIGSTOP.
pub fn ignore_signal(signal: c_int, ignore: bool) -> Sys<bool> {
    let new = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: no handler function is involved, only the two constants.
    let old = unsafe { libc::signal(signal, new) };
    if old == libc::SIG_ERR { Err(Errno::last()) } else { Ok(old == libc::SIG_IGN) }
}

/// The signal's name for messages: `SIGTERM`, or `signal 40`.
pub fn signal_name(signal: c_int) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |known| known.as_str().to_owned())
}
