//! A stop that waits (SIGTSTP: ctrl-Z, or `kill -TSTP` of a job; others, of who uses a terminal from the background) until
//! this process is ready for it.
//!
//! The signal is never read: it stays pending, which a signalfd shows, until it is let in. So the kernel itself forgets
//! it when the job is continued meanwhile (signal(7): SIGCONT discards a pending stop signal). Who reads the signal and
//! stops by another one later has a moment in between where a continuation gets lost: it is discarded by that other one.
//! And it can come then: a process of the same job that stops at once, cg-run, is enough for the shell to say so.

use std::os::fd::{AsFd, BorrowedFd};

use chain::{Call as _, Result, wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// Stops of this process; to be polled, and readable while one waits.
pub struct Stops {
    held: SigSet,
    file: SignalFd,
}

impl Stops {
    /// From now on these wait.
    pub fn hold(signals: &[Signal]) -> Result<Self> {
        let held: SigSet = signals.iter().copied().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), None).call("sigprocmask")?;
        let file = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).call("signalfd")?;
        Ok(Self { held, file })
    }

    /// Stops now if one waits; returns when continued. By SIGTSTP: another one of these may be there by then already, from a
    /// process of the group that was continued first, and is to wait. Not where a signal waits that asks to end.
    pub fn stop_once(&self) -> Result<()> {
        let (stop, mut before) = (SigSet::from(Signal::SIGTSTP), SigSet::empty());
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&stop), Some(&mut before)).call("sigprocmask")?;
        raise(Signal::SIGTSTP).call("raise")?;
        // A continuation from here on discards SIGTSTP too; one from before has discarded what waited.
        if !self.any()? || wait::is_asked_to_end()? {
            raise(Signal::SIGCONT).call("raise")?;
        }
        while self.file.read_signal().call("read of a signalfd")?.is_some() {}
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).call("sigprocmask")
    }

    /// They wait no more.
    pub fn let_go(&self) -> Result<()> {
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&self.held), None).call("sigprocmask")
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
        let mut set = self.held;
        set.add(signal);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), Some(&mut before)).call("sigprocmask")?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).call("sigprocmask")
    }
}

impl AsFd for Stops {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
