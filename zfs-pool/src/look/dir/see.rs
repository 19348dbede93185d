//! What lies in a template's folders, and what of it is ours.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use chain::failure::errno_of;
use chain::{Result, show};
use nix::errno::Errno;
use rustix::fs::OFlags;

use super::pool::{ABOUT, ABOUT_PART, FOLDERS, LEASE, LOCK, MARK, MARK_PART, VERSIONS, not_ours};
use crate::look::folder::{Folder, absent_is_none};
use crate::look::holder::lease_of;
use crate::look::lock;
use crate::model::holder::Holder;
use crate::model::mark::{About, Mark, Of};
use crate::model::name::{Id, Name, version_number};
use crate::model::pool::{Clone, Kind, State};
use crate::step::{DEAD, FREE, LEASED, MAKING};

pub fn about(folder: &Folder, name: &Name) -> Result<About> {
    let about = About::parse(&folder.read(ABOUT)?).filter(|about| about.template == *name);
    about.ok_or_else(|| not_ours(&folder.path().join(ABOUT)))
}

/// What a folder with the name of a template is.
pub enum Standing {
    Complete,
    /// `init` was killed before it wrote down how clones are made.
    Begun,
    NotOurs,
}

pub fn standing(folder: &Folder, name: &Name) -> Standing {
    match about(folder, name) {
        Ok(_) => return Standing::Complete,
        Err(error) if errno_of(&error) == Some(Errno::ENOENT) => {}
        Err(_) => return Standing::NotOurs,
    }
    let known = |entry: &OsString| entry == LOCK || entry == ABOUT_PART || FOLDERS.iter().any(|name| entry == name);
    let begun = folder.names().is_ok_and(|names| names.iter().all(known));
    if begun { Standing::Begun } else { Standing::NotOurs }
}

pub fn versions(folder: &Folder, name: &Name, foreign: &mut Vec<String>) -> Result<Vec<u32>> {
    let mut versions = vec![];
    for entry in folder.at(VERSIONS)?.names()? {
        match version_number(&entry).filter(|number| version_in(folder, name, *number).is_ok()) {
            Some(number) => versions.push(number),
            None => foreign.push(format!("{VERSIONS}/{}", show(&entry))),
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The id of a version's cell, and the tree that is used in place.
pub fn version_in(folder: &Folder, name: &Name, version: u32) -> Result<(Id, Option<PathBuf>)> {
    let cell = folder.at(VERSIONS)?.at(version.to_string())?;
    match Mark::parse(&cell.read(MARK)?) {
        Some(Mark { template, id, version: own, of: Of::Version(reference) })
            if template == *name && own == version =>
        {
            Ok((id, reference))
        }
        _ => Err(not_ours(cell.path())),
    }
}

/// The frozen tree of a version.
pub fn tree(folder: &Folder, name: &Name, version: u32) -> Result<PathBuf> {
    let own = || folder.path().join(VERSIONS).join(version.to_string()).join("root");
    Ok(version_in(folder, name, version)?.1.unwrap_or_else(own))
}

pub fn clones_in(folder: &Folder, place: &str, name: &Name, foreign: &mut Vec<String>) -> Result<Vec<Clone>> {
    let mut clones = vec![];
    let inside = folder.at(place)?;
    for entry in inside.names()? {
        match clone_in(&inside, place, name, &entry) {
            Ok(Some(clone)) => clones.push(clone),
            // Buried meanwhile: what was opened here lost its mark in `dead/`.
            Ok(None) | Err(_) if matches!(inside.find(&entry), Ok(None)) => {}
            Ok(None) | Err(_) => foreign.push(format!("{place}/{}", show(&entry))),
        }
    }
    Ok(clones)
}

/// One entry as a clone; `None` where it is not ours.
fn clone_in(inside: &Folder, place: &str, name: &Name, entry: &OsStr) -> Result<Option<Clone>> {
    let Some(id) = Id::parse(entry) else { return Ok(None) };
    let cell = inside.at(entry)?;
    let going = place == DEAD || place == MAKING;
    let version = match ours(&cell, name, &id)? {
        Ours::Clone(version, _) => Some(version),
        Ours::Version | Ours::Empty if going => None,
        _ => return Ok(None),
    };
    let state = match place {
        FREE => State::Free,
        LEASED => judged(&cell)?,
        DEAD => State::Dead,
        _ => State::Unfinished,
    };
    Ok(Some(Clone { id, version, state }))
}

/// What a cell (a folder that holds a clone or a version) says about itself.
pub enum Ours {
    /// Of this version, made so.
    Clone(u32, Kind),
    Version,
    /// No mark and nothing else either: just begun, or all but removed.
    Empty,
    No,
}

pub fn ours(cell: &Folder, name: &Name, id: &Id) -> Result<Ours> {
    let Some(bytes) = absent_is_none(cell.read(MARK))? else {
        let empty = cell.names()?.iter().all(|name| name == MARK_PART);
        return Ok(if empty { Ours::Empty } else { Ours::No });
    };
    let ours = Mark::parse(&bytes).filter(|mark| mark.template == *name && mark.id == *id);
    Ok(match ours.map(|mark| (mark.version, mark.of)) {
        Some((version, Of::Clone(kind))) => Ours::Clone(version, kind),
        Some((_, Of::Version(_))) => Ours::Version,
        None => Ours::No,
    })
}

/// Whether the lease of a cell in `leased/` lives: by its lock, or by the process noted in it.
fn judged(cell: &Folder) -> Result<State> {
    let text = String::from_utf8_lossy(&cell.read(LEASE)?).into_owned();
    let holder = text.trim_end().split_once(' ').and_then(|(tenure, word)| Some((tenure, Holder::parse(word)?)));
    if lock::is_taken(&cell.file(LEASE, OFlags::RDWR)?)? {
        let pid = |holder: Holder| format!("pid {}", holder.process.pid);
        return Ok(State::Leased(holder.map_or("a process that runs".to_owned(), |(_, holder)| pid(holder))));
    }
    match holder {
        Some(("process", holder)) => lease_of(&holder),
        _ => Ok(State::Orphan),
    }
}
