//! Clones of mounted trees: detached, with their attributes set and read back before anybody can reach them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use chain::failure::{Call as _, Failure};
use chain::{Result, sys};
use rustix::fs::{CWD, fstatfs};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::entry::{ATTRIBUTES, Attributes};

/// A detached clone of what `source` is open on, with these attributes in place of nothing: the clone has at least what
/// the source has. `recursive` takes everything that is mounted below along, and covers it.
///
/// # Errors
/// EINVAL for a tree with mounts that the parent user namespace has locked, if it is not recursive.
pub fn clone(source: impl AsFd, recursive: bool, attributes: Attributes) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(source, "", flags).call("open_tree(OPEN_TREE_CLONE)")?;
    set(&tree, recursive, attributes)?;
    Ok(tree)
}

/// Whether the mount at `path` alone cannot have this id map: for messages only.
#[must_use]
pub fn refuses_ids(path: &Path, map: &OwnedFd) -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).is_ok_and(|tree| sys::mount_idmap(tree, false, map).is_err())
}

/// Sets attributes of a mount that is attached nowhere yet, or that nobody uses yet, and reads them back.
///
/// # Errors
/// What mount_setattr(2) says; attributes that the mount does not have afterwards.
pub fn set(tree: impl AsFd, recursive: bool, attributes: Attributes) -> Result<()> {
    let clear = attributes.atime.map_or(MountAttrFlags::empty(), |_| MountAttrFlags::MOUNT_ATTR__ATIME);
    let (set, clear) = (u64::from(attributes.flags().bits()), u64::from(clear.bits()));
    if set | clear != 0 {
        sys::mount_setattr(&tree, recursive, set, clear).call(&format!("mount_setattr({attributes})"))?;
    }
    read_back(tree, attributes)
}

/// The ST_* flags of statfs(2) are the MOUNT_ATTR_* flags for the four old ones; these are those that differ.
const ST_NODIRATIME: u64 = 0x0800;
const ST_NOSYMFOLLOW: u64 = 0x2000;

/// Checks what the kernel made of it (law 5). The root of the tree answers for all: with AT_RECURSIVE the kernel
/// changes every mount of the tree or none.
fn read_back(tree: impl AsFd, attributes: Attributes) -> Result<()> {
    // The type of f_flags differs between C libraries; the bits do not.
    #[allow(clippy::unnecessary_cast, reason = "i64 with glibc, u64 with musl")]
    let has = fstatfs(tree).call("fstatfs")?.f_flags as u64;
    for (word, _, flag) in ATTRIBUTES {
        let bit = match word {
            "nosymfollow" => ST_NOSYMFOLLOW,
            "nodiratime" => ST_NODIRATIME,
            _ => u64::from(flag.bits()),
        };
        if attributes.set.contains(flag) && has & bit == 0 {
            return Err(Failure::refusal(format!("the kernel left the mount without {word}")).into());
        }
    }
    Ok(())
}
