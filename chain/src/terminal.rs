//! The caller's terminal (credentials(7), tty_ioctl(4)): whose group is in its foreground, how it is set, and giving it
//! back after a box has had it.
//!
//! A link that stays does that: ns-unshare when its box stops or ends, cg-run when it has killed the whole chain below,
//! ns-unshare included.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, getpid, tcgetpgrp, tcsetpgrp};
use rustix::termios::{
    Action, OptionalActions, QueueSelector, Termios, ioctl_tiocnxcl, tcflow, tcflush, tcgetattr, tcsetattr,
};

use crate::failure::{Call as _, Failure};
use crate::process::{self, Process};
use crate::{Result, sys};

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
    /// Whether what is typed ahead may have been typed by the box.
    forget_input: bool,
}

impl TerminalLease {
    /// Looks at the caller's terminal. `None` where there is none. `forget_input`: what is typed ahead when it is given
    /// back may have been typed by the box (TIOCSTI), and is thrown away.
    pub fn look(forget_input: bool) -> Result<Option<Self>> {
        let Some(terminal) = Terminal::controlling()? else { return Ok(None) };
        let (modes, discipline, held) = (terminal.modes()?, terminal.discipline()?, terminal.is_ours());
        Ok(Some(Self { terminal, modes, held, discipline, forget_input }))
    }

    /// Puts this process's group into the foreground of a terminal that is set as it was. With SIGTTOU blocked.
    pub fn take(&self) -> Result<()> {
        self.terminal.release(self.discipline);
        if self.forget_input {
            self.terminal.forget_input();
        }
        self.terminal.give(getpgrp())?;
        self.terminal.set(&self.modes);
        Ok(())
    }

    /// The box has ended. What it had is the caller's again, unless a shell was faster; and what it did to the terminal
    /// from the background is undone.
    pub fn end(&self) {
        unstopped(|| {
            self.terminal.release(self.discipline);
            if self.held && (self.terminal.is_ours() || self.terminal.is_orphaned()) {
                // A terminal that has hung up is nobody's.
                self.take().unwrap_or_default();
            }
        });
    }
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
