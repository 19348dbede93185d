//! The one name of each step.

use std::fmt;
use std::path::Path;

use chain::show;

use crate::carry::{Chosen, How};
use crate::entry::{Entry, Upper, What};
use crate::idmap::{Range, words};
use crate::look::Source;

/// One effect.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Take hold of the next program.
    Carry(&'a Chosen),
    /// Make a user namespace that has these maps, for the binds that take them.
    Map(&'a [Range]),
    /// Keep mounts of this namespace from reaching others.
    Private,
    /// An empty root.
    EmptyRoot {
        /// Whether it stays writable.
        writable: bool,
    },
    /// The entry that is the root.
    Root(&'a Entry, &'a [Source]),
    /// Any other entry.
    Place(&'a Entry, &'a [Source]),
    /// Make read-only what was writable only to be filled.
    Seal,
    /// Change the root and let go of the old one.
    Enter,
    /// Go to the working directory.
    Chdir {
        /// The entry that asks for it, or none: then the caller's own is wanted.
        entry: Option<&'a Entry>,
        /// The directory.
        path: &'a Path,
    },
}

/// An entry with its place in front, as messages name it.
#[must_use]
pub fn whole(entry: &Entry) -> String {
    format!("{}{entry}", entry.origin)
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carry(chosen) => write!(f, "{chosen}"),
            Self::Map(ranges) => write!(f, "make the map {}", words(ranges)),
            Self::Private => f.write_str("keep mounts to this namespace"),
            Self::EmptyRoot { writable: true } => f.write_str("make an empty root (rw)"),
            Self::EmptyRoot { writable: false } => f.write_str("make an empty root"),
            Self::Root(entry, _) | Self::Place(entry, _) => f.write_str(&whole(entry)),
            Self::Seal => f.write_str("attach the root, make read-only what was only to be filled"),
            Self::Enter => f.write_str("change to the new root, let go of the old"),
            Self::Chdir { entry: Some(entry), .. } => f.write_str(&whole(entry)),
            Self::Chdir { entry: None, path } => {
                write!(f, "stay in {}, or go to / where it does not exist", show(path))
            }
        }
    }
}

impl chain::Step for Step<'_> {
    fn call(&self) -> String {
        match self {
            Self::Carry(chosen) => match chosen.how {
                How::Clone => "open_tree(OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|NODEV)".to_owned(),
                How::Own => "prctl(PR_SET_DUMPABLE, 0), close_range".to_owned(),
                How::Sealed => "memfd_create(MFD_ALLOW_SEALING), fcntl(F_ADD_SEALS)".to_owned(),
            },
            Self::Map(_) => "clone(CLONE_NEWUSER), write(uid_map), write(gid_map), open(ns/user)".to_owned(),
            Self::Private => "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE)".to_owned(),
            Self::EmptyRoot { .. } => "fsopen(tmpfs), fsconfig(mode=755), fsmount".to_owned(),
            Self::Root(entry, _) => source_call(entry),
            Self::Place(entry, _) => call(entry),
            Self::Seal => "move_mount(the root, \"/\"), mount_setattr(MOUNT_ATTR_RDONLY)".to_owned(),
            Self::Enter => "pivot_root(\".\", \".\"), umount2(\".\", MNT_DETACH)".to_owned(),
            Self::Chdir { path, .. } => {
                format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS), fchdir, getcwd", show(path))
            }
        }
    }
}

/// The calls that put an entry where it belongs.
fn call(entry: &Entry) -> String {
    let target = show(&entry.target);
    match &entry.what {
        What::Symlink(text) => format!("symlinkat({}, {target})", show(text)),
        What::Dir(mode) => format!("mkdirat({target}, {mode:04o})"),
        What::File(..) => format!("openat({target}, O_CREAT|O_EXCL), write"),
        What::Mask => format!("openat2({target}), move_mount of an empty tmpfs or of the null device"),
        What::Dev => format!("fsopen(tmpfs), open_tree of six devices, fsopen(devpts), move_mount({target})"),
        _ => format!("{}, openat2({target}), move_mount", source_call(entry)),
    }
}

/// The calls that make what is to be mounted.
fn source_call(entry: &Entry) -> String {
    let attributes = entry.attributes;
    match &entry.what {
        What::Bind { source, recursive, subdir, idmap } => {
            let part = subdir.as_ref().map_or_else(String::new, |part| format!("openat2({}), ", show(part)));
            let recursive = if *recursive { "|AT_RECURSIVE" } else { "" };
            let ids = if idmap.is_some() { ", mount_setattr(MOUNT_ATTR_IDMAP)" } else { "" };
            format!("{part}open_tree({}, OPEN_TREE_CLONE{recursive}), mount_setattr({attributes}){ids}", show(source))
        }
        What::Filesystem { fstype, settings } => {
            let settings: String = settings.iter().map(|setting| format!(", fsconfig({setting})")).collect();
            format!("fsopen({fstype}){settings}, fsmount({attributes})")
        }
        What::Image { fstype, .. } => {
            format!("ioctl(LOOP_CONFIGURE), fsopen({fstype}), fsconfig(source), fsmount({attributes})")
        }
        What::Overlay { upper, .. } => {
            let upper = if *upper == Upper::None { "" } else { ", upperdir, workdir" };
            format!("fsopen(overlay), fsconfig(lowerdir+{upper}), fsmount({attributes})")
        }
        _ => String::new(),
    }
}
