//! On the kernel's first root, that of an initramfs (before Linux 7.0): pivot_root(2) leaves only a mount that has a parent.
//!
//! A mount of the same files is put on top of it, and the box's mount namespace is made as a copy of that. A box in a user
//! namespace of its own has both locked together (mount_namespaces(7)), so that it cannot take the upper one away: were it put
//! there in the box, who keeps CAP_SYS_ADMIN could. The caller's mount namespace stays as it is.

use std::fs::File;
use std::path::PathBuf;

use chain::{Call as _, Common, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, chroot, getcwd};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::fchdir;

use crate::plan::Plan;

/// The mount namespace and the working directory that this process came from.
pub struct WayBack {
    namespace: File,
    directory: PathBuf,
}

/// Goes into such a mount namespace, if the plan says so.
pub fn cover(common: &Common, plan: &Plan) -> Result<Option<WayBack>> {
    let mut way = None;
    chain::perform(common, plan.cover().as_slice(), |_| {
        way = Some(WayBack::here()?);
        enter()
    })?;
    Ok(way)
}

fn enter() -> Result<()> {
    let directory = getcwd().call("getcwd")?;
    unshare(CloneFlags::CLONE_NEWNS).call("unshare")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>).call("mount")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let root = open_tree(CWD, "/", flags).call("open_tree")?;
    move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call("move_mount")?;
    fchdir(root).call("fchdir")?;
    chroot(".").call("chroot")?;
    chdir(&directory).call("chdir")
}

impl WayBack {
    fn here() -> Result<Self> {
        let path = "/proc/self/ns/mnt";
        Ok(Self { namespace: File::open(path).call(&format!("open {path}"))?, directory: getcwd().call("getcwd")? })
    }

    /// Back to where the caller's paths mean what they say.
    pub fn take(self) -> Result<()> {
        setns(self.namespace, CloneFlags::CLONE_NEWNS).call("setns")?;
        chdir(&self.directory).call("chdir")
    }
}
