//! Read-only facts: the program that crosses, the plans, the sources, whose namespace this is.

mod crossing;
pub mod foreign;
pub mod namespace;
pub mod open;
mod plans;
mod private;
pub mod sources;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use chain::{Call as _, Hint as _, Result, refusal, sys};
use nix::libc;
use rustix::fs::FileType;

use crate::args::{Carry, Part};
use crate::model::{Chdir, Crossing, Entry, Owner, Source, Target};

/// What is known before the steps are made. `S` is a file of the old root: its path, or the same opened.
pub struct Facts<S = Source> {
    /// Whether there will be a new root: not where all that is asked for are mounts that the next program gets as
    /// descriptors.
    pub makes_a_root: bool,
    pub crossing: Option<Crossing>,
    pub entries: Vec<Entry<S>>,
    /// The owners that are to be shown as somebody else, as far as the sources are open.
    pub owners: Vec<Owner>,
    /// The working directories that are requested: one at most makes sense.
    pub chdirs: Vec<Chdir>,
    /// The caller's working directory; `None` where it has no path.
    pub cwd: Option<PathBuf>,
}

/// All that `--explain` knows: the program that crosses and the plans. No source is opened, since the links before this one
/// have done nothing yet.
pub fn written(carry: Carry, parts: Vec<Part>, prog: &[OsString]) -> Result<Facts<PathBuf>> {
    let plans::Plan { entries, chdirs } = plans::read(parts)?;
    let makes_a_root = entries.is_empty() || entries.iter().any(|entry| matches!(entry.target, Target::Place(_)));
    let crossing = match carry {
        _ if makes_a_root => crossing::chosen(carry, prog)?,
        Carry::Auto => None,
        _ => return Err(refusal!("--carry: this plan makes no root that PROG would have to cross into")),
    };
    Ok(Facts { makes_a_root, crossing, entries, owners: vec![], chdirs, cwd: std::env::current_dir().ok() })
}

/// Refuses a descriptor on which the next program is to have two things.
pub fn refuse_two_uses(entries: &[Entry], keep: &[RawFd]) -> Result<()> {
    match entries.iter().find(|entry| matches!(entry.target, Target::Fd(fd) if keep.contains(&fd))) {
        Some(entry) => Err(entry.origin.name(refusal!("{entry}: --keep-fd hands on what the caller has there"))),
        None => Ok(()),
    }
}

/// Opens every source, in order. An entry that says nofail and has none is left out.
pub fn opened(facts: Facts<PathBuf>) -> Result<Facts> {
    let entries = facts.entries.into_iter().filter_map(|entry| sources::opened(entry).transpose());
    let entries = entries.collect::<Result<Vec<_>>>()?;
    Ok(Facts {
        makes_a_root: facts.makes_a_root,
        owners: sources::owners(&entries)?,
        entries,
        crossing: facts.crossing,
        chdirs: facts.chdirs,
        cwd: facts.cwd,
    })
}

/// Refuses directories among the descriptors that the next program gets: each would be a way to climb into the old root
/// (CVE-2024-21626).
pub fn refuse_directories(keep: &[RawFd]) -> Result<()> {
    for fd in (0..=2).chain(keep.iter().copied()) {
        let Ok(file) = sys::borrowed(fd) else { continue };
        // The place-holder of a closed standard descriptor is closed again by exec.
        let closes = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFD).call("fcntl")? & libc::FD_CLOEXEC != 0;
        if open::file_type(file)? == FileType::Directory && (fd > 2 || !closes) {
            return Err(refusal!("descriptor {fd} is a directory of the old root")
                .hint("close it (N<&-): whoever holds it can climb out of the new root"));
        }
    }
    Ok(())
}
