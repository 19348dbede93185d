//! Clones: making, claiming, mounting, destroying. A rename decides who claims one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chain::{Call as _, Context as _, Result, refusal, show};
use rustix::fs::StatVfsMountFlags;

use super::pool::place;
use crate::look::holder::holder as holder_of;
use crate::look::zfs::clones::{Found, find, found};
use crate::look::zfs::pool::ZfsPool;
use crate::model::holder::Holder;
use crate::model::name::{CloneName, Id, Name};
use crate::model::pool::State;

/// Makes free clones: unmounted and without a mount point, so that a rename moves nothing and a boot mounts nothing.
pub fn make(pool: &ZfsPool, name: &Name, version: u32, count: u32) -> Result<()> {
    (0..count).try_for_each(|_| {
        let id = Id::now();
        let (mark, clone) = (format!("chainbox:clone={id}"), format!("{}/free-{id}", pool.template(name)));
        pool.zfs.done(&["clone", "-o", "canmount=noauto", "-o", &mark, &pool.version(name, version), &clone])
    })
}

/// The dataset of a clone that `holder` has leased.
pub fn leased(pool: &ZfsPool, name: &Name, id: &Id, holder: &Holder) -> String {
    format!("{}/leased-{id}:{}", pool.template(name), holder.word())
}

/// Claims a free clone of a version that will do, limits and mounts it. `None` where none is free.
pub fn claim(
    pool: &ZfsPool,
    name: &Name,
    holder: &Holder,
    quota: u64,
    will_do: impl Fn(u32) -> bool,
) -> Result<Option<Id>> {
    for found in found(pool, name, &mut vec![])? {
        if found.clone.state != State::Free || !found.clone.version.is_some_and(&will_do) {
            continue;
        }
        let leased = leased(pool, name, &found.clone.id, holder);
        if !renamed(pool, &found.dataset, &leased)? {
            continue;
        }
        let id = found.clone.id;
        let at = pool.mount_point(name, id.as_str());
        if let Err(error) = limit(pool, &leased, quota).and_then(|()| mount(pool, &leased, &at)) {
            // A lease that its holder cannot use; what cannot be undone now, gc finds when the holder is gone.
            give_back(pool, &CloneName { template: name.clone(), id }).unwrap_or_default();
            return Err(error);
        }
        return Ok(Some(id));
    }
    Ok(None)
}

/// The rename that has one winner. False where somebody else was the winner.
fn renamed(pool: &ZfsPool, free: &str, leased: &str) -> Result<bool> {
    let outcome = pool.zfs.patiently(&["rename", free, leased]);
    if outcome.is_ok() || pool.zfs.one(free, ["name"])?.is_some() {
        return outcome.map(|()| true);
    }
    // Gone from its free name: by us after all (a retry of a rename that had been done), or by another.
    Ok(pool.zfs.one(leased, ["name"])?.is_some())
}

/// Limits what a clone can write, whenever it was made. `quota`, not `refquota`: that one counts what the clone shares
/// with its version too, and cannot be less.
fn limit(pool: &ZfsPool, dataset: &str, quota: u64) -> Result<()> {
    if quota == 0 {
        return Ok(());
    }
    pool.zfs.patiently(&["set", &format!("quota={quota}"), dataset])?;
    match pool.zfs.exact(dataset, "quota")? {
        now if now == quota.to_string() => Ok(()),
        now => Err(refusal!("zfs set quota={quota} {dataset}: it is {now}")),
    }
}

/// How a mount point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounted {
    No,
    /// With setuid programs or devices in force.
    Loose,
    Well,
}

/// Mounts a dataset and reads back what the kernel made of it.
pub fn mount(pool: &ZfsPool, dataset: &str, at: &Path) -> Result<()> {
    place()?;
    if mounted(at)? == Mounted::Well {
        return Ok(());
    }
    let text = at.to_str().ok_or_else(|| refusal!("a mount point that is not text"))?;
    // With canmount=on, or where it was mounted elsewhere, this mounts by itself; zfs-fuse then forgets setuid=off.
    pool.zfs.patiently(&["set", &format!("mountpoint={text}"), dataset])?;
    if mounted(at)? == Mounted::Loose {
        pool.zfs.patiently(&["unmount", dataset])?;
    }
    if mounted(at)? != Mounted::Well {
        pool.zfs.patiently(&["mount", "-o", "nosuid,nodev", dataset])?;
    }
    let refuse = |text: &str| Err(refusal!("zfs mount {dataset}: {}: {text}", show(at)));
    match mounted(at)? {
        Mounted::Well => Ok(()),
        Mounted::Loose => refuse("mounted without nosuid and nodev"),
        Mounted::No => refuse("not mounted here (a mount in another mount namespace?)"),
    }
}

fn mounted(at: &Path) -> Result<Mounted> {
    let device = |path: &Path| match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        facts => facts.call("stat").with_context(|| show(path)).map(|facts| Some(facts.dev())),
    };
    let here = device(at)?;
    if here.is_none() || here == device(at.parent().unwrap_or(Path::new("/")))? {
        return Ok(Mounted::No);
    }
    let flags = rustix::fs::statvfs(at).call("statvfs").with_context(|| show(at))?.f_flag;
    let well = flags.contains(StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV);
    Ok(if well { Mounted::Well } else { Mounted::Loose })
}

/// Gives back the clone of a lease whose holder is about to end: if it is busy, gc will find it by that.
pub fn give_back(pool: &ZfsPool, clone: &CloneName) -> Result<()> {
    find(pool, clone)?.map_or(Ok(()), |found| gone(pool, &found.dataset, clone))
}

/// Destroys a clone if it still is what the plan says; what changed meanwhile is somebody else's now.
pub fn destroy(pool: &ZfsPool, clone: &CloneName, was: &State) -> Result<()> {
    let Some(Found { mut dataset, clone: now }) = find(pool, clone)? else { return Ok(()) };
    match (was, now.state) {
        (State::Orphan, State::Orphan) | (State::Dead, State::Dead) => {}
        // Its holder may live on, so the end of the lease is noted, and gc need not ask for the holder.
        (State::Leased(_), State::Leased(_) | State::Orphan | State::Dead) => {
            pool.zfs.patiently(&["set", "chainbox:state=dead", &dataset])?;
        }
        // A free clone is taken out of the race first, in our own name.
        (State::Free, State::Free) => {
            let taken = leased(pool, &clone.template, &clone.id, &holder_of(std::process::id())?);
            if !renamed(pool, &dataset, &taken)? {
                return Ok(());
            }
            dataset = taken;
        }
        _ => return Ok(()),
    }
    gone(pool, &dataset, clone)
}

/// Destroys the dataset, then removes the directory that it was mounted on.
fn gone(pool: &ZfsPool, dataset: &str, clone: &CloneName) -> Result<()> {
    pool.zfs.destroy(dataset)?;
    let at = pool.mount_point(&clone.template, clone.id.as_str());
    match fs::remove_dir(&at) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).call("rmdir").with_context(|| show(&at))
        }
        _ => Ok(()),
    }
}
