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
use chain::{Call as _, Result, wait};
use nix::libc::{self, c_int};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, setpgid};
use rustix::termios::Termios;

use super::channel::{Channel, HEARD, TO_GROUP, WITH_TERMINAL};
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
    /// Outside: signals that ask to end which were sent to the box, and of which the init has not said [`HEARD`].
    unheard: u32,
    /// Init: the box is frozen.
    frozen: bool,
}

impl Job {
    /// Looks at the caller's terminal; it is lent if the caller's group has it. `None` where there is none.
    pub fn look() -> Result<Option<Self>> {
        let job = |lease| Self { lease, box_modes: None, stops: None, told_to_stop: None, unheard: 0, frozen: false };
        Ok(TerminalLease::look()?.map(job))
    }

    /// Outside: from now on a stop of the caller's job is for the box first.
    pub fn hold_stops(&mut self) -> Result<()> {
        self.stops = Some(Stops::hold(&[Signal::SIGTSTP])?);
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

    /// Outside: a signal for the caller's job. False for one that is for the box.
    pub fn signalled(&mut self, signal: c_int) -> bool {
        if signal == libc::SIGCONT {
            self.told_to_stop = self.told_to_stop.map(|_| true);
        } else if wait::asks_to_end(signal) {
            self.unheard += 1;
        }
        signal == libc::SIGCONT
    }

    /// Outside: what the init says before the last word ([`is_end`]).
    pub fn hear(&mut self, word: c_int, channel: &Channel) -> Result<()> {
        if word == HEARD {
            self.unheard = self.unheard.saturating_sub(1);
        } else if self.unheard > 0 {
            // Continued already. To stop now might be for ever: the box ends, and nobody continues this process.
            self.told_to_stop = None;
        } else {
            self.stopped(word, channel)?;
        }
        Ok(())
    }

    /// Outside: the main process has stopped. Continues it, now or when the caller is continued.
    fn stopped(&mut self, word: c_int, channel: &Channel) -> Result<()> {
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

    /// Stops with the caller's job, which was `told` to, or is now.
    fn stop(&self, signal: Signal, told: bool) -> Result<()> {
        match &self.stops {
            Some(stops) if told => stops.let_in(signal),
            Some(stops) => stops.stop_group(signal),
            None => Ok(()),
        }
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
    pub fn freeze(&mut self, status: c_int) -> c_int {
        self.frozen = true;
        signal_box(Signal::SIGSTOP);
        status | if self.lease.terminal.holder().is_some() { WITH_TERMINAL } else { 0 }
    }

    /// Init: what the process outside sent about stopping and continuing. False for any other word.
    pub fn obey(&mut self, main: Pid, word: c_int) -> bool {
        if word & WITH_TERMINAL != 0 {
            // It may have hung up since; then the box finds out by itself.
            self.lease.terminal.give(main).unwrap_or_default();
        }
        let continues = word & !WITH_TERMINAL == libc::SIGCONT;
        if continues {
            self.thaw();
        }
        continues
    }

    /// Init: a signal that asks to end has been given to the main process: all of the box goes on.
    pub fn end_of_box(&mut self, channel: &Channel) -> Result<()> {
        if self.frozen {
            self.thaw();
        }
        channel.send(HEARD)
    }

    fn thaw(&mut self) {
        self.frozen = false;
        signal_box(Signal::SIGCONT);
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

/// Whether a word of the init's says how the main process ended.
pub fn is_end(word: c_int) -> bool {
    word != HEARD && !is_stop(word)
}

/// To everybody in the box but its init, which must be the caller of this: kill(2) with -1 means all that it sees.
fn signal_box(signal: Signal) {
    if getpid().as_raw() == 1 {
        kill(Pid::from_raw(-1), signal).unwrap_or_default();
    }
}
