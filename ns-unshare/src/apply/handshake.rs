//! `--ready-fd`, `--info-fd`, `--status-fd`, `--wait-fd`, `--block-fd` and `--maps-fd`: the moment between a box that is set
//! up and its program, for whoever plugs something in.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use chain::sys::{self, Child};
use chain::wait::{self, Ended, Event, Resident};
use chain::{Call as _, Result, refusal, show};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open, openat};
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::sys::stat::{Mode, stat};
use nix::unistd::{Pid, read, write};

use super::channel::{Channel, Received};
use super::placeholder::open_folder;
use crate::hints;
use crate::model::placeholder::base;
use crate::plan::Plan;
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

/// In the box: says which number each of its new namespaces has, to the process outside. That one may not look where it
/// has joined a user namespace: this process is hidden then.
pub fn say_numbers(plan: &Plan, channel: &Channel) -> Result<()> {
    plan.reported().iter().try_for_each(|kind| {
        let path = format!("/proc/self/ns/{}", kind.file());
        let number = stat(path.as_str()).call(&format!("stat {path}")).map_err(hints::finding)?.st_ino;
        let number = u32::try_from(number).map_err(|_| refusal!("{path}: its number has more than 32 bits"))?;
        channel.send(i32::from_ne_bytes(number.to_ne_bytes()))
    })
}

/// What is to be said of the box: the number of the process that was named, or of its first one, and which namespaces were
/// made for it, but for the user namespace. None where that process is gone; it has printed why.
pub fn hear_numbers(plan: &Plan, process: BorrowedFd<'_>, channel: &Channel) -> Result<Option<Vec<String>>> {
    let mut members = vec![];
    for kind in plan.reported().iter() {
        let Received::Number(number) = channel.receive()? else { return Ok(None) };
        members.push(format!("\"{}-namespace\": {}", kind.file(), u32::from_ne_bytes(number.to_ne_bytes())));
    }
    members.sort();
    members.insert(0, format!("\"child-pid\": {}", wait::proc_number(process).map_err(hints::finding)?));
    Ok(Some(members))
}

/// Says it, in bubblewrap's layout: `--info-fd` on lines, after which the descriptor is closed.
pub fn say_info(fd: RawFd, members: &[String]) -> Result<()> {
    say(fd, &format!("{{\n    {}\n}}\n", members.join(",\n    ")))?;
    close(fd);
    Ok(())
}

/// `--status-fd`: on one line.
pub fn say_status(fd: RawFd, members: &[String]) -> Result<()> {
    say(fd, &format!("{{ {} }}\n", members.join(", ")))
}

/// A read lock that lasts as long as the descriptor. Below a base no link leads to a file: opening one may do something.
pub fn lock(path: &Path) -> Result<OwnedFd> {
    let mut flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let call = format!("open {}", show(path));
    let file = match (base(path), path.parent(), path.file_name()) {
        (Some(_), Some(above), Some(name)) => {
            flags |= OFlag::O_NOFOLLOW;
            openat(open_folder(above).call(&call)?, name, flags, Mode::empty())
        }
        _ => open(path, flags, Mode::empty()),
    };
    let file = file.call(&call)?;
    let whole =
        libc::flock { l_type: libc::F_RDLCK as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).call(&format!("lock {}: fcntl(F_OFD_SETLK)", show(path)))?;
    Ok(file)
}

/// Says how the program ended. Whoever asked may have gone meanwhile.
pub fn say_end(fd: RawFd, ended: Ended) {
    let code = match ended {
        Ended::Exit(code) => c_int::from(code),
        Ended::Signal(signal) => 128 + signal,
    };
    say(fd, &format!("{{ \"exit-code\": {code} }}\n")).unwrap_or_default();
}

fn say(fd: RawFd, text: &str) -> Result<()> {
    let file = sys::borrowed(fd).call("fcntl")?;
    let written = write(file, text.as_bytes()).call("write")?;
    if written == text.len() { Ok(()) } else { Err(refusal!("write: not all of it was taken")) }
}

/// Waits for the line that starts the program. How the box ended, if it did first: by itself, or because a signal or the
/// caller's end gave it up.
pub fn await_start(fd: RawFd, resident: &Resident, child: &Child) -> Result<Option<Ended>> {
    let mut line = vec![];
    match awaited(fd, resident, child, |file| ends_line(file, &mut line))? {
        None if !line.is_empty() => Err(why_not(&line)),
        ended => Ok(ended),
    }
}

/// The same for a byte, or the end.
pub fn await_byte(fd: RawFd, resident: &Resident, child: &Child) -> Result<Option<Ended>> {
    awaited(fd, resident, child, |file| match read(file, &mut [0]) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
        result => result.call("read").map(|_| true),
    })
}

fn awaited(
    fd: RawFd,
    resident: &Resident,
    child: &Child,
    mut has_come: impl FnMut(BorrowedFd<'_>) -> Result<bool>,
) -> Result<Option<Ended>> {
    let file = sys::borrowed(fd).call("fcntl")?;
    let signal = loop {
        match resident.next_or(Some(child), &[file.as_fd()], PollTimeout::NONE)? {
            Event::Other if has_come(file)? => {
                close(fd);
                return Ok(None);
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
    use Step::{AwaitByte, AwaitStart, Hold, SayInfo, SayReady, SayStatus};
    if let SayReady(fd) | SayInfo(fd) | SayStatus(fd) | AwaitStart(fd) | AwaitByte(fd) | Hold(fd) = step {
        close(*fd);
    }
}

fn close(fd: RawFd) {
    if fd > 2 {
        sys::adopt(fd).map(drop).unwrap_or_default();
    }
}
