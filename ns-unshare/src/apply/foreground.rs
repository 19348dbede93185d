//! `--foreground`: the box has a process group of its own, and the caller's terminal while it runs.
//!
//! ```text
//! caller's shell ──── job ────► [ other links, ns-unshare outside, init ]    one process group
//!                                        └ main process and what it starts   another, made by the main process
//! ```
//!
//! The group keeps kill(0, ...), setpriority(PRIO_PGRP) and the like of the payload within the box. With a terminal it is
//! a job of the shell's that consists of two groups, so ns-unshare does what a shell does for one: the box's group is put
//! into the foreground; when the main process stops (ctrl-Z), the box is frozen, the terminal goes back, and the job
//! stops by the same signal; when the shell continues the job, all is undone.

use std::os::fd::{AsFd, BorrowedFd};

use chain::terminal::TerminalLease;
use chain::{Call as _, Result};
use nix::libc::{self, c_int};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, setpgid};
use rustix::termios::Termios;

use super::channel::{Channel, TO_GROUP, WITH_TERMINAL};
use super::stops::Stops;

/// Signals that the process outside takes besides those that are passed on and [`Stops`]: a continuation can overtake a
/// stop, and who is in the background sets a terminal only with SIGTTOU blocked (tcsetpgrp(3)).
pub const TAKEN: [Signal; 2] = [Signal::SIGTTOU, Signal::SIGCONT];

/// The terminal as each of the three processes has it; they are copies of each other (fork).
pub struct Job {
    lease: TerminalLease,
    /// How the box had it set when it was stopped.
    box_modes: Option<Termios>,
    /// Outside: the stops of the caller's job.
    stops: Option<Stops>,
    /// The box has been told of one, and has not stopped yet: and whether the job was continued since.
    told_to_stop: Option<bool>,
}

impl Job {
    /// Looks at the caller's terminal; it is lent if the caller's group has it. `None` where there is none.
    pub fn look() -> Result<Option<Self>> {
        Ok(TerminalLease::look()?.map(|lease| Self { lease, box_modes: None, stops: None, told_to_stop: None }))
    }

    /// Outside: from now on a stop of the caller's job is for the box first.
    pub fn hold_stops(&mut self) -> Result<()> {
        self.stops = Some(Stops::hold()?);
        Ok(())
    }

    /// Outside: the stops that the box is to be told of. `None` while it has been told and the job was not continued.
    pub fn stops(&self) -> Option<&Stops> {
        self.stops.as_ref().filter(|_| self.told_to_stop != Some(false))
    }

    /// Outside: tells the box to stop if the caller's job is to.
    pub fn pass_stop_on(&mut self, channel: &Channel) -> Result<()> {
        if !self.stops().map_or(Ok(false), Stops::any)? {
            return Ok(());
        }
        self.told_to_stop = Some(false);
        channel.send(libc::SIGTSTP | TO_GROUP)
    }

    /// Outside: a signal for the caller's job. False for one that is not about stopping.
    pub fn signalled(&mut self, signal: c_int) -> bool {
        if signal == libc::SIGCONT {
            self.told_to_stop = self.told_to_stop.map(|_| true);
        }
        signal == libc::SIGCONT
    }

    /// Outside: the main process has stopped. Continues it, now or when the caller is continued.
    pub fn stopped(&mut self, word: c_int, channel: &Channel) -> Result<()> {
        let signal = Signal::try_from(libc::WSTOPSIG(word & !WITH_TERMINAL)).unwrap_or(Signal::SIGSTOP);
        let asks = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        let ordered = self.stops.as_ref().map_or(Ok(false), Stops::any)?;
        let told = self.told_to_stop.take().is_some() || ordered;
        let goes_on = if told { !ordered } else { asks && self.lease.terminal.is_ours() };
        if !goes_on {
            if word & WITH_TERMINAL != 0 {
                self.box_modes = self.lease.terminal.modes().ok();
                self.lease.take()?;
            }
            self.lease.held = false;
            self.stop(if asks { signal } else { Signal::SIGTSTP }, told)?;
        }
        self.resume(channel)
    }

    /// Stops with the caller's job, which was `told` to, or is now as the terminal would have done it: by a signal to the
    /// whole group.
    fn stop(&self, signal: Signal, told: bool) -> Result<()> {
        if !told {
            kill(Pid::from_raw(0), signal).call("kill")?;
        }
        self.stops.as_ref().map_or(Ok(()), |stops| stops.let_in(signal))
    }

    /// In the foreground the terminal goes along; in the background (`bg`) the box runs without.
    fn resume(&mut self, channel: &Channel) -> Result<()> {
        self.lease.held = self.lease.terminal.is_ours();
        if self.lease.held {
            self.lease.modes = self.lease.terminal.modes()?;
            self.box_modes.take().iter().for_each(|modes| self.lease.terminal.set(modes));
        }
        channel.send(libc::SIGCONT | if self.lease.held { WITH_TERMINAL } else { 0 })
    }

    /// Outside: the box has ended.
    pub fn end(&self) {
        self.lease.end();
    }

    /// Init: the word for the process outside about a main process that has stopped. Nobody is left running who could
    /// read from, or type into, a terminal that is the caller's again; but processes that keep continuing each other on
    /// several processors can outrun the stop (docs/SECURITY.md).
    pub fn freeze(&self, status: c_int) -> c_int {
        signal_box(Signal::SIGSTOP);
        status | if self.lease.terminal.holder().is_some() { WITH_TERMINAL } else { 0 }
    }

    /// Init: what the process outside sent about stopping and continuing. False for any other word.
    pub fn obey(&self, main: Pid, word: c_int) -> bool {
        if word & WITH_TERMINAL != 0 {
            // It may have hung up since; then the box finds out by itself.
            self.lease.terminal.give(main).unwrap_or_default();
        }
        let continues = word & !WITH_TERMINAL == libc::SIGCONT;
        if continues {
            signal_box(Signal::SIGCONT);
        }
        continues
    }
}

impl AsFd for Job {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lease.terminal.as_fd()
    }
}

/// Main process: makes the group, and takes the terminal if it is lent. With SIGTTOU blocked.
pub fn enter(job: Option<&Job>) -> Result<()> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).call("setpgid")?;
    job.filter(|job| job.lease.held).map_or(Ok(()), |job| job.lease.terminal.give(getpid()))
}

/// Whether a raw wait status says that a process has stopped.
pub fn is_stop(word: c_int) -> bool {
    libc::WIFSTOPPED(word & !WITH_TERMINAL)
}

/// To everybody in the box but its init, which must be the caller of this: kill(2) with -1 means all that it sees.
fn signal_box(signal: Signal) {
    if getpid().as_raw() == 1 {
        kill(Pid::from_raw(-1), signal).unwrap_or_default();
    }
}
