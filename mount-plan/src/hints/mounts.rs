//! What is mounted where (/proc/self/mountinfo), as far as hints speak of it.

use std::path::{Path, PathBuf};

use chain::show;

/// One mount of this namespace.
pub struct Mounted {
    id: String,
    parent: String,
    /// The directory of its filesystem that it shows.
    root: String,
    pub point: PathBuf,
    options: String,
    fstype: String,
}

/// Where proc and sysfs have directories that are empty for ever, for others to mount on: such a mount covers nothing
/// (proc_create_mount_point() and sysfs_create_mount_point() in the kernel).
const EMPTY_FOR_EVER: [&str; 15] = [
    "fs/nfsd",
    "sys/fs/binfmt_misc",
    "firmware/efi/efivars",
    "fs/bpf",
    "fs/cgroup",
    "fs/fuse/connections",
    "fs/pstore",
    "fs/resctrl",
    "fs/selinux",
    "fs/smackfs",
    "hypervisor/s390",
    "kernel/config",
    "kernel/debug",
    "kernel/security",
    "kernel/tracing",
];

/// Every mount, in the order of their making.
pub fn all() -> Vec<Mounted> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(parsed).collect()
}

/// A line as proc_pid_mountinfo(5) has it.
fn parsed(line: &str) -> Option<Mounted> {
    let (own, filesystem) = line.split_once(" - ")?;
    let mut columns = own.split(' ').map(str::to_owned);
    let (id, parent, _device) = (columns.next()?, columns.next()?, columns.next()?);
    Some(Mounted {
        id,
        parent,
        root: columns.next()?,
        point: columns.next()?.into(),
        options: columns.next()?,
        fstype: filesystem.split(' ').next()?.to_owned(),
    })
}

/// The mount points below a directory; none where it has no path here, as a descriptor `fd:N` has none.
pub fn below(directory: &Path) -> Vec<PathBuf> {
    let Ok(directory) = directory.canonicalize() else { return vec![] };
    let inside = |point: &PathBuf| *point != directory && point.starts_with(&directory);
    all().into_iter().map(|mount| mount.point).filter(inside).collect()
}

/// The first of some paths, as a list for people.
pub fn list(paths: &[PathBuf]) -> String {
    paths.iter().take(3).map(show).collect::<Vec<_>>().join(", ")
}

/// Why a proc or a sysfs that is here already is none that a new one may follow (mnt_already_visible() in fs/namespace.c):
/// in a user namespace a new one may show no more than that.
#[derive(Debug, PartialEq, Eq)]
pub enum Less {
    /// None is here as a whole.
    Nowhere,
    /// This one is covered at these places.
    Covered(PathBuf, Vec<PathBuf>),
    /// This one has these options, some of which are locked.
    Attributes(PathBuf, String),
}

/// What is so for `fstype`. Where several are here, one that is not covered counts.
pub fn less(fstype: &str, mounts: &[Mounted]) -> Less {
    let mut found = Less::Nowhere;
    for whole in mounts.iter().filter(|mount| mount.fstype == fstype && mount.root == "/") {
        let known = |part: &Path| EMPTY_FOR_EVER.iter().any(|place| part == Path::new(place));
        let covers =
            |mount: &&Mounted| mount.parent == whole.id && !mount.point.strip_prefix(&whole.point).is_ok_and(known);
        let covered: Vec<PathBuf> = mounts.iter().filter(covers).map(|mount| mount.point.clone()).collect();
        if covered.is_empty() {
            return Less::Attributes(whole.point.clone(), whole.options.clone());
        }
        found = Less::Covered(whole.point.clone(), covered);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_path_has_no_mounts_below() {
        assert!(!below(Path::new("/")).is_empty());
        assert_eq!(below(Path::new("fd:7")), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_new_proc_would_show_is_found() {
        let proc =
            "22 27 0:21 / /proc rw,nosuid - proc proc rw\n36 22 0:5 / /proc/sys/fs/binfmt_misc rw - autofs s rw\n";
        let less = |text: String| less("proc", &text.lines().filter_map(parsed).collect::<Vec<_>>());
        assert_eq!(
            less(proc.replace("rw,nosuid", "ro,noatime")),
            Less::Attributes("/proc".into(), "ro,noatime".into())
        );
        let kcore = format!("{proc}30 22 0:5 /null /proc/kcore rw - tmpfs t rw\n31 1 0:6 / /dev rw - x y z\n");
        assert_eq!(less(kcore), Less::Covered("/proc".into(), vec!["/proc/kcore".into()]));
        let all = format!("{proc}30 22 0:5 / /proc rw - tmpfs t rw\n");
        assert_eq!(less(all), Less::Covered("/proc".into(), vec!["/proc".into()]));
        let two = format!("{proc}30 22 0:5 / /proc rw - proc p rw\n");
        assert_eq!(less(two), Less::Attributes("/proc".into(), "rw".into()));
        assert_eq!(less("31 1 0:6 / /dev rw - tmpfs y z\n".to_owned()), Less::Nowhere);
        assert_eq!(less(proc.replace(" / /proc rw", " /sys /proc rw")), Less::Nowhere);
    }
}
