//! Templates, versions and clones are made in `making/` and appear in their place complete, by one rename.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Result, refusal, show};
use nix::errno::Errno;
use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::destroy::erase;
use crate::apply::copy::copy;
use crate::apply::lock;
use crate::look::dir::pool::{ABOUT, FOLDERS, LEASE, LOCK, MARK, VERSIONS};
use crate::look::folder::{Folder, absent_is_none};
use crate::model::mark::{About, Mark, Of};
use crate::model::name::{Id, Name};
use crate::model::pool::Kind;
use crate::step::{FREE, MAKING};

/// Makes a template. What a killed `init` left without its `about` file is completed.
pub(super) fn init(pool: &Path, template: &About) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(pool).call("mkdir").with_context(|| show(pool))?;
    let folder = Folder::open(pool)?.ensure(template.template.as_str())?;
    if absent_is_none(folder.file(LOCK, OFlags::RDWR))?.is_none() {
        folder.write_new(LOCK, b"").map(drop).or_else(|error| ignore(error, Errno::EEXIST))?;
    }
    let lock = folder.file(LOCK, OFlags::RDWR)?;
    lock::waiting(&lock)?;
    if absent_is_none(folder.read(ABOUT))?.is_some() {
        return Err(refusal!("{}: there is such a template already", template.template));
    }
    for name in FOLDERS {
        folder.ensure(name)?;
    }
    if folder.at(VERSIONS)?.find("1")?.is_none() {
        freeze(&folder, &template.template, 1, &template.from, template.reference)?;
    }
    folder.replace(ABOUT, &template.text()?)
}

fn ignore(error: anyhow::Error, errno: Errno) -> Result<()> {
    if errno_of(&error) == Some(errno) { Ok(()) } else { Err(error) }
}

/// A new cell in `making/`, with its mark in it before anything else.
fn cell(folder: &Folder, name: &Name, version: u32, of: Of) -> Result<(Id, Folder)> {
    let making = folder.at(MAKING)?;
    loop {
        let id = Id::now();
        match making.make(id.as_str()) {
            Ok(cell) => {
                cell.replace(MARK, &Mark { template: name.clone(), id: id.clone(), version, of }.text()?)?;
                return Ok((id, cell));
            }
            Err(error) => ignore(error, Errno::EEXIST)?,
        }
    }
}

/// Makes a version: a copy of `from`, or a note that `from` is used in place.
pub(super) fn freeze(folder: &Folder, name: &Name, version: u32, from: &Path, reference: bool) -> Result<()> {
    let (id, cell) = cell(folder, name, version, Of::Version(reference.then(|| from.to_owned())))?;
    let copied = if reference { Ok(()) } else { copy(from, &cell.path().join("root")) };
    finish(folder, &id, copied, &folder.at(VERSIONS)?, version.to_string())
}

pub(super) fn make(folder: &Folder, name: &Name, version: u32, kind: Kind, lower: &Path) -> Result<()> {
    let (id, cell) = cell(folder, name, version, Of::Clone(kind))?;
    cell.write_new(LEASE, b"")?;
    let made = match kind {
        Kind::Copy => copy(lower, &cell.path().join("root")),
        _ => layers(&cell, lower),
    };
    finish(folder, &id, made, &folder.at(FREE)?, id.as_str())
}

/// Moves what is complete to its place, and removes at once what could not be completed.
fn finish(folder: &Folder, id: &Id, made: Result<()>, to: &Folder, new: impl AsRef<OsStr>) -> Result<()> {
    let making = folder.at(MAKING)?;
    let error = match made.and_then(|()| making.move_as(id.as_str(), to, new)) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // What is left over is found by gc; the first failure is the one to report.
    erase(&making, id).unwrap_or_default();
    Err(error)
}

/// The writable layer and the work directory of an overlay. The root of an overlay looks like the root of its upper
/// layer, so that one gets the mode and (from root) the owner of the tree below.
fn layers(cell: &Folder, lower: &Path) -> Result<()> {
    let facts = lower.metadata().call("stat").with_context(|| show(lower))?;
    cell.make("work")?;
    let upper = cell.make("upper")?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
        rustix::fs::fchown(&upper, Some(user), Some(group)).call("fchown").with_context(|| show(upper.path()))?;
    }
    let mode = Mode::from_raw_mode(facts.mode() & 0o1777);
    rustix::fs::fchmod(&upper, mode).call("fchmod").with_context(|| show(upper.path()))
}
