//! Open file description locks (fcntl(2)): held by an open file, given back when its last descriptor is closed, which the
//! kernel does however a process ends.

use std::fs::File;

use chain::{Call as _, Result};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The lock of a whole file.
pub fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Whether somebody has the lock. Asks without taking it, so that it disturbs no process that wants it.
pub fn is_taken(file: &File) -> Result<bool> {
    let mut answer = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut answer)).call("fcntl(F_OFD_GETLK)")?;
    Ok(libc::c_int::from(answer.l_type) != libc::F_UNLCK)
}
