//! `--ready-fd` and `--wait-fd`: the moment between a box that is set up and its program, for whoever plugs something in.

use std::os::fd::AsFd as _;
use std::os::fd::RawFd;

use chain::sys::{self, Child};
use chain::wait::{self, Ended, Event, Resident};
use chain::{Call as _, Failure, Result};
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::unistd::{Pid, write};

use crate::step::Step;

/// Says that the box is set up: the pid of a process in it, as a line. The descriptor is closed then, unless it is a
/// standard one.
pub fn say_ready(fd: RawFd, process: Pid) -> Result<()> {
    let line = format!("{process}\n");
    let file = sys::borrowed(fd).call("fcntl")?;
    let written = write(file, line.as_bytes()).call("write")?;
    close(fd);
    if written == line.len() { Ok(()) } else { Err(Failure::refusal("write: not all of the line was taken").into()) }
}

/// Waits until there is something to read, or nobody left to write. How the box ended, if it did first: by itself, or
/// because a signal or the caller's end gave it up.
pub fn await_start(fd: RawFd, resident: &Resident, child: &Child) -> Result<Option<Ended>> {
    let file = sys::borrowed(fd).call("fcntl")?;
    let signal = loop {
        match resident.next_or(Some(child), &[file.as_fd()], PollTimeout::NONE)? {
            Event::Other => {
                close(fd);
                return Ok(None);
            }
            // It has printed why.
            Event::Ended => return Ok(Some(Ended::from_raw(wait::collect(child)?.status))),
            Event::ParentGone => break libc::SIGKILL,
            Event::Signal(info) if info.ssi_signo == libc::SIGWINCH as u32 => {}
            Event::Signal(info) => break c_int::try_from(info.ssi_signo).unwrap_or(libc::SIGKILL),
            Event::Timeout => {}
        }
    };
    wait::kill(child);
    wait::collect(child)?;
    Ok(Some(Ended::Signal(signal)))
}

/// In the box: closes the descriptor of this step, which is for the process outside.
pub fn forget(step: &Step) {
    if let Step::SayReady(fd) | Step::AwaitStart(fd) = step {
        close(*fd);
    }
}

fn close(fd: RawFd) {
    if fd > 2 {
        sys::adopt(fd).map(drop).unwrap_or_default();
    }
}
