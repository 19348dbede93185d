//! Mounts that show the owner of their source as somebody else (`X-mount.owner=`). Whether there can be one, only the kernel
//! knows: where there can be none, the source stays as it is, and that is said once.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::{Call as _, Result, message, refusal, show, sys};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getppid, setfsgid, setfsuid};
use rustix::thread as rt;

use super::maps;
use super::stage::Stage;
use crate::hints;
use crate::look::sources::owner;
use crate::model::{Owner, Source};

/// What the kernel says where there can be none: EINVAL for a filesystem without such mounts, EPERM for ids or a filesystem that
/// are not this user namespace's own, ENOSYS without the system call.
const NONE: [Errno; 3] = [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS];

/// Makes the maps of these owners, for later.
pub fn prepare(stage: &mut Stage, owners: &[Owner]) -> Result<()> {
    for owner in owners.iter().filter(|owner| !stage.has_map(&owner.ranges)).collect::<Vec<_>>() {
        let map = maps::namespace(&owner.ranges);
        if let Some(map) = or_note(stage, owner, &owner.path, map)? {
            stage.add_map(&owner.ranges, map);
        }
    }
    Ok(())
}

/// The `tree`, a detached clone of `source`, with its owner shown as `shown`, and so is all that is mounted below where it is
/// `recursive`. `None` where that cannot be.
pub fn show_as(
    stage: &mut Stage,
    shown: u32,
    source: &Source,
    recursive: bool,
    tree: impl FnOnce() -> Result<OwnedFd>,
) -> Result<Option<OwnedFd>> {
    let owner = owner(source, shown)?;
    if stage.noted && !stage.has_map(&owner.ranges) {
        return Ok(None);
    }
    let tree = tree()?;
    let map = stage.map(&owner.ranges)?;
    let set = sys::mount_idmap(&tree, recursive, map).call("mount_setattr(MOUNT_ATTR_IDMAP)");
    let at = if set.is_err() { hints::culprit(&owner.path, recursive, map) } else { PathBuf::new() };
    Ok(or_note(stage, &owner, &at, set)?.map(|()| tree))
}

/// Does `work` with `id` as the owner of what it makes, and every capability as it is. An overlay makes files as who has mounted
/// it (overlayfs.rst, Permission model), and in an upper layer that shows its owner as `id`, root of the machine is nobody.
pub fn making_files_of<T>(id: u32, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let capabilities = rt::capabilities(None).call("capget")?;
    let parent = getppid();
    let (dumpable, signal) = (prctl::get_dumpable().call("prctl")?, prctl::get_pdeathsig().call("prctl")?);
    let (user, group) = (setfsuid(Uid::from_raw(id)), setfsgid(Gid::from_raw(id)));
    // setfsuid(2) takes those that are about files from whoever is not root.
    let done = rt::set_capabilities(None, capabilities).call("capset").and_then(|()| work());
    setfsgid(group);
    setfsuid(user);
    rt::set_capabilities(None, capabilities).call("capset")?;
    // Both are reset where such an id changes (prctl(2)).
    prctl::set_dumpable(dumpable).call("prctl(PR_SET_DUMPABLE)")?;
    prctl::set_pdeathsig(signal).call("prctl(PR_SET_PDEATHSIG)")?;
    if signal.is_some() && getppid() != parent {
        return Err(refusal!("the link that started this one is gone"));
    }
    done
}

/// `None`, and one note in a run, where the kernel has no such mount of what is `at` this place.
fn or_note<T>(stage: &mut Stage, owner: &Owner, at: &Path, result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if errno_of(&error).is_some_and(|errno| NONE.contains(&errno)) => {
            if !stage.noted {
                let tree = if *at == owner.path { "it".to_owned() } else { show(&owner.path) };
                message::print_error(&format!(
                    "no id-mapped mounts for {} here: {tree} keeps its owner, user {}: {error:#}",
                    show(at),
                    owner.user
                ));
            }
            stage.noted = true;
            Ok(None)
        }
        result => result.map(Some),
    }
}
