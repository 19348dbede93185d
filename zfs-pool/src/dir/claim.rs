//! Claiming a clone, and what the next program is told about it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::OwnedFd;

use chain::{Call as _, Context as _, Result};
use rustix::fs::OFlags;

use super::see::{Ours, ours, tree};
use super::{LEASE, LEASED, not_ours};
use crate::folder::{Folder, absent_is_none};
use crate::lock;
use crate::name::{CloneName, Id, Name};
use crate::pool::{Kind, Tenure};

pub(super) type Claimed = (Id, OwnedFd, u32, Kind);

/// Tries one entry of `free/`. `None`: somebody was faster.
pub(super) fn claim_one(
    free: &Folder,
    leased: &Folder,
    name: &Name,
    entry: &OsStr,
    tenure: &Tenure,
) -> Result<Option<Claimed>> {
    let refused = || not_ours(&free.path().join(entry));
    let id = Id::parse(entry).ok_or_else(refused)?;
    let Some(cell) = free.find(entry)? else { return Ok(None) };
    let Some(mut lease) = absent_is_none(cell.file(LEASE, OFlags::RDWR))? else { return Ok(None) };
    if !lock::now(&lease)? {
        return Ok(None);
    }
    let Ours::Clone(mark) = ours(&cell, name, &id)? else { return Err(refused()) };
    let line = match tenure {
        Tenure::Resident(holder) => format!("resident {}\n", holder.word()),
        Tenure::Process(holder) => format!("process {}\n", holder.word()),
    };
    lease.set_len(0).and_then(|()| lease.write_all(line.as_bytes())).call("write").context("lease")?;
    let moved = absent_is_none(free.move_to(entry, leased))?;
    Ok(moved.map(|()| (id, lease.into(), mark.version, mark.kind)))
}

/// What the next program is told.
pub(super) fn exports(
    folder: &Folder,
    clone: &CloneName,
    version: u32,
    kind: Kind,
) -> Result<Vec<(&'static str, OsString)>> {
    let place = folder.path().join(LEASED).join(clone.id.as_str());
    let mut exports = vec![("ROOTFS_CLONE", clone.to_string().into())];
    if kind == Kind::Copy {
        exports.push(("ROOTFS", place.join("root").into()));
    } else {
        exports.push(("ROOTFS_LOWER", tree(folder, &clone.template, version)?.into()));
        exports.push(("ROOTFS_UPPER", place.join("upper").into()));
        exports.push(("ROOTFS_WORK", place.join("work").into()));
    }
    Ok(exports)
}
