//! Links that stay resident while their child runs.
//!
//! ```text
//! caller -- lifeline --> resident link -- signals, pidfd --> child (the rest of the chain)
//! ```
//!
//! A resident link blocks the signals that it passes on and reads them from a signalfd, so none is lost and no
//! handler exists; the child gets the caller's mask back before it executes anything. The *lifeline* is a descriptor
//! that becomes readable when the parent has gone: a pidfd of the caller, or a pipe whose other end the parent holds.
//! It works where PR_SET_PDEATHSIG does not (the death of a thread, changed credentials, a race at the start).
//!
//! Signals that a terminal sends reach the whole foreground process group, the child included; only those that a
//! process sent to this link are passed on, so that the child gets each of them once.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid, getppid};

use crate::failure::{Call as _, Failure};
use crate::sys::{self, AtEnd, Child, Fork, Reaped};
use crate::{Result, fault, message, refusal};

/// What a resident link passes on: everything that asks a process for something. Not SIGCHLD, not the signals of job
/// control (they act on the whole group, this link included), not what a fault raises in this process itself.
const PASSED_ON: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGPIPE,
];

/// Those of them that ask a process to end.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By exit, with this code.
    Exit(u8),
    /// By this signal.
    Signal(c_int),
}

impl Ended {
    /// Reads a raw wait status (wait(2)).
    pub fn from_raw(status: c_int) -> Self {
        if libc::WIFSIGNALED(status) {
            return Self::Signal(libc::WTERMSIG(status));
        }
        Self::Exit(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    }

    /// Ends this process in the same way: with the same code, or of the same signal. A shell shows 128+N for it, and
    /// a parent that waits sees exactly what it would have seen of the child (docs/adr/0002).
    pub fn finish(self) -> ! {
        match self {
            Self::Exit(code) => sys::exit_now(code),
            Self::Signal(signal) => sys::die_of(signal),
        }
    }
}

/// What a resident link waits for.
#[derive(Debug)]
pub enum Event {
    /// A signal came in. For SIGCHLD, something may be there to reap.
    Signal(Box<siginfo>),
    /// The child has ended and can be reaped.
    Ended,
    /// A lifeline is cut: whoever started us is gone.
    ParentGone,
    /// One of the other descriptors of [`Resident::next_or`] has something to say.
    Other,
    /// Nothing of all that within the time given.
    Timeout,
}

/// The state of a resident link: its signals and its lifelines.
#[derive(Debug)]
pub struct Resident {
    signals: SignalFd,
    caller_mask: SigSet,
    caller_ignored_children: bool,
    /// Each is enough. A child that goes on in place of this process has another.
    pub lifelines: Vec<Lifeline>,
}

/// A lifeline: what tells that somebody is gone.
#[derive(Debug)]
pub struct Lifeline {
    file: OwnedFd,
    asked: PollFlags,
}

impl Lifeline {
    /// A descriptor that becomes readable then: a pidfd, or a pipe whose other end that one holds.
    pub fn readable(file: OwnedFd) -> Self {
        Self { file, asked: PollFlags::POLLIN }
    }

    /// The lifelines of a connection, which may have something to read: its other end is closed, or the process that made
    /// it is gone. The second one (Linux 6.5) is for who sent the other end over the connection itself: nobody closes that.
    /// Errors: what fcntl(2) or getsockopt(2) say; a process that is gone.
    pub fn connection(file: BorrowedFd<'_>) -> Result<Vec<Self>> {
        // POLLHUP comes unasked.
        let end = Self { file: file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?, asked: PollFlags::empty() };
        match getsockopt(&file, PeerPidfd) {
            Ok(peer) => Ok(vec![end, Self::readable(peer)]),
            Err(Errno::ENOPROTOOPT | Errno::ENOTSOCK | Errno::ENODATA) => Ok(vec![end]),
            Err(errno) => Err(errno).call("getsockopt(SO_PEERPIDFD)"),
        }
    }

    /// As poll(2) is asked for it: every answer says that it is cut.
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.file.as_fd(), self.asked)
    }
}

impl Resident {
    /// Blocks the signals that are passed on, and `also` (an init adds SIGCHLD), from now on. `lifelines`: each is enough;
    /// without [`caller_lifeline`] this link outlives its caller.
    pub fn begin(lifelines: impl IntoIterator<Item = Lifeline>, also: &[Signal]) -> Result<Self> {
        let set: SigSet = PASSED_ON.iter().chain(also).copied().collect();
        // A caller that ignores SIGCHLD (some supervisors do) would make the kernel reap our child before us.
        let caller_ignored_children = sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
        let mut caller_mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut caller_mask)).call("sigprocmask")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).call("signalfd")?;
        Ok(Self { signals, caller_mask, caller_ignored_children, lifelines: lifelines.into_iter().collect() })
    }

    /// In the child, before it executes anything: signals as the caller had them.
    pub fn restore_signals(&self) -> Result<()> {
        if self.caller_ignored_children {
            sys::ignore_signal(libc::SIGCHLD, true).call("sigaction(SIGCHLD)")?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.caller_mask), None).call("sigprocmask")
    }

    /// Starts a child that ends by exec, with signals as the caller had them, and that dies with this process ([`die_with`]).
    /// Errors: what clone(2) says. What goes wrong in the child, it says itself.
    pub fn start(&self, work: impl FnOnce() -> anyhow::Error) -> Result<Child> {
        let me = getpid();
        match sys::fork(0, AtEnd::Signal).call("clone")? {
            Fork::Parent(child) => Ok(child),
            Fork::Child => child_does(|| match self.restore_signals().and_then(|()| die_with(me)) {
                Ok(()) => work(),
                Err(error) => error,
            }),
        }
    }

    /// Stops passing signals on: from now on they act on this link as they would have acted before [`Resident::begin`].
    pub fn stop_listening(&self) -> Result<()> {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.caller_mask), None).call("sigprocmask")
    }

    /// Closes every descriptor but 2, this object's own and `also`: what the caller meant for the next program (standard
    /// input and output, one end of a pipe, a lock) is not held open by a link that stays, so that whoever reads what the
    /// payload writes sees the end when the payload closes it. After the fork that takes them along.
    pub fn keep_only(&self, also: &[BorrowedFd<'_>]) -> Result<()> {
        let lines = self.lifelines.iter().map(|line| line.file.as_fd());
        let faults = fault::descriptor().and_then(|fd| sys::borrowed(fd).ok());
        sys::close_all_but([self.signals.as_fd()].into_iter().chain(lines).chain(also.iter().copied()).chain(faults))
            .call("close_range")
    }

    /// Waits for the next event, at most `timeout`.
    pub fn next(&self, child: &Child, timeout: PollTimeout) -> Result<Event> {
        self.next_or(Some(child), &[], timeout)
    }

    /// The same for a link that has something else to wait for: one of `others` may become readable. A child that has
    /// been collected is left away.
    pub fn next_or(&self, child: Option<&Child>, others: &[BorrowedFd<'_>], timeout: PollTimeout) -> Result<Event> {
        let waited = [Some(self.signals.as_fd()), child.map(|child| child.pidfd.as_fd())];
        let readable = waited.iter().flatten().chain(others);
        let mut files: Vec<_> = readable.map(|file| PollFd::new(*file, PollFlags::POLLIN)).collect();
        files.extend(self.lifelines.iter().map(Lifeline::poll_fd));
        match poll(&mut files, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Event::Timeout),
            Ok(_) => {}
            Err(errno) => return Err(Failure::call("poll", errno).into()),
        }
        let mut answers = files.iter().map(|file| file.revents().is_some_and(|events| !events.is_empty()));
        let [signal, ended] = waited.map(|file| file.is_some() && answers.next() == Some(true));
        let other = answers.by_ref().take(others.len()).filter(|answer| *answer).count() > 0;
        if let Some(Some(info)) = signal.then(|| self.signals.read_signal()).transpose().call("read of a signalfd")? {
            return Ok(Event::Signal(Box::new(info)));
        }
        Ok(match (answers.any(|answer| answer), ended, other) {
            (true, ..) => Event::ParentGone,
            (_, true, _) => Event::Ended,
            (.., true) => Event::Other,
            _ => Event::Timeout,
        })
    }

    /// Runs until the child has ended: passes signals on, and ends the child when the lifeline is cut.
    /// Errors: what the system calls of the loop say; the child is killed first.
    pub fn run(&self, child: &Child) -> Result<Reaped> {
        loop {
            match self.next(child, PollTimeout::NONE) {
                Ok(Event::Signal(info)) => pass_on(&info, child),
                Ok(Event::ParentGone) => {
                    end(child);
                    return collect(child);
                }
                Ok(Event::Ended) => return collect(child),
                Ok(Event::Other | Event::Timeout) => {}
                Err(error) => {
                    kill(child);
                    return Err(error);
                }
            }
        }
    }
}

/// Whether a signal is to be passed on to the child: not if the terminal sent it (then the child has it already), nor
/// if this process raised it on itself (SIGPIPE of a message that nobody reads).
pub fn is_for_child(info: &siginfo) -> bool {
    info.ssi_code != libc::SI_KERNEL && info.ssi_pid != std::process::id()
}

/// Passes a signal on to the child, if [`is_for_child`].
pub fn pass_on(info: &siginfo, child: &Child) {
    if !is_for_child(info) {
        return;
    }
    signal(child, c_int::try_from(info.ssi_signo).unwrap_or(0));
}

/// Signals the child, and continues it where that asks it to end: a stopped process hears of it then only, and whoever sent
/// the signal has continued this link, not the child. As timeout(1) and systemd do.
pub fn signal(child: &Child, signal: c_int) {
    // ESRCH: the child has just ended, which the caller's loop will see.
    sys::signal_process(&child.pidfd, signal).unwrap_or_default();
    if asks_to_end(signal) {
        sys::signal_process(&child.pidfd, libc::SIGCONT).unwrap_or_default();
    }
}

/// Whether this signal asks a process to end.
pub fn asks_to_end(signal: c_int) -> bool {
    ENDING.iter().any(|ending| *ending as c_int == signal)
}

/// Whether such a signal waits to be read by a resident link.
/// Errors: what signalfd(2) or poll(2) say.
pub fn is_asked_to_end() -> Result<bool> {
    let signals = SignalFd::with_flags(&ENDING.into_iter().collect(), SfdFlags::SFD_CLOEXEC).call("signalfd")?;
    let mut file = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    poll(&mut file, PollTimeout::ZERO).call("poll").map(|ready| ready > 0)
}

/// Kills the child. That it has just ended by itself is no error.
pub fn kill(child: &Child) {
    sys::signal_process(&child.pidfd, libc::SIGKILL).unwrap_or_default();
}

/// Asks the child to end, and kills it if it is still there after two seconds: a link that made something (a cgroup)
/// removes it when it ends, and cannot when it is killed.
fn end(child: &Child) {
    signal(child, libc::SIGTERM);
    let mut file = [PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
    if poll(&mut file, PollTimeout::from(2000_u16)) != Ok(1) {
        kill(child);
    }
}

/// Collects a child that has ended or will soon.
pub fn collect(child: &Child) -> Result<Reaped> {
    sys::reap(child.pid, true).call("wait4")?.ok_or_else(|| refusal!("wait4: no status"))
}

/// A child's folder in /proc, open.
/// Errors: as [`proc_number`].
pub fn proc_folder(child: &Child) -> Result<OwnedFd> {
    let folder = format!("/proc/{}", proc_number(child.pidfd.as_fd())?);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(folder.as_str(), flags, Mode::empty()).call(&format!("open {folder}"))
}

/// A process's number in the /proc that is mounted here, from its pidfd's entry: that may be an outer one, where our own
/// numbers mean others.
/// Errors: a /proc that is not there, or that does not show the process.
pub fn proc_number(pidfd: BorrowedFd<'_>) -> Result<u32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let facts = std::fs::read_to_string(&path).call(&format!("read {path}"))?;
    let number = facts.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.filter(|number| *number != 0).ok_or_else(|| refusal!("{path} does not tell the process's number"))
}

/// In the child of a resident link, before it executes anything: the kernel kills it when `parent` dies
/// (PR_SET_PDEATHSIG, which exec keeps and a change of credentials clears). Without it a parent that is killed before
/// the next link has its lifeline leaves a chain that nobody watches; a payload without a resident link stays bound by it.
/// Errors: what prctl(2) says; a parent that is already gone.
pub fn die_with(parent: Pid) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).call("prctl(PR_SET_PDEATHSIG)")?;
    if getppid() != parent {
        return Err(refusal!("the link that started this one is gone"));
    }
    Ok(())
}

/// A lifeline to the process that started us: a pidfd of the parent, checked to be of the parent and not of a process
/// that took over its number. `None` where the parent is outside our pid namespace and cannot be watched.
///
/// It takes over from [`die_with`]: who has a lifeline can clean up when it is cut, who is killed cannot.
/// Errors: what pidfd_open(2) says; a parent that is already gone.
pub fn caller_lifeline() -> Result<Option<Lifeline>> {
    let parent = getppid();
    let Some(pid) = rustix::process::Pid::from_raw(parent.as_raw()) else { return Ok(None) };
    let file =
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).call("pidfd_open of the parent")?;
    if getppid() != parent {
        return Err(refusal!("the process that started this link is gone"));
    }
    if prctl::get_pdeathsig().call("prctl(PR_GET_PDEATHSIG)")? == Some(Signal::SIGKILL) {
        prctl::set_pdeathsig(None).call("prctl(PR_SET_PDEATHSIG, 0)")?;
    }
    Ok(Some(Lifeline::readable(file)))
}

/// Nobody with the same ids may trace this process or read its memory and descriptors from now on
/// (CVE-2016-9962, CVE-2019-5736). For links that stay while untrusted code runs.
pub fn hide_from_payload() -> Result<()> {
    prctl::set_dumpable(false).call("prctl(PR_SET_DUMPABLE, 0)")
}

/// What a forked child does: `work` ends by exec, so whatever comes back is a failure, said and turned into a code.
pub fn child_does(work: impl FnOnce() -> anyhow::Error) -> ! {
    sys::exit_now(message::print_failure(&work()))
}
