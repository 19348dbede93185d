//! What a user can do about an errno that says too little. Read only when something has failed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chain::Hint as _;
use chain::failure::errno_of;
use chain::show;
use nix::errno::Errno;

use crate::look::in_user_namespace;
use crate::tree;

/// For a system call that is not there.
#[must_use]
pub fn missing_call(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::ENOSYS) => {
            error.hint("mount-plan needs Linux 5.12; what the kernel has a seccomp filter may hide: see --features")
        }
        _ => error,
    }
}

/// For a bind.
#[must_use]
pub fn bind(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EINVAL) => error.hint("mounts below the source are locked by the parent user namespace and cannot be left out: use rbind (--bind)"),
        Some(Errno::EPERM) => error.hint("CAP_SYS_ADMIN over the mount namespace is missing, or the parent user namespace has locked this attribute"),
        _ => error,
    }
}

/// For an old root that is no mount, or none with a parent, and so cannot be pivoted away. Moving the new root on top of it
/// and chroot(2) would do (it is what the hint says, and what switch_root(8) does), but the old root stays below: who has
/// CAP_SYS_ADMIN over this mount namespace can unmount the new one and enter the namespace again. "The old root is gone"
/// would be untrue without a word, so the caller is to say it.
#[must_use]
pub fn old_root(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EINVAL) => error.hint(
            "the present root is no mount point that can be left: the rootfs of an initramfs (before Linux 7.0) or a \
             chroot; make it one first: mount --rbind / /newroot; cd /newroot; mount --move . /; exec chroot .",
        ),
        _ => error,
    }
}

/// For an id map, which the kernel gives to a whole tree or not at all: names the first mount that cannot have it.
#[must_use]
pub fn idmap(source: &Path, recursive: bool, map: &OwnedFd, error: anyhow::Error) -> anyhow::Error {
    let below = if recursive { below(source) } else { vec![] };
    let culprit = [source.to_owned()].into_iter().chain(below).find(|path| tree::refuses_ids(path, map));
    let mount = show(culprit.as_deref().unwrap_or(source));
    match errno_of(&error) {
        Some(Errno::EINVAL) => error.hint(format!(
            "the filesystem at {mount} has no mounts with other ids in this kernel (tmpfs since Linux 6.3); bind in \
                     place of rbind leaves out what is mounted below"
        )),
        Some(Errno::EPERM) => error.hint(format!(
            "the filesystem at {mount} belongs to another user namespace, or has a map already: where root of the \
                     machine mounted it, root says this before ns-unshare --user"
        )),
        _ => error,
    }
}

/// For a new filesystem.
#[must_use]
pub fn filesystem(fstype: &str, error: anyhow::Error) -> anyhow::Error {
    let hint = match (errno_of(&error), fstype) {
        (Some(Errno::EPERM), "proc") => proc_hint(),
        (Some(Errno::EPERM), "sysfs") => {
            "sysfs shows a network namespace: it needs one made in this user namespace (ns-unshare --net)".to_owned()
        }
        (Some(Errno::EPERM), "mqueue") => {
            "mqueue belongs to an IPC namespace: it needs one made in this user namespace (ns-unshare --ipc)".to_owned()
        }
        (Some(Errno::ENODEV), _) => "this kernel is built without it, or the module is not loaded".to_owned(),
        _ => return error,
    };
    error.hint(hint)
}

/// For an overlay, whose own words often go to the kernel's log only.
#[must_use]
pub fn overlay(lowers: &[PathBuf], error: anyhow::Error) -> anyhow::Error {
    let below = || lowers.iter().find_map(|lower| Some((lower, mounted_below(lower)?)));
    match errno_of(&error) {
        Some(Errno::EBUSY) => error.hint("upper or work belong to another overlay that is mounted"),
        Some(Errno::EINVAL) => match below().filter(|_| in_user_namespace()) {
            Some((lower, points)) => error.hint(format!(
                    "mounted below {}: {points}; an overlay would uncover what is under them, which needs root",
                    show(lower)
                )),
            None => error.hint("upper and work must be two directories of one filesystem that is no overlay, without an upper there must be \
                 two lower layers, and overlays lie no more than two deep; dmesg may say more"),
        },
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
