//! Terminals (ioctl_tty(2)).

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

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

/// A request that puts bytes into a terminal as if they had been typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// TIOCSTI: any byte, into any terminal.
    Typed,
    /// TIOCLINUX: what is selected, into a virtual console.
    Pasted,
}

impl Push {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Typed, Self::Pasted];

    /// The number of the request of ioctl(2).
    #[must_use]
    pub const fn request(self) -> u32 {
        match self {
            Self::Typed => libc::TIOCSTI as u32,
            Self::Pasted => libc::TIOCLINUX as u32,
        }
    }
}

/// Whether the kernel would let this process push bytes into the terminal. It is asked for a byte that is not there: EFAULT
/// is what it says after everything else (EIO: dev.tty.legacy_tiocsti is 0; EPERM: the terminal of another session).
#[must_use]
pub fn would_push(terminal: BorrowedFd<'_>, push: Push) -> bool {
    // Not null: there is a page under personality(2)'s MMAP_PAGE_ZERO, and its byte would be typed.
    let nowhere = ptr::without_provenance::<u8>(usize::MAX);
    // SAFETY: the kernel reads at most one byte, at an address where no process has a page.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), push.request() as libc::Ioctl, nowhere) };
    Errno::result(done) == Err(Errno::EFAULT)
}

/// Sets it (TIOCSETD).
/// Errors: EINVAL for one that the kernel does not have, EIO where the terminal has hung up.
pub fn set_line_discipline(terminal: BorrowedFd<'_>, number: c_int) -> Sys<()> {
    // SAFETY: the kernel reads one int.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSETD as libc::Ioctl, &raw const number) })
        .map(drop)
}
