//! The one name of each step.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::RawFd;
use std::path::Path;

use chain::show;

use crate::model::idmap::words;
use crate::model::{Bind, Chdir, Crossing, CrossingForm, Entry, Filesystem, IdRange, Image, Mount, Owner, Upper, What};

/// One effect. `S` is a file of the old root: its path, or the same opened.
pub enum Step<'a, S> {
    /// Take hold of the next program.
    Carry(&'a Crossing),
    /// Make a user namespace that has these maps, for the mounts that take them.
    Map(&'a [IdRange]),
    /// The same for the owners of sources that are shown as somebody else.
    Owners(&'a [Owner]),
    /// Keep mounts of this namespace from reaching others.
    Private,
    EmptyRoot {
        writable: bool,
    },
    /// The entry that is the root, and what it mounts.
    Root(&'a Entry<S>, &'a Mount<S>),
    /// Any other entry, and its place.
    Place(&'a Entry<S>, &'a Path),
    /// An entry that is no part of a root: its mount is left as this descriptor.
    Leave(&'a Entry<S>, &'a Mount<S>, RawFd),
    /// Make read-only what was writable only to be filled.
    Seal,
    /// Change the root and let go of the old one.
    Enter,
    /// Go to the working directory of the plan: the first that is there.
    Chdir(&'a [Chdir]),
    /// Go to the caller's own working directory.
    Stay(&'a Path),
    /// Say in PWD where that is.
    SetPwd,
}

/// An entry with its place in front, as messages name it.
pub fn whole<S: AsRef<OsStr>>(entry: &Entry<S>) -> String {
    format!("{}{entry}", entry.origin)
}

/// The message about an entry that says nofail and cannot be had.
pub fn left_out<S: AsRef<OsStr>>(entry: &Entry<S>, error: anyhow::Error) -> String {
    format!("{:#} (nofail: left out)", error.context(whole(entry)))
}

impl<S: AsRef<OsStr>> fmt::Display for Step<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carry(crossing) => write!(f, "{crossing}"),
            Self::Map(ranges) => write!(f, "make the map {}", words(ranges)),
            Self::Owners(_) => f.write_str("make the maps of the owners"),
            Self::Private => f.write_str("keep mounts to this namespace"),
            Self::EmptyRoot { writable: true } => f.write_str("make an empty root (rw)"),
            Self::EmptyRoot { writable: false } => f.write_str("make an empty root"),
            Self::Root(entry, _) | Self::Place(entry, _) | Self::Leave(entry, ..) => f.write_str(&whole(entry)),
            Self::Seal => f.write_str("attach the root, make read-only what was only to be filled"),
            Self::Enter => f.write_str("change to the new root, let go of the old"),
            Self::Chdir(chdirs) => {
                let words: Vec<String> = chdirs.iter().map(|chdir| format!("{}{chdir}", chdir.origin)).collect();
                f.write_str(&words.join(", else "))
            }
            Self::Stay(path) => write!(f, "stay in {}, or go to / where it does not exist", show(path)),
            Self::SetPwd => f.write_str("set PWD to the working directory"),
        }
    }
}

impl<S: AsRef<OsStr>> chain::Step for Step<'_, S> {
    fn call(&self) -> String {
        match self {
            Self::Carry(crossing) => match crossing.form {
                CrossingForm::Clone => "open_tree(OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|NODEV)".to_owned(),
                CrossingForm::Own => "prctl(PR_SET_DUMPABLE, 0), close_range".to_owned(),
                CrossingForm::Sealed => "memfd_create(MFD_ALLOW_SEALING), fcntl(F_ADD_SEALS)".to_owned(),
            },
            Self::Map(_) | Self::Owners(_) => {
                "clone(CLONE_NEWUSER), write(uid_map), write(gid_map), open(ns/user)".to_owned()
            }
            Self::Private => "mount(NULL, \"/\", NULL, MS_REC|MS_SLAVE)".to_owned(),
            Self::EmptyRoot { .. } => "fsopen(tmpfs), fsconfig(mode=755), fsmount".to_owned(),
            Self::Root(entry, mount) => mount_call(entry, mount),
            Self::Place(entry, path) => call(entry, path),
            Self::Leave(entry, mount, fd) => format!("{}, dup3({fd})", mount_call(entry, mount)),
            Self::Seal => "move_mount(the root, \"/\"), mount_setattr(MOUNT_ATTR_RDONLY)".to_owned(),
            Self::Enter => "pivot_root(\".\", \".\"), umount2(\".\", MNT_DETACH)".to_owned(),
            Self::Chdir(chdirs) => {
                chdirs.iter().map(|chdir| chdir_call(&chdir.path)).collect::<Vec<_>>().join(", else ")
            }
            Self::Stay(path) => chdir_call(path),
            Self::SetPwd => "setenv(PWD)".to_owned(),
        }
    }
}

fn chdir_call(path: &Path) -> String {
    format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS), fchdir, getcwd", show(path))
}

const IDMAP: &str = ", mount_setattr(MOUNT_ATTR_IDMAP)";

/// The calls that put an entry where it belongs.
fn call<S: AsRef<OsStr>>(entry: &Entry<S>, path: &Path) -> String {
    let target = show(path);
    match &entry.what {
        What::Mount(mount) => format!("{}, openat2({target}), move_mount", mount_call(entry, mount)),
        What::Symlink(text) => format!("symlinkat({}, {target})", show(text)),
        What::Dir(mode) => format!("mkdirat({target}, {mode:04o})"),
        What::File(..) => format!("openat({target}, O_CREAT|O_EXCL), write"),
        What::Data(..) => format!("fsopen(tmpfs), openat(O_CREAT), write, open_tree, openat2({target}), move_mount"),
        What::Chmod(mode) => format!("openat2({target}), chmod({mode:04o})"),
        What::RemountRo => format!("openat2({target}), mount_setattr(MOUNT_ATTR_RDONLY)"),
        What::Mask(_) => format!("openat2({target}), move_mount of an empty tmpfs or of the null device"),
        What::Dev(_) => format!("fsopen(tmpfs), open_tree of six devices, fsopen(devpts), move_mount({target})"),
    }
}

/// The calls that make what is to be mounted.
fn mount_call<S: AsRef<OsStr>>(entry: &Entry<S>, mount: &Mount<S>) -> String {
    let attributes = entry.attributes;
    match mount {
        Mount::Bind(Bind { source, recursive, subdir, idmap, .. }) => {
            let part = subdir.as_ref().map_or_else(String::new, |part| format!("openat2({}), ", show(part)));
            let recursive = if *recursive { "|AT_RECURSIVE" } else { "" };
            let ids = if idmap.is_some() { IDMAP } else { "" };
            format!("{part}open_tree({}, OPEN_TREE_CLONE{recursive}), mount_setattr({attributes}){ids}", show(source))
        }
        Mount::Filesystem(Filesystem { fstype, settings, .. }) => {
            let settings: String = settings.iter().map(|setting| format!(", fsconfig({setting})")).collect();
            format!("fsopen({fstype}){settings}, fsmount({attributes})")
        }
        Mount::Image(Image { fstype, .. }) => {
            format!("ioctl(LOOP_CONFIGURE), fsopen({fstype}), fsconfig(source), fsmount({attributes})")
        }
        Mount::Overlay(overlay) => {
            let upper = if matches!(overlay.upper, Upper::None) { "" } else { ", upperdir, workdir" };
            let ids = overlay.owner.map_or_else(String::new, |_| format!(", open_tree(OPEN_TREE_CLONE){IDMAP}"));
            format!("fsopen(overlay){ids}, fsconfig(lowerdir+{upper}), fsmount({attributes})")
        }
    }
}

/// The step of `--wipe`, which is no plan. `D` is the directory, opened, or nothing where the step is only explained.
pub struct Empty<'a, D> {
    pub path: &'a Path,
    pub dir: D,
}

impl<D> fmt::Display for Empty<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "empty {}", show(self.path))
    }
}

impl<D> chain::Step for Empty<'_, D> {
    fn call(&self) -> String {
        "openat2(RESOLVE_NO_SYMLINKS|RESOLVE_NO_XDEV), fchmodat, renameat2, unlinkat".to_owned()
    }
}
