//! Open file description locks (fcntl(2)): held by an open file, given back when its last descriptor is closed, which the
//! kernel does however a process ends.

use std::fs::File;

use chain::{Call as _, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the lock of an open file, if nobody has it.
///
/// # Errors
/// What fcntl(2) says.
pub fn now(file: &File) -> Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno).call("fcntl(F_OFD_SETLK)"),
    }
}

/// Takes the lock of an open file, however long that takes.
///
/// # Errors
/// What fcntl(2) says.
pub fn waiting(file: &File) -> Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK))) {
            Err(Errno::EINTR) => {}
            done => return done.call("fcntl(F_OFD_SETLKW)").map(drop),
        }
    }
}

/// Whether somebody has the lock. Asks without taking it, so that nobody who wants it is disturbed.
///
/// # Errors
/// What fcntl(2) says.
pub fn is_taken(file: &File) -> Result<bool> {
    let mut asked = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked)).call("fcntl(F_OFD_GETLK)")?;
    Ok(libc::c_int::from(asked.l_type) != libc::F_UNLCK)
}
