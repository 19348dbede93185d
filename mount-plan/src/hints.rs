//! What a user can do about an errno that says too little. Read only when something has failed.

use chain::failure::{errno_of, with_hint};
use nix::errno::Errno;

/// For a bind.
#[must_use]
pub fn bind(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EINVAL) => with_hint(
            error,
            "mounts below the source are locked by the parent user namespace and cannot be left out: use rbind (--bind)",
        ),
        Some(Errno::EPERM) => with_hint(
            error,
            "CAP_SYS_ADMIN over the mount namespace is missing, or the parent user namespace has locked this attribute",
        ),
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
    with_hint(error, hint)
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

/// What is mounted below /proc (proc(5), mountinfo, fifth column).
fn covering(mountinfo: &[u8]) -> Vec<String> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .filter(|point| point.starts_with(b"/proc/"))
        .map(|point| String::from_utf8_lossy(point).into_owned())
        .collect()
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
