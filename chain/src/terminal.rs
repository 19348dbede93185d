//! The caller's terminal (credentials(7), tty_ioctl(4)): whose group is in its foreground, how it is set, and giving it
//! back after a box has had it.
//!
//! A link that stays does that: ns-unshare when its box stops or ends, cg-run when it has killed the whole chain below,
//! ns-unshare included. And whichever link executes the payload says so where that could type into a terminal that is not
//! its own.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::stat::{Mode, SFlag, fstat, lstat, makedev};
use nix::unistd::{Pid, getpgrp, getpid, getsid, isatty, tcgetpgrp, tcsetpgrp};
use rustix::termios::{
    Action, OptionalActions, QueueSelector, Termios, ioctl_tiocnxcl, tcflow, tcflush, tcgetattr, tcsetattr,
};
use rustix::thread::{SecureComputingMode, secure_computing_mode};

use crate::failure::{Call as _, Failure};
use crate::process::{self, Process};
use crate::sys::Push;
use crate::{Result, message, sys};

/// The controlling terminal of this process, open.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// `None` where there is none: nothing but open(2) has been asked then.
    pub fn controlling() -> Result<Option<Self>> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, "/dev/tty", flags, Mode::empty()) {
            Ok(file) => Ok(Some(Self(file))),
            Err(Errno::ENXIO | Errno::ENOENT | Errno::EIO) => Ok(None),
            Err(errno) => Err(Failure::call("open /dev/tty", errno).into()),
        }
    }

    /// The group in its foreground, if this process can name it: a number of its own pid namespace, and alive or not.
    pub fn holder(&self) -> Option<Pid> {
        tcgetpgrp(&self.0).ok().filter(|group| group.as_raw() > 0)
    }

    /// Whether that is this process's own.
    pub fn is_ours(&self) -> bool {
        self.holder() == Some(getpgrp())
    }

    /// Whether it is a group of which nobody is left, but perhaps dead that nobody has collected.
    pub fn is_orphaned(&self) -> bool {
        self.holder().is_some_and(|group| match kill(Pid::from_raw(-group.as_raw()), None) {
            Err(Errno::ESRCH) => true,
            Err(_) => false,
            Ok(()) => all_dead(group).unwrap_or(false),
        })
    }

    /// Puts a group into the foreground. Who does that from the background must have SIGTTOU blocked, or is stopped.
    /// Errors: what ioctl(TIOCSPGRP) says: EPERM for a group of another session, EIO where the terminal has hung up.
    pub fn give(&self, group: Pid) -> Result<()> {
        tcsetpgrp(&self.0, group).call("tcsetpgrp")
    }

    /// How it is set: echo, line mode, special characters (termios(3)).
    /// Errors: EIO where it has hung up.
    pub fn modes(&self) -> Result<Termios> {
        tcgetattr(&self.0).call("tcgetattr")
    }

    /// Sets it so, at once. That it has hung up is no error: nobody is left whom it would matter to.
    pub fn set(&self, modes: &Termios) {
        tcsetattr(&self.0, OptionalActions::Now, modes).unwrap_or_default();
    }

    /// Who handles its lines: a number of the kernel's, 0 for terminals as everybody knows them.
    /// Errors: EIO where it has hung up.
    pub fn discipline(&self) -> Result<i32> {
        sys::line_discipline(self.0.as_fd()).call("ioctl(TIOCGETD)")
    }

    /// Undoes what a program can do to it besides its modes, so that nobody else could use it: another line discipline;
    /// output that was stopped by TCOOFF, which no ctrl-Q continues; exclusive use (TIOCEXCL), which it had not when this
    /// process opened it.
    pub fn release(&self, discipline: i32) {
        if self.discipline().is_ok_and(|now| now != discipline) {
            sys::set_line_discipline(self.0.as_fd(), discipline).unwrap_or_default();
        }
        tcflow(&self.0, Action::OOn).unwrap_or_default();
        ioctl_tiocnxcl(&self.0).unwrap_or_default();
    }

    /// Throws away what was typed, or put there by TIOCSTI, and nobody has read.
    pub fn forget_input(&self) {
        tcflush(&self.0, QueueSelector::IFlush).unwrap_or_default();
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the members of a group have all ended. `None` where /proc does not tell: it is not there, or that of another pid
/// namespace.
fn all_dead(group: Pid) -> Option<bool> {
    if fs::read_link("/proc/self").ok()?.to_str()? != getpid().to_string() {
        return None;
    }
    let alive = |process: Process| process.group == group.as_raw() && !process.has_ended();
    Some(!process::all().ok()?.any(alive))
}

/// Does something to a terminal that would stop a process in its background (SIGTTOU, tcsetpgrp(3)).
pub fn unstopped<T>(work: impl FnOnce() -> T) -> T {
    let (stop, mut before) = (SigSet::from(Signal::SIGTTOU), SigSet::empty());
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&stop), Some(&mut before)).unwrap_or_default();
    let done = work();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).unwrap_or_default();
    done
}

/// The caller's terminal while a box may have it, and what it is to be given back as.
#[derive(Debug)]
pub struct TerminalLease {
    /// It.
    pub terminal: Terminal,
    /// How the caller had it set.
    pub modes: Termios,
    /// Whether the caller's group had it.
    pub held: bool,
    /// Its line discipline.
    discipline: i32,
    /// The caller's group: who looked may have left it since.
    group: Pid,
}

impl TerminalLease {
    /// Looks at the caller's terminal. `None` where there is none.
    ///
    /// # Errors
    /// A terminal that cannot be opened or read.
    pub fn look() -> Result<Option<Self>> {
        let Some(terminal) = Terminal::controlling()? else { return Ok(None) };
        let (modes, discipline, held) = (terminal.modes()?, terminal.discipline()?, terminal.is_ours());
        Ok(Some(Self { terminal, modes, held, discipline, group: getpgrp() }))
    }

    /// Puts the caller's group into the foreground of a terminal that is set as it was. With SIGTTOU blocked. What is
    /// typed ahead may have been typed by the box (TIOCSTI), whatever filters it was to have, and is thrown away.
    ///
    /// # Errors
    /// As [`Terminal::give`].
    pub fn take(&self) -> Result<()> {
        self.terminal.release(self.discipline);
        self.terminal.forget_input();
        self.terminal.give(self.group)?;
        self.terminal.set(&self.modes);
        Ok(())
    }

    /// The box has ended. What it had is the caller's again, unless a shell was faster; and what it did to the terminal
    /// from the background is undone.
    pub fn end(&self) {
        unstopped(|| {
            self.terminal.release(self.discipline);
            let is_ours = self.terminal.holder() == Some(self.group);
            if self.held && (is_ours || self.terminal.is_orphaned()) {
                // A terminal that has hung up is nobody's.
                self.take().unwrap_or_default();
            }
        });
    }
}

/// Said by the link that executes a program which could type into somebody else's terminal.
const WARNING: &str = "warning: the program can type into this terminal (TIOCSTI): ns-unshare --pty or --new-session, or \
                       seccomp-exec --filter tty-guard, prevents that";

/// Warns if this process, and so the program that it executes, could type into a terminal of those outside, whose shell would
/// execute that (CVE-2017-5226 and its kind). `denied`: what filters of this link will not let the program do. A filter
/// that an earlier link or the caller has attached may deny it, and cannot be asked: nothing is said then.
pub fn warn_of_typing(denied: impl Fn(Push) -> bool) {
    if !is_of_an_outer_session() || !is_unfiltered() {
        return;
    }
    let own = open_tty();
    let standard = (0..=2).filter_map(|fd| sys::borrowed(fd).ok()).filter(|file| isatty(file).is_ok_and(|is| is));
    let terminals: Vec<_> = own.iter().map(AsFd::as_fd).chain(standard).collect();
    let can = |push: &Push| !denied(*push) && terminals.iter().any(|terminal| sys::would_push(*terminal, *push));
    if Push::ALL.iter().any(can) {
        message::print_error(WARNING);
    }
}

/// Whether the session of this process, to which its terminal belongs, began where it sees nobody: in the pid namespace
/// of somebody who put it into another one. The kernel has no number for it here then (getsid(2)).
fn is_of_an_outer_session() -> bool {
    getsid(None).is_ok_and(|session| session.as_raw() == 0)
}

fn is_unfiltered() -> bool {
    secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Disabled)
}

/// /dev/tty, if it is what it should be: the tree may be somebody else's by now.
fn open_tty() -> Option<OwnedFd> {
    let facts = lstat("/dev/tty").ok()?;
    let is_tty =
        SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR && facts.st_rdev == makedev(5, 0);
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let file = if is_tty { openat(AT_FDCWD, "/dev/tty", flags, Mode::empty()).ok()? } else { return None };
    // Somebody else may have put another device there meanwhile.
    fstat(&file).is_ok_and(|facts| facts.st_rdev == makedev(5, 0)).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use nix::sys::wait::{Id, WaitPidFlag, waitid};

    use super::*;

    #[test]
    fn a_group_is_dead_when_its_members_are() {
        assert_eq!(all_dead(getpgrp()), Some(false));
        assert_eq!(all_dead(Pid::from_raw(i32::MAX)), Some(true));
        // A zombie that leads a group of its own.
        let mut child = std::process::Command::new("true").process_group(0).spawn().unwrap();
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        assert_eq!(all_dead(group), Some(true));
        child.wait().unwrap();
    }
}
