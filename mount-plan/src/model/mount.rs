//! What an entry mounts. `S` is a file of the old root: its path, or the same opened ([`super::source::Source`]).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use chain::show;
use rustix::mount::MountAttrFlags;

use super::idmap::{IdRange, Idmap};

const NO_EXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// The kernel's own controls can be written by user 0 of the machine without any capability (sysctl_perm() looks at the
/// uid alone), and a box of root's runs as that user: /proc/sys/kernel/core_pattern names a program that the kernel
/// executes as root outside of every box.
const CONTROLS: MountAttrFlags = NO_EXEC.union(READ_ONLY);

/// The filesystems of the kernel that a plan may make, and the attributes that each has besides the safe ones.
pub const FILESYSTEMS: [(&str, MountAttrFlags); 5] = [
    ("tmpfs", MountAttrFlags::empty()),
    ("proc", CONTROLS),
    ("sysfs", CONTROLS),
    ("devpts", NO_EXEC),
    ("mqueue", NO_EXEC),
];

/// The filesystems of images, likewise.
pub const IMAGES: [(&str, MountAttrFlags); 3] =
    [("squashfs", READ_ONLY), ("erofs", READ_ONLY), ("ext4", MountAttrFlags::empty())];

/// The attributes of a minimal /dev, likewise.
pub const DEV: MountAttrFlags = CONTROLS;

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount<S = PathBuf> {
    Bind(Bind<S>),
    Filesystem(Filesystem),
    Image(Image<S>),
    Overlay(Overlay<S>),
}

/// A file or tree of the old root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<S = PathBuf> {
    /// As the caller sees it; links are followed. `fd:N`: what the caller has on that descriptor.
    pub source: S,
    /// With everything that is mounted below it.
    pub recursive: bool,
    /// Only this part of it, looked up beneath it.
    pub subdir: Option<PathBuf>,
    pub idmap: Option<Idmap<S>>,
    /// The chain has made it and nobody else has it: what is missing of a target is made in it too.
    pub fresh: bool,
}

/// A new instance of one of [`FILESYSTEMS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    pub fstype: &'static str,
    pub settings: Vec<Setting>,
    /// Of a proc: what controls the kernel is read-only all the same.
    pub mixed: bool,
}

/// A filesystem, one of [`IMAGES`], in a file or on a block device of the old root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<S = PathBuf> {
    pub fstype: &'static str,
    pub file: S,
    pub idmap: Option<Idmap<S>>,
    pub settings: Vec<Setting>,
}

/// Layers of directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay<S = PathBuf> {
    /// Read-only layers, the top one first.
    pub lowers: Vec<S>,
    pub upper: Upper<S>,
    /// The user and the group that the owner of each layer is shown as.
    pub owner: Option<u32>,
    pub settings: Vec<Setting>,
}

/// Where the changes to an overlay go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper<S = PathBuf> {
    /// There are none: the overlay is read-only.
    None,
    /// Into a tmpfs that ends with the box.
    Tmp,
    /// Into a directory of the old root. `work` is an empty directory on the same filesystem, which overlayfs needs for
    /// itself.
    Kept { upper: S, work: S },
}

/// One option of a filesystem, as the kernel takes it: a word, or `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: OsString,
    pub value: Option<OsString>,
}

impl Setting {
    pub fn flag(key: &str) -> Self {
        Self { key: key.into(), value: None }
    }

    pub fn value(key: &str, value: impl Into<OsString>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }
}

impl<S> Mount<S> {
    pub fn idmap(&self) -> Option<&Idmap<S>> {
        match self {
            Self::Bind(Bind { idmap, .. }) | Self::Image(Image { idmap, .. }) => idmap.as_ref(),
            Self::Filesystem(_) | Self::Overlay(_) => None,
        }
    }

    /// The user and the group that the owner of the sources is shown as.
    pub fn owner(&self) -> Option<u32> {
        match self {
            Self::Overlay(Overlay { owner, .. }) => *owner,
            Self::Bind(Bind { idmap: Some(Idmap::Owner(shown)), .. }) => Some(*shown),
            _ => None,
        }
    }

    /// The map that stands in the plan for what is mounted, if one does.
    pub fn ranges(&self) -> Option<&[IdRange]> {
        match self.idmap() {
            Some(Idmap::Ranges(ranges)) => Some(ranges),
            _ => None,
        }
    }
}

impl<S: AsRef<OsStr>> Mount<S> {
    /// The mount on `target` in words.
    pub fn words(&self, target: &str) -> String {
        match self {
            Self::Bind(Bind { source, subdir, idmap, .. }) => {
                let part = subdir.as_ref().map_or_else(String::new, |part| format!(", {} of it", show(part)));
                format!("bind {} on {target}{part}{}", show(source), ids(idmap))
            }
            Self::Filesystem(Filesystem { fstype, settings, mixed }) => {
                let mixed = if *mixed { ", controls read-only" } else { "" };
                format!("mount {fstype} on {target}{}{mixed}", list(settings))
            }
            Self::Image(Image { fstype, file, idmap, settings }) => {
                format!("mount {fstype} {} on {target}{}{}", show(file), ids(idmap), list(settings))
            }
            Self::Overlay(Overlay { lowers, upper, owner, settings }) => {
                let lowers: Vec<String> = lowers.iter().map(show).collect();
                let changes = match upper {
                    Upper::None => String::new(),
                    Upper::Tmp => ", changes in a tmpfs".to_owned(),
                    Upper::Kept { upper, .. } => format!(", changes in {}", show(upper)),
                };
                let ids = ids(&owner.map(Idmap::<S>::Owner));
                format!("overlay {} on {target}{changes}{ids}{}", lowers.join(":"), list(settings))
            }
        }
    }
}

fn ids<S: AsRef<OsStr>>(idmap: &Option<Idmap<S>>) -> String {
    idmap.as_ref().map_or_else(String::new, |map| format!(", ids {map}"))
}

fn list(settings: &[Setting]) -> String {
    settings.iter().map(|setting| format!(", {setting}")).collect()
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&show(&self.key)),
            Some(value) => write!(f, "{}={}", show(&self.key), show(value)),
        }
    }
}
