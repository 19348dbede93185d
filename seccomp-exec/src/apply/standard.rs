//! Standard files that are opened in the box: with the ids and the rights of the payload, which could open them as well.
//!
//! Links in the box lead nowhere but into the box, whose root this process has; the links of /proc, which could lead to what is
//! open here, are not followed. Nobody waits for the other end of a pipe.

use std::os::fd::OwnedFd;

use chain::{Call as _, Hint as _, Result, refusal, show};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use crate::model::standard::{Standard, Stream};

pub fn open(standard: &Standard) -> Result<()> {
    let (stream, path) = match standard {
        Standard::ErrorToOutput => return dup2_stderr(std::io::stdout()).call("dup2"),
        Standard::File(stream, path) => (*stream, path),
    };
    let (how, mode) = match stream {
        Stream::Input => (OFlags::RDONLY, Mode::empty()),
        _ => (OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, Mode::from_raw_mode(0o666)),
    };
    let flags = how | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, mode, ResolveFlags::NO_MAGICLINKS);
    let file = file.call(&format!("openat2 {}", show(path)))?;
    if FileType::from_raw_mode(fstat(&file).call("fstat")?.st_mode) == FileType::Fifo {
        return Err(refusal!("{}: a pipe", show(path)).hint("nobody may ever be at its other end: name a file"));
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).call("fcntl(F_SETFL)")?;
    place(&file, stream)
}

fn place(file: &OwnedFd, stream: Stream) -> Result<()> {
    match stream {
        Stream::Input => dup2_stdin(file),
        Stream::Output => dup2_stdout(file),
        Stream::Error => dup2_stderr(file),
    }
    .call("dup2")
}
