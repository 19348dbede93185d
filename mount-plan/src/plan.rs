//! Pure: facts to steps, or a refusal.

use std::ffi::OsStr;
use std::path::Path;

use chain::{Hint as _, Result, refusal};

use crate::look::Facts;
use crate::model::{Entry, Filesystem, Mount, Root, Target, What};
use crate::step::Step;

/// The steps. Entries keep their order; the working directory comes last, when everything is there.
/// Errors: an entry for `/` that is not the first, or that is no mount; a second working directory; what has no sense
/// without a new root, where none is made.
pub fn steps<S: AsRef<OsStr>>(facts: &Facts<S>, wanted: Root) -> Result<Vec<Step<'_, S>>> {
    if !facts.makes_a_root {
        return descriptors(facts, wanted);
    }
    let (root, others) = match facts.entries.split_first() {
        Some((first, others)) if is_root(first) => (as_root(first)?, others),
        _ => (Step::EmptyRoot { writable: wanted.writable }, facts.entries.as_slice()),
    };
    let mut steps: Vec<_> = facts.crossing.iter().map(Step::Carry).collect();
    steps.extend(maps(facts));
    steps.extend([Step::Private, root]);
    steps.extend(others.iter().map(place).collect::<Result<Vec<_>>>()?);
    steps.extend([Step::Seal, Step::Enter, chdir(facts)?]);
    steps.extend(wanted.set_pwd.then_some(Step::SetPwd));
    Ok(steps)
}

/// The steps where there is no new root: every mount is left as a descriptor.
fn descriptors<S: AsRef<OsStr>>(facts: &Facts<S>, wanted: Root) -> Result<Vec<Step<'_, S>>> {
    for (given, option) in [(wanted.writable, "rw-root"), (wanted.set_pwd, "set-pwd")] {
        if given {
            return Err(refusal!("--{option}: this plan makes no root"));
        }
    }
    if let Some(chdir) = facts.chdirs.first() {
        return Err(chdir.origin.name(refusal!("{chdir}: this plan makes no root")));
    }
    let mut steps = maps(facts);
    steps.push(Step::Private);
    let mut taken = vec![];
    for entry in &facts.entries {
        let (What::Mount(mount), Target::Fd(fd)) = (&entry.what, &entry.target) else { continue };
        if taken.contains(fd) {
            let failure = refusal!("{entry}: another mount is this descriptor");
            return Err(entry.origin.name(failure));
        }
        taken.push(*fd);
        steps.push(Step::Leave(entry, mount, *fd));
    }
    Ok(steps)
}

/// What is made first for the mounts that show other ids: each map once, however many entries take it.
fn maps<S>(facts: &Facts<S>) -> Vec<Step<'_, S>> {
    let mut maps = vec![];
    let mut owners = None;
    for entry in &facts.entries {
        let What::Mount(mount) = &entry.what else { continue };
        owners = owners.or(mount.owner());
        let Some(ranges) = mount.ranges() else { continue };
        if !maps.contains(&ranges) {
            maps.push(ranges);
        }
    }
    maps.into_iter().map(Step::Map).chain(owners.map(|_| Step::Owners(&facts.owners))).collect()
}

fn is_root<S>(entry: &Entry<S>) -> bool {
    matches!(&entry.target, Target::Place(path) if path == Path::new("/"))
}

fn as_root<S: AsRef<OsStr>>(entry: &Entry<S>) -> Result<Step<'_, S>> {
    match &entry.what {
        What::Mount(
            mount @ (Mount::Bind(_)
            | Mount::Image(_)
            | Mount::Overlay(_)
            | Mount::Filesystem(Filesystem { fstype: "tmpfs", .. })),
        ) => Ok(Step::Root(entry, mount)),
        _ => Err(entry.origin.name(refusal!("{entry}: this cannot be the root"))),
    }
}

/// Whether the entry puts nothing there, but changes what is.
fn changes<S>(what: &What<S>) -> bool {
    matches!(what, What::Chmod(_) | What::RemountRo)
}

fn place<S: AsRef<OsStr>>(entry: &Entry<S>) -> Result<Step<'_, S>> {
    let (text, hint) = match &entry.target {
        Target::Place(path) if path != Path::new("/") || changes(&entry.what) => return Ok(Step::Place(entry, path)),
        Target::Place(_) => (
            "the entry for / must be the first, and the only one",
            "what was mounted before it would be hidden below it",
        ),
        Target::Fd(_) => (
            "other entries of this plan make a new root, in which no descriptor is left",
            "use one mount-plan for each",
        ),
    };
    Err(entry.origin.name(refusal!("{entry}: {text}").hint(hint)))
}

fn chdir<S>(facts: &Facts<S>) -> Result<Step<'_, S>> {
    let chdirs = facts.chdirs.as_slice();
    match chdirs.iter().position(|chdir| !chdir.nofail).and_then(|sure| chdirs.get(sure + 1)) {
        Some(second) => Err(second.origin.name(refusal!("{second}: a second working directory"))),
        None if chdirs.is_empty() => Ok(Step::Stay(facts.cwd.as_deref().unwrap_or(Path::new("/")))),
        None => Ok(Step::Chdir(chdirs)),
    }
}
