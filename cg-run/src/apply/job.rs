//! The process that the caller knows, and the one that measures.
//!
//! A shell stops, continues and waits for the processes of its job: a process group, which the program is in, and which the
//! program can stop or kill whole (`kill(0, SIGSTOP)`). So one process stays there, does as the job does, passes on what it is
//! asked, and ends as the run ended. The one that measures and kills is its child, and leaves the group before the program
//! begins: it goes on whatever becomes of the job, and when the first is killed it kills the run.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};

use chain::sys::{AtEnd, Child, Fork, fork};
use chain::terminal::Terminal;
use chain::wait::{self, Ended, Event, Resident, hide_from_payload};
use chain::{Call as _, Result, process, refusal};
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, sigprocmask};
use nix::unistd::{Pid, getppid, pipe2, setpgid, setsid};

use crate::look::family;

/// Divides this process in two. Only the one that measures comes back; the other ends as that one does.
/// `outlive`: the run goes on when the caller is gone.
pub fn divide(outlive: bool) -> Result<Resident> {
    let lifeline = if outlive { None } else { wait::caller_lifeline()? };
    let resident = Resident::begin(lifeline, &[Signal::SIGCHLD])?;
    let first = Pid::this();
    match fork(0, AtEnd::Signal).call("clone")? {
        Fork::Child => measuring(resident, first),
        Fork::Parent(child) => stay(&resident, &child)?.finish(),
    }
}

/// A process in the background may not be stopped for a message, nor for giving the terminal back.
fn measuring(mut resident: Resident, first: Pid) -> Result<Resident> {
    family::divided(first);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from(Signal::SIGTTOU)), None).call("sigprocmask")?;
    resident.lifelines = wait::caller_lifeline()?.into_iter().collect();
    if getppid() != first {
        return Err(refusal!("the process that the caller started is gone"));
    }
    Ok(resident)
}

/// Until the measuring process has ended. That the caller is gone need not be said: this end is what the other watches.
fn stay(resident: &Resident, child: &Child) -> Result<Ended> {
    hide_from_payload()?;
    resident.keep_only(&[child.pidfd.as_fd()])?;
    loop {
        match resident.next(child, PollTimeout::NONE)? {
            Event::Signal(info) => {
                let signal = libc::c_int::try_from(info.ssi_signo).unwrap_or(0);
                // A terminal that is gone asks the run to end, and tells this group alone.
                if signal != libc::SIGCHLD && (wait::is_for_child(&info) || signal == libc::SIGHUP) {
                    wait::signal(child, signal);
                }
            }
            Event::Ended => return wait::collect(child).map(|reaped| Ended::from_raw(reaped.status)),
            Event::ParentGone => return Err(refusal!("the process that started cg-run is gone")),
            Event::Other | Event::Timeout => {}
        }
    }
}

/// Continues the process that the caller knows, if it was stopped with the job: it has the end of the run to tell. Where there
/// is no terminal, and so no job control, the rest of the caller's group too: nobody else would.
pub fn wake() {
    let Some(first) = family::first().filter(|first| *first == getppid()) else { return };
    let Ok(Some(known)) = process::process(first).map(|known| known.filter(|known| known.state == 'T')) else { return };
    if known.group > 0 && matches!(Terminal::controlling(), Ok(None)) {
        killpg(Pid::from_raw(known.group), Signal::SIGCONT).unwrap_or_default();
    }
    kill(first, Signal::SIGCONT).unwrap_or_default();
}

/// What the child waits for: that this process has left their group.
#[derive(Debug)]
pub struct Gate(File, OwnedFd);

impl Gate {
    pub fn new() -> Result<Self> {
        pipe2(OFlag::O_CLOEXEC).map(|(read, write)| Self(read.into(), write)).call("pipe2")
    }

    /// In the measuring process. With a terminal it stays in its session, where alone it can give the terminal back. Without
    /// one it leaves that too: a parent of the session, outside of the group, would keep the group from being an orphan, until
    /// the program ends and the kernel hangs up whoever is stopped there (setpgid(2)).
    pub fn leave(self, has_terminal: bool) -> Result<()> {
        if has_terminal {
            return setpgid(Pid::from_raw(0), Pid::from_raw(0)).call("setpgid");
        }
        setsid().call("setsid").map(drop)
    }

    /// In the child.
    pub fn pass(self) -> Result<()> {
        let Self(mut read, write) = self;
        drop(write);
        read.read(&mut [0]).call("read").map(drop)
    }
}
