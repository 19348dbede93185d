//! Mounts that show the owner of their source as somebody else (`X-mount.owner=`). Whether there can be one, only the kernel
//! knows: where there can be none, the source stays as it is, and that is said once.

use std::os::fd::OwnedFd;

use chain::failure::errno_of;
use chain::{Call as _, Result, message, show, sys};
use nix::errno::Errno;

use super::maps;
use super::stage::Stage;
use crate::look::sources::owner;
use crate::model::{Owner, Source};

/// What the kernel says where there can be none: EINVAL for a filesystem without such mounts, EPERM for ids or a filesystem that
/// are not this user namespace's own, ENOSYS without the system call.
const NONE: [Errno; 3] = [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS];

/// Makes the maps of these owners, for later.
pub fn prepare(stage: &mut Stage, owners: &[Owner]) -> Result<()> {
    for owner in owners.iter().filter(|owner| !stage.has_map(&owner.ranges)).collect::<Vec<_>>() {
        if let Some(map) = or_note(stage, owner, maps::namespace(&owner.ranges))? {
            stage.add_map(&owner.ranges, map);
        }
    }
    Ok(())
}

/// Shows the owner of `source` as `shown` in `tree`, a detached clone of it, with all that is mounted below where it is
/// `recursive`. False where that cannot be.
pub fn show_as(stage: &mut Stage, shown: u32, tree: &OwnedFd, recursive: bool, source: &Source) -> Result<bool> {
    let owner = owner(source, shown)?;
    let map = match stage.map(&owner.ranges) {
        // It could not be made.
        Err(_) if stage.noted => return Ok(false),
        map => map?,
    };
    let set = sys::mount_idmap(tree, recursive, map).call("mount_setattr(MOUNT_ATTR_IDMAP)");
    Ok(or_note(stage, &owner, set)?.is_some())
}

/// `None`, and one note in a run, where the kernel has no such mounts.
fn or_note<T>(stage: &mut Stage, owner: &Owner, result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if errno_of(&error).is_some_and(|errno| NONE.contains(&errno)) => {
            if !stage.noted {
                let (path, user) = (show(&owner.path), owner.user);
                message::print_error(&format!(
                    "no id-mapped mounts for {path} here: it keeps its owner, user {user}: {error:#}"
                ));
            }
            stage.noted = true;
            Ok(None)
        }
        result => result.map(Some),
    }
}
