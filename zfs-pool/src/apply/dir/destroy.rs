//! Destroying clones and versions: only what is ours by place, name and mark, and only in the state that was planned.

use chain::process::Life;
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use rustix::fs::{AtFlags, OFlags};

use crate::apply::lock;
use crate::look::dir::pool::{LEASE, MARK, MARK_PART, VERSIONS, not_ours};
use crate::look::dir::see::{Ours, ours, version_in};
use crate::look::folder::{Folder, absent_is_none};
use crate::look::holder::life;
use crate::model::holder::Holder;
use crate::model::name::{CloneName, Id, Name};
use crate::model::pool::State;
use crate::step::{self, DEAD};

/// Destroys a clone if it still is what the plan says; what changed meanwhile is somebody else's now.
pub(super) fn destroy(folder: &Folder, clone: &CloneName, was: &State) -> Result<()> {
    let inside = folder.at(step::folder(was))?;
    let Some(cell) = inside.find(clone.id.as_str())? else { return Ok(()) };
    let lease = absent_is_none(cell.file(LEASE, OFlags::RDWR))?;
    if !lease.as_ref().map_or(Ok(true), lock::now)? {
        let held = refusal!("{clone}: a running zfs-pool holds it").hint("end that one");
        return if matches!(was, State::Leased(_)) { Err(held) } else { Ok(()) };
    }
    // The lock is ours; what the file says now stays so.
    if *was == State::Orphan && noted_holder_lives(&cell)? {
        return Ok(());
    }
    match was {
        State::Dead | State::Unfinished => erase(&inside, &clone.id),
        _ => bury(folder, step::folder(was), clone),
    }
}

fn noted_holder_lives(cell: &Folder) -> Result<bool> {
    let text = String::from_utf8_lossy(&cell.read(LEASE)?).into_owned();
    let holder = text.trim_end().strip_prefix("process ").and_then(Holder::parse);
    holder.map_or(Ok(false), |holder| Ok(life(&holder)? != Life::Ended))
}

/// Moves a clone to `dead/`, from where nobody can claim it, and removes it.
pub(super) fn bury(folder: &Folder, from: &str, clone: &CloneName) -> Result<()> {
    let dead = folder.at(DEAD)?;
    let inside = folder.at(from)?;
    if let Ours::No | Ours::Empty = ours(&inside.at(clone.id.as_str())?, &clone.template, &clone.id)? {
        return Err(not_ours(&inside.path().join(clone.id.as_str())));
    }
    inside.move_to(clone.id.as_str(), &dead)?;
    erase(&dead, &clone.id)
}

/// Removes a cell: everything in it, then its lease, its mark last, so that a half-removed one still is ours. Whoever
/// calls has checked that it is; without a mark there is nothing else in it, or rmdir(2) refuses.
pub(super) fn erase(inside: &Folder, id: &Id) -> Result<()> {
    let Some(cell) = inside.find(id.as_str())? else { return Ok(()) };
    if absent_is_none(cell.read(MARK))?.is_some() {
        chain::wipe::contents(&cell, cell.path(), &[LEASE, MARK])?;
    }
    for file in [MARK_PART, LEASE, MARK] {
        match rustix::fs::unlinkat(&cell, file, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno).call("unlinkat").with_context(|| show(cell.path().join(file))),
        }
    }
    match rustix::fs::unlinkat(inside, id.as_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).call("rmdir").with_context(|| show(cell.path())),
    }
}

/// Destroys a version. Whoever calls has the maintenance lock: no clone of it can be made meanwhile.
pub(super) fn drop_version(folder: &Folder, name: &Name, version: u32) -> Result<()> {
    let id = version_in(folder, name, version)?.0;
    let dead = folder.at(DEAD)?;
    folder.at(VERSIONS)?.move_as(version.to_string(), &dead, id.as_str())?;
    erase(&dead, &id)
}
