//! Read-only facts: which pool is meant, and what is in it.

pub mod command;
pub mod dir;
pub mod folder;
pub mod holder;
pub mod list;
pub mod lock;
pub mod zfs;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};

use crate::args::{Request, Verb, place};
use crate::model::name::Name;
use crate::model::pool::{Kind, Place, Template};

/// What a plan is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The template that the subcommand names, if it is there.
    pub template: Option<Template>,
    /// How clones are made where the user does not say.
    pub default_kind: Kind,
    /// `--from` without symbolic links, checked to be a directory that can be taken.
    pub from: Option<PathBuf>,
}

/// What can be seen of a pool, whatever keeps it.
pub trait Look {
    /// The names of its templates, sorted, and what else lies there.
    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)>;

    /// A template as it is; `None` where there is none of that name.
    fn look(&self, name: &Name) -> Result<Option<Template>>;
}

/// Where the pool of a request is: `--pool`, else `$CHAINBOX_POOL`, else the user's own directory.
pub fn pool(request: &Request) -> Result<Place> {
    let from_environment = || std::env::var_os("CHAINBOX_POOL").filter(|word| !word.is_empty());
    let chosen = match &request.pool {
        Some(chosen) => chosen.clone(),
        None => from_environment().map(|word| place(&word)).transpose()?.map_or_else(own_directory, Ok)?,
    };
    match chosen {
        Place::Dir(path) => std::path::absolute(&path).call("getcwd").with_context(|| show(&path)).map(Place::Dir),
        dataset @ Place::Zfs(_) => Ok(dataset),
    }
}

/// Where a user's pool is if none is named: as the XDG base directory specification has it; for root, where the system
/// keeps state.
fn own_directory() -> Result<Place> {
    if rustix::process::geteuid().is_root() {
        return Ok(Place::Dir("/var/lib/chainbox/pool".into()));
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map(|data| Place::Dir(data.join("chainbox/pool")))
        .ok_or_else(|| refusal!("no HOME to keep a pool in").hint("--pool DIR or CHAINBOX_POOL says where"))
}

/// What the plan of a subcommand is made from.
pub fn facts(place: &Place, pool: &(impl Look + ?Sized), verb: &Verb) -> Result<Facts> {
    let default_kind = if matches!(place, Place::Zfs(_)) { Kind::Zfs } else { Kind::Overlay };
    let template = named(verb).map(|name| pool.look(name)).transpose()?.flatten();
    let from = match verb {
        Verb::Init { from: Some(from), kind, reference, .. } => {
            let overlay = kind.unwrap_or(default_kind) == Kind::Overlay;
            Some(source(from, place, overlay && *reference)?)
        }
        _ => None,
    };
    Ok(Facts { template, default_kind, from })
}

/// The template that a subcommand changes.
pub fn named(verb: &Verb) -> Option<&Name> {
    match verb {
        Verb::Init { template, .. } | Verb::Snapshot(template) | Verb::Regenerate(template) => Some(template),
        Verb::Refill { of, .. } => Some(&of.template),
        Verb::Release(clone) => Some(&clone.template),
        Verb::Acquire { .. } | Verb::Run { .. } | Verb::List { .. } | Verb::Gc => None,
    }
}

/// `--from` without symbolic links. A pool inside that tree would be copied into itself; as an overlay in place it
/// works only from another file system (the kernel answers ELOOP to an upper directory inside its lower).
fn source(from: &Path, pool: &Place, in_place: bool) -> Result<PathBuf> {
    let shown = || format!("--from {}", show(from));
    let tree = from.canonicalize().call("realpath").with_context(shown)?;
    let facts = tree.metadata().call("stat").with_context(shown)?;
    let refuse = |text: &str| Err(refusal!("{}: {text}", shown()));
    if !facts.is_dir() {
        return refuse("not a directory");
    }
    let Place::Dir(pool) = pool else { return Ok(tree) };
    let (anchor, pool) = settled(pool)?;
    if tree.starts_with(&pool) {
        return refuse("inside the pool");
    }
    if pool.starts_with(&tree) {
        let same_device = anchor.metadata().call("stat").with_context(|| show(&anchor))?.dev() == facts.dev();
        if !in_place || same_device {
            return refuse("the pool lies inside it: use a pool elsewhere (in place: on another file system)");
        }
    }
    Ok(tree)
}

/// The deepest part of a path that is there, and the whole path without symbolic links.
fn settled(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let there = path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"));
    let anchor = there.canonicalize().call("realpath").with_context(|| show(there))?;
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    let whole = if rest.as_os_str().is_empty() { anchor.clone() } else { anchor.join(rest) };
    Ok((anchor, whole))
}
