//! Filesystems in files and on block devices: squashfs, erofs, ext4. Root of the machine alone may mount them, because the
//! kernel trusts what it reads there.
//!
//! A file is mounted directly where the filesystem can do that (erofs, Linux 6.12), else through a loop device (loop(4))
//! that the kernel lets go of when the last mount has gone (LO_FLAGS_AUTOCLEAR), also where this process is killed. The
//! loop device keeps a lock on the file: the same image is never written to through two of them.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use chain::failure::errno_of;
use chain::{Call as _, Hint as _, Result, refusal, sys};
use nix::errno::Errno;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, flock, openat};

use super::context::Context;
use super::tree;
use crate::hints;
use crate::look::open::file_type;
use crate::model::{Attributes, Setting};

/// How many loop devices are tried when others take each one first.
const TRIES: usize = 64;

/// Mounts what is in `file`, attached nowhere yet.
pub fn mount(fstype: &str, settings: &[Setting], attributes: Attributes, file: &OwnedFd) -> Result<OwnedFd> {
    let tree = match file_type(file)? {
        FileType::BlockDevice => built(fstype, settings, attributes, file),
        FileType::RegularFile => of_file(fstype, settings, attributes, file),
        _ => Err(refusal!("neither a file nor a block device")),
    }
    .hinted(&hints::IMAGE)?;
    tree::set(&tree, false, attributes)?;
    Ok(tree)
}

fn of_file(fstype: &str, settings: &[Setting], attributes: Attributes, file: &OwnedFd) -> Result<OwnedFd> {
    if fstype == "erofs" {
        match built(fstype, settings, attributes, file) {
            Err(error) if errno_of(&error) == Some(Errno::ENOTBLK) => {}
            result => return result,
        }
    }
    let lock = if attributes.read_only() {
        FlockOperation::NonBlockingLockShared
    } else {
        FlockOperation::NonBlockingLockExclusive
    };
    flock(file, lock).call("flock")?;
    built(fstype, settings, attributes, &loop_device(file, attributes.read_only())?)
}

/// By the descriptor's name in /proc, which leads to that file whatever its path is by now.
fn built(fstype: &str, settings: &[Setting], attributes: Attributes, file: &impl AsFd) -> Result<OwnedFd> {
    let context = Context::new(fstype)?;
    context.set(&Setting::value("source", format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())))?;
    if attributes.read_only() {
        context.set(&Setting::flag("ro"))?;
    }
    context.set_all(settings)?;
    context.mount(attributes.flags())
}

fn loop_device(file: &OwnedFd, read_only: bool) -> Result<File> {
    let open = |path: &str| {
        let flags = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
        openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()).call(&format!("open {path}"))
    };
    let control = open("/dev/loop-control")?;
    for _ in 0..TRIES {
        let number = sys::loops::free(&control).call("ioctl(LOOP_CTL_GET_FREE)")?;
        let device = open(&format!("/dev/loop{number}"))?;
        match sys::loops::configure(&device, file, read_only) {
            Err(Errno::EBUSY) => {}
            result => return result.call("ioctl(LOOP_CONFIGURE)").map(|()| File::from(device)),
        }
    }
    Err(refusal!("no loop device is free: others are always faster"))
}
