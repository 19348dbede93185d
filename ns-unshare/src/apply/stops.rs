//! A stop that waits (SIGTSTP: ctrl-Z, or `kill -TSTP` of a job) until this process is ready for it.
//!
//! The signal is never read: it stays pending, which a signalfd shows, until it is let in. So the kernel itself forgets
//! it when the job is continued meanwhile (signal(7): SIGCONT discards a pending stop signal). Who reads the signal and
//! stops by another one later has a moment in between where a continuation gets lost: it is discarded by that other one.
//! And it can come then: a process of the same job that stops at once, cg-run, is enough for the shell to say so.

use std::os::fd::{AsFd, BorrowedFd};

use chain::{Call as _, Result, wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// Stops of this process; to be polled, and readable while one waits.
pub struct Stops(SignalFd);

impl Stops {
    /// From now on they wait.
    pub fn hold() -> Result<Self> {
        let set = SigSet::from(Signal::SIGTSTP);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).call("sigprocmask")?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).call("signalfd").map(Self)
    }

    /// Whether one waits.
    pub fn any(&self) -> Result<bool> {
        poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).call("poll").map(|ready| ready > 0)
    }

    /// Stops the whole group by `signal`, as the terminal would have done it, and this process with it; returns when
    /// continued. Where a signal waits that asks to end, the group goes on instead: the SIGCONT that came behind it, so
    /// that it is heard, does not come again.
    pub fn stop_group(&self, signal: Signal) -> Result<()> {
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signal.into()), Some(&mut before)).call("sigprocmask")?;
        let group = Pid::from_raw(0);
        kill(group, signal).call("kill")?;
        if wait::is_asked_to_end()? {
            kill(group, Signal::SIGCONT).call("kill")?;
        }
        self.let_in(signal)?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).call("sigprocmask")
    }

    /// Stops now, by what waits, or by `signal` if that is pending; returns when continued. At once where nothing is
    /// pending any more, and where nobody could continue this process (an orphaned group, setpgid(2)).
    pub fn let_in(&self, signal: Signal) -> Result<()> {
        let set: SigSet = [Signal::SIGTSTP, signal].into_iter().collect();
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), Some(&mut before)).call("sigprocmask")?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).call("sigprocmask")
    }
}

impl AsFd for Stops {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
