//! Copying a tree.
//!
//! Whoever owns the tree may exchange its directories for links while it is copied, and would choose by them what root's copy
//! gets from elsewhere. So cp(1) is shown the tree by a mount of ours on which no link is followed (MOUNT_ATTR_NOSYMFOLLOW,
//! Linux 5.14); links are copied as links all the same.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::{Call as _, Hint as _, Result, open, refusal, sys};
use nix::errno::Errno;
use nix::libc;
use nix::unistd::geteuid;
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::hints;
use crate::look::command;

/// Copies a tree, whose path is canonical, with everything that cp(1) can keep, within one file system, sharing blocks where
/// that is possible. No link leads out of it, nor to it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let cp = command::find("cp").ok_or_else(|| refusal!("cp: not found in /usr/bin or /bin"))?;
    let tree = open::without_links(from, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let tree = match without_links(&tree) {
        // Who may not mount has no rights but his own to lend; root has, also where it may not mount, as in many containers.
        Err(error) if errno_of(&error) == Some(Errno::EPERM) && !geteuid().is_root() => tree,
        shown => shown.hinted(&hints::MAY_NOT_MOUNT)?,
    };
    fcntl_setfd(&tree, FdFlags::empty()).call("fcntl(F_SETFD)")?;
    let source = PathBuf::from(format!("/proc/self/fd/{}/.", tree.as_raw_fd()));
    let options = ["-a", "-x", "--reflink=auto", "-T", "--"].map(OsStr::new);
    let args: Vec<&OsStr> = options.into_iter().chain([source.as_os_str(), to.as_os_str()]).collect();
    command::run(&cp, &args)?.checked("cp").map(drop).hint(hints::NOT_COPIED)
}

/// The same tree as a mount that is attached nowhere.
fn without_links(tree: &OwnedFd) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let shown = open_tree(tree, "", flags).call("open_tree(OPEN_TREE_CLONE)")?;
    let attributes = libc::MOUNT_ATTR_NOSYMFOLLOW | libc::MOUNT_ATTR_RDONLY;
    sys::mount_setattr(&shown, true, attributes, 0).call("mount_setattr(MOUNT_ATTR_NOSYMFOLLOW)")?;
    Ok(shown)
}
