//! A stop that waits (SIGTSTP: ctrl-Z, or `kill -TSTP` of a job) until this process is ready for it.
//!
//! The signal is never read: it stays pending, which a signalfd shows, until it is let in. So the kernel itself forgets
//! it when the job is continued meanwhile (signal(7): SIGCONT discards a pending stop signal). Who reads the signal and
//! stops by another one later has a moment in between where a continuation gets lost: it is discarded by that other one.
//! And it can come then: a process of the same job that stops at once, cg-run, is enough for the shell to say so.

use std::os::fd::{AsFd, BorrowedFd};

use chain::{Call as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

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
