//! The one name of each step.

use std::fmt;
use std::path::PathBuf;

use chain::show;

use crate::model::name::{CloneName, Name, Requested};
use crate::model::pool::{Kind, Place, State};

/// One effect on a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes a template with its first version, and the pool if there is none yet.
    Init {
        template: Name,
        /// How clones of it are made.
        kind: Kind,
        /// Where versions are taken from; `None` where the backend keeps a tree to edit, still empty.
        from: Option<PathBuf>,
        /// Whether versions are that tree itself.
        reference: bool,
    },
    /// Freezes the template's tree as a new version.
    Snapshot {
        template: Name,
        version: u32,
        /// From where, as the template has it.
        from: PathBuf,
    },
    /// Remembers how many free clones there are to be.
    Target {
        /// Of which template, or which version of it.
        of: Requested,
        count: u32,
    },
    /// Remembers what each clone may write.
    Quota {
        template: Name,
        /// How many bytes; 0 for no limit.
        bytes: u64,
    },
    Clone {
        template: Name,
        version: u32,
        kind: Kind,
        count: u32,
    },
    /// Claims a free clone; which one, the race decides.
    Claim {
        /// Of which template, or which version of it.
        of: Requested,
        /// Whether one is made where none is free.
        create: bool,
    },
    /// Destroys the claimed clone when the program has ended.
    GiveBack(Name),
    /// Destroys a clone, after looking again whether it still is what the plan says.
    Destroy {
        clone: CloneName,
        /// In which state it must be.
        was: State,
    },
    /// Destroys a version that no clone uses.
    DropVersion {
        template: Name,
        version: u32,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init { template, kind, from, reference } => {
                write!(f, "make template {template} with {} clones", kind.word())?;
                from.as_ref().map_or(Ok(()), |from| write!(f, " of {}{}", show(from), place(*reference)))
            }
            Self::Snapshot { template, version, from } => {
                write!(f, "freeze {} as version {version} of {template}", show(from))
            }
            Self::Target { of, count } => write!(f, "keep {count} free clones of {of} from now on"),
            Self::Quota { template, bytes: 0 } => write!(f, "let each clone of {template} write without a limit"),
            Self::Quota { template, bytes } => {
                write!(f, "let each clone of {template} write {bytes} bytes from now on")
            }
            Self::Clone { template, version, kind, count } => {
                let kind = kind.word();
                write!(
                    f,
                    "make {count} {kind} clone{} of {template} version {version}",
                    if *count == 1 { "" } else { "s" }
                )
            }
            Self::Claim { of, create: false } => write!(f, "claim a free clone of {of}"),
            Self::Claim { of, .. } => write!(f, "claim a free clone of {of}, or make one"),
            Self::GiveBack(template) => write!(f, "destroy the clone of {template} when the program has ended"),
            Self::Destroy { clone, was } => write!(f, "destroy clone {clone} ({was})"),
            Self::DropVersion { template, version } => write!(f, "destroy unused version {version} of {template}"),
        }
    }
}

fn place(reference: bool) -> &'static str {
    if reference { ", in place" } else { "" }
}

/// The folders of a directory pool that a clone goes through, in this order.
pub const MAKING: &str = "making";
pub const FREE: &str = "free";
pub const LEASED: &str = "leased";
pub const DEAD: &str = "dead";

/// The folder that a clone in this state lies in, in a directory pool.
pub fn folder(state: &State) -> &'static str {
    match state {
        State::Free => FREE,
        State::Leased(_) | State::Orphan => LEASED,
        State::Dead => DEAD,
        State::Unfinished => MAKING,
    }
}

/// An action in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    pub place: Place,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match &self.place {
            Place::Dir(path) => in_directory(&self.action, &show(path)),
            Place::Zfs(dataset) => in_dataset(&self.action, dataset),
        }
    }
}

fn in_directory(action: &Action, pool: &str) -> String {
    match action {
        Action::Init { template, reference: false, .. } => {
            format!("mkdir({pool}/{template}), cp -a to {pool}/{template}/versions/1")
        }
        Action::Init { template, .. } => format!("mkdir({pool}/{template})"),
        Action::Snapshot { version, .. } => format!("cp -a to making/, rename to versions/{version}"),
        Action::Target { .. } => "rename(.about, about)".to_owned(),
        Action::Quota { .. } => "none".to_owned(),
        Action::Clone { kind: Kind::Copy, .. } => "cp -a --reflink=auto to making/ID, rename to free/ID".to_owned(),
        Action::Clone { .. } => "mkdir(making/ID/upper), mkdir(making/ID/work), rename to free/ID".to_owned(),
        Action::Claim { .. } => "fcntl(F_OFD_SETLK), renameat2(free/ID, leased/ID, RENAME_NOREPLACE)".to_owned(),
        Action::GiveBack(_) => "rename(leased/ID, dead/ID), unlinkat".to_owned(),
        Action::Destroy { was, .. } => format!("rename({}/ID, dead/ID), unlinkat", folder(was)),
        Action::DropVersion { version, .. } => format!("rename(versions/{version}, dead/ID), unlinkat"),
    }
}

fn in_dataset(action: &Action, pool: &str) -> String {
    let root = |template: &Name, version: u32| format!("{pool}/{template}/root@v{version}");
    match action {
        Action::Init { template, .. } => format!("zfs create {pool}/{template}, zfs create {pool}/{template}/root"),
        Action::Snapshot { template, version, .. } => format!("zfs snapshot {}", root(template, *version)),
        Action::Target { of: Requested { template, version: None }, count } => {
            format!("zfs set chainbox:target={count} {pool}/{template}")
        }
        Action::Target { of, .. } => format!("zfs set chainbox:kept=VERSION:COUNT,... {pool}/{}", of.template),
        Action::Quota { template, bytes } => format!("zfs set chainbox:quota={bytes} {pool}/{template}"),
        Action::Clone { template, version, .. } => {
            format!("zfs clone {} {pool}/{template}/free-ID", root(template, *version))
        }
        Action::Claim { of: Requested { template, .. }, .. } => {
            format!("zfs rename {pool}/{template}/free-ID {pool}/{template}/leased-ID:HOLDER, zfs mount")
        }
        Action::GiveBack(template) => format!("zfs destroy {pool}/{template}/leased-ID:HOLDER"),
        Action::Destroy { clone, .. } => format!("zfs destroy (the dataset of {clone})"),
        Action::DropVersion { template, version } => format!("zfs destroy {}", root(template, *version)),
    }
}
