//! `--learn`: watches a program, and writes the policy that it needs.
//!
//! ```text
//! seccomp-exec, learning  <-- socket: the listener --  seccomp-exec, the gate  ->  PROG
//!                         <-- each system call of PROG and of all that it starts
//! ```
//!
//! This process stays. Its child goes through the gate as ever, and attaches last a filter that asks here about each call.
//! Every call is noted and made. When the last process behind the filter has ended, the policy is written, and this
//! process ends as PROG ended. This protects nothing: the arguments are seen before the kernel
//! uses them, and another thread can change what they point to in between.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{IoSliceMut, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use chain::sys::{Child, attached, listener};
use chain::wait::{self, Ended, Event, Resident, caller_lifeline, hide_from_payload};
use chain::{Call as _, Context as _, Result, refusal, show};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recvmsg};

use crate::model::policy::Data;
use crate::model::policy_text::written;
use crate::plan::learned::Seen;

/// The two ends of a channel for the listener: ours, and the one on which the gate sends it.
pub type Channel = (UnixStream, UnixStream);

/// Starts `gate` in a child, answers all its questions, and writes the policy to `path`, which must not be there yet. Does
/// not return.
pub fn supervise(
    path: &OsStr,
    prog: &[OsString],
    channel: Channel,
    gate: impl FnOnce() -> anyhow::Error,
) -> Result<u8> {
    let lifeline = caller_lifeline()?;
    let file = File::create_new(path).call("open").with_context(|| format!("--learn {}", show(path)))?;
    let resident = Resident::begin(lifeline, &[])?;
    let child = resident.start(gate)?;
    let (ours, theirs) = channel;
    drop(theirs);
    hide_from_payload()?;
    resident.keep_only(&[child.pidfd.as_fd(), file.as_fd(), ours.as_fd()])?;
    let mut learner =
        Learner { resident, child: Some(child), ended: Ended::Exit(125), seen: Seen::default(), count: 0 };
    if let Err(error) = learner.learn(&ours) {
        // Nobody is left to answer its calls.
        learner.child.iter().for_each(wait::kill);
        return Err(error);
    }
    let text = learner.text(prog)?;
    (&file).write_all(text.as_bytes()).call("write").with_context(|| format!("--learn {}", show(path)))?;
    learner.ended.finish()
}

/// The process that stays.
struct Learner {
    resident: Resident,
    child: Option<Child>,
    ended: Ended,
    seen: Seen,
    count: u64,
}

impl Learner {
    /// Until the last process behind the filter has ended; without a listener, until the child has failed.
    fn learn(&mut self, socket: &UnixStream) -> Result<()> {
        let mut listener = None;
        loop {
            let waited = listener.as_ref().map_or(socket.as_fd(), OwnedFd::as_fd);
            match self.resident.next_or(self.child.as_ref(), &[waited], PollTimeout::NONE)? {
                Event::Other => match &listener {
                    None => match received(socket)? {
                        None => return self.collect(),
                        arrived => listener = arrived,
                    },
                    Some(listener) if has_hung_up(listener)? => return self.collect(),
                    Some(listener) => self.answer(listener)?,
                },
                event if self.is_over(&event, listener.is_some())? => return Ok(()),
                _ => {}
            }
        }
    }

    /// Whether an event ends the learning. The end of PROG does not while others run that it has started; then a signal does.
    fn is_over(&mut self, event: &Event, listening: bool) -> Result<bool> {
        match (event, &self.child) {
            (Event::Signal(info), Some(child)) => wait::pass_on(info, child),
            (Event::Signal(_), None) => return Ok(true),
            (Event::ParentGone, child) => {
                child.iter().for_each(wait::kill);
                return self.collect().map(|()| true);
            }
            (Event::Ended, _) => {
                self.collect()?;
                return Ok(!listening);
            }
            (Event::Timeout | Event::Other, _) => {}
        }
        Ok(false)
    }

    fn collect(&mut self) -> Result<()> {
        if let Some(child) = self.child.take() {
            self.ended = Ended::from_raw(wait::collect(&child)?.status);
        }
        Ok(())
    }

    /// Notes one call and lets it be made. The caller may be gone by now (ENOENT).
    fn answer(&mut self, listener: &OwnedFd) -> Result<()> {
        match listener::receive(listener) {
            Ok(question) => {
                self.seen.note(&data(&question.data));
                self.count += 1;
                gone_is_fine(listener::answer(listener, question.id, None))
            }
            Err(errno) => gone_is_fine(Err(errno)),
        }
    }

    fn text(&self, prog: &[OsString]) -> Result<String> {
        let words: Vec<String> = prog.iter().map(show).collect();
        Ok(format!(
            "# What {} called, as seccomp-exec --learn saw it: {} calls.\n{}",
            words.join(" ").replace('\n', " "),
            self.count,
            written(&self.seen.policy()?)
        ))
    }
}

fn gone_is_fine(answer: std::result::Result<(), Errno>) -> Result<()> {
    match answer {
        Err(Errno::ENOENT | Errno::EINTR) => Ok(()),
        other => other.call("ioctl(SECCOMP_IOCTL_NOTIF)"),
    }
}

fn data(seen: &libc::seccomp_data) -> Data {
    Data { nr: seen.nr as u32, arch: seen.arch, instruction_pointer: seen.instruction_pointer, args: seen.args }
}

/// The listener, when it comes; `None` where the gate has failed before.
fn received(socket: &UnixStream) -> Result<Option<OwnedFd>> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
    let message = message.call("recvmsg")?;
    match attached(&message).call("recvmsg")? {
        None if message.bytes > 0 => Err(refusal!("--learn: a message without a listener")),
        listener => Ok(listener),
    }
}

/// Whether no process is left that could ask (Linux 5.9).
fn has_hung_up(listener: &OwnedFd) -> Result<bool> {
    let mut files = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::ZERO).call("poll")?;
    let events = files.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
    Ok(events.contains(PollFlags::POLLHUP) && !events.contains(PollFlags::POLLIN))
}
