//! The user namespaces whose maps a mount takes (mount_setattr(2) with MOUNT_ATTR_IDMAP). The kernel takes the map from a
//! namespace and nothing else of it: ours lives no longer than it takes to open it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use chain::sys::{self, Child, Fork};
use chain::{Call as _, Hint as _, Result, refusal, wait};
use nix::libc;
use rustix::fs::{Mode, OFlags, openat};

use crate::hints;
use crate::model::IdRange;
use crate::model::idmap::{groups, users};

/// A user namespace with these maps, held by its descriptor alone: the process that it was made for has ended.
/// Errors: EINVAL where ranges overlap, EPERM for ids that are not the caller's to map.
pub fn namespace(ranges: &[IdRange]) -> Result<OwnedFd> {
    let (end, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).call("pipe2")?;
    let child = sys::fork(libc::CLONE_NEWUSER, sys::AtEnd::Nothing).call("clone(CLONE_NEWUSER)");
    let child = match child.map_err(hints::user_namespace)? {
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

fn mapped(child: &Child, ranges: &[IdRange]) -> Result<OwnedFd> {
    let folder = wait::proc_folder(child)?;
    write(&folder, "uid_map", users(ranges))?;
    write(&folder, "gid_map", groups(ranges))?;
    openat(&folder, "ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call("open ns/user")
}

fn write<'a>(folder: &OwnedFd, name: &str, ranges: impl Iterator<Item = &'a IdRange>) -> Result<()> {
    // To the kernel, what is inside such a namespace is what is on disk.
    let text: String = ranges.map(|range| format!("{} {} {}\n", range.on_disk, range.shown, range.count)).collect();
    let file = openat(folder, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(&format!("open {name}"))?;
    let written = rustix::io::write(&file, text.as_bytes())
        .call(&format!("write {name}"))
        .hint("ranges that overlap (EINVAL), or ids that the caller may not map (EPERM): root may all")?;
    if written == text.len() {
        return Ok(());
    }
    Err(refusal!("write {name}: the kernel took {written} of {} bytes", text.len()))
}
