//! `--map-owner`: who owns what a descriptor is open on, and what the caller's user namespace can give a box besides.

use std::fs;
use std::os::fd::RawFd;

use chain::{Call as _, Result, sys};
use nix::sys::stat::fstat;

use crate::model::map::{IdKind, IdRange, Ids};

/// Who is to be user 0 and group 0 of the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The descriptor that says it.
    pub fd: RawFd,
    /// As the mount that it is opened on shows them.
    pub ids: Ids,
    /// Whether the caller may map the upper half of all ids, and its user namespace has it.
    pub has_upper_half: bool,
    /// Whether setgroups(2) is allowed in the caller's user namespace.
    pub setgroups: bool,
}

/// `may_map`: what the caller's capabilities allow.
pub fn of(fd: RawFd, may_map: bool) -> Result<Owner> {
    let file = sys::borrowed(fd).call(&format!("--map-owner {fd}: fcntl"))?;
    let facts = fstat(file).call(&format!("--map-owner {fd}: fstat"))?;
    let ids = Ids { uid: facts.st_uid, gid: facts.st_gid };
    let has_upper_half = may_map && has(IdKind::User, ids.uid)? && has(IdKind::Group, ids.gid)?;
    let setgroups = may_map && read("setgroups")?.trim() == "allow";
    Ok(Owner { fd, ids, has_upper_half, setgroups })
}

/// Whether the caller's own map has the upper half of all ids, but for `owner`.
fn has(kind: IdKind, owner: u32) -> Result<bool> {
    let text = read(kind.file())?;
    let own: Vec<IdRange> = text.lines().filter_map(IdRange::from_kernel).collect();
    let wanted = IdRange::upper_half_without(owner);
    Ok(wanted.into_iter().all(|wanted| own.iter().any(|line| line.has_outside_of(wanted))))
}

fn read(name: &str) -> Result<String> {
    let path = format!("/proc/self/{name}");
    fs::read_to_string(&path).call(&format!("read {path}"))
}
