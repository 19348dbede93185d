//! Descriptors by number.

use std::ffi::c_uint;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, RecvMsg};

use super::Sys;

/// A descriptor number that somebody else opened, checked to be open (fcntl(2) F_GETFD).
/// Errors: EBADF where it is not.
pub fn borrowed(fd: RawFd) -> Sys<BorrowedFd<'static>> {
    // SAFETY: F_GETFD takes any number and changes nothing.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open; the caller's descriptors (0, 1, 2, --keep-fd) are closed by nobody in a link.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes over a descriptor number that the user named on the command line.
/// Errors: EBADF where it is not open.
pub fn adopt(fd: RawFd) -> Sys<OwnedFd> {
    borrowed(fd)?;
    // SAFETY: it is open, and the user handed it to us by number: no other code of a link owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes the descriptor that came with a message (SCM_RIGHTS), which was received with MSG_CMSG_CLOEXEC. More than one are
/// not taken.
/// Errors: what recvmsg(2) says of a message that was cut off.
pub fn attached<S>(message: &RecvMsg<'_, '_, S>) -> Sys<Option<OwnedFd>> {
    for control in message.cmsgs()? {
        let ControlMessageOwned::ScmRights(files) = control else { continue };
        if let [file] = *files.as_slice() {
            // SAFETY: the kernel has opened it in this process for this message, which is read here alone.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(file) }));
        }
    }
    Ok(None)
}

/// Makes `fd` a copy of `file` that the next program gets (dup3(2)), and closes `file`. Whatever was open under that number
/// is closed: it must belong to nobody in this process.
/// Errors: EBADF for a number above the limit of open files.
pub fn place(file: OwnedFd, fd: RawFd) -> Sys<()> {
    // SAFETY: numbers only; the caller says that nothing of this process's own is open under `fd`.
    Errno::result(unsafe { libc::dup3(file.as_raw_fd(), fd, 0) }).map(drop)
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC (Linux 5.11): everything from `first` on is closed by the next exec.
/// Errors: ENOSYS or EINVAL before Linux 5.11.
pub fn close_on_exec_from(first: c_uint) -> Sys<()> {
    // SAFETY: numbers only; the descriptors stay open in this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Closes every descriptor but 2 and `keep` (close_range(2), Linux 5.9). For a process that stays after a fork:
/// what it closes belongs to nobody in it, because the fork's other side uses it. An [`OwnedFd`] that is still to be
/// used must be among `keep`.
/// Errors: ENOSYS before Linux 5.9.
pub fn close_all_but<'a>(keep: impl Iterator<Item = BorrowedFd<'a>>) -> Sys<()> {
    close_between(keep.map(|fd| fd.as_raw_fd()).chain([2]).collect())
}

/// Closes what an exec would close: every descriptor but 0, 1, 2 and `keep`, and those three where they are marked
/// close-on-exec (they hold the place of one that the caller had closed). For a link that goes on as the next one: it
/// uses nothing of its own any more.
/// Errors: ENOSYS before Linux 5.9.
pub fn close_marked(keep: &[RawFd]) -> Sys<()> {
    // SAFETY: F_GETFD takes any number and changes nothing.
    let marked = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } & libc::FD_CLOEXEC != 0;
    close_between((0..=2).filter(|fd| !marked(fd)).chain(keep.iter().copied()).collect())
}

/// Closes every descriptor that is not among `keep`.
fn close_between(keep: Vec<RawFd>) -> Sys<()> {
    let mut keep: Vec<c_uint> = keep.into_iter().filter_map(|fd| c_uint::try_from(fd).ok()).collect();
    keep.sort_unstable();
    let mut first: c_uint = 0;
    for kept in keep.into_iter().chain([c_uint::MAX]) {
        if kept > first {
            // SAFETY: numbers only; whoever calls keeps what it still uses.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, kept - 1, 0) })?;
        }
        first = first.max(kept.saturating_add(1));
    }
    Ok(())
}
