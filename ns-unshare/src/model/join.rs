//! Namespaces that exist already: entered (`--join`), or kept by a file when no process is left in them (`--pin`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;

use chain::text::meant;
use chain::values::integer;
use chain::{Hint as _, Result, refusal, show};
use rustix::process::Pid;

use super::namespace::{Namespace, Set};

/// Where a namespace is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Process(Pid),
    /// A file that it is pinned to, or one of /proc/PID/ns.
    File(OsString),
    /// Such a file, or a pidfd, open.
    Descriptor(RawFd),
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

/// Namespaces to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub set: Set,
    pub source: Source,
}

impl Join {
    /// Reads `TYPE=PID`, `TYPE=FILE` or `TYPE=fd:N`. A file whose name is a number is `./N`.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let (kind, rest) = typed("join", word)?;
        let source = if let Some(fd) = rest.strip_prefix("fd:") {
            let refused = || refusal!("--join {}: not a descriptor", show(word));
            Source::Descriptor(integer(fd.as_ref()).ok_or_else(refused)?)
        } else if rest.bytes().all(|byte| byte.is_ascii_digit()) {
            Source::Process(pid("join", rest.as_ref())?)
        } else {
            Source::File(rest.into())
        };
        Ok(Self { set: kind.into(), source })
    }
}

/// All that is joined.
pub fn joined(joins: &[Join]) -> Set {
    joins.iter().flat_map(|join| join.set.iter()).collect()
}

/// A file that is to keep a new namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub kind: Namespace,
    pub file: OsString,
}

impl Pin {
    /// Reads `TYPE=FILE`; not for a pid namespace, which cannot be kept.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let (kind, file) = typed("pin", word)?;
        if kind == Namespace::Pid {
            return Err(refusal!("--pin pid: a pid namespace ends with its init")
                .hint("join the others, and make a new one with --pid for each run"));
        }
        Ok(Self { kind, file: file.into() })
    }
}

fn typed<'a>(option: &str, word: &'a OsStr) -> Result<(Namespace, &'a str)> {
    let parts = word.to_str().and_then(|text| text.split_once('=')).filter(|(_, rest)| !rest.is_empty());
    let known = parts.and_then(|(kind, rest)| Some((Namespace::ALL.into_iter().find(|one| one.word() == kind)?, rest)));
    let kind = parts.map_or("", |(kind, _)| kind);
    known.ok_or_else(|| {
        refusal!("--{option} {}: TYPE=... with TYPE one of {}", show(word), Set::all().words()).hint(meant(
            kind,
            Namespace::ALL.map(Namespace::word),
            "what follows TYPE= is a pid, a file or fd:N",
        ))
    })
}

/// A pid; 0 is no process.
pub fn pid(option: &str, word: &OsStr) -> Result<Pid> {
    let pid = integer(word).and_then(Pid::from_raw);
    pid.ok_or_else(|| refusal!("--{option} {}: not a pid", show(word)))
}
