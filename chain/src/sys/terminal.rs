//! Terminals (ioctl_tty(2)).

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// The line discipline of a terminal (TIOCGETD of ioctl_tty(2)): 0 is N_TTY.
/// Errors: EIO where it has hung up.
pub fn line_discipline(terminal: BorrowedFd<'_>) -> Sys<c_int> {
    let mut number: c_int = 0;
    // SAFETY: the kernel writes one int.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGETD as libc::Ioctl, &raw mut number) })?;
    Ok(number)
}

/// Sets it (TIOCSETD).
/// Errors: EINVAL for one that the kernel does not have, EIO where the terminal has hung up.
pub fn set_line_discipline(terminal: BorrowedFd<'_>, number: c_int) -> Sys<()> {
    // SAFETY: the kernel reads one int.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSETD as libc::Ioctl, &raw const number) })
        .map(drop)
}
