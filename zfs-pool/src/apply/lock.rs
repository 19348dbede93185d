//! Taking the lock of a file. It is held by the open file, so the kernel gives it back however a process ends.

use std::fs::File;

use chain::{Call as _, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::look::lock::whole_file;

/// Takes the lock of an open file, if nobody has it.
pub fn now(file: &File) -> Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno).call("fcntl(F_OFD_SETLK)"),
    }
}

/// Takes the lock of an open file, however long that takes.
pub fn waiting(file: &File) -> Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK))) {
            Err(Errno::EINTR) => {}
            done => return done.call("fcntl(F_OFD_SETLKW)").map(drop),
        }
    }
}
