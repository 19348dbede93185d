//! The caller's terminal (credentials(7), tty_ioctl(4)): whose group is in its foreground, and how it is set.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chain::{Call as _, Failure, Result, sys};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use rustix::termios::{
    Action, OptionalActions, QueueSelector, Termios, ioctl_tiocnxcl, tcflow, tcflush, tcgetattr, tcsetattr,
};
use rustix::thread::{SecureComputingMode, secure_computing_mode};

use crate::look::sysctl;

/// The controlling terminal of this process, open.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// `None` where there is none: nothing but open(2) has been asked then.
    ///
    /// # Errors
    /// What else open(2) says.
    pub fn controlling() -> Result<Option<Self>> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, "/dev/tty", flags, Mode::empty()) {
            Ok(file) => Ok(Some(Self(file))),
            Err(Errno::ENXIO | Errno::ENOENT | Errno::EIO) => Ok(None),
            Err(errno) => Err(Failure::call("open /dev/tty", errno).into()),
        }
    }

    /// The group in its foreground, if this process can name it: a number of its own pid namespace, and alive or not.
    #[must_use]
    pub fn holder(&self) -> Option<Pid> {
        tcgetpgrp(&self.0).ok().filter(|group| group.as_raw() > 0)
    }

    /// Whether that is this process's own.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.holder() == Some(getpgrp())
    }

    /// Whether it is a group of which nobody is left.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        self.holder().is_some_and(|group| kill(Pid::from_raw(-group.as_raw()), None) == Err(Errno::ESRCH))
    }

    /// Puts a group into the foreground. Who does that from the background must have SIGTTOU blocked, or is stopped.
    ///
    /// # Errors
    /// What ioctl(TIOCSPGRP) says: EPERM for a group of another session, EIO where the terminal has hung up.
    pub fn give(&self, group: Pid) -> Result<()> {
        tcsetpgrp(&self.0, group).call("tcsetpgrp")
    }

    /// How it is set: echo, line mode, special characters (termios(3)).
    ///
    /// # Errors
    /// EIO where it has hung up.
    pub fn modes(&self) -> Result<Termios> {
        tcgetattr(&self.0).call("tcgetattr")
    }

    /// Sets it so, at once. That it has hung up is no error: nobody is left whom it would matter to.
    pub fn set(&self, modes: &Termios) {
        tcsetattr(&self.0, OptionalActions::Now, modes).unwrap_or_default();
    }

    /// Who handles its lines: a number of the kernel's, 0 for terminals as everybody knows them.
    ///
    /// # Errors
    /// EIO where it has hung up.
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

/// Whether a program that shares the caller's terminal could type into it (CVE-2017-5226 and its kind): there is one, the
/// kernel has TIOCSTI (dev.tty.legacy_tiocsti, Linux 6.2), and no filter is there yet that may forbid it.
#[must_use]
pub fn can_be_typed_into() -> bool {
    Terminal::controlling().is_ok_and(|terminal| terminal.is_some())
        && sysctl("dev/tty/legacy_tiocsti").is_none_or(|value| value != "0")
        && secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Disabled)
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
