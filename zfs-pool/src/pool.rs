//! What a pool is, whatever it is kept in: templates, their versions, their clones, and leases on these.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chain::Result;

use crate::holder::Holder;
use crate::kept::Kept;
use crate::name::{CloneName, Id, Name, Wanted};
use crate::step::Action;

/// How clones of a template are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two empty directories for an overlay mount on the version; mount-plan mounts it.
    Overlay,
    /// A copy of the version, sharing blocks where the file system can (reflink).
    Copy,
    /// A ZFS clone.
    Zfs,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
            Self::Zfs => "zfs",
        }
    }

    /// Reads [`Kind::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Overlay, Self::Copy, Self::Zfs].into_iter().find(|kind| kind.word() == word)
    }
}

/// A template as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: Name,
    /// How clones of it are made.
    pub kind: Kind,
    /// How many free clones `refill` without a number makes.
    pub target: u32,
    /// The same for versions that are asked for by name.
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
    #[must_use]
    pub fn latest(&self) -> Option<u32> {
        self.versions.last().copied()
    }

    /// The free clones that who asks for `wanted` may have.
    pub fn free(&self, wanted: Option<u32>) -> impl Iterator<Item = &Clone> {
        let allowed = move |version| self.kept.allows(wanted, version, self.latest());
        self.clones.iter().filter(move |clone| clone.state == State::Free && clone.version.is_some_and(allowed))
    }

    /// The full name of one of its clones.
    #[must_use]
    pub fn clone_name(&self, id: &Id) -> CloneName {
        CloneName { template: self.name.clone(), id: id.clone() }
    }
}

/// A clone as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clone {
    /// Which.
    pub id: Id,
    /// Of which version; `None` where a half-removed clone no longer says.
    pub version: Option<u32>,
    /// In which state.
    pub state: State,
}

/// The state of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Ready for who comes first.
    Free,
    /// Leased, and the holder is there (or cannot be judged from here).
    Leased(String),
    /// Leased by a holder that is gone.
    Orphan,
    /// Released, but not yet gone.
    Dead,
    /// Being made; or, as seen by who has the maintenance lock, half made by a process that is gone.
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

/// How a lease lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// As long as this process, which stays: `run`.
    Resident(Holder),
    /// As long as another process: `acquire`.
    Process(Holder),
}

impl Tenure {
    /// Who holds the lease.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        match self {
            Self::Resident(holder) | Self::Process(holder) => holder,
        }
    }
}

/// A claimed clone.
#[derive(Debug)]
pub struct Lease {
    /// Which clone.
    pub clone: CloneName,
    /// What the next program is told by environment variables, see [`EXPORTS`].
    pub exports: Vec<(&'static str, OsString)>,
    /// The lock of a resident holder, where the backend has one. Closed, it is given back.
    pub lock: Option<OwnedFd>,
}

/// Every variable that a lease may set. Those that a lease does not set are taken out of the environment, so that
/// nobody uses one that was there before.
pub const EXPORTS: [&str; 6] =
    ["ROOTFS", "ROOTFS_CLONE", "ROOTFS_DATASET", "ROOTFS_LOWER", "ROOTFS_UPPER", "ROOTFS_WORK"];

/// A template's maintenance lock while it is held: one process at a time changes what a template is.
#[derive(Debug)]
pub struct Guard(pub OwnedFd);

/// What keeps a pool. The two backends make the same promises:
/// a claim has one winner, a lease dies with its holder, and nothing is destroyed that is not ours by place, by mark
/// and by name.
pub trait Backend {
    /// The pool's name for messages.
    fn title(&self) -> String;

    /// How clones are made where the user does not say.
    fn default_kind(&self) -> Kind;

    /// The directory that the pool is, where it is one.
    fn directory(&self) -> Option<&Path>;

    /// The names of its templates, sorted, and what else lies there.
    ///
    /// # Errors
    /// A pool that cannot be read or trusted.
    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)>;

    /// A template as it is; `None` where there is none of that name.
    ///
    /// # Errors
    /// A template that cannot be read or trusted.
    fn look(&self, name: &Name) -> Result<Option<Template>>;

    /// The system call or command that does `action`, for `--explain`.
    fn call(&self, action: &Action) -> String;

    /// Takes the maintenance lock, waiting for it.
    ///
    /// # Errors
    /// A template that is not there.
    fn guard(&self, name: &Name) -> Result<Guard>;

    /// Does one action of a maintainer.
    ///
    /// # Errors
    /// What the system calls or commands say.
    fn act(&self, action: &Action) -> Result<()>;

    /// Claims a free clone that who asks for `wanted` may have; `None` where none is free.
    ///
    /// # Errors
    /// A template that is not there, or what the system calls or commands say.
    fn claim(&self, wanted: &Wanted, tenure: &Tenure) -> Result<Option<Lease>>;

    /// Gives a claimed clone back: destroys it.
    ///
    /// # Errors
    /// A clone that is in use or cannot be removed; `gc` will find it.
    fn give_back(&self, lease: Lease) -> Result<()>;
}
