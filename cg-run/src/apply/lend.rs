//! A folder that is lent to a run: whose files they are before and after it, and which stay.
//!
//! What is in there may be anything that a hostile program makes. Each file is opened once, without following a link, and what
//! is looked at is what is changed. Directories are walked with one descriptor, and back up by `..`, which must lead to where
//! the walk came from: there may be a million levels.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};

use chain::open::without_links;
use chain::{Call as _, Context as _, Result, refusal, show, wipe};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::model::loan::{Ids, Loan};
use crate::step::Step;

/// Whether it is a step of this file's.
pub fn is(step: &Step) -> bool {
    matches!(step, Step::Lend(_) | Step::TakeBack(_))
}

pub fn step(step: &Step) -> Result<()> {
    match step {
        Step::Lend(loan) => give(loan, loan.owner, loan.user),
        Step::TakeBack(loan) => give(loan, loan.user, loan.owner),
        _ => Ok(()),
    }
}

/// A directory on the way, by what it is, and the names in it that are left.
struct Level {
    device: u64,
    inode: u64,
    left: Vec<OsString>,
}

fn give(loan: &Loan, from: Ids, to: Ids) -> Result<()> {
    let mut walk = Walk { special: loan.special, from, to };
    let (above, name) = loan.folder.parent().zip(loan.folder.file_name()).ok_or_else(|| refusal!("no folder"))?;
    let folder = if geteuid().is_root() {
        without_links(&loan.folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?
    } else {
        open_folder(&without_links(above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name)?
    };
    walk.tree(folder).with_context(|| show(&loan.folder))
}

/// Somebody else's mount is not entered. Who is not root needs the modes of what the run has left.
fn open_folder(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    let open = if geteuid().is_root() { wipe::open_directory } else { wipe::open_writable };
    open(parent, name).call("openat2")
}

struct Walk {
    special: bool,
    from: Ids,
    to: Ids,
}

impl Walk {
    fn tree(&mut self, top: OwnedFd) -> Result<()> {
        self.change(&top, &fstat(&top).call("fstat")?)?;
        let mut levels = vec![level(&top)?];
        let mut here = top;
        while let Some(now) = levels.last_mut() {
            let Some(name) = now.left.pop() else {
                levels.pop();
                if let Some(above) = levels.last() {
                    here = up(&here, above)?;
                }
                continue;
            };
            if let Some(below) = self.entry(&here, &name).with_context(|| show(&name))? {
                levels.push(level(&below)?);
                here = below;
            }
        }
        Ok(())
    }

    /// One entry of a directory; if it is one itself, that.
    fn entry(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.call("openat")?,
        };
        let facts = fstat(&file).call("fstat")?;
        match FileType::from_raw_mode(facts.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => {
                let folder = open_folder(parent, name)?;
                self.change(&file, &facts)?;
                return Ok(Some(folder));
            }
            _ if !self.special => {
                unlinkat(parent, name, AtFlags::empty()).call("unlinkat")?;
                return Ok(None);
            }
            _ => {}
        }
        self.change(&file, &facts)?;
        Ok(None)
    }

    fn change(&self, file: impl AsFd, facts: &Stat) -> Result<()> {
        let Ids { uid, gid } = self.to;
        let is_folder = FileType::from_raw_mode(facts.st_mode) == FileType::Directory;
        // A file of root's that has another name may be there for others, who trust it.
        let mine = facts.st_uid == self.from.uid && (self.from.uid != 0 || is_folder || facts.st_nlink == 1);
        let anybodys = self.from.uid == 0 && (is_folder || facts.st_nlink == 1);
        if !(mine || anybodys) || (facts.st_uid, facts.st_gid) == (uid, gid) {
            return Ok(());
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(file, "", uid, gid, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).call("fchownat")
    }
}

fn level(folder: &OwnedFd) -> Result<Level> {
    let facts = fstat(folder).call("fstat")?;
    Ok(Level { device: facts.st_dev, inode: facts.st_ino, left: wipe::names(folder)? })
}

/// The directory above, which must be the one that the walk came from.
fn up(here: &OwnedFd, above: &Level) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(here, "..", flags, Mode::empty()).call("openat ..")?;
    let facts = fstat(&folder).call("fstat")?;
    if (facts.st_dev, facts.st_ino) == (above.device, above.inode) {
        return Ok(folder);
    }
    Err(refusal!("somebody moves directories there"))
}
