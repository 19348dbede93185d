//! `--wipe DIR`: empties what an overlay has left, and nothing else is done. It needs no namespace and makes none.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use chain::{Call as _, Common, Context as _, Hint as _, Result, refusal};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2, stat};

use crate::hints;
use crate::step::Empty;

/// Empties the directories, once all of them are open. `alone`: neither entries nor a program are named as well.
pub fn run(common: &Common, dirs: &[OsString], alone: bool) -> Result<()> {
    if !alone {
        return Err(refusal!("--wipe goes alone: no entries, no PROG"));
    }
    let steps = dirs.iter().map(|dir| Empty { path: Path::new(dir), dir: () });
    if let Some(form) = common.explain {
        return chain::step::print(form, &steps.collect::<Vec<_>>());
    }
    let steps = steps.map(opened).collect::<Result<Vec<_>>>()?;
    if common.check {
        return Ok(());
    }
    chain::perform(common, &steps, |step| chain::wipe::contents(&step.dir, step.path, &[]))
}

fn opened(step: Empty<'_, ()>) -> Result<Empty<'_, OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A link in the path may be somebody else's, who would choose by it what root removes.
    let dir = openat2(CWD, step.path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).call("openat2");
    let dir = dir.hinted(&hints::WIPE).with_context(|| step.to_string())?;
    let (here, root) = (fstat(&dir).call("fstat")?, stat("/").call("stat /")?);
    if (here.st_dev, here.st_ino) == (root.st_dev, root.st_ino) {
        return Err(refusal!("{step}: this is the root"));
    }
    Ok(Empty { path: step.path, dir })
}
