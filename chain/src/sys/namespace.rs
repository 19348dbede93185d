//! How namespaces hang together (ioctl_ns(2), Linux 4.9).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// NS_GET_USERNS and NS_GET_PARENT of linux/nsfs.h.
const OWNER: libc::Ioctl = 0xb701;
const PARENT: libc::Ioctl = 0xb702;

fn related(namespace: impl AsFd, request: libc::Ioctl) -> Sys<OwnedFd> {
    // SAFETY: both requests take no argument.
    let file = Errno::result(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), request) })?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

/// The user namespace that owns one.
/// Errors: EPERM where it is outside of the caller's own.
pub fn owner(namespace: impl AsFd) -> Sys<OwnedFd> {
    related(namespace, OWNER)
}

/// The user or pid namespace that one was made in.
/// Errors: EPERM where it is outside of the caller's own, or where there is none.
pub fn parent(namespace: impl AsFd) -> Sys<OwnedFd> {
    related(namespace, PARENT)
}
