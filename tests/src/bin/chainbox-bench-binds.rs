//! `chainbox-bench-binds N PROGRAM`: the bare system calls of N read-only binds, and nothing else around them: what
//! `scripts/bench` holds mount-plan against.
//!
//! For each: the file of the mount point is made, the source opened, cloned, made read-only, and moved to its place in a
//! tmpfs that becomes the root, with the host's system bound there. It runs under `ns-unshare --mount`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use chain::{Call as _, Failure, Result, sys};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{fchdir, pivot_root};

const READ_ONLY: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_RDONLY.union(MountAttrFlags::MOUNT_ATTR_NOSUID).union(MountAttrFlags::MOUNT_ATTR_NODEV);

fn main() -> ExitCode {
    match run(&std::env::args_os().skip(1).collect::<Vec<_>>()) {
        Ok(never) => match never {},
        Err(error) => ExitCode::from(chain::message::print_failure(&error)),
    }
}

fn run(argv: &[OsString]) -> Result<std::convert::Infallible> {
    let [number, program] = argv else { return Err(Failure::refusal("N PROGRAM").into()) };
    let number = chain::values::number(number).ok_or_else(|| Failure::refusal("N is no number"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).call("mount")?;
    let root = tmpfs()?;
    move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call("move_mount")?;
    mkdirat(&root, "usr", Mode::RWXU).call("mkdirat")?;
    bind("/usr", true, &root, "usr")?;
    for name in ["bin", "lib", "lib64"] {
        symlinkat(format!("usr/{name}"), &root, name).call("symlinkat")?;
    }
    mkdirat(&root, "m", Mode::RWXU).call("mkdirat")?;
    let points = openat(&root, "m", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("openat")?;
    for n in 0..number {
        let name = n.to_string();
        mknodat(&points, name.as_str(), FileType::RegularFile, Mode::RUSR, 0).call("mknodat")?;
        bind("/usr/bin/env", false, &points, &name)?;
    }
    fchdir(&root).call("fchdir")?;
    pivot_root(".", ".").call("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).call("umount2")?;
    Err(Command::new(program).exec()).call("execve")
}

fn tmpfs() -> Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).call("fsopen")?;
    fsconfig_create(&context).call("fsconfig")?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).call("fsmount")
}

fn bind(source: &str, recursive: bool, dir: &OwnedFd, name: &str) -> Result<()> {
    let source = openat(CWD, source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("openat")?;
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(&source, "", flags).call("open_tree")?;
    sys::mount_setattr(&tree, recursive, u64::from(READ_ONLY.bits()), 0).call("mount_setattr")?;
    move_mount(&tree, "", dir, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call("move_mount")
}
