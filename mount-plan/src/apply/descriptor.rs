//! Mounts that are attached nowhere: left as descriptors for the next program, and taken from one.
//!
//! Only so does a mount get into a user namespace below: the kernel lets nobody there make one with these ids, or of that
//! filesystem, but whoever holds one that is attached nowhere may attach it to what is his.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use chain::failure::errno_of;
use chain::{Call as _, Hint as _, Result, sys};
use nix::errno::Errno;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::fcntl_dupfd_cloexec;

use super::tree;
use crate::hints;
use crate::look::namespace::is_mounted_here;
use crate::look::open::{Links, open_source};
use crate::model::{Attributes, Entry, Source, Target, descriptor};

/// A detached clone of what `source` is open on; or that itself, where it is a descriptor of the caller's that is attached nowhere
/// and so is not to be cloned by somebody in another mount namespace than the one that it was made in (nor by anybody before
/// Linux 6.15).
pub fn clone_or_take(source: &Source, recursive: bool, attributes: Attributes) -> Result<OwnedFd> {
    let given = descriptor(source.path.as_os_str())?.is_some();
    match tree::clone(source, recursive, attributes) {
        Err(error) if given && errno_of(&error) == Some(Errno::EINVAL) && !is_mounted_here(source)? => {
            match (tree::set(source, recursive, attributes), found_again(source)) {
                (Ok(()), _) => source.file.try_clone().call("fcntl(F_DUPFD_CLOEXEC)"),
                (Err(_), Some(file)) => tree::clone(file, recursive, attributes),
                (Err(error), None) => Err(error.hinted(&hints::NO_MOUNT)),
            }
        }
        result => result.map_err(|error| hints::bind(&source.path, recursive, error)),
    }
}

/// A file that the caller opened in the mount namespace of which this one is a copy: under its name there, if it is the same
/// file here. No link is followed.
fn found_again(source: &Source) -> Option<OwnedFd> {
    let path = fs::read_link(format!("/proc/self/fd/{}", source.file.as_raw_fd())).ok()?;
    let file = open_source(&path, OFlags::empty(), Links::Refused).ok()?;
    let (one, other) = (fstat(&source.file).ok()?, fstat(&file).ok()?);
    ((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)).then_some(file)
}

/// Something open in the place of what the entries would leave, for links that explain themselves.
pub fn stand_in(entries: &[Entry]) -> Result<Vec<RawFd>> {
    let fds = entries.iter().filter_map(|entry| match entry.target {
        Target::Fd(fd) => Some(fd),
        Target::Place(_) => None,
    });
    let root = || open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("open /");
    hand_over(fds.map(|fd| Ok((fd, root()?))).collect::<Result<_>>()?)
}

/// Puts every tree on its descriptor. The caller has let go of all that it had opened: a number may be one of those.
pub fn hand_over(trees: Vec<(RawFd, OwnedFd)>) -> Result<Vec<RawFd>> {
    // Above all of these numbers, so that none is in use when its turn comes.
    let above = trees.iter().map(|(fd, _)| *fd).max().unwrap_or(0).saturating_add(1);
    let moved = |(fd, tree): (RawFd, OwnedFd)| fcntl_dupfd_cloexec(&tree, above).map(|tree| (fd, tree));
    let trees = trees.into_iter().map(moved).collect::<rustix::io::Result<Vec<_>>>();
    let trees = trees.call(&format!("fcntl(F_DUPFD_CLOEXEC, {above})")).hinted(&hints::TOO_HIGH)?;
    trees.into_iter().map(|(fd, tree)| sys::place(tree, fd).call(&format!("dup3({fd})")).map(|()| fd)).collect()
}
