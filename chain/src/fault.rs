//! What a link that fails tells the resident link above it: an exit status alone could be the payload's. And when the payload
//! is executed: the link that is about to do that says so before, so that the payload can neither say it nor delay it.
//!
//! The resident link makes a pipe, whose end for writing goes down the chain from link to link: over an exec by the variable
//! `CHAIN_FAULT`, which names the descriptor. A program that is not one of our tools gets neither, so that nothing but a link
//! can say that a link has failed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, SystemTime};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::pipe2;

use crate::failure::Call as _;
use crate::{Result, refusal, show, sys};

/// The variable that names the descriptor.
pub(crate) const VARIABLE: &str = "CHAIN_FAULT";

/// The descriptor, or -1.
static UP: AtomicI32 = AtomicI32::new(-1);

/// Descriptors of ours begin here: a plan or an option may name lower ones.
const HIGH: RawFd = 200;

/// The most that is said at once, and in all.
const LONGEST: usize = 2000;
const MOST: usize = 1 << 16;

/// A pipe for the links below this one.
#[derive(Debug)]
pub struct Faults {
    read: File,
    write: OwnedFd,
}

/// What a line begins with that says that the payload is executed: no message has it, for what is unprintable is escaped there.
const MARK: u8 = 1;

/// Whether this process has said so.
static ANNOUNCED: AtomicBool = AtomicBool::new(false);

/// That a program was executed which is none of our tools, by the word of the link that did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When, by the time of day: no time namespace shifts it.
    pub at: Duration,
    /// CPU time that the link's process had used.
    pub cpu: Duration,
}

/// The end of it that stays.
#[derive(Debug)]
pub struct Heard {
    pipe: File,
    said: Vec<u8>,
    begun: Option<Begun>,
    ended: bool,
}

impl Faults {
    /// Errors: what pipe2(2) or fcntl(2) say.
    pub fn new() -> Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).call("pipe2")?;
        let (read, write) = (File::from(read), high(write)?);
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
        Heard { pipe: self.read, said: vec![], begun: None, ended: false }
    }
}

impl Heard {
    /// What the first link said that failed, if one has, once all that could have said something have ended. It is passed on to
    /// the resident link above this one.
    /// Errors: what read(2) says.
    pub fn fault(&mut self) -> Result<Option<String>> {
        self.begun()?;
        let said = self.said.split(|byte| *byte == b'\n').find(|line| !line.is_empty() && line.first() != Some(&MARK));
        let text = said.map(|line| String::from_utf8_lossy(line).into_owned());
        text.iter().for_each(|text| tell(text));
        Ok(text)
    }

    /// When the payload was executed, if that has been said. It is passed on, once.
    /// Errors: what read(2) says.
    pub fn begun(&mut self) -> Result<Option<Begun>> {
        self.listen()?;
        if self.begun.is_none() {
            self.begun = self.said.split(|byte| *byte == b'\n').find_map(Begun::parse);
            self.begun.iter().for_each(Begun::tell);
        }
        Ok(self.begun)
    }

    /// Whether it may still be said.
    pub fn waits(&self) -> bool {
        self.begun.is_none() && !self.ended
    }

    fn listen(&mut self) -> Result<()> {
        let mut more = [0; LONGEST];
        while !self.ended && self.said.len() < MOST {
            match self.pipe.read(&mut more) {
                Ok(0) => self.ended = true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                read => self.said.extend(more.iter().take(read.call("read")?)),
            }
        }
        Ok(())
    }
}

impl Begun {
    fn now() -> Self {
        let used = |who| getrusage(who).map_or(0, |used| (used.user_time() + used.system_time()).num_microseconds());
        let cpu = used(UsageWho::RUSAGE_SELF) + used(UsageWho::RUSAGE_CHILDREN);
        Self { at: time_of_day(), cpu: Duration::from_micros(u64::try_from(cpu).unwrap_or(0)) }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let (first, rest) = line.split_first()?;
        let (at, cpu) = std::str::from_utf8(rest).ok().filter(|_| *first == MARK)?.split_once(' ')?;
        let micros = |text: &str| text.parse().ok().map(Duration::from_micros);
        Some(Self { at: micros(at)?, cpu: micros(cpu)? })
    }

    fn tell(&self) {
        say(&format!("{}{} {}\n", char::from(MARK), self.at.as_micros(), self.cpu.as_micros()));
    }
}

/// The time of day since 1970.
pub fn time_of_day() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Says that this process executes the payload now. Once: behind a filter it could not be said any more, and is said before.
pub fn announce() {
    if descriptor().is_some() && !ANNOUNCED.swap(true, Ordering::Relaxed) {
        Begun::now().tell();
    }
}

impl AsFd for Heard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Says that this link has failed, and how. That nobody hears it is no error.
pub(crate) fn tell(text: &str) {
    let end = (0..=text.len().min(LONGEST - 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    say(&format!("{}\n", &text[..end]));
}

fn say(line: &str) {
    if let Some(Ok(file)) = descriptor().map(sys::borrowed) {
        nix::unistd::write(file, line.as_bytes()).unwrap_or_default();
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
