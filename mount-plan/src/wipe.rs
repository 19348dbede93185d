//! `--wipe DIR`: empties what an overlay has left, and nothing else is done. It needs no namespace and makes none.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;

use chain::Common;
use chain::failure::{Call as _, Failure, errno_of};
use chain::{Context as _, Hint as _, Result, show};
use nix::errno::Errno;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2, stat};

/// The one step there is.
#[derive(Debug)]
struct Empty<'a> {
    path: &'a Path,
    dir: Option<OwnedFd>,
}

impl fmt::Display for Empty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "empty {}", show(self.path))
    }
}

impl chain::Step for Empty<'_> {
    fn call(&self) -> String {
        "openat2(RESOLVE_NO_SYMLINKS|RESOLVE_NO_XDEV), fchmodat, renameat2, unlinkat".to_owned()
    }
}

/// Empties the directories, once all of them are open.
///
/// # Errors
/// A directory that is a link or the root, a program that was named as well; what stands in the way of removing.
pub fn run(common: &Common, dirs: &[OsString], alone: bool) -> Result<()> {
    if !alone {
        return Err(Failure::refusal("--wipe goes alone: no entries, no PROG").into());
    }
    let steps = dirs.iter().map(|dir| Empty { path: Path::new(dir), dir: None });
    if let Some(form) = common.explain {
        return chain::step::print(form, &steps.collect::<Vec<_>>());
    }
    let steps = steps.map(|step| opened(step.path)).collect::<Result<Vec<_>>>()?;
    if common.check {
        return Ok(());
    }
    chain::perform(common, &steps, |step| match &step.dir {
        Some(dir) => chain::wipe::contents(dir, step.path, &[]),
        None => Err(Failure::refusal("the directory was not opened").into()),
    })
}

fn opened(path: &Path) -> Result<Empty<'_>> {
    let step = Empty { path, dir: None };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A link anywhere in it may be somebody else's, who says by it what root is to remove.
    let dir = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).call("openat2");
    let dir = dir.map_err(explained).with_context(|| step.to_string())?;
    let (here, root) = (fstat(&dir).call("fstat")?, stat("/").call("stat /")?);
    if (here.st_dev, here.st_ino) == (root.st_dev, root.st_ino) {
        return Err(Failure::refusal(format!("{step}: this is the root")).into());
    }
    Ok(Empty { dir: Some(dir), ..step })
}

fn explained(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::ELOOP) => error.hint("a symbolic link is in this path: name what it leads to"),
        _ => error,
    }
}
