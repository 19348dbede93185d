//! What a user can do about an errno that says too little. Read only when something has failed.

mod mounts;

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::process::in_user_namespace;
use chain::{Failure, Hint as _, process, show, sys};
use nix::errno::Errno;
use rustix::fs::{CWD, fstatfs};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use mounts::{Less, below, less, list};

/// For a step: a system call that is not there.
pub const MISSING_CALL: [(Errno, &str); 1] =
    [(Errno::ENOSYS, "mount-plan needs Linux 5.12; what the kernel has a seccomp filter may hide: see --features")];

/// For the first effects, which a process without privilege cannot have.
pub fn unprivileged(error: anyhow::Error) -> anyhow::Error {
    // A container's root is in no user namespace, and often has some capabilities without this one.
    let may_have = |set| capability_is_in_bounding_set(set).unwrap_or(true);
    let stripped = in_user_namespace() && !may_have(CapabilitySet::SYS_ADMIN) && !may_have(CapabilitySet::CHOWN);
    let hint = match stripped {
        false => {
            "CAP_SYS_ADMIN over the mount namespace is missing: ns-unshare --user --mount gives one to an ordinary user"
        }
        true => {
            "the link before this one took it for a payload and left it no capability: an ns-unshare that mount-plan has \
             carried into a box does so, unless it has --keep-caps"
        }
    };
    error.hinted(&[(Errno::EPERM, hint)])
}

/// For a bind.
pub fn bind(source: &Path, recursive: bool, error: anyhow::Error) -> anyhow::Error {
    let below = if recursive { vec![] } else { below(source) };
    let invalid = match below.is_empty() || !in_user_namespace() {
        true => "the source is on a mount of another mount namespace (by /proc/PID/root, or a descriptor)".to_owned(),
        false => format!(
            "mounted below {}: {}; what lies under that is not for a user namespace to see, root in it included, so it \
             cannot be left out: use rbind (--bind)",
            show(source),
            list(&below)
        ),
    };
    let denied =
        "CAP_SYS_ADMIN over the mount namespace is missing, or the parent user namespace has locked this attribute";
    error.hinted(&[(Errno::EINVAL, &invalid), (Errno::EPERM, denied)])
}

/// For the user namespace that an id map is taken from.
pub fn user_namespace(error: anyhow::Error) -> anyhow::Error {
    let hint = match process::in_chroot() {
        true => {
            "X-mount.idmap= needs a user namespace, and a process in a chroot(2) may not make one: have this plan done \
                 before it, or name a namespace that is there, /proc/PID/ns/user"
        }
        false => {
            "X-mount.idmap= needs a user namespace, and none may be made here (in a chroot(2) none ever): ns-unshare \
                  --user may say what forbids it"
        }
    };
    error.hinted(&[(Errno::EPERM, hint)])
}

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

/// For what is made in a filesystem of the plan's own: its owner would be nobody; or one that came by a descriptor is read-only.
pub const MAKE: [(Errno, &str); 2] = [
    (Errno::EOVERFLOW, "the ids of this process are not mapped in its user namespace; ns-unshare --user maps them"),
    (Errno::EROFS, "a mount with X-mount.fresh is filled in its place: bind it without ro, or make this in it before"),
];

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
    let mount = show(culprit(source, recursive, map));
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

/// The first mount that cannot have this id map: `source`, or one below it where that is `recursive`.
pub fn culprit(source: &Path, recursive: bool, map: &OwnedFd) -> PathBuf {
    let below = if recursive { below(source) } else { vec![] };
    let found = [source.to_owned()].into_iter().chain(below).find(|path| refuses_ids(path, map));
    found.unwrap_or_else(|| source.to_owned())
}

/// Whether the mount at `path` alone cannot have this id map.
fn refuses_ids(path: &Path, map: &OwnedFd) -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).is_ok_and(|tree| sys::mount_idmap(tree, false, map).is_err())
}

/// For a new filesystem.
pub fn filesystem(fstype: &str, error: anyhow::Error) -> anyhow::Error {
    let denied = match fstype {
        // The last of its calls compares it with what is here; those before ask whose namespace it would show.
        "proc" | "sysfs" if failed_in(&error, "fsmount") => revealing(fstype),
        "proc" => "proc shows a PID namespace: it needs one made in this user namespace (ns-unshare --pid)".to_owned(),
        "sysfs" => {
            "sysfs shows a network namespace: it needs one made in this user namespace (ns-unshare --net)".to_owned()
        }
        "mqueue" => {
            "mqueue belongs to an IPC namespace: it needs one made in this user namespace (ns-unshare --ipc)".to_owned()
        }
        _ => return error.hinted(&[(Errno::ENODEV, NO_MODULE)]),
    };
    error.hinted(&[(Errno::EPERM, &denied), (Errno::ENODEV, NO_MODULE)])
}

/// Whether this is the system call that failed.
fn failed_in(error: &anyhow::Error, call: &str) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.text.starts_with(call))
}

/// "Mount too revealing": in a user namespace a new proc or sysfs shows no more than one that is there.
fn revealing(fstype: &str) -> String {
    let (shows, without) = if fstype == "proc" { ("processes", "--pid") } else { ("network devices", "--net") };
    match less(fstype, &mounts::all()) {
        Less::Covered(whole, places) => format!(
            "mount too revealing: {} is mounted over parts of the {fstype} here, which a new one would show: take this one, \
             read-only, --ro-bind {} DST; it has the {shows} of the caller, so leave out ns-unshare {without}",
            list(&places),
            show(&whole)
        ),
        Less::Nowhere => format!(
            "mount too revealing: there is no whole {fstype} in this mount namespace, and a new one would show more: the box \
             around needs one (--{fstype} DST)"
        ),
        Less::Attributes(whole, options) => format!(
            "mount too revealing: {} is {options} here, of which a new {fstype} must have ro and the rule for access times",
            show(&whole)
        ),
    }
}

/// For the first look at what a source or a root is: only of FUSE is that refused.
pub fn fuse(file: impl AsFd, error: anyhow::Error) -> anyhow::Error {
    #[allow(clippy::unnecessary_cast, reason = "i64 with glibc, u64 with musl")]
    let is_fuse = fstatfs(file).is_ok_and(|facts| facts.f_type as u64 == FUSE);
    let hint = "a FUSE filesystem lets in the user who mounted it alone, not root either, unless it has allow_other";
    if is_fuse { error.hinted(&[(Errno::EACCES, hint)]) } else { error }
}

/// FUSE_SUPER_MAGIC of statfs(2).
const FUSE: u64 = 0x6573_5546;

/// For an overlay, whose own words often go to the kernel's log only.
pub fn overlay(lowers: &[impl AsRef<OsStr> + AsFd], error: anyhow::Error) -> anyhow::Error {
    let covered = || lowers.iter().map(|lower| (lower, below(Path::new(lower)))).find(|(_, points)| !points.is_empty());
    match errno_of(&error) {
        Some(Errno::EBUSY) => error.hint("upper or work belong to another overlay that is mounted"),
        Some(Errno::EINVAL) => error.hint(match covered().filter(|_| in_user_namespace()) {
            Some((lower, points)) => format!(
                "mounted below {0}: {1}; an overlay shows what lies under that, which is not for a user namespace to see, \
                 root in it included: unmount it first, or --bind {0} and overlays on directories in it",
                show(lower),
                list(&points)
            ),
            None => {
                "upper and work must be two directories of one filesystem that is no overlay, without an upper there \
                     must be two lower layers, and overlays lie no more than two deep; dmesg may say more"
                    .to_owned()
            }
        }),
        _ => lowers.iter().fold(error, |error, lower| fuse(lower, error)),
    }
}
