//! Pure: facts to steps, or a refusal.

use std::ffi::OsStr;
use std::path::Path;

use chain::{Failure, Result};

use crate::look::Facts;
use crate::model::{Entry, Filesystem, IdRange, Mount, What};
use crate::step::Step;

/// The steps. Entries keep their order; the working directory comes last, when everything is there.
/// Errors: an entry for `/` that is not the first, or that is no mount; a second working directory.
pub fn steps<S: AsRef<OsStr>>(facts: &Facts<S>, rw_root: bool) -> Result<Vec<Step<'_, S>>> {
    let (root, others) = match facts.entries.split_first() {
        Some((first, others)) if is_root(first) => (as_root(first)?, others),
        _ => (Step::EmptyRoot { writable: rw_root }, facts.entries.as_slice()),
    };
    others.iter().try_for_each(refuse_second_root)?;
    let mut steps: Vec<_> = facts.crossing.iter().map(Step::Carry).collect();
    steps.extend(maps(&facts.entries).into_iter().map(Step::Map));
    steps.extend([Step::Private, root]);
    steps.extend(others.iter().map(Step::Place));
    steps.extend([Step::Seal, Step::Enter, chdir(facts)?]);
    Ok(steps)
}

/// Each map once, however many entries take it.
fn maps<S>(entries: &[Entry<S>]) -> Vec<&[IdRange]> {
    let mut maps = vec![];
    for entry in entries {
        let What::Mount(mount) = &entry.what else { continue };
        let Some(ranges) = mount.ranges() else { continue };
        if !maps.contains(&ranges) {
            maps.push(ranges);
        }
    }
    maps
}

fn is_root<S>(entry: &Entry<S>) -> bool {
    entry.target == Path::new("/")
}

fn as_root<S: AsRef<OsStr>>(entry: &Entry<S>) -> Result<Step<'_, S>> {
    match &entry.what {
        What::Mount(
            mount @ (Mount::Bind(_)
            | Mount::Image(_)
            | Mount::Overlay(_)
            | Mount::Filesystem(Filesystem { fstype: "tmpfs", .. })),
        ) => Ok(Step::Root(entry, mount)),
        _ => Err(entry.origin.name(Failure::refusal(format!("{entry}: this cannot be the root")).into())),
    }
}

fn refuse_second_root<S: AsRef<OsStr>>(entry: &Entry<S>) -> Result<()> {
    if !is_root(entry) {
        return Ok(());
    }
    let failure = Failure::refusal(format!("{entry}: the entry for / must be the first, and the only one"))
        .hint("what was mounted before it would be hidden below it");
    Err(entry.origin.name(failure.into()))
}

fn chdir<S>(facts: &Facts<S>) -> Result<Step<'_, S>> {
    match facts.chdirs.as_slice() {
        [] => Ok(Step::Stay(facts.cwd.as_deref().unwrap_or(Path::new("/")))),
        [only] => Ok(Step::Chdir(only)),
        [_, second, ..] => {
            Err(second.origin.name(Failure::refusal(format!("{second}: a second working directory")).into()))
        }
    }
}
