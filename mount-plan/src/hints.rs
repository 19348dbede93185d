//! What a user can do about an errno that says too little. Read only when something has failed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::{Hint as _, show, sys};
use nix::errno::Errno;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::look::namespace::in_user_namespace;

/// For a step: a system call that is not there.
pub const MISSING_CALL: [(Errno, &str); 1] =
    [(Errno::ENOSYS, "mount-plan needs Linux 5.12; what the kernel has a seccomp filter may hide: see --features")];

/// For the first effects, which a process without privilege cannot have.
pub const UNPRIVILEGED: [(Errno, &str); 1] = [(
    Errno::EPERM,
    "CAP_SYS_ADMIN over the mount namespace is missing: ns-unshare --user --mount gives one to an ordinary user",
)];

/// For a bind.
pub const BIND: [(Errno, &str); 2] = [
    (
        Errno::EINVAL,
        "mounts below the source are locked by the parent user namespace and cannot be left out: use rbind (--bind)",
    ),
    (
        Errno::EPERM,
        "CAP_SYS_ADMIN over the mount namespace is missing, or the parent user namespace has locked this attribute",
    ),
];

/// For a descriptor that is to be bound.
pub const NO_MOUNT: [(Errno, &str); 1] = [(
    Errno::EINVAL,
    "it is neither a file of this mount namespace nor a mount that is attached nowhere, as an entry with a target fd:N \
     leaves one",
)];

/// For the number of a descriptor that is to be left.
pub const TOO_HIGH: [(Errno, &str); 1] = [(Errno::EINVAL, "fd:N must be below the limit of open files (ulimit -n)")];

/// For an image.
pub const IMAGE: [(Errno, &str); 7] = [
    (Errno::EPERM, NO_IMAGES),
    (Errno::EACCES, NO_IMAGES),
    (Errno::EAGAIN, "the image is mounted already, and it or this entry is writable: say ro in both"),
    (Errno::ENOENT, NO_LOOP_DEVICES),
    (Errno::ENXIO, NO_LOOP_DEVICES),
    (Errno::EINVAL, "there is no filesystem of this type in it, or dmesg says more"),
    (Errno::ENODEV, NO_MODULE),
];

const NO_IMAGES: &str = "only root of the machine mounts images, so root does it before ns-unshare --user; an ordinary user \
has it mounted by FUSE (squashfuse, fuse2fs) in a namespace of his own, and binds that: see ROOTS in the manual";
const NO_LOOP_DEVICES: &str = "images need loop devices here, and this /dev has none";
const NO_MODULE: &str = "this kernel is built without it, or the module is not loaded";

/// For a mount that is to be attached at its target.
pub const ATTACH: [(Errno, &str); 2] = [
    (Errno::ENOTDIR, "a directory goes onto a directory, a file onto a file"),
    (Errno::ENOSPC, "the limit is /proc/sys/fs/mount-max"),
];

/// For a target that cannot be reached.
pub const TARGET: [(Errno, &str); 2] = [
    (Errno::ELOOP, "a link of /proc that could lead out of the root, or links that go in circles"),
    (Errno::ENOTDIR, "a component of the target is a file"),
];

/// For a directory that is to be emptied.
pub const WIPE: [(Errno, &str); 1] = [(Errno::ELOOP, "a symbolic link is in this path: name what it leads to")];

/// For an old root that is no mount, or none with a parent, and so cannot be pivoted away. Moving the new root on top of it
/// and chroot(2) would do (the hint says it, and switch_root(8) does it), but the old root stays below: whoever has
/// CAP_SYS_ADMIN over this mount namespace can unmount the new one and enter the namespace again. "The old root is gone"
/// would be silently untrue, so the caller has to take that step.
pub const OLD_ROOT: [(Errno, &str); 1] = [(
    Errno::EINVAL,
    "the present root is no mount point that can be left: the rootfs of an initramfs (before Linux 7.0) or a chroot; make \
     it one first: mount --rbind / /newroot; cd /newroot; mount --move . /; exec chroot .",
)];

/// For an id map, which the kernel gives to a whole tree or not at all: names the first mount that cannot have it.
pub fn idmap(source: &Path, recursive: bool, map: &OwnedFd, error: anyhow::Error) -> anyhow::Error {
    let below = if recursive { below(source) } else { vec![] };
    let culprit = [source.to_owned()].into_iter().chain(below).find(|path| refuses_ids(path, map));
    let mount = show(culprit.as_deref().unwrap_or(source));
    let einval = format!(
        "the filesystem at {mount} has no mounts with other ids in this kernel (tmpfs since Linux 6.3); bind in place of \
         rbind leaves out what is mounted below"
    );
    let eperm = format!(
        "the filesystem at {mount} belongs to another user namespace, or has a map already: where root of the machine \
         mounted it, root says this before ns-unshare --user"
    );
    error.hinted(&[(Errno::EINVAL, &einval), (Errno::EPERM, &eperm)])
}

/// Whether the mount at `path` alone cannot have this id map.
fn refuses_ids(path: &Path, map: &OwnedFd) -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).is_ok_and(|tree| sys::mount_idmap(tree, false, map).is_err())
}

/// For a new filesystem.
pub fn filesystem(fstype: &str, error: anyhow::Error) -> anyhow::Error {
    let foreign = match fstype {
        "sysfs" => "sysfs shows a network namespace: it needs one made in this user namespace (ns-unshare --net)",
        "mqueue" => "mqueue belongs to an IPC namespace: it needs one made in this user namespace (ns-unshare --ipc)",
        "proc" if errno_of(&error) == Some(Errno::EPERM) => return error.hint(proc_hint()),
        _ => return error.hinted(&[(Errno::ENODEV, NO_MODULE)]),
    };
    error.hinted(&[(Errno::EPERM, foreign), (Errno::ENODEV, NO_MODULE)])
}

/// For an overlay, whose own words often go to the kernel's log only.
pub fn overlay(lowers: &[impl AsRef<OsStr>], error: anyhow::Error) -> anyhow::Error {
    let locked = || lowers.iter().find_map(|lower| Some((lower, mounted_below(Path::new(lower))?)));
    match errno_of(&error) {
        Some(Errno::EBUSY) => error.hint("upper or work belong to another overlay that is mounted"),
        Some(Errno::EINVAL) => error.hint(match locked().filter(|_| in_user_namespace()) {
            Some((lower, points)) => format!(
                "mounted below {}: {points}; an overlay would uncover what is under them, which needs root",
                show(lower)
            ),
            None => {
                "upper and work must be two directories of one filesystem that is no overlay, without an upper there \
                     must be two lower layers, and overlays lie no more than two deep; dmesg may say more"
                    .to_owned()
            }
        }),
        _ => error,
    }
}

/// The first mount points below a directory, as a list for people.
fn mounted_below(directory: &Path) -> Option<String> {
    let first: Vec<String> = below(directory).iter().take(3).map(show).collect();
    (!first.is_empty()).then(|| first.join(", "))
}

/// The mount points below a directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    let directory = directory.canonicalize().unwrap_or_default();
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let inside = |point: &Path| point != directory && point.starts_with(&directory);
    points(&text).map(PathBuf::from).filter(|point| inside(point)).collect()
}

/// The mount points of a mountinfo text (proc(5), fifth column).
fn points(mountinfo: &[u8]) -> impl Iterator<Item = &OsStr> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(OsStr::from_bytes)
}

/// A proc may be mounted in a user namespace only where a proc is fully visible already: "mount too revealing".
fn proc_hint() -> String {
    let covered = std::fs::read("/proc/self/mountinfo").map_or(vec![], |text| covering(&text));
    if covered.is_empty() {
        return "proc shows a PID namespace: it needs one made in this user namespace (ns-unshare --pid)".to_owned();
    }
    format!(
        "mount too revealing: parts of /proc are covered here by {}; a new proc would show them: use --bind /proc /proc",
        covered.join(", ")
    )
}

/// What is mounted below /proc.
fn covering(mountinfo: &[u8]) -> Vec<String> {
    points(mountinfo).filter(|point| point.as_bytes().starts_with(b"/proc/")).map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_proc_is_found() {
        let text = b"22 27 0:21 / /proc rw - proc proc rw\n30 22 0:5 / /proc/kcore rw - tmpfs t rw\n31 1 0:6 / /dev rw - x y z\n";
        assert_eq!(covering(text), ["/proc/kcore"]);
    }
}
