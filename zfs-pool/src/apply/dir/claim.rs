//! Claiming a clone, and what the next program is told about it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::OwnedFd;

use chain::{Call as _, Context as _, Result};
use rustix::fs::OFlags;

use crate::apply::lock;
use crate::look::dir::pool::{LEASE, not_ours};
use crate::look::dir::see::{Ours, ours, tree, versions};
use crate::look::folder::{Folder, absent_is_none};
use crate::model::kept::Kept;
use crate::model::name::{CloneName, Id, Name, Requested};
use crate::model::pool::{Kind, Tenure};
use crate::step::LEASED;

pub(super) type Claimed = (Id, OwnedFd, u32, Kind);

/// Which of the free clones will do: all, or those of some versions.
pub(super) enum Choice {
    Any,
    Of { requested: Option<u32>, kept: Kept, latest: Option<u32> },
}

/// What a request leaves to choose from. Versions are looked at only where some are kept.
pub(super) fn choice(folder: &Folder, requested: &Requested, kept: Kept) -> Result<Choice> {
    if requested.version.is_none() && kept.is_empty() {
        return Ok(Choice::Any);
    }
    let latest = versions(folder, &requested.template, &mut vec![])?.last().copied();
    Ok(Choice::Of { requested: requested.version, kept, latest })
}

/// A race for the free clones of a template.
pub(super) struct Race<'a> {
    pub name: &'a Name,
    pub free: &'a Folder,
    pub leased: &'a Folder,
    pub choice: Choice,
}

impl Race<'_> {
    /// Tries one entry of `free/`. `None`: somebody was faster, or it is of another version.
    pub(super) fn claim_one(&self, entry: &OsStr, tenure: &Tenure) -> Result<Option<Claimed>> {
        let refused = || not_ours(&self.free.path().join(entry));
        let id = Id::parse(entry).ok_or_else(refused)?;
        let Some(cell) = self.free.find(entry)? else { return Ok(None) };
        let Some(mut lease) = absent_is_none(cell.file(LEASE, OFlags::RDWR))? else { return Ok(None) };
        if !self.will_do(&cell, &id)? || !lock::now(&lease)? {
            return Ok(None);
        }
        let Ours::Clone(version, kind) = ours(&cell, self.name, &id)? else { return Err(refused()) };
        let tenant = if tenure.resident { "resident" } else { "process" };
        let line = format!("{tenant} {}\n", tenure.holder.word());
        lease.set_len(0).and_then(|()| lease.write_all(line.as_bytes())).call("write").context("lease")?;
        let moved = absent_is_none(self.free.move_to(entry, self.leased))?;
        Ok(moved.map(|()| (id, lease.into(), version, kind)))
    }

    /// Asked before the lock is taken: a request for another version must not keep a clone from one for this.
    fn will_do(&self, cell: &Folder, id: &Id) -> Result<bool> {
        let Choice::Of { requested, kept, latest } = &self.choice else { return Ok(true) };
        Ok(match ours(cell, self.name, id)? {
            Ours::Clone(version, _) => kept.allows(*requested, version, *latest),
            // The process with the lock says what this is.
            _ => true,
        })
    }
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
