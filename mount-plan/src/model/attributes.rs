//! Attributes of a mount (mount_setattr(2)).

use std::fmt;

use rustix::mount::MountAttrFlags;

/// Attributes of a mount. They are only ever added to what a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC, NOSYMFOLLOW, NODIRATIME.
    pub set: MountAttrFlags,
    /// One of the MOUNT_ATTR__ATIME values where the plan has a rule for access times.
    pub atime: Option<MountAttrFlags>,
}

/// Each attribute with its words in an options column: the one that sets it, and the one that clears it.
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
    /// These and no rule for access times.
    pub fn only(set: MountAttrFlags) -> Self {
        Self { set, atime: None }
    }

    /// The defaults of every mount of a plan, and `more`: nothing on it gains privilege or is a device.
    pub fn safe_and(more: MountAttrFlags) -> Self {
        Self::only(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | more)
    }

    pub fn safe() -> Self {
        Self::safe_and(MountAttrFlags::empty())
    }

    pub fn read_only(self) -> bool {
        self.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    }

    /// The same, writable: for what must be filled before it becomes read-only.
    pub fn writable(self) -> Self {
        Self { set: self.set - MountAttrFlags::MOUNT_ATTR_RDONLY, ..self }
    }

    /// What mount_setattr(2) and fsmount(2) are to set.
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
