//! Which ids a bind shows for the ids on disk: `X-mount.idmap=` of mount(8), by mount_setattr(2) with MOUNT_ATTR_IDMAP
//! (Linux 5.12).
//!
//! ```text
//! X-mount.idmap=b:0:100000:65536            users and groups 0 to 65535 on disk are 100000 and up in the mount
//! X-mount.idmap=u:0:1000:1 g:0:100:1        several ranges, parted by blanks (\040 in a plan)
//! X-mount.idmap=/proc/PID/ns/user           the maps of that user namespace
//! ```
//!
//! util-linux's own manual has the first two numbers the wrong way round; this is what its mount(8) does. The kernel
//! takes the map from a user namespace, and nothing else of it: one that lives no longer than it takes to open it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use chain::failure::{Call as _, Failure};
use chain::sys::{self, Child, Fork};
use chain::values::number;
use chain::{Hint as _, Result, show, wait};
use nix::libc;
use rustix::fs::{Mode, OFlags, openat};

/// The most ranges of one kind that the kernel takes (user_namespaces(7), Linux 4.15).
const MOST: usize = 340;

/// Where the map of a bind comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idmap {
    /// It stands in the plan.
    Ranges(Vec<Range>),
    /// It is the one of this user namespace, named by a file of /proc or one that is bound to it.
    Namespace(PathBuf),
}

/// `count` ids from `on_disk` on are shown as the ids from `shown` on. All other ids are nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whether it is one of users.
    users: bool,
    /// Whether it is one of groups.
    groups: bool,
    /// The first id on disk.
    on_disk: u32,
    /// The first id in the mount, as the namespace of the one who mounts it counts.
    shown: u32,
    /// How many.
    count: u32,
}

/// Reads what stands behind `X-mount.idmap=`.
///
/// # Errors
/// What is no map, or one without users or without groups, which the kernel does not take.
pub fn read(word: &OsStr) -> Result<Idmap> {
    if word.as_bytes().starts_with(b"/") {
        return Ok(Idmap::Namespace(PathBuf::from(word)));
    }
    let refused = |why: &str| {
        Failure::refusal(format!("X-mount.idmap={}: {why}", show(word))).hint(
            "[u:|g:|b:]DISK:SHOWN:N, parted by blanks: N ids from DISK on the disk are those from SHOWN in the mount; or a \
             /proc/PID/ns/user",
        )
    };
    let text = word.to_str().ok_or_else(|| refused("not a map"))?;
    let ranges = text.split_whitespace().map(range).collect::<Option<Vec<_>>>().ok_or_else(|| refused("not a map"))?;
    let of = |kind: fn(&Range) -> bool| ranges.iter().filter(|range| kind(range)).count();
    match (of(|range| range.users), of(|range| range.groups)) {
        (0, _) | (_, 0) => Err(refused("users and groups need a range each").into()),
        (users, groups) if users.max(groups) > MOST => Err(refused("more ranges than the kernel takes").into()),
        _ => Ok(Idmap::Ranges(ranges)),
    }
}

fn range(text: &str) -> Option<Range> {
    let (kind, numbers) = match text.split_at_checked(2) {
        Some((kind @ ("u:" | "g:" | "b:"), numbers)) => (kind, numbers),
        _ => ("b:", text),
    };
    let (on_disk, shown, count) = three(numbers)?;
    Some(Range { users: kind != "g:", groups: kind != "u:", on_disk, shown, count })
}

/// 4294967295 is no id (it means "no change" to setuid(2)), so no range may reach it.
fn three(text: &str) -> Option<(u32, u32, u32)> {
    let numbers: Vec<u32> =
        text.split(':').map(|text| u32::try_from(number(OsStr::new(text))?).ok()).collect::<Option<_>>()?;
    let fits = |first: u32, count: u32| count > 0 && first.checked_add(count).is_some();
    match *numbers.as_slice() {
        [on_disk, shown, count] if fits(on_disk, count) && fits(shown, count) => Some((on_disk, shown, count)),
        _ => None,
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.users, self.groups) {
            (true, false) => "u",
            (false, _) => "g",
            (true, true) => "b",
        };
        write!(f, "{kind}:{}:{}:{}", self.on_disk, self.shown, self.count)
    }
}

impl fmt::Display for Idmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(path) => f.write_str(&show(path)),
            Self::Ranges(ranges) => f.write_str(&words(ranges)),
        }
    }
}

/// The ranges as a plan has them.
#[must_use]
pub fn words(ranges: &[Range]) -> String {
    ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(" ")
}

/// A user namespace with these maps, held by its descriptor alone: the process that it was made for has ended.
///
/// # Errors
/// What clone(2) says, or the write of a map: EINVAL where ranges overlap, EPERM for ids that are not the caller's to map.
pub fn namespace(ranges: &[Range]) -> Result<OwnedFd> {
    let (end, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).call("pipe2")?;
    let child = match sys::fork(libc::CLONE_NEWUSER, sys::AtEnd::Nothing).call("clone(CLONE_NEWUSER)")? {
        Fork::Parent(child) => child,
        Fork::Child => {
            drop(ours);
            File::from(end).read_exact(&mut [0]).unwrap_or_default();
            sys::exit_now(0);
        }
    };
    let mapped = mapped(&child, ranges);
    // The child waits for this: the end of the pipe, which it also sees where we are killed.
    drop(ours);
    sys::reap(child.pid, true).call("wait4")?;
    mapped
}

fn mapped(child: &Child, ranges: &[Range]) -> Result<OwnedFd> {
    let folder = wait::proc_folder(child)?;
    write(&folder, "uid_map", ranges.iter().filter(|range| range.users).map(Range::line).collect())?;
    write(&folder, "gid_map", ranges.iter().filter(|range| range.groups).map(Range::line).collect())?;
    openat(&folder, "ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call("open ns/user")
}

fn write(folder: &OwnedFd, name: &str, text: String) -> Result<()> {
    let file = openat(folder, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(&format!("open {name}"))?;
    let written = rustix::io::write(&file, text.as_bytes()).call(&format!("write {name}")).map_err(|error| {
        error.hint("ranges that overlap (EINVAL), or ids that the caller may not map (EPERM): root may all")
    })?;
    if written == text.len() {
        return Ok(());
    }
    Err(Failure::refusal(format!("write {name}: the kernel took {written} of {} bytes", text.len())).into())
}

impl Range {
    /// The line of a map file: to the kernel, what is inside such a namespace is what is on disk.
    fn line(&self) -> String {
        format!("{} {} {}\n", self.on_disk, self.shown, self.count)
    }
}

/// Gives a detached tree the map, all that is mounted below included where it is `recursive`; all of it or nothing.
///
/// # Errors
/// What mount_setattr(2) says: EINVAL where a filesystem has no such mounts, EPERM where it is not the caller's or has a
/// map already.
pub fn apply(tree: &OwnedFd, recursive: bool, namespace: &OwnedFd) -> Result<()> {
    sys::mount_idmap(tree.as_fd(), recursive, namespace.as_fd()).call("mount_setattr(MOUNT_ATTR_IDMAP)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        read(OsStr::new(text)).ok().map(|map| map.to_string())
    }

    #[test]
    fn a_map_is_ranges_or_a_file() {
        assert_eq!(said("0:5:1").as_deref(), Some("b:0:5:1"));
        assert_eq!(said("b:0:1879050000:1").as_deref(), Some("b:0:1879050000:1"));
        assert_eq!(said("u:0:1000:1  g:0:100:2").as_deref(), Some("u:0:1000:1 g:0:100:2"));
        assert_eq!(said("/proc/1/ns/user").as_deref(), Some("/proc/1/ns/user"));
        for bad in ["", " ", "x:0:0:1", "b:0:0", "b:0:0:0", "b:-1:0:1", "b:0:4294967295:1", "b:+1:0:1", "b:0:0:1,1:1:1"]
        {
            assert_eq!(said(bad), None, "{bad:?}");
        }
        assert_eq!(said("u:0:0:1"), None, "no groups");
        assert_eq!(said("g:0:0:1"), None, "no users");
        let many = |n: usize| (0..n).map(|id| format!("{id}:{id}:1")).collect::<Vec<_>>().join(" ");
        assert!(said(&many(340)).is_some() && said(&many(341)).is_none());
    }
}
