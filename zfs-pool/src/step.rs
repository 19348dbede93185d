//! The one name of each step.

use std::fmt;
use std::path::PathBuf;

use chain::show;

use crate::name::{CloneName, Name, Wanted};
use crate::pool::{Backend, Kind};

/// One effect on a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes a template with its first version, and the pool if there is none yet.
    Init {
        /// Its name.
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
        /// Of which template.
        template: Name,
        /// The new version.
        version: u32,
        /// From where, as the template has it.
        from: PathBuf,
    },
    /// Remembers how many free clones there are to be.
    Target {
        /// Of which template, or which version of it.
        of: Wanted,
        /// How many.
        count: u32,
    },
    /// Remembers what each clone may write.
    Quota {
        /// Of which template.
        template: Name,
        /// How many bytes; 0 for no limit.
        bytes: u64,
    },
    /// Makes free clones.
    Clone {
        /// Of which template.
        template: Name,
        /// Of which version.
        version: u32,
        /// How.
        kind: Kind,
        /// How many.
        count: u32,
    },
    /// Claims a free clone; which one, the race decides.
    Claim {
        /// Of which template, or which version of it.
        of: Wanted,
        /// Whether one is made where none is free.
        create: bool,
    },
    /// Destroys the claimed clone when the program has ended.
    GiveBack {
        /// Of which template.
        template: Name,
    },
    /// Destroys a clone, after looking again whether it still is what the plan says.
    Destroy {
        /// Which.
        clone: CloneName,
        /// In which state it must be.
        was: Was,
    },
    /// Destroys a version that no clone uses.
    DropVersion {
        /// Of which template.
        template: Name,
        /// Which.
        version: u32,
    },
}

/// The state that a clone must be in to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// Free.
    Free,
    /// Leased, and the user gives it back.
    Leased,
    /// Leased by a holder that is gone.
    Orphan,
    /// Dead.
    Dead,
    /// Half made by a process that is gone.
    Unfinished,
}

impl fmt::Display for Was {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Leased => "leased",
            Self::Orphan => "orphaned",
            Self::Dead => "dead",
            Self::Unfinished => "unfinished",
        })
    }
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
            Self::GiveBack { template } => write!(f, "destroy the clone of {template} when the program has ended"),
            Self::Destroy { clone, was } => write!(f, "destroy {was} clone {clone}"),
            Self::DropVersion { template, version } => write!(f, "destroy unused version {version} of {template}"),
        }
    }
}

fn place(reference: bool) -> &'static str {
    if reference { ", in place" } else { "" }
}

/// An action with the call that does it in this pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    call: String,
}

impl Step {
    /// The step of an action in `pool`.
    #[must_use]
    pub fn new(action: Action, pool: &dyn Backend) -> Self {
        let call = pool.call(&action);
        Self { action, call }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        self.call.clone()
    }
}
