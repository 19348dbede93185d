//! Namespaces that exist already: entered (`--join`), or kept by a file when no process is left in them (`--pin`).
//!
//! Everything is opened before anything is entered, and a process is held by a pidfd, so that its number cannot come to
//! mean another. What is read of a process that is joined are its namespaces, nothing else: its files may be hostile.
//! Who enters is not dumpable, so that nobody in there can trace it, nor take its descriptors (CVE-2016-9962).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use chain::Common;
use chain::values::number;
use chain::{Call as _, Failure, Next, Result, show, sys};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::apply::Proc;
use crate::hint;
use crate::namespace::{Namespace, Set};
use crate::step::Step;

/// Where a namespace is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A process is in it.
    Process(u32),
    /// A file that it is pinned to, or one of /proc/PID/ns.
    File(OsString),
    /// Such a file, or a pidfd, open.
    Descriptor(i32),
}

/// Namespaces to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Which.
    pub set: Set,
    /// Of what.
    pub source: Source,
}

/// A file that is to keep a new namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Which.
    pub kind: Namespace,
    /// The file.
    pub file: OsString,
}

fn parts<'a>(option: &str, word: &'a OsStr) -> Result<(Namespace, &'a str)> {
    let refused =
        || Failure::refusal(format!("--{option} {}: TYPE=... with TYPE one of {}", show(word), Set::all().words()));
    let (kind, rest) = word.to_str().and_then(|text| text.split_once('=')).ok_or_else(refused)?;
    let kind = Namespace::ALL.into_iter().find(|known| known.word() == kind).ok_or_else(refused)?;
    if rest.is_empty() { Err(refused().into()) } else { Ok((kind, rest)) }
}

/// A process number as people write it; 0 is no process.
///
/// # Errors
/// Anything else.
pub fn process(option: &str, word: &OsStr) -> Result<u32> {
    let pid = number(word).and_then(|n| u32::try_from(n).ok()).filter(|pid| (1..=i32::MAX as u32).contains(pid));
    pid.ok_or_else(|| Failure::refusal(format!("--{option} {}: not a process number", show(word))).into())
}

impl Join {
    /// Reads `TYPE=PID`, `TYPE=FILE` or `TYPE=fd:N`. A file whose name is a number is `./N`.
    ///
    /// # Errors
    /// Any other word.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let (kind, rest) = parts("join", word)?;
        let source = if let Some(fd) = rest.strip_prefix("fd:") {
            let fd = number(OsStr::new(fd)).and_then(|n| i32::try_from(n).ok());
            Source::Descriptor(fd.ok_or_else(|| Failure::refusal(format!("--join {}: not a descriptor", show(word))))?)
        } else if rest.bytes().all(|byte| byte.is_ascii_digit()) {
            Source::Process(process("join", OsStr::new(rest))?)
        } else {
            Source::File(rest.into())
        };
        Ok(Self { set: Set::default().with(kind), source })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::File(path) => write!(f, "{}", show(path)),
            Self::Descriptor(fd) => write!(f, "descriptor {fd}"),
        }
    }
}

impl Pin {
    /// Reads `TYPE=FILE`.
    ///
    /// # Errors
    /// Any other word; a pid namespace, which cannot be kept.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let (kind, file) = parts("pin", word)?;
        if kind == Namespace::Pid {
            return Err(Failure::refusal("--pin pid: a pid namespace ends with its init")
                .hint("join the others, and make a new one with --pid for each run")
                .into());
        }
        Ok(Self { kind, file: file.into() })
    }

    /// Mounts the namespace of the process whose folder in /proc this is on the file, which is made if it is not there.
    ///
    /// # Errors
    /// What open(2) or mount(2) say: EPERM without CAP_SYS_ADMIN over the mount namespace that the file is in.
    pub fn put(&self, process: &Proc) -> Result<()> {
        let name = if self.kind == Namespace::Time { "time_for_children" } else { self.kind.file() };
        let namespace = process.read(&format!("ns/{name}"))?;
        // Its mode does not matter: nobody reads what is below the mount.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&self.file);
        if let Err(error) = made
            && error.raw_os_error() != Some(Errno::EEXIST as i32)
        {
            return Err(error).call(&format!("open {}", show(&self.file)));
        }
        let target = openat(
            AT_FDCWD,
            self.file.as_os_str(),
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .call(&format!("open {}", show(&self.file)))?;
        let by_descriptor = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
        let (source, target) = (by_descriptor(&namespace), by_descriptor(&target));
        mount(Some(source.as_str()), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>).call("mount")
    }
}

/// Namespaces ready to be entered.
#[derive(Debug)]
pub struct Door {
    set: Set,
    file: OwnedFd,
}

impl Door {
    /// Opens what a `--join` names.
    ///
    /// # Errors
    /// A process, file or descriptor that is not there.
    pub fn open(join: &Join) -> Result<Self> {
        let file = match &join.source {
            Source::Process(pid) => pidfd(*pid)?,
            Source::File(path) => {
                // A fifo must not hold us up, a terminal must not become ours; setns(2) tells what is a namespace.
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                openat(AT_FDCWD, path.as_os_str(), flags, Mode::empty()).call(&format!("open {}", show(path)))?
            }
            Source::Descriptor(fd) => {
                let file = sys::borrowed(*fd).call(&format!("--join fd:{fd}: fcntl"))?;
                file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?
            }
        };
        Ok(Self { set: join.set, file })
    }

    /// Enters: this process, and for pid namespaces what it starts from now on.
    ///
    /// # Errors
    /// What setns(2) says.
    pub fn enter(&self) -> Result<()> {
        let entered = setns(self.file.as_fd(), CloneFlags::from_bits_retain(self.set.flags())).call("setns");
        entered.map_err(|error| hint::entering(error, self.set))
    }
}

/// Enters all of them.
///
/// # Errors
/// What cannot be opened, before any is entered; what setns(2) says.
pub fn enter(common: &Common, joins: &[Join]) -> Result<()> {
    let step = |join: &Join| Step::Join(join.clone());
    let doors = joins.iter().map(|join| Door::open(join).with_context(|| step(join).to_string()));
    let doors = doors.collect::<Result<Vec<_>>>()?;
    let steps: Vec<Step> = joins.iter().map(step).collect();
    let mut doors = doors.iter();
    chain::perform(common, &steps, |_| doors.next().map_or(Ok(()), Door::enter))
}

/// The next program: found in the caller's tree, or to be found in the one that is entered.
#[derive(Debug)]
pub enum Program {
    /// Found.
    Here(Next),
    /// These words, of which the first is found there.
    There {
        /// The program and its arguments.
        words: Vec<OsString>,
        /// Whether it keeps the capabilities.
        keep_caps: bool,
    },
}

impl Program {
    /// Finds it in the caller's tree, unless another one is among the namespaces that are `joined`. Who joins executes it
    /// in any case: what this process has in memory is not for those who are in there.
    ///
    /// # Errors
    /// As [`Next::resolve`]; a tool of ours that would be looked up by name in a tree that is somebody else's.
    pub fn find(prog: &[OsString], joined: Set, keep_caps: bool) -> Result<Self> {
        let entered = joined.has(Namespace::Mount);
        let words = chain::next::or_shell(prog);
        let by_name = words.first().is_some_and(|word| !word.as_bytes().contains(&b'/'));
        if entered && by_name && chain::next::is_our_tool(&words) {
            let text = "a tool of this family is not looked up by name in the tree that is joined";
            return Err(Failure::refusal(text).hint("name it by its path there").into());
        }
        if entered {
            return Ok(Self::There { words, keep_caps });
        }
        let next = kept(Next::resolve(&words)?, keep_caps);
        Ok(Self::Here(if joined.is_empty() { next } else { next.force_exec() }))
    }

    /// Found in the caller's tree, nothing is said about the caller's terminal ([`Next::without_warning`]).
    #[must_use]
    pub fn without_warning(self) -> Self {
        match self {
            Self::Here(next) => Self::Here(next.without_warning()),
            there @ Self::There { .. } => there,
        }
    }

    /// What to execute.
    ///
    /// # Errors
    /// As [`Next::resolve`].
    pub fn resolve(self) -> Result<Next> {
        match self {
            Self::Here(next) => Ok(next),
            Self::There { words, keep_caps } => Ok(kept(Next::resolve(&words)?.untrusted(), keep_caps)),
        }
    }
}

fn kept(next: Next, keep_caps: bool) -> Next {
    if keep_caps { next.keeping_capabilities() } else { next }
}

fn pidfd(pid: u32) -> Result<OwnedFd> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let opened = number.map_or(Err(rustix::io::Errno::SRCH), |number| pidfd_open(number, PidfdFlags::empty()));
    opened.call(&format!("pidfd_open {pid}"))
}

/// The namespaces of a process that are not the caller's, for `--join-all`.
///
/// # Errors
/// A process that is not there, or that the caller may not look at.
pub fn differing(pid: u32) -> Result<Set> {
    let held = pidfd(pid)?;
    let differs = |kind: &Namespace| -> Result<bool> {
        let path = |who: &str| Path::new("/proc").join(who).join("ns").join(kind.file());
        let Ok(own) = fs::metadata(path("self")) else { return Ok(false) };
        let theirs = path(&pid.to_string());
        let their = fs::metadata(&theirs).call(&format!("stat {}", theirs.display()))?;
        Ok((own.dev(), own.ino()) != (their.dev(), their.ino()))
    };
    let mut set = Set::default();
    for kind in Namespace::ALL {
        if differs(&kind).context(format!("look at the namespaces of process {pid}"))? {
            set = set.with(kind);
        }
    }
    // Still the process that was opened, so it was its folder.
    sys::signal_process(&held, 0).call(&format!("process {pid}: pidfd_send_signal"))?;
    Ok(set)
}
