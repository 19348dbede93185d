//! What this process may read in a tree of the host and not everybody may: `/etc/shadow`, private keys. A box has the ids
//! of its caller, and so what they open: user 0 of a box that is user 0 outside owns the machine's own files, and an ordinary
//! user cannot leave supplementary groups such as `adm` (user_namespaces(7): setgroups is denied).

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chain::process::in_user_namespace;
use chain::{Call as _, Result, show, wipe};
use nix::fcntl::AtFlags as Follow;
use nix::unistd::{AccessFlags, faccessat, getegid, geteuid, getgroups};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use super::namespace::outside;

/// The paths below `top` that are to be hidden. A mount below is not entered, a symbolic link is not followed.
pub fn below(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(CWD, top, flags, Mode::empty()) {
        Ok(directory) if may_match(&directory)? => walk(directory, top, &mut found)?,
        // A file or a link has nothing below; what cannot be listed cannot be bound either, or is nobody's secret.
        _ => {}
    }
    found.sort();
    Ok(found)
}

/// Whether there can be such a file at all: otherwise nothing is walked. Some have the owner of the tree; others have a group
/// that lets its members read them; and who has a capability over files may read all.
fn may_match(top: impl AsFd) -> Result<bool> {
    let owner = fstat(top).call("fstat")?.st_uid;
    Ok(geteuid().as_raw() == owner || has_shared_group()? || may_read_all()?)
}

/// Whether this process has a group that is not the user's alone, as one is that has his number.
fn has_shared_group() -> Result<bool> {
    let own = getegid();
    let shares_own = outside("uid_map", geteuid().as_raw()) != outside("gid_map", own.as_raw());
    Ok(shares_own || getgroups().call("getgroups")?.iter().any(|group| *group != own))
}

/// A capability of a user namespace is none over files of ids that are not mapped there.
fn may_read_all() -> Result<bool> {
    let reading = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let effective = capabilities(None).call("capget")?.effective;
    Ok(effective.intersects(reading) && !in_user_namespace())
}

fn walk(directory: OwnedFd, path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let mut directory = Dir::new(directory).call(&format!("fstat of {}", show(path)))?;
    let entries = std::iter::from_fn(|| directory.read()).collect::<rustix::io::Result<Vec<_>>>();
    let entries = entries.call(&format!("getdents64 of {}", show(path)))?;
    let directory = directory.fd().call("dirfd")?;
    for entry in entries.iter().filter(|entry| entry.file_type() != FileType::Symlink) {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            one(directory, name, &path.join(name), found)?;
        }
    }
    Ok(())
}

fn one(directory: BorrowedFd<'_>, name: &OsStr, path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let mode = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.call(&format!("fstatat({})", show(path)))?.st_mode,
    };
    let may = |access| allowed(directory, name, access);
    let hidden = match FileType::from_raw_mode(mode) {
        FileType::Symlink => false,
        FileType::Directory if mode & 0o005 == 0o005 => match wipe::open_directory(directory, name) {
            Ok(inner) => return walk(inner, path, found),
            // A mount, or gone meanwhile.
            Err(Errno::XDEV | Errno::NOENT) => false,
            // Everybody but this process may list it, which so cannot tell what it may read in there.
            Err(Errno::ACCESS) => true,
            Err(errno) => return Err(errno).call(&format!("openat2({})", show(path))),
        },
        FileType::Directory => may(AccessFlags::R_OK) || may(AccessFlags::X_OK),
        _ => mode & 0o004 == 0 && may(AccessFlags::R_OK),
    };
    found.extend(hidden.then(|| path.to_owned()));
    Ok(())
}

/// Whether the kernel lets this process, whatever the ids look like in its namespace. Without an answer it may.
fn allowed(directory: BorrowedFd<'_>, name: &OsStr, access: AccessFlags) -> bool {
    let flags = Follow::AT_EACCESS | Follow::AT_SYMLINK_NOFOLLOW;
    faccessat(directory, name, access, flags) != Err(nix::errno::Errno::EACCES)
}
