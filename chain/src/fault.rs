//! What a link that fails tells the resident link above it: an exit status alone could be the payload's.
//!
//! The resident link makes a pipe, whose end for writing goes down the chain from link to link: over an exec by the variable
//! `CHAIN_FAULT`, which names the descriptor. A program that is not one of our tools gets neither, so that nothing but a link
//! can say that a link has failed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::failure::Call as _;
use crate::{Result, refusal, show, sys};

/// The variable that names the descriptor.
pub(crate) const VARIABLE: &str = "CHAIN_FAULT";

/// The descriptor, or -1.
static UP: AtomicI32 = AtomicI32::new(-1);

/// Descriptors of ours begin here: a plan or an option may name lower ones.
const HIGH: RawFd = 200;

/// The most that is said.
const LONGEST: usize = 2000;

/// A pipe for the links below this one.
#[derive(Debug)]
pub struct Faults {
    read: PipeReader,
    write: OwnedFd,
}

/// The end of it that stays.
#[derive(Debug)]
pub struct Heard(PipeReader);

impl Faults {
    /// Errors: what pipe2(2) or fcntl(2) say.
    pub fn new() -> Result<Self> {
        let (read, write) = std::io::pipe().call("pipe2")?;
        let write = high(write.into())?;
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).call("fcntl(F_SETFL)")?;
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).call("fcntl(F_SETFL)")?;
        Ok(Self { read, write })
    }

    /// In the process that executes the next link: what fails from now on is told here.
    pub fn below(self) {
        replace(self.write.into_raw_fd());
    }

    /// In the process that stays.
    pub fn above(self) -> Heard {
        Heard(self.read)
    }
}

impl Heard {
    /// What the first link said that failed, if one has, once all that could have said something have ended. It is passed on to
    /// the resident link above this one.
    /// Errors: what read(2) says.
    pub fn fault(&mut self) -> Result<Option<String>> {
        let mut said = vec![0; LONGEST];
        match self.0.read(&mut said) {
            Ok(0) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            read => {
                said.truncate(read.call("read")?);
                let text = String::from_utf8_lossy(&said);
                let text = text.lines().next().unwrap_or_default().to_owned();
                tell(&text);
                Ok(Some(text))
            }
        }
    }
}

impl AsFd for Heard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Says that this link has failed, and how. That nobody hears it is no error.
pub(crate) fn tell(text: &str) {
    if let Some(fd) = descriptor()
        && let Ok(file) = sys::borrowed(fd)
    {
        let end = (0..=text.len().min(LONGEST - 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        nix::unistd::write(file, format!("{}\n", &text[..end]).as_bytes()).unwrap_or_default();
    }
}

/// Where it is told.
pub(crate) fn descriptor() -> Option<RawFd> {
    Some(UP.load(Ordering::Relaxed)).filter(|fd| *fd >= 0)
}

fn replace(fd: RawFd) {
    let before = UP.swap(fd, Ordering::Relaxed);
    if before >= 0 && before != fd {
        sys::adopt(before).map(drop).unwrap_or_default();
    }
}

/// Takes what the link before this one handed on.
/// Errors: a value that is no pipe's descriptor.
pub(crate) fn take(value: &OsStr) -> Result<()> {
    let fd: RawFd = value.to_str().and_then(|text| text.parse().ok()).unwrap_or(-1);
    // The program is to have its standard ones, and what is taken is closed in the end.
    let fd = if fd > 2 { fd } else { -1 };
    let bad = || refusal!("{VARIABLE}={}: not the descriptor of a pipe", show(value));
    let file = File::from(sys::borrowed(fd).map_err(|_| bad())?.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?);
    let facts = file.metadata().call("fstat")?;
    if !std::os::unix::fs::FileTypeExt::is_fifo(&facts.file_type()) {
        return Err(bad());
    }
    replace(fd);
    Ok(())
}

fn high(file: OwnedFd) -> Result<OwnedFd> {
    let high = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(HIGH)).call("fcntl(F_DUPFD_CLOEXEC)");
    match high {
        Ok(fd) => sys::adopt(fd).call("fcntl"),
        // A tight limit.
        Err(_) => Ok(file),
    }
}
