//! Attributes of mounts (mount_setattr(2)).

use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// The first version of the kernel's `struct mount_attr` (mount_setattr(2), Linux 5.12).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2) (Linux 5.12) on the mount that `mount` is open on; with `recursive`, on all that is mounted below it
/// as well, all or nothing. `set` and `clear` are MOUNT_ATTR_* bits.
/// Errors: EPERM for attributes that another user namespace has locked, ENOSYS before Linux 5.12.
pub fn mount_setattr(mount: impl AsFd, recursive: bool, set: u64, clear: u64) -> Sys<()> {
    set_mount_attr(mount, recursive, &MountAttr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 })
}

/// The same with MS_PRIVATE: nothing is mounted there any more by what happens elsewhere (mount_namespaces(7)).
/// Errors: as above.
pub fn mount_setattr_private(mount: impl AsFd, recursive: bool, set: u64, clear: u64) -> Sys<()> {
    let attr = MountAttr { attr_set: set, attr_clr: clear, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    set_mount_attr(mount, recursive, &attr)
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP: ids on the mount that `mount` is open on go through the maps of the user
/// namespace `map`. The mount must be attached nowhere yet.
/// Errors: EINVAL for a filesystem or a kernel without them, EPERM for one that belongs to another user namespace or
/// that is mapped already.
pub fn mount_idmap(mount: impl AsFd, recursive: bool, map: impl AsFd) -> Sys<()> {
    let map = u64::try_from(map.as_fd().as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let attr = MountAttr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: map };
    set_mount_attr(mount, recursive, &attr)
}

fn set_mount_attr(mount: impl AsFd, recursive: bool, attr: &MountAttr) -> Sys<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: kernel reads only: an empty literal path and `size` bytes of a structure of plain integers.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attr),
            mem::size_of::<MountAttr>(),
        )
    })
    .map(drop)
}
