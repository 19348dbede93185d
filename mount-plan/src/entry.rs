//! One entry of a plan: what is to be at which place of the new root. Data only; nothing here looks at the machine.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use chain::show;
use rustix::mount::MountAttrFlags;

use crate::idmap::{Idmap, Range};

/// Where an entry was written, for messages: a plan's file and line, or the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub Option<(Rc<str>, usize)>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |(file, line)| write!(f, "{file}:{line}: "))
    }
}

/// One entry of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it was written.
    pub origin: Origin,
    /// The place in the new root: absolute, without `..`.
    pub target: PathBuf,
    /// What is put there.
    pub what: What,
    /// How it is mounted.
    pub attributes: Attributes,
    /// Whether the plan goes on (and says so) where this entry cannot be had.
    pub nofail: bool,
    /// The mode of a directory that is made to mount on.
    pub mkdir: u32,
}

/// What an entry puts at its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file or tree of the old root.
    Bind {
        /// As the caller sees it; links are followed.
        source: PathBuf,
        /// With everything that is mounted below it.
        recursive: bool,
        /// Only this part of it, looked up beneath it.
        subdir: Option<PathBuf>,
        /// With other ids than those on disk.
        idmap: Option<Idmap>,
    },
    /// A new instance of a kernel filesystem: tmpfs, proc, sysfs, devpts, mqueue.
    Filesystem {
        /// Its type.
        fstype: &'static str,
        /// Its options, as the kernel takes them.
        settings: Vec<Setting>,
    },
    /// A filesystem in a file or on a block device of the old root.
    Image {
        /// Its type.
        fstype: &'static str,
        /// The file.
        file: PathBuf,
        /// With other ids than those in it.
        idmap: Option<Idmap>,
        /// Its options, as the kernel takes them.
        settings: Vec<Setting>,
    },
    /// Layers of directories.
    Overlay {
        /// Read-only layers, the top one first.
        lowers: Vec<PathBuf>,
        /// Where changes go.
        upper: Upper,
        /// Further options of overlayfs.
        settings: Vec<Setting>,
    },
    /// A minimal /dev.
    Dev,
    /// A symbolic link with this text.
    Symlink(OsString),
    /// A directory with this mode.
    Dir(u32),
    /// A file with this content and mode.
    File(Content, u32),
    /// Nothing to be seen: an empty read-only directory, or the null device.
    Mask,
    /// The working directory of the next program.
    Chdir,
    /// Several entries under one name; [`crate::preset`] replaces it by them.
    Preset(OsString),
}

/// Where the changes to an overlay go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// There are none: the overlay is read-only.
    None,
    /// Into a tmpfs that ends with the box.
    Tmp,
    /// Into a directory of the old root.
    Kept {
        /// The changes.
        upper: PathBuf,
        /// An empty directory on the same filesystem, which overlayfs needs for itself.
        work: PathBuf,
    },
}

/// Where the content of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Read from this descriptor to its end.
    Fd(RawFd),
    /// This text.
    Text(OsString),
    /// Copied from this file of the old root.
    Copy(PathBuf),
}

/// One option of a filesystem: a word, or `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The word.
    pub key: OsString,
    /// What stands behind `=`.
    pub value: Option<OsString>,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&show(&self.key)),
            Some(value) => write!(f, "{}={}", show(&self.key), show(value)),
        }
    }
}

/// Attributes of a mount (mount_setattr(2)). They are only ever added to what a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC, NOSYMFOLLOW, NODIRATIME.
    pub set: MountAttrFlags,
    /// One of the MOUNT_ATTR__ATIME values where a rule for access times was asked for.
    pub atime: Option<MountAttrFlags>,
}

/// Every attribute that has words of its own in an options column.
pub const ATTRIBUTES: [(&str, &str, MountAttrFlags); 6] = [
    ("ro", "rw", MountAttrFlags::MOUNT_ATTR_RDONLY),
    ("nosuid", "suid", MountAttrFlags::MOUNT_ATTR_NOSUID),
    ("nodev", "dev", MountAttrFlags::MOUNT_ATTR_NODEV),
    ("noexec", "exec", MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ("nosymfollow", "symfollow", MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ("nodiratime", "diratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME),
];

/// The rules for access times, of which a mount has one.
pub const ATIMES: [(&str, MountAttrFlags); 3] = [
    ("relatime", MountAttrFlags::MOUNT_ATTR_RELATIME),
    ("noatime", MountAttrFlags::MOUNT_ATTR_NOATIME),
    ("strictatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME),
];

impl Attributes {
    /// What a mount of the plan has unless it says otherwise: nothing on it gains privilege or is a device.
    #[must_use]
    pub fn safe() -> Self {
        Self { set: MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV, atime: None }
    }

    /// Whether it is read-only.
    #[must_use]
    pub fn read_only(self) -> bool {
        self.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    }

    /// The same, writable: for what must be filled before it becomes read-only.
    #[must_use]
    pub fn writable(self) -> Self {
        Self { set: self.set - MountAttrFlags::MOUNT_ATTR_RDONLY, ..self }
    }

    /// What mount_setattr(2) and fsmount(2) are to set.
    #[must_use]
    pub fn flags(self) -> MountAttrFlags {
        self.set | self.atime.unwrap_or(MountAttrFlags::empty())
    }
}

impl fmt::Display for Attributes {
    /// `ro,nosuid,nodev`, or `rw`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = ATTRIBUTES.iter().filter(|(_, _, flag)| self.set.contains(*flag)).map(|(word, _, _)| *word);
        let atime = ATIMES.iter().filter(|(_, flag)| self.atime == Some(*flag)).map(|(word, _)| *word);
        let words: Vec<&str> = set.chain(atime).collect();
        f.write_str(if words.is_empty() { "rw" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

impl Entry {
    /// The files of the old root that this entry needs, in the order in which they are opened.
    #[must_use]
    pub fn sources(&self) -> Vec<&Path> {
        match &self.what {
            What::Bind { source, idmap: Some(Idmap::Namespace(map)), .. } => vec![source, map],
            What::Image { file, idmap: Some(Idmap::Namespace(map)), .. } => vec![file, map],
            What::Bind { source: file, .. } | What::Image { file, .. } | What::File(Content::Copy(file), _) => {
                vec![file]
            }
            What::Overlay { lowers, upper: Upper::Kept { upper, work }, .. } => {
                lowers.iter().chain([upper, work]).map(PathBuf::as_path).collect()
            }
            What::Overlay { lowers, .. } => lowers.iter().map(PathBuf::as_path).collect(),
            What::Dev => DEVICES.iter().map(|device| Path::new(device.path)).collect(),
            What::Mask => vec![Path::new(NULL.path)],
            _ => vec![],
        }
    }
}

impl What {
    /// The map that stands in the plan for what is mounted, if one does.
    #[must_use]
    pub fn ranges(&self) -> Option<&[Range]> {
        match self {
            Self::Bind { idmap: Some(Idmap::Ranges(ranges)), .. }
            | Self::Image { idmap: Some(Idmap::Ranges(ranges)), .. } => Some(ranges),
            _ => None,
        }
    }
}

/// A character device of the host that a box may have, by its numbers (Documentation/admin-guide/devices.txt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where the host has it.
    pub path: &'static str,
    /// Its name below /dev.
    pub name: &'static str,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

const fn memory(path: &'static str, name: &'static str, minor: u32) -> Device {
    Device { path, name, major: 1, minor }
}

/// The null device, which also masks files.
pub const NULL: Device = memory("/dev/null", "null", 3);

/// The devices of a minimal /dev.
pub const DEVICES: [Device; 6] = [
    NULL,
    memory("/dev/zero", "zero", 5),
    memory("/dev/full", "full", 7),
    memory("/dev/random", "random", 8),
    memory("/dev/urandom", "urandom", 9),
    Device { path: "/dev/tty", name: "tty", major: 5, minor: 0 },
];

impl fmt::Display for Entry {
    /// The entry in words, without its origin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = show(&self.target);
        match &self.what {
            What::Bind { source, subdir, idmap, .. } => {
                let part = subdir.as_ref().map_or_else(String::new, |part| format!(", {} of it", show(part)));
                write!(f, "bind {} on {target}{part}{}", show(source), ids(idmap))?;
            }
            What::Image { fstype, file, idmap, settings } => {
                write!(f, "mount {fstype} {} on {target}{}{}", show(file), ids(idmap), said(settings))?;
            }
            What::Filesystem { fstype, settings } => write!(f, "mount {fstype} on {target}{}", said(settings))?,
            What::Overlay { lowers, upper, settings } => {
                let lowers: Vec<String> = lowers.iter().map(show).collect();
                write!(f, "overlay {} on {target}{upper}{}", lowers.join(":"), said(settings))?;
            }
            What::Dev => write!(f, "make a minimal /dev on {target}")?,
            What::Symlink(text) => return write!(f, "link {target} to {}", show(text)),
            What::Dir(mode) => return write!(f, "make directory {target}, mode {mode:04o}"),
            What::File(content, mode) => return write!(f, "make file {target} from {content}, mode {mode:04o}"),
            What::Mask => return write!(f, "mask {target}"),
            What::Chdir => return write!(f, "enter {target}"),
            What::Preset(name) => return write!(f, "preset {}", show(name)),
        }
        write!(f, " ({})", self.attributes)
    }
}

fn ids(idmap: &Option<Idmap>) -> String {
    idmap.as_ref().map_or_else(String::new, |map| format!(", ids {map}"))
}

fn said(settings: &[Setting]) -> String {
    settings.iter().map(|setting| format!(", {setting}")).collect()
}

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Tmp => f.write_str(", changes in a tmpfs"),
            Self::Kept { upper, .. } => write!(f, ", changes in {}", show(upper)),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(fd) => write!(f, "descriptor {fd}"),
            Self::Text(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Copy(path) => f.write_str(&show(path)),
        }
    }
}
