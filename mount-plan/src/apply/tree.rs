//! Clones of mounted trees: detached, with their attributes set and read back before anybody can reach them.

use std::os::fd::{AsFd, OwnedFd};

use chain::{Call as _, Result, refusal, sys};
use rustix::fs::fstatfs;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::model::{ATTRIBUTES, Attributes};

/// A detached clone of what `source` is open on, with these attributes in place of nothing: the clone has at least what
/// the source has. `recursive` takes everything that is mounted below along, and covers it.
pub fn clone(source: impl AsFd, recursive: bool, attributes: Attributes) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(source, "", flags).call("open_tree(OPEN_TREE_CLONE)")?;
    set(&tree, recursive, attributes)?;
    Ok(tree)
}

/// Sets attributes of a mount that is attached nowhere yet, or that nobody uses yet, and reads them back. What is read-only
/// does not get what is mounted outside later: that would be writable.
pub fn set(tree: impl AsFd, recursive: bool, attributes: Attributes) -> Result<()> {
    let clear = attributes.atime.map_or(MountAttrFlags::empty(), |_| MountAttrFlags::MOUNT_ATTR__ATIME);
    let (set, clear) = (u64::from(attributes.flags().bits()), u64::from(clear.bits()));
    if set | clear != 0 {
        let setattr = if attributes.read_only() { sys::mount_setattr_private } else { sys::mount_setattr };
        setattr(&tree, recursive, set, clear).call(&format!("mount_setattr({attributes})"))?;
    }
    read_back(tree, attributes)
}

/// The ST_* flags of statfs(2) are the MOUNT_ATTR_* flags for the four old ones; these are those that differ.
const ST_NODIRATIME: u64 = 0x0800;
const ST_NOSYMFOLLOW: u64 = 0x2000;

/// Checks what the kernel made of it. The root of the tree answers for all: with AT_RECURSIVE the kernel
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
            return Err(refusal!("the kernel left the mount without {word}"));
        }
    }
    Ok(())
}
