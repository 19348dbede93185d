//! Removing a tree that a payload has written, by descriptor. The tree may be anything: directories of mode 000 (overlay's
//! own work/work is one), whiteouts, a million levels of depth, names of any bytes, symbolic links to anywhere.
//!
//! No recursion: a directory that is not empty is emptied of files, and the directories in it are moved up next to it
//! and wait their turn. So two descriptors and one level of path are enough for any depth. A mount point is left alone
//! and said (rename(2) and rmdir(2) answer EBUSY, openat2(2) EXDEV).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::stat::{FchmodatFlags, Mode as NixMode, fchmodat};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Call as _, Context as _, Result, refusal, show};

/// One name, nothing else: below this directory, no symbolic link, no other mount (Linux 5.6).
pub const ONE_NAME: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// How often a directory that fills again while it is emptied is tried: whoever writes there is still running.
const TRIES: u32 = 16;

/// Removes everything in `top` but the files named in `keep`. `path` is for messages.
/// Errors: what stands in the way: a mount point, an immutable file, a file system that is read-only, a writer.
pub fn contents(top: impl AsFd, path: &Path, keep: &[&str]) -> Result<()> {
    let mut fresh = 0_u64;
    for _ in 0..u32::MAX {
        let left: Vec<OsString> =
            names(&top)?.into_iter().filter(|name| !keep.iter().any(|kept| name == kept)).collect();
        if left.is_empty() {
            return Ok(());
        }
        for name in left {
            remove(&top, &name, &mut fresh).with_context(|| show(path.join(&name)))?;
        }
    }
    Ok(())
}

/// Removes one entry of `top`; what is deep below it is moved up into `top` for later.
fn remove(top: &impl AsFd, name: &OsStr, fresh: &mut u64) -> Result<()> {
    for _ in 0..TRIES {
        if unlink_or_rmdir(top, name)? {
            return Ok(());
        }
        flatten(top, name, fresh)?;
    }
    Err(refusal!("somebody writes there while it is removed"))
}

/// True where the entry is gone, false for a directory that is not empty.
fn unlink_or_rmdir(parent: impl AsFd, name: &OsStr) -> Result<bool> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno).call("unlinkat"),
    }
    match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno).call("rmdir"),
    }
}

/// Empties the directory `name` of `top`: what is a directory with something in it moves up into `top`.
fn flatten(top: &impl AsFd, name: &OsStr, fresh: &mut u64) -> Result<()> {
    let directory = match open_writable(top, name) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).call("openat2"),
    };
    for entry in names(&directory)? {
        if !unlink_or_rmdir(&directory, &entry).with_context(|| show(&entry))? {
            move_up(&directory, &entry, top, fresh).with_context(|| show(&entry))?;
        }
    }
    Ok(())
}

fn move_up(from: &OwnedFd, name: &OsStr, top: &impl AsFd, fresh: &mut u64) -> Result<()> {
    loop {
        *fresh += 1;
        let new = format!(".deep.{fresh}");
        match rustix::fs::renameat_with(from, name, top, new.as_str(), RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // Left by a run that was killed.
            Err(Errno::EXIST) => {}
            // A directory that moves has its ".." written, which needs write permission on it.
            Err(Errno::ACCESS) => drop(open_writable(from, name).call("openat2")?),
            Err(errno) => return Err(errno).call("renameat2"),
        }
    }
}

/// Opens a directory and makes sure that it can be read, searched and written by its owner.
pub fn open_writable(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let directory = match open_directory(&parent, name) {
        Err(Errno::ACCESS) => {
            // By name, but never through a symbolic link; whatever a racing writer puts there is his own.
            let (mode, flags) = (NixMode::S_IRWXU, FchmodatFlags::NoFollowSymlink);
            fchmodat(&parent, name, mode, flags).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
            open_directory(&parent, name)?
        }
        opened => opened?,
    };
    let mode = rustix::fs::fstat(&directory)?.st_mode;
    if mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&directory, Mode::RWXU)?;
    }
    Ok(directory)
}

/// Opens a directory by one name, as openat2(2) says.
/// Errors: ELOOP for a symbolic link, EXDEV for a mount point.
pub fn open_directory(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    // A name is one component: openat2 itself would walk a longer one.
    if name.is_empty() || name == ".." || name == "." || name.as_bytes().contains(&b'/') {
        return Err(rustix::io::Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), ONE_NAME)
}

/// The names in a directory, in the order of the file system.
pub fn names(directory: impl AsFd) -> Result<Vec<OsString>> {
    let entries = Dir::read_from(directory).call("getdents64")?;
    let name = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
        entry.call("getdents64").map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
    };
    let all = entries.map(name).collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|name| name != "." && name != "..").collect())
}
