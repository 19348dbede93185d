//! `--ready-fd` and `--wait-fd`: the moment between a box that is set up and its program, for whoever plugs something in.

use std::ffi::OsStr;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;

use chain::sys::{self, Child};
use chain::wait::{self, Ended, Event, Resident};
use chain::{Call as _, Result, refusal, show};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::unistd::{Pid, read, write};

use crate::step::Step;

/// The bytes of a line of --wait-fd that are read.
const LONGEST: usize = 1000;

/// Says that the box is set up: the pid of a process in it, as a line. The descriptor is closed then, unless it is a
/// standard one.
pub fn say_ready(fd: RawFd, process: Pid) -> Result<()> {
    let line = format!("{process}\n");
    let file = sys::borrowed(fd).call("fcntl")?;
    let written = write(file, line.as_bytes()).call("write")?;
    close(fd);
    if written == line.len() { Ok(()) } else { Err(refusal!("write: not all of the line was taken")) }
}

/// Waits for the line that starts the program. How the box ended, if it did first: by itself, or because a signal or the
/// caller's end gave it up.
pub fn await_start(fd: RawFd, resident: &Resident, child: &Child) -> Result<Option<Ended>> {
    let file = sys::borrowed(fd).call("fcntl")?;
    let mut line = vec![];
    let signal = loop {
        match resident.next_or(Some(child), &[file.as_fd()], PollTimeout::NONE)? {
            Event::Other if ends_line(file, &mut line)? => {
                close(fd);
                return if line.is_empty() { Ok(None) } else { Err(why_not(&line)) };
            }
            Event::Other => {}
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

/// Reads one byte, for what follows the line is not for this process. Whether the line is complete; the rest of a long one
/// does not matter.
fn ends_line(file: impl AsFd, line: &mut Vec<u8>) -> Result<bool> {
    let mut byte = [0];
    match read(file, &mut byte) {
        Ok(0) if line.is_empty() => Err(refusal!("read: its end, and no line before it")),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
        result if result.call("read")? == 0 || byte == *b"\n" => Ok(true),
        _ => {
            line.push(byte[0]);
            Ok(line.len() == LONGEST)
        }
    }
}

fn why_not(line: &[u8]) -> anyhow::Error {
    refusal!("{}", show(OsStr::from_bytes(line)))
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
