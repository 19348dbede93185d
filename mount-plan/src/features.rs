//! `--features`: what this kernel offers the layer, found by trying it, in a mount namespace of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;

use chain::sys::{self, Fork};
use chain::wait::collect;
use chain::{Call as _, Result};
use nix::libc;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, move_mount,
};

/// Every finding on a line of its own.
pub fn features() -> String {
    tried().unwrap_or_else(|error| format!("mount namespace: no, {error:#}\n"))
}

/// Asks in a child, whose namespaces end with it: as root a mount namespace is enough, else a user namespace goes with it.
fn tried() -> Result<String> {
    let user = if nix::unistd::geteuid().is_root() { 0 } else { libc::CLONE_NEWUSER };
    let (read, write) = rustix::pipe::pipe().call("pipe")?;
    let child = match sys::fork(libc::CLONE_NEWNS | user, sys::AtEnd::Signal).call("clone(CLONE_NEWNS)")? {
        Fork::Child => {
            File::from(write).write_all(findings().as_bytes()).unwrap_or_default();
            sys::exit_now(0);
        }
        Fork::Parent(child) => child,
    };
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).call("read")?;
    collect(&child)?;
    Ok(text)
}

fn findings() -> String {
    let mut lines = vec![
        line("new mount interface (fsopen, fsmount, move_mount, open_tree)", &tmpfs().map(drop), "5.2"),
        line("openat2", &openat2(), "5.6"),
        line("mount_setattr", &setattr(), "5.12"),
        line("root assembled detached", &detached(), "6.15"),
        line("overlay in this user namespace, userxattr", &option("overlay", "userxattr", None), "5.11"),
        line("overlay layers one by one (lowerdir+)", &option("overlay", "lowerdir+", Some("/")), "6.7"),
        line("proc subset=pid", &option("proc", "subset", Some("pid")), "5.8"),
    ];
    let types = ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay", "squashfs", "erofs", "ext4"];
    lines.extend(types.map(|fstype| line(fstype, &fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map(drop), "5.2")));
    lines.concat()
}

fn line(name: &str, found: &rustix::io::Result<()>, since: &str) -> String {
    match found {
        Ok(()) => format!("{name}: yes, Linux {since}\n"),
        Err(errno) => {
            let words = chain::failure::errno_text(nix::errno::Errno::from_raw(errno.raw_os_error()));
            format!("{name}: no, {words}; Linux {since}\n")
        }
    }
}

fn tmpfs() -> rustix::io::Result<rustix::fd::OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn openat2() -> rustix::io::Result<()> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    rustix::fs::openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT).map(drop)
}

fn setattr() -> rustix::io::Result<()> {
    let read_only = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    sys::mount_setattr(tmpfs()?, false, read_only, 0).map_err(|errno| Errno::from_raw_os_error(errno as i32))
}

fn detached() -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tmpfs()?, "", tmpfs()?, "", flags)
}

fn option(fstype: &str, key: &str, value: Option<&str>) -> rustix::io::Result<()> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
    match value {
        None => fsconfig_set_flag(context.as_fd(), key),
        Some(value) => fsconfig_set_string(context.as_fd(), key, value),
    }
}
