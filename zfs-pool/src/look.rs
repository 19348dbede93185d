//! Read-only facts: which pool is meant, what is in it, what the machine offers.

use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Failure, Result, show, sys};

use crate::args::{Place, Request, Verb, place};
use crate::command;
use crate::dir::DirPool;
use crate::name::Name;
use crate::plan::Facts;
use crate::pool::{Backend, Kind};
use crate::zfs::ZfsPool;

/// The pool of a request: `--pool`, else `$CHAINBOX_POOL`, else the user's own directory.
///
/// # Errors
/// No home to keep a pool in; a `zfs:` pool where there is no ZFS.
pub fn backend(request: &Request) -> Result<Box<dyn Backend>> {
    let from_environment = || std::env::var_os("CHAINBOX_POOL").filter(|word| !word.is_empty());
    let chosen = match &request.pool {
        Some(chosen) => chosen.clone(),
        None => from_environment().map(|word| place(&word)).transpose()?.map_or_else(own_directory, Ok)?,
    };
    match chosen {
        Place::Dir(path) => Ok(Box::new(DirPool::new(absolute(&path)?))),
        Place::Zfs(dataset) => Ok(Box::new(ZfsPool::new(dataset)?)),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).call("getcwd").with_context(|| show(path))
}

/// Where a user's pool is if nobody says: as the XDG base directory specification has it; for root, where the system
/// keeps state.
fn own_directory() -> Result<Place> {
    if rustix::process::geteuid().is_root() {
        return Ok(Place::Dir("/var/lib/chainbox/pool".into()));
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map(|data| Place::Dir(data.join("chainbox/pool"))).ok_or_else(|| {
        Failure::refusal("no HOME to keep a pool in").hint("--pool DIR or CHAINBOX_POOL says where").into()
    })
}

/// What the plan of a subcommand is made from.
///
/// # Errors
/// A pool or a tree that cannot be looked at.
pub fn facts(pool: &dyn Backend, verb: &Verb) -> Result<Facts> {
    let default_kind = pool.default_kind();
    let template = match named(verb) {
        Some(name) => pool.look(name)?,
        None => None,
    };
    let from = match verb {
        Verb::Init { from: Some(from), kind, reference, .. } => {
            let overlay = kind.unwrap_or(default_kind) == Kind::Overlay;
            Some(source(from, pool.directory(), overlay && *reference)?)
        }
        _ => None,
    };
    Ok(Facts { template, default_kind, from })
}

fn named(verb: &Verb) -> Option<&Name> {
    match verb {
        Verb::Init { template, .. } | Verb::Snapshot { template } | Verb::Regenerate { template } => Some(template),
        Verb::Refill { of, .. } => Some(&of.template),
        Verb::Release { clone } => Some(&clone.template),
        Verb::Acquire { .. } | Verb::Run { .. } | Verb::List { .. } | Verb::Gc => None,
    }
}

/// `--from` without symbolic links. A pool inside that tree would be copied into itself; as an overlay in place it
/// works only from another file system (the kernel answers ELOOP to an upper directory inside its lower).
fn source(from: &Path, pool: Option<&Path>, in_place: bool) -> Result<PathBuf> {
    let said = || format!("--from {}", show(from));
    let tree = from.canonicalize().call("realpath").with_context(said)?;
    let facts = tree.metadata().call("stat").with_context(said)?;
    let refuse = |text: &str| Err(Failure::refusal(format!("{}: {text}", said())).into());
    if !facts.is_dir() {
        return refuse("not a directory");
    }
    let Some(pool) = pool else { return Ok(tree) };
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

/// `--features`: one finding a line.
#[must_use]
pub fn features() -> String {
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = filesystems.lines().any(|line| line.trim() == "nodev\toverlay" || line.ends_with("\toverlay"));
    let yes = |there: bool| if there { "yes" } else { "no" };
    let zfs = command::find("zfs").map_or("no, no zfs command".to_owned(), |path| format!("yes, {}", show(path)));
    format!(
        "overlay clones: {}, overlayfs, Linux 3.18; in a user namespace Linux 5.11\n\
         copy clones: {}, cp; shared blocks (reflink) where the file system has them, Linux 4.5\n\
         lookup by descriptor: yes, openat2, Linux 5.6\n\
         zfs clones: {zfs}\n\
         lifeline of a process: {}, SO_PEERPIDFD, Linux 6.5\n",
        yes(overlay),
        yes(command::find("cp").is_some()),
        yes(UnixStream::pair().is_ok_and(|(end, _other)| sys::peer(end.as_fd()).is_ok())),
    )
}
