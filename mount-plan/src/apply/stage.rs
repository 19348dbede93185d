//! The new root while it is being assembled.
//!
//! It is a detached mount: attached nowhere, so no path leads to it, and nothing of it is left if this process dies.
//! Entries are attached onto the detached tree by descriptor (Linux 6.15). An older kernel answers EINVAL to that; then
//! the root is attached first, on top of `/` of this private mount namespace, where no path lookup of this process ends
//! (its own root stays below), and all goes on by the same descriptors.

use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use chain::{Call as _, Hint as _, Result, refusal};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::process::fchdir;

use super::carry::Carried;
use super::{maps, tree};
use crate::hints;
use crate::model::{Attributes, IdRange};

/// The state of the assembly.
#[derive(Default)]
pub struct Stage {
    root: Option<OwnedFd>,
    /// The devices (`st_dev`) of the filesystems that the plan has made.
    pub own: Vec<u64>,
    /// Whether the entry that is placed may make what is missing in any filesystem.
    pub makes_anywhere: bool,
    read_only_later: Vec<OwnedFd>,
    attached: bool,
    maps: Vec<(Vec<IdRange>, OwnedFd)>,
    /// Whether it has been said that an owner cannot be shown as somebody else.
    pub noted: bool,
    /// The mounts that are left as descriptors, each with its number.
    pub left: Vec<(RawFd, OwnedFd)>,
    /// The program that is carried across, once it is taken.
    pub carried: Option<Carried>,
    /// The working directory, once it has been entered, as the plan or the caller calls it.
    pub directory: PathBuf,
    /// The caller's own, where that is missing in the new root.
    pub moved: Option<PathBuf>,
}

impl Stage {
    /// The descriptor of the new root.
    pub fn root(&self) -> Result<&OwnedFd> {
        self.root.as_ref().ok_or_else(|| refusal!("no root has been made yet"))
    }

    /// Takes the mount that is the new root.
    pub fn begin(&mut self, root: OwnedFd) {
        self.root = Some(root);
    }

    /// Remembers that the plan itself made the filesystem of `tree`: what is missing may be made in it. Where it is to be
    /// `read_only`, it becomes that when everything is in its place.
    pub fn own(&mut self, tree: &OwnedFd, read_only: bool) -> Result<()> {
        self.own.push(fstat(tree).call("fstat")?.st_dev);
        if read_only { self.read_only_later(tree) } else { Ok(()) }
    }

    /// Makes the user namespace that has these maps, for later. Once the new root is attached none can be made: its maker
    /// is in a chroot then, as the kernel sees it (EPERM of clone(2)).
    pub fn prepare_map(&mut self, ranges: &[IdRange]) -> Result<()> {
        self.add_map(ranges, maps::namespace(ranges)?);
        Ok(())
    }

    pub fn add_map(&mut self, ranges: &[IdRange], namespace: OwnedFd) {
        self.maps.push((ranges.to_vec(), namespace));
    }

    pub fn has_map(&self, ranges: &[IdRange]) -> bool {
        self.maps.iter().any(|(known, _)| known == ranges)
    }

    /// The user namespace with these maps.
    pub fn map(&self, ranges: &[IdRange]) -> Result<&OwnedFd> {
        let found = self.maps.iter().find(|(known, _)| known == ranges);
        found.map(|(_, namespace)| namespace).ok_or_else(|| refusal!("the map was not prepared"))
    }

    /// Remembers that `tree` becomes read-only when everything is in its place.
    pub fn read_only_later(&mut self, tree: &OwnedFd) -> Result<()> {
        self.read_only_later.push(tree.try_clone().call("fcntl(F_DUPFD_CLOEXEC)")?);
        Ok(())
    }

    /// Attaches a detached tree to the place that `point` is open on.
    pub fn attach(&mut self, tree: &OwnedFd, point: &OwnedFd) -> Result<()> {
        self.attach_at(tree, point, "")
    }

    /// Attaches a detached tree to `name` in the directory that `dir` is open on; a link there is not followed.
    pub fn attach_at(&mut self, tree: &OwnedFd, dir: &OwnedFd, name: &str) -> Result<()> {
        let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        if name.is_empty() {
            flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        }
        let attach = || move_mount(tree, "", dir, name, flags);
        match attach() {
            Err(rustix::io::Errno::INVAL) if !self.attached => {
                self.attach_root()?;
                attach()
            }
            result => result,
        }
        .call("move_mount")
        .hinted(&hints::ATTACH)
    }

    /// Attaches the new root on top of `/`, if that has not been done yet.
    pub fn attach_root(&mut self) -> Result<()> {
        if !self.attached {
            self.attach_below(self.root()?)?;
            self.attached = true;
        }
        Ok(())
    }

    /// Attaches a tree on top of `/`, or of the new root where that lies there already: no walk of ours ends there.
    pub fn attach_below(&self, tree: &OwnedFd) -> Result<()> {
        move_mount(tree, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call("move_mount onto /")
    }

    /// Does `work` while `trees` are attached somewhere out of the way: before Linux 6.15 nothing that is attached nowhere can
    /// be cloned, or be a layer of an overlay.
    pub fn while_attached<T>(&self, trees: &[&OwnedFd], work: impl FnOnce() -> Result<T>) -> Result<T> {
        let open = |path| openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        // A directory that may not be passed cannot be gone back to: nobody stays in what is taken away.
        let back = open(".").or_else(|_| open("/")).call("open the working directory")?;
        trees.iter().try_for_each(|tree| self.attach_below(tree))?;
        let done = work();
        // Each lies on the one before.
        for tree in trees.iter().rev() {
            fchdir(tree).call("fchdir")?;
            unmount(".", UnmountFlags::DETACH).call("umount2(MNT_DETACH)")?;
        }
        fchdir(back).call("fchdir(the working directory)")?;
        done
    }

    /// Makes read-only what was only writable to be filled. Of a detached tree mount_setattr(2) changes only the top, so
    /// the root is attached now.
    pub fn seal(&mut self) -> Result<()> {
        self.attach_root()?;
        let read_only = Attributes::only(MountAttrFlags::MOUNT_ATTR_RDONLY);
        self.read_only_later.drain(..).try_for_each(|tree| tree::set(&tree, false, read_only))
    }
}

/// Sets the umask for as long as the value lives: modes are what the plan says, and the caller's umask comes back.
pub struct Umask(nix::sys::stat::Mode);

impl Umask {
    /// No bit is masked from now on.
    pub fn none() -> Self {
        Self(nix::sys::stat::umask(nix::sys::stat::Mode::empty()))
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        nix::sys::stat::umask(self.0);
    }
}
