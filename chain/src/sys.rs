//! The only `unsafe` code of chainbox: system calls that no crate we use wraps, and the C `main`.
//!
//! Each function is a thin, safe face of one call; each `unsafe` block says the fact that it relies on. Two facts
//! come up everywhere:
//!
//! * **single thread**: a link never starts a thread, so after `clone3` the child may run ordinary code, and nobody
//!   changes the environment while it is read;
//! * **kernel reads only**: the call reads the memory it is given during the call and keeps no pointer.
#![allow(unsafe_code, reason = "the one file where it may be (DESIGN 3); everything here is a face of one system call")]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_uint};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::{Result, speech};

type Sys<T> = std::result::Result<T, Errno>;

// ---------------------------------------------------------------- start

/// Makes `fn main` of a tool: the C `main`, without Rust's runtime.
///
/// Rust's own start sets SIGPIPE to ignored, which a payload would inherit, and adds 60 to 80 us (docs/adr/0006).
#[macro_export]
macro_rules! entry {
    ($tool:expr, $run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: ::core::ffi::c_int, argv: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            $crate::sys::start($tool, $crate::sys::words(argc, argv), $run)
        }
    };
}

/// Makes `fn main` of a program that looks at how it was started: nothing is guarded, refused or set before `run`.
#[macro_export]
macro_rules! bare_entry {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: ::core::ffi::c_int, argv: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            ::core::ffi::c_int::from($run($crate::sys::words(argc, argv)))
        }
    };
}

/// The command line as bytes. For [`entry!`] and [`bare_entry!`] only: `argv` must be what the C runtime gave to `main`.
#[must_use]
#[allow(clippy::not_unsafe_ptr_arg_deref, reason = "called by the entry macros alone, with main's own arguments")]
pub fn words(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    arguments::remember(argc, argv);
    (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: the C runtime gives main `argc` pointers to NUL-terminated strings that live as long as the process.
        .map(|n| unsafe { CStr::from_ptr(*argv.add(n)) })
        .map(|word| OsStr::from_bytes(word.to_bytes()).to_owned())
        .collect()
}

/// Runs a tool: refuses a privileged start, guards the standard descriptors, reports the failure. `argv[0]` is not
/// passed on.
pub fn start(tool: &'static str, argv: Vec<OsString>, run: fn(Vec<OsString>) -> Result<u8>) -> c_int {
    speech::begin(tool);
    let outcome = refuse_privileged_start()
        .and_then(|()| guard_standard_descriptors())
        .and_then(|()| run(argv.into_iter().skip(1).collect()));
    c_int::from(outcome.unwrap_or_else(|error| speech::fail(&error)))
}

/// Law 11: never setuid, setgid or with file capabilities, whose user could drive us by environment and descriptors
/// (CVE-2016-8659 and all its kind).
fn refuse_privileged_start() -> Result<()> {
    // SAFETY: getauxval reads the process's own auxiliary vector and has no precondition.
    if unsafe { libc::getauxval(libc::AT_SECURE) } == 0 {
        return Ok(());
    }
    Err(Failure::refusal("started with more privilege than the caller (AT_SECURE): refused")
        .hint(
            "remove the setuid bit or the file capabilities: privilege comes from a user namespace or from being root",
        )
        .into())
}

/// If the caller closed one of 0, 1, 2, our own files must not land there. A place-holder that exec closes again
/// takes it, so that the payload finds it closed as it was.
fn guard_standard_descriptors() -> Result<()> {
    for fd in 0..=2 {
        if borrowed(fd).is_err() {
            let flags = libc::O_PATH | libc::O_CLOEXEC | libc::O_DIRECTORY;
            // SAFETY: the path is a NUL-terminated literal. The descriptor stays open until exec on purpose.
            let got = unsafe { libc::open(c"/".as_ptr(), flags) };
            Errno::result(got)
                .map_err(|errno| Failure::call("open / in place of a closed standard descriptor", errno))?;
        }
    }
    Ok(())
}

/// The path under which the kernel executed this process (AT_EXECFN); `/dev/fd/N` after fexecve(3).
#[must_use]
pub fn executed_as() -> Option<OsString> {
    // SAFETY: the kernel puts AT_EXECFN into every auxiliary vector, as a pointer to a NUL-terminated string on this
    // process's own stack area that is never unmapped; zero where it is missing is handled.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if name.is_null() {
        return None;
    }
    // SAFETY: as above.
    Some(OsString::from_vec(unsafe { CStr::from_ptr(name) }.to_bytes().to_vec()))
}

// ---------------------------------------------------------------- descriptors

/// A descriptor number that somebody else opened, checked to be open (fcntl(2) F_GETFD).
///
/// # Errors
/// EBADF where it is not.
pub fn borrowed(fd: RawFd) -> Sys<BorrowedFd<'static>> {
    // SAFETY: F_GETFD takes any number and changes nothing.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open; the caller's descriptors (0, 1, 2, --keep-fd) are closed by nobody in a link.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes over a descriptor number that the user named on the command line.
///
/// # Errors
/// EBADF where it is not open.
pub fn adopt(fd: RawFd) -> Sys<OwnedFd> {
    borrowed(fd)?;
    // SAFETY: it is open, and the user handed it to us by number: no other code of a link owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC (Linux 5.11): everything from `first` on is closed by the next exec.
///
/// # Errors
/// ENOSYS or EINVAL before Linux 5.11.
pub fn close_on_exec_from(first: c_uint) -> Sys<()> {
    // SAFETY: numbers only; the descriptors stay open in this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Closes every descriptor but 2 and `keep` (close_range(2), Linux 5.9). For a process that stays after a fork:
/// what it closes belongs to nobody in it, because the fork's other side uses it. An [`OwnedFd`] that is still to be
/// used must be among `keep`.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn close_all_but<'a>(keep: impl Iterator<Item = BorrowedFd<'a>>) -> Sys<()> {
    let mut keep: Vec<c_uint> = keep.filter_map(|fd| c_uint::try_from(fd.as_raw_fd()).ok()).chain([2]).collect();
    keep.sort_unstable();
    let mut first: c_uint = 0;
    for kept in keep.into_iter().chain([c_uint::MAX]) {
        if kept > first {
            // SAFETY: numbers only; whoever calls keeps what it still uses.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, kept - 1, 0) })?;
        }
        first = first.max(kept.saturating_add(1));
    }
    Ok(())
}

// ---------------------------------------------------------------- exec

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The environment as execve(2) takes it: the process's own, byte for byte, with `extra` (each `NAME=value`) in place
/// of variables of the same name (an entry without `=` only removes). The pointers are valid while `extra` and the environment are.
fn environment(extra: &[CString]) -> Vec<*const c_char> {
    let mut all = vec![];
    // SAFETY: environ is the C library's NULL-terminated array; a single thread, so nobody changes it meanwhile.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            all.push(*entry);
            entry = entry.add(1);
        }
    }
    all.retain(|entry| {
        // SAFETY: each entry of the array is a NUL-terminated string.
        let old = unsafe { CStr::from_ptr(*entry) };
        !extra.iter().any(|new| same_name(old.to_bytes(), new.to_bytes()))
    });
    all.extend(extra.iter().filter(|new| new.to_bytes().contains(&b'=')).map(|new| new.as_ptr()));
    all.push(ptr::null());
    all
}

fn same_name(a: &[u8], b: &[u8]) -> bool {
    a.split(|byte| *byte == b'=').next() == b.split(|byte| *byte == b'=').next()
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// execve(2) with the environment as it is but for `extra`. Returns only the errno.
#[must_use]
pub fn exec(path: &CStr, argv: &[CString], extra: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), environment(extra));
    // SAFETY: NULL-terminated arrays of NUL-terminated strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Errno::last()
}

/// execveat(2) of an open file, by no path at all (AT_EMPTY_PATH, Linux 3.19). Returns only the errno.
#[must_use]
pub fn exec_fd(file: BorrowedFd<'_>, argv: &[CString], extra: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), environment(extra));
    // SAFETY: as in `exec`; the path is the empty literal.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Errno::last()
}

// ---------------------------------------------------------------- processes

/// Which side of [`clone3`] this is.
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

/// clone3(2) (Linux 5.3) as fork(2) does it, into new namespaces (`flags`: CLONE_NEW*) and, where `cgroup` is given,
/// directly into that cgroup (CLONE_INTO_CGROUP, Linux 5.7). Signal handlers and mask are inherited.
///
/// # Errors
/// What clone3 says.
pub fn clone3(flags: c_int, cgroup: Option<BorrowedFd<'_>>) -> Sys<Fork> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers; zero means "not used" in each.
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    // CLONE_NEWTIME and others above bit 31 do not exist; the cast keeps the bit pattern of the flags.
    args.flags = u64::from(flags as u32) | libc::CLONE_PIDFD as u64;
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no stack, so this is a fork: the child has its own copy of everything. A single thread,
    // so no lock is held by a thread that the child lacks. The kernel writes one int to `pidfd` before returning.
    let pid =
        Errno::result(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, mem::size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: the kernel has just opened this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid: Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX)), pidfd }))
}

/// fork(2) whose child's end sends no SIGCHLD: where that is blocked, it would stay pending and outlive an exec. `reap`
/// collects the child. By clone(2), because filters of callers deny clone3, whose flags they cannot see.
///
/// # Errors
/// What clone says.
pub fn fork_unannounced() -> Sys<Fork> {
    fork_unannounced_into(0)
}

/// The same into new namespaces (`flags`: CLONE_NEW*).
///
/// # Errors
/// As [`fork_unannounced`]; ENOSPC where no more namespaces may be made.
pub fn fork_unannounced_into(flags: c_int) -> Sys<Fork> {
    let mut pidfd: RawFd = -1;
    let (stack, flags) = (ptr::null::<u8>(), libc::CLONE_PIDFD | flags);
    // SAFETY: as in `clone3`: a fork of a single thread, and one int for the kernel to write (CLONE_PIDFD, 5.2).
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, stack, &raw mut pidfd, 0_usize, 0_usize) })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: the kernel has just opened this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid: Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX)), pidfd }))
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
///
/// # Errors
/// ECHILD where there is no such child.
pub fn reap(pid: Pid, block: bool) -> Sys<Option<Reaped>> {
    wait4(pid, if block { 0 } else { libc::WNOHANG })
}

/// The same without waiting, for a child that has ended or that a signal has stopped (WUNTRACED).
///
/// # Errors
/// ECHILD where there is no such child.
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
///
/// # Errors
/// ESRCH where it has been collected.
pub fn signal_process(pidfd: impl AsFd, signal: c_int) -> Sys<()> {
    let null: *const libc::siginfo_t = ptr::null();
    // SAFETY: numbers and a null pointer, which means "as kill(2)".
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, null, 0) })
        .map(drop)
}

/// Sets a signal to be ignored, or to its default; says whether it was ignored before (sigaction(2)).
///
/// # Errors
/// EINVAL for a number that is no signal, or for SIGKILL and SIGSTOP.
pub fn ignore_signal(signal: c_int, ignore: bool) -> Sys<bool> {
    let new = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: no handler function is involved, only the two constants.
    let old = unsafe { libc::signal(signal, new) };
    if old == libc::SIG_ERR { Err(Errno::last()) } else { Ok(old == libc::SIG_IGN) }
}

/// The signal's name for messages: `SIGTERM`, or `signal 40`.
#[must_use]
pub fn signal_name(signal: c_int) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |known| known.as_str().to_owned())
}

// ---------------------------------------------------------------- scheduling (rlimit-exec)

/// The first version of the kernel's `struct sched_attr` (sched_setattr(2), Linux 3.14).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Size of this structure.
    pub size: u32,
    /// SCHED_OTHER, SCHED_FIFO, ...
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Nice value, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// Static priority, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds of CPU in each period, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds until the deadline, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds of a period, for SCHED_DEADLINE.
    pub period: u64,
}

impl SchedAttr {
    const SIZE: u32 = mem::size_of::<Self>() as u32;
}

/// Sets the scheduling policy of this process.
///
/// # Errors
/// EPERM above RLIMIT_RTPRIO without CAP_SYS_NICE, EINVAL for a combination that does not exist.
pub fn sched_setattr(attr: SchedAttr) -> Sys<()> {
    let attr = SchedAttr { size: SchedAttr::SIZE, ..attr };
    // SAFETY: kernel reads only, `size` bytes.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// The scheduling policy of this process.
///
/// # Errors
/// What sched_getattr(2) says.
pub fn sched_getattr() -> Sys<SchedAttr> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel writes at most the size that it is told.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, SchedAttr::SIZE, 0) })?;
    Ok(attr)
}

/// ioprio_set(2) of this process: class in the bits from 13, level below.
///
/// # Errors
/// EPERM for the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn ioprio_set(value: c_int) -> Sys<()> {
    // SAFETY: numbers only; 1 is IOPRIO_WHO_PROCESS, 0 this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, value) }).map(drop)
}

/// ioprio_get(2) of this process.
///
/// # Errors
/// What the kernel says.
pub fn ioprio_get() -> Sys<c_int> {
    // SAFETY: numbers only.
    let value = Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) })?;
    Ok(c_int::try_from(value).unwrap_or(0))
}

/// prctl(2) with numbers only: for the settings of a process that take no pointer. Returns the call's value.
///
/// # Errors
/// EINVAL for an option that this kernel does not have.
pub fn prctl_number(option: Prctl, value: u64) -> Sys<c_int> {
    // SAFETY: none of the options of `Prctl` takes a pointer; unused arguments are zero as the kernel demands.
    Errno::result(unsafe {
        libc::prctl(option as c_int, value, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong)
    })
}

/// The options of prctl(2) that take numbers only and that no crate wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Prctl {
    /// Whether reading the time stamp counter is allowed (x86).
    SetTsc = libc::PR_SET_TSC,
    /// Memory-Deny-Write-Execute (Linux 6.3).
    SetMdwe = 65,
    /// The flags that [`Prctl::SetMdwe`] set.
    GetMdwe = 66,
    /// Core scheduling (Linux 5.14); value 1 makes a new cookie for this process.
    SchedCore = 62,
}

// ---------------------------------------------------------------- seccomp-exec

/// seccomp(2) SECCOMP_SET_MODE_FILTER (Linux 3.17): attaches a filter to this thread, on top of those it has. All or
/// nothing; a link has one thread, so SECCOMP_FILTER_FLAG_TSYNC has nothing to do.
///
/// # Errors
/// EACCES without no_new_privs and CAP_SYS_ADMIN; EINVAL for a program that the kernel does not accept; ENOMEM where
/// all filters together are too long.
pub fn seccomp_attach(program: &[libc::sock_filter]) -> Sys<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel only reads the program; the C structure lacks the const.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: kernel reads only: one sock_fprog and the `len` instructions behind it, both alive during the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// seccomp(2) SECCOMP_GET_ACTION_AVAIL (Linux 4.14): whether filters may answer with this SECCOMP_RET_* action.
///
/// # Errors
/// EOPNOTSUPP where the kernel does not know the action; EINVAL or ENOSYS on older kernels.
pub fn seccomp_has_action(action: u32) -> Sys<()> {
    // SAFETY: kernel reads only: one u32.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .map(drop)
}

/// 64 bits that nobody can guess (getrandom(2), Linux 3.17).
///
/// # Errors
/// ENOSYS on older kernels.
pub fn random() -> Sys<u64> {
    let mut word = 0_u64;
    // SAFETY: the kernel writes at most eight bytes to `word`, all of whose values are valid.
    let got = Errno::result(unsafe { libc::getrandom((&raw mut word).cast(), mem::size_of::<u64>(), 0) })?;
    if got == 8 { Ok(word) } else { Err(Errno::EAGAIN) }
}

pub mod listener {
    //! Filters that ask: the listener by which another process answers for system calls (seccomp_unotify(2), Linux 5.0).

    use std::mem;
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

    use nix::errno::Errno;
    use nix::libc;

    use super::Sys;

    /// seccomp(2) SECCOMP_SET_MODE_FILTER with a new listener, close-on-exec. Where the kernel can (Linux 5.19), a call whose
    /// question has been received is interrupted by fatal signals only: otherwise a process that gets many signals asks
    /// for ever.
    ///
    /// # Errors
    /// As `seccomp_attach`; EBUSY where a filter of this process has a listener already.
    pub fn attach(program: &[libc::sock_filter]) -> Sys<OwnedFd> {
        let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        match attach_with(program, listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
            Err(Errno::EINVAL) => attach_with(program, listening),
            answer => answer,
        }
    }

    fn attach_with(program: &[libc::sock_filter], flags: libc::c_ulong) -> Sys<OwnedFd> {
        let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
        let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
        // SAFETY: as `seccomp_attach`: kernel reads only.
        let file = Errno::result(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        })?;
        // SAFETY: the kernel has just opened this descriptor for us; descriptors are ints.
        Ok(unsafe { OwnedFd::from_raw_fd(libc::c_int::try_from(file).map_err(|_| Errno::EBADF)?) })
    }

    /// sendmsg(2) of one byte with a descriptor (SCM_RIGHTS), with `mark` in the sixth argument, which the kernel does not
    /// read and a filter sees.
    ///
    /// # Errors
    /// What sendmsg says.
    pub fn send(socket: impl AsFd, file: impl AsFd, mark: u64) -> Sys<()> {
        let mut byte = [0_u8];
        let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        // A cmsghdr and one descriptor, in words so that it is aligned as cmsghdr wants.
        let mut control = [0_usize; 4];
        // SAFETY: msghdr is plain integers and pointers; zero is valid in each.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        let size = libc::c_uint::try_from(mem::size_of::<libc::c_int>()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: CMSG_SPACE and CMSG_LEN compute; CMSG_FIRSTHDR and CMSG_DATA give places within `control`, which is
        // larger than CMSG_SPACE of one int (24 bytes of 32).
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            libc::CMSG_DATA(header).cast::<libc::c_int>().write_unaligned(file.as_fd().as_raw_fd());
        }
        let socket = socket.as_fd().as_raw_fd();
        // SAFETY: kernel reads only: the message and what it points to, all alive during the call.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_sendmsg, socket, &raw const message, libc::MSG_NOSIGNAL, 0_usize, 0_usize, mark)
        })
        .map(drop)
    }

    /// The next question (SECCOMP_IOCTL_NOTIF_RECV): waits for one.
    ///
    /// # Errors
    /// ENOENT where the process that asked is gone already.
    pub fn receive(listener: impl AsFd) -> Sys<libc::seccomp_notif> {
        // SAFETY: plain integers; the kernel demands zeros.
        let mut question: libc::seccomp_notif = unsafe { mem::zeroed() };
        let file = listener.as_fd().as_raw_fd();
        // SAFETY: the kernel writes one seccomp_notif.
        Errno::result(unsafe { libc::ioctl(file, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question) })?;
        Ok(question)
    }

    /// Answers a question (SECCOMP_IOCTL_NOTIF_SEND): the call fails with this errno, or is made as it is
    /// (SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5), which is no way to keep anybody from anything: its arguments may
    /// have changed since.
    ///
    /// # Errors
    /// ENOENT where the process that asked is gone.
    pub fn answer(listener: impl AsFd, id: u64, errno: Option<Errno>) -> Sys<()> {
        let (error, flags) = errno.map_or((0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE), |errno| (-(errno as i32), 0));
        let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
        let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
        let file = listener.as_fd().as_raw_fd();
        // SAFETY: the kernel reads one seccomp_notif_resp.
        Errno::result(unsafe { libc::ioctl(file, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) }).map(drop)
    }
}

// ---------------------------------------------------------------- interfaces (ns-unshare)

/// An `ifreq` for the interface `name` (netdevice(7)), all else zero.
fn interface(name: &CStr) -> Sys<libc::ifreq> {
    // SAFETY: ifreq is a name and a union of plain integers and addresses; zero is valid in each.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let bytes = name.to_bytes_with_nul();
    if bytes.len() > request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    request.ifr_name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from as c_char);
    Ok(request)
}

/// The flags of a network interface: IFF_UP and others (netdevice(7), SIOCGIFFLAGS).
///
/// # Errors
/// ENODEV where there is none of this name in the socket's network namespace.
pub fn interface_flags(socket: BorrowedFd<'_>, name: &CStr) -> Sys<libc::c_short> {
    let mut request = interface(name)?;
    // SAFETY: the kernel reads and writes one ifreq.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as libc::Ioctl, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has filled in this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// Sets them (SIOCSIFFLAGS).
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over the network namespace.
pub fn set_interface_flags(socket: BorrowedFd<'_>, name: &CStr, flags: libc::c_short) -> Sys<()> {
    let mut request = interface(name)?;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: kernel reads only, one ifreq.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) })
        .map(drop)
}

// ---------------------------------------------------------------- mounts (mount-plan)

/// The first version of the kernel's `struct mount_attr` (mount_setattr(2), Linux 5.12).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2) (Linux 5.12) on the mount that `mount` is open on; with `recursive`, on all that is mounted below it
/// as well, all or nothing. `set` and `clear` are MOUNT_ATTR_* bits.
///
/// # Errors
/// EPERM for attributes that another user namespace has locked, ENOSYS before Linux 5.12.
pub fn mount_setattr(mount: impl AsFd, recursive: bool, set: u64, clear: u64) -> Sys<()> {
    set_mount_attr(mount, recursive, &MountAttr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 })
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP: ids on the mount that `mount` is open on go through the maps of the user
/// namespace `map`. The mount must be attached nowhere yet.
///
/// # Errors
/// EINVAL for a filesystem or a kernel without them, EPERM for one that belongs to another user namespace or that is
/// mapped already.
pub fn mount_idmap(mount: impl AsFd, recursive: bool, map: impl AsFd) -> Sys<()> {
    let map = u64::try_from(map.as_fd().as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let attr = MountAttr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: map };
    set_mount_attr(mount, recursive, &attr)
}

fn set_mount_attr(mount: impl AsFd, recursive: bool, attr: &MountAttr) -> Sys<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: kernel reads only: an empty literal path and `size` bytes of a structure of plain integers.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attr),
            mem::size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

// ---------------------------------------------------------------- keyring (seccomp-exec)

pub mod keyring {
    //! Session keyrings (session-keyring(7)), by keyctl(2).

    use nix::errno::Errno;
    use nix::libc;

    use super::Sys;

    /// KEYCTL_GET_KEYRING_ID, KEYCTL_JOIN_SESSION_KEYRING and KEY_SPEC_SESSION_KEYRING of linux/keyctl.h.
    const GET_ID: libc::c_int = 0;
    const JOIN: libc::c_int = 1;
    const SESSION: libc::c_int = -3;

    /// Replaces the session keyring of this process by a new one without a name; gives its serial number.
    ///
    /// # Errors
    /// EDQUOT where the user has too many keys, ENOSYS where the kernel has no keyrings.
    pub fn join_new() -> Sys<i64> {
        // SAFETY: numbers only; no name.
        Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, JOIN, 0_usize) })
    }

    /// The serial number of this process's session keyring; none is made.
    ///
    /// # Errors
    /// ENOKEY where there is none.
    pub fn session() -> Sys<i64> {
        // SAFETY: numbers only.
        Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, GET_ID, SESSION, 0) })
    }
}

// ---------------------------------------------------------------- landlock (seccomp-exec)

pub mod landlock {
    //! The three system calls of Landlock (landlock(7)), and the question by which its effect is seen.
    //!
    //! Raw, because the well-kept `landlock` crate is made for best effort, brings proc macros, and wraps these three only
    //! (docs/adr/0009).

    use std::ffi::{c_int, c_uint};
    use std::mem;
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
    use std::ptr;

    use nix::errno::Errno;
    use nix::libc;
    use nix::unistd::Pid;

    use super::Sys;

    /// `struct landlock_ruleset_attr` of linux/landlock.h as of ABI 6: the rights that a ruleset takes away wherever no rule
    /// gives them back. Older kernels take it where what they do not know is zero.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Rights {
        /// LANDLOCK_ACCESS_FS_*.
        pub fs: u64,
        /// LANDLOCK_ACCESS_NET_* (ABI 4).
        pub net: u64,
        /// LANDLOCK_SCOPE_* (ABI 6).
        pub scoped: u64,
    }

    /// `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct Path {
        allowed: u64,
        parent: c_int,
    }

    /// `struct landlock_net_port_attr`.
    #[repr(C)]
    struct Port {
        allowed: u64,
        port: u64,
    }

    /// What landlock_create_ruleset(2) says of itself: its ABI with LANDLOCK_CREATE_RULESET_VERSION (1), the fixed errata as
    /// bits with LANDLOCK_CREATE_RULESET_ERRATA (2, Linux 6.15).
    ///
    /// # Errors
    /// ENOSYS before Linux 5.13 or where it is not built in, EOPNOTSUPP where it is not started.
    pub fn query(flag: c_uint) -> Sys<u32> {
        let none: *const Rights = ptr::null();
        // SAFETY: a null pointer of size zero, which these two flags demand.
        let said = Errno::result(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, flag) })?;
        Ok(u32::try_from(said).unwrap_or(0))
    }

    /// landlock_create_ruleset(2): a ruleset without rules, as a close-on-exec descriptor.
    ///
    /// # Errors
    /// EINVAL or E2BIG for a right that this kernel does not know, ENOMSG for none at all.
    pub fn ruleset(rights: Rights) -> Sys<OwnedFd> {
        // SAFETY: kernel reads only, `size` bytes of plain integers.
        let file = Errno::result(unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rights, mem::size_of::<Rights>(), 0)
        })?;
        // SAFETY: the kernel has just opened this descriptor for us; descriptors are ints.
        Ok(unsafe { OwnedFd::from_raw_fd(c_int::try_from(file).map_err(|_| Errno::EBADF)?) })
    }

    /// LANDLOCK_RULE_PATH_BENEATH and LANDLOCK_RULE_NET_PORT.
    const RULE_PATH: c_int = 1;
    const RULE_PORT: c_int = 2;

    /// landlock_add_rule(2): `allowed` on the file `parent` and, if it is a folder, on all that is below.
    ///
    /// # Errors
    /// EINVAL for rights that the ruleset does not take away or that a file cannot have, EBADFD for an inner file system.
    pub fn allow_path(ruleset: impl AsFd, parent: impl AsFd, allowed: u64) -> Sys<()> {
        let rule = Path { allowed, parent: parent.as_fd().as_raw_fd() };
        let ruleset = ruleset.as_fd().as_raw_fd();
        // SAFETY: kernel reads only, one structure of plain integers.
        Errno::result(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH, &raw const rule, 0) })
            .map(drop)
    }

    /// landlock_add_rule(2): `allowed` on this TCP port (ABI 4).
    ///
    /// # Errors
    /// EINVAL for rights that the ruleset does not take away.
    pub fn allow_port(ruleset: impl AsFd, port: u16, allowed: u64) -> Sys<()> {
        let rule = Port { allowed, port: u64::from(port) };
        let ruleset = ruleset.as_fd().as_raw_fd();
        // SAFETY: kernel reads only, one structure of plain integers.
        Errno::result(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PORT, &raw const rule, 0) })
            .map(drop)
    }

    /// landlock_restrict_self(2): from now on for this process and whatever it starts.
    ///
    /// # Errors
    /// EPERM without no_new_privs and CAP_SYS_ADMIN, E2BIG beyond 16 rulesets on top of each other.
    pub fn restrict_self(ruleset: impl AsFd) -> Sys<()> {
        // SAFETY: numbers only.
        Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_fd().as_raw_fd(), 0) })
            .map(drop)
    }

    /// Whether this process may read the state of `pid` as a debugger may (PTRACE_MODE_READ of ptrace(2)): asked by
    /// get_robust_list(2), which every kernel has, and whose answer is thrown away.
    ///
    /// # Errors
    /// EPERM where it may not.
    pub fn may_inspect(pid: Pid) -> Sys<()> {
        let (mut head, mut length) = (0_usize, 0_usize);
        // SAFETY: the kernel writes one pointer and one size, both of which have their place here.
        Errno::result(unsafe { libc::syscall(libc::SYS_get_robust_list, pid.as_raw(), &raw mut head, &raw mut length) })
            .map(drop)
    }
}

// ---------------------------------------------------------------- command line (ns-unshare)

pub mod arguments {
    //! The command line of this process as others see it in /proc/PID/cmdline: they may, whether it is dumpable or not.

    use std::ffi::{c_char, c_int};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    use nix::libc;

    /// main's own argv and argc.
    static WORDS: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    /// Remembers where the kernel laid the arguments down. For [`super::words`] only.
    pub(super) fn remember(argc: c_int, argv: *const *const c_char) {
        WORDS.store(argv.cast_mut().cast(), Ordering::Relaxed);
        COUNT.store(usize::try_from(argc).unwrap_or(0), Ordering::Relaxed);
    }

    /// Overwrites the command line with as much of `name` as the first word has room for, and zeros. [`super::words`]
    /// has copied the arguments before.
    pub fn forget(name: &str) {
        let argv = WORDS.load(Ordering::Relaxed);
        for n in 0..COUNT.load(Ordering::Relaxed) {
            let mut letters = if n == 0 { name.bytes() } else { "".bytes() };
            // SAFETY: main's own argc and argv (`remember`): pointers to NUL-terminated strings on the stack of this
            // process, which may change them (C11 5.1.2.2.1). Single thread; nobody holds a reference, all were copied.
            // Nothing is written at or beyond the NUL that ends each.
            unsafe {
                let word = *argv.add(n);
                for at in 0..libc::strlen(word) {
                    word.add(at).write(letters.next().unwrap_or(0).cast_signed());
                }
            }
        }
    }
}

// ---------------------------------------------------------------- loop devices (mount-plan)

pub mod loops {
    //! Loop devices (loop(4)).

    use std::ffi::c_int;
    use std::mem;
    use std::os::fd::{AsFd, AsRawFd};

    use nix::errno::Errno;
    use nix::libc;

    use super::Sys;

    /// Of linux/loop.h.
    const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
    const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
    const LO_FLAGS_READ_ONLY: u32 = 1;
    const LO_FLAGS_AUTOCLEAR: u32 = 4;

    /// `struct loop_info64` of linux/loop.h.
    #[repr(C)]
    struct Info {
        device: u64,
        inode: u64,
        rdevice: u64,
        offset: u64,
        size_limit: u64,
        number: u32,
        encrypt_type: u32,
        encrypt_key_size: u32,
        flags: u32,
        file_name: [u8; 64],
        crypt_name: [u8; 64],
        encrypt_key: [u8; 32],
        init: [u64; 2],
    }

    /// `struct loop_config` of linux/loop.h.
    #[repr(C)]
    struct Config {
        fd: u32,
        block_size: u32,
        info: Info,
        reserved: [u64; 8],
    }

    /// The number of a loop device that nobody uses at this moment, from an open /dev/loop-control.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN over the machine.
    pub fn free(control: impl AsFd) -> Sys<c_int> {
        // SAFETY: no argument; the answer is a number.
        Errno::result(unsafe { libc::ioctl(control.as_fd().as_raw_fd(), LOOP_CTL_GET_FREE) })
    }

    /// Makes an open loop device show `file`, until its last user closes it (LOOP_CONFIGURE, Linux 5.8).
    ///
    /// # Errors
    /// EBUSY where somebody else was faster.
    pub fn configure(device: impl AsFd, file: impl AsFd, read_only: bool) -> Sys<()> {
        // SAFETY: plain integers; zero means "not used" in each.
        let mut config: Config = unsafe { mem::zeroed() };
        config.fd = u32::try_from(file.as_fd().as_raw_fd()).map_err(|_| Errno::EBADF)?;
        config.info.flags = LO_FLAGS_AUTOCLEAR | if read_only { LO_FLAGS_READ_ONLY } else { 0 };
        // SAFETY: kernel reads only, one structure of the size that the number of the ioctl stands for.
        Errno::result(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CONFIGURE, &raw const config) }).map(drop)
    }
}

// ---------------------------------------------------------------- terminal

/// The line discipline of a terminal (TIOCGETD of ioctl_tty(2)): 0 is N_TTY.
///
/// # Errors
/// EIO where it has hung up.
pub fn line_discipline(terminal: BorrowedFd<'_>) -> Sys<c_int> {
    let mut number: c_int = 0;
    // SAFETY: the kernel writes one int.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGETD as libc::Ioctl, &raw mut number) })?;
    Ok(number)
}

/// Sets it (TIOCSETD).
///
/// # Errors
/// EINVAL for one that the kernel does not have, EIO where the terminal has hung up.
pub fn set_line_discipline(terminal: BorrowedFd<'_>, number: c_int) -> Sys<()> {
    // SAFETY: the kernel reads one int.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSETD as libc::Ioctl, &raw const number) })
        .map(drop)
}

// ---------------------------------------------------------------- namespaces (ns-unshare)

pub mod namespace {
    //! How namespaces hang together (ioctl_ns(2), Linux 4.9).

    use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

    use nix::errno::Errno;
    use nix::libc;

    use super::Sys;

    /// NS_GET_USERNS and NS_GET_PARENT of linux/nsfs.h.
    const OWNER: libc::Ioctl = 0xb701;
    const PARENT: libc::Ioctl = 0xb702;

    fn related(namespace: impl AsFd, request: libc::Ioctl) -> Sys<OwnedFd> {
        // SAFETY: both requests take no argument.
        let file = Errno::result(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), request) })?;
        // SAFETY: the kernel has just opened this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(file) })
    }

    /// The user namespace that owns one.
    ///
    /// # Errors
    /// EPERM where it is outside of the caller's own.
    pub fn owner(namespace: impl AsFd) -> Sys<OwnedFd> {
        related(namespace, OWNER)
    }

    /// The user or pid namespace that one was made in.
    ///
    /// # Errors
    /// EPERM where it is outside of the caller's own, or where there is none.
    pub fn parent(namespace: impl AsFd) -> Sys<OwnedFd> {
        related(namespace, PARENT)
    }
}
