//! What a pool is, whatever it is kept in: templates, their versions, their clones, and leases on these.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use chain::{Hint as _, refusal};

use super::holder::Holder;
use super::kept::Kept;
use super::name::{CloneName, Id, Name};

/// Where a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Dir(PathBuf),
    /// A dataset of ZFS.
    Zfs(String),
}

/// The refusal for a template that is not there.
pub fn missing(name: &Name) -> anyhow::Error {
    refusal!("{name}: no such template").hint("zfs-pool list shows the templates of the pool, zfs-pool init makes one")
}

/// How clones of a template are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two empty directories for an overlay mount on the version; mount-plan mounts it.
    Overlay,
    /// A copy of the version, sharing blocks where the file system can (reflink).
    Copy,
    Zfs,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
            Self::Zfs => "zfs",
        }
    }

    /// Reads [`Kind::word`].
    pub fn parse(word: &OsStr) -> Option<Self> {
        [Self::Overlay, Self::Copy, Self::Zfs].into_iter().find(|kind| word == kind.word())
    }
}

/// A template as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: Name,
    /// How clones of it are made.
    pub kind: Kind,
    /// How many free clones `refill` without a number makes.
    pub target: u32,
    /// The same for versions that are requested by name.
    pub kept: Kept,
    /// How many bytes each clone may write; 0 for no limit.
    pub quota: u64,
    /// Where `snapshot` takes the tree from.
    pub from: PathBuf,
    /// Whether versions are that tree itself and not a copy of it.
    pub reference: bool,
    /// Its versions, the oldest first.
    pub versions: Vec<u32>,
    /// Its clones, the oldest first.
    pub clones: Vec<Clone>,
    /// What lies in the template and is not ours; nothing touches it.
    pub foreign: Vec<String>,
}

impl Template {
    /// The version that new clones are made from.
    pub fn latest(&self) -> Option<u32> {
        self.versions.last().copied()
    }

    /// The free clones that a request for the version `requested` may have.
    pub fn free(&self, requested: Option<u32>) -> impl Iterator<Item = &Clone> {
        let allowed = move |version| self.kept.allows(requested, version, self.latest());
        self.clones.iter().filter(move |clone| clone.state == State::Free && clone.version.is_some_and(allowed))
    }

    /// The full name of one of its clones.
    pub fn clone_name(&self, id: &Id) -> CloneName {
        CloneName { template: self.name.clone(), id: id.clone() }
    }
}

/// A clone as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clone {
    pub id: Id,
    /// Of which version; `None` where a half-removed clone no longer says.
    pub version: Option<u32>,
    pub state: State,
}

/// The state of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Ready for the first that asks.
    Free,
    /// Leased, and the holder is there (or cannot be judged from here).
    Leased(String),
    /// Leased by a holder that is gone.
    Orphan,
    /// Released, but not yet gone.
    Dead,
    /// Being made; or, as seen by the process with the maintenance lock, half made by a process that is gone.
    Unfinished,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Leased(holder) => write!(f, "leased by {holder}"),
            Self::Orphan => f.write_str("orphan"),
            Self::Dead => f.write_str("dead"),
            Self::Unfinished => f.write_str("unfinished"),
        }
    }
}

/// Who gets a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    pub holder: Holder,
    /// Whether that is this process, which stays (`run`), and not another one (`acquire`).
    pub resident: bool,
}

#[derive(Debug)]
pub struct Lease {
    pub clone: CloneName,
    /// What the next program is told by environment variables, see [`EXPORTS`].
    pub exports: Vec<(&'static str, OsString)>,
    /// The lock of a resident holder, where the backend has one. Closed, it is given back.
    #[allow(dead_code, reason = "held, not read")]
    pub lock: Option<OwnedFd>,
}

/// Every variable that a lease may set. Those that a lease does not set are taken out of the environment, so that
/// nobody uses one that was there before.
pub const EXPORTS: [&str; 6] =
    ["ROOTFS", "ROOTFS_CLONE", "ROOTFS_DATASET", "ROOTFS_LOWER", "ROOTFS_UPPER", "ROOTFS_WORK"];
