//! Placeholders: what is made in the caller's tree so that the box can mount something there, and is no more when the box has
//! ended.
//!
//! A placeholder is known by its mode ([`crate::model::placeholder`]). Each box that uses one holds a shared lock on it (flock(2)), so that the last one removes it: a mount ends where what it is on is
//! removed, in every mount namespace. One that a killed box has left is taken over by the next.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use chain::{Call as _, Context as _, Result, refusal, show};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, mkdirat, openat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::model::placeholder::{FILE, FOLDER, base, is_placeholder};

/// How often a placeholder that vanishes, or is locked by who removes it, is tried again.
const TRIES: u32 = 200;

/// One that this box uses.
pub struct Placeholder {
    folder: OwnedFd,
    name: OsString,
    file: OwnedFd,
}

/// Has a placeholder at `path`, a folder or a file, and one for each folder above that is missing. Nothing where something else is
/// there. False: a link leads out of the base of the path ([`open_folder`]), and nothing is made.
pub fn put(path: &Path, is_folder: bool, kept: &mut Vec<Placeholder>) -> Result<bool> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(true) };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    for _ in 0..TRIES {
        let folder = match open_folder(above) {
            Err(Errno::NOENT) => {
                if put(above, true, kept)? {
                    continue;
                }
                return Ok(false);
            }
            Err(Errno::XDEV) => return Ok(false),
            folder => folder.call(&format!("open {}", show(above)))?,
        };
        // Another box has made that one too, and may have ended before this one does. A base is the caller's in any case.
        let is_ours = base(path).is_none() || base(above).is_some();
        let facts = fstat(&folder).call("fstat")?;
        if is_ours && is_marked(&facts) && !kept.iter().any(|one| one.is(&facts)) {
            if put(above, true, kept)? {
                continue;
            }
            return Ok(false);
        }
        let made = make(&folder, name, is_folder);
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                return Err(errno).call("open(O_CREAT|O_EXCL)").with_context(|| format!("make {}", show(path)));
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let placeholder = match openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            // What may not be opened, or is a link, is somebody's.
            Err(_) => return Ok(true),
            Ok(file) => Placeholder { folder, name: name.to_owned(), file },
        };
        if !is_marked(&fstat(&placeholder.file).call("fstat")?) {
            return Ok(true);
        }
        match flock(&placeholder.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) if placeholder.is_there() => {
                kept.push(placeholder);
                return Ok(true);
            }
            Ok(()) | Err(Errno::WOULDBLOCK) => sleep(Duration::from_millis(5)),
            Err(errno) => return Err(errno).call(&format!("flock {}", show(path))),
        }
    }
    Err(refusal!("{}: a placeholder that another process holds or removes all the time", show(path)))
}

/// Opens the folder. Where the path has a base ([`base`]), it is below that, wherever links lead; EXDEV says that it is not. Who
/// can change those links can change nothing outside of the base either, so what is found below it has been there.
pub fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, path, flags, Mode::empty())?;
    let Some(base) = base(path) else { return Ok(folder) };
    let base = identity(&fstat(openat(CWD, base, flags, Mode::empty())?)?);
    let mut above = folder.try_clone().map_err(|_| Errno::MFILE)?;
    loop {
        let now = identity(&fstat(&above)?);
        if now == base {
            return Ok(folder);
        }
        above = openat(&above, "..", flags, Mode::empty())?;
        // The root is above itself.
        if identity(&fstat(&above)?) == now {
            return Err(Errno::XDEV);
        }
    }
}

fn identity(facts: &Stat) -> (u64, u64) {
    (facts.st_dev, facts.st_ino)
}

/// With its mode from the first moment on: another box may look at any.
fn make(folder: &OwnedFd, name: &std::ffi::OsStr, is_folder: bool) -> rustix::io::Result<()> {
    let umask = rustix::process::umask(Mode::empty());
    let made = if is_folder {
        mkdirat(folder, name, Mode::from_raw_mode(FOLDER))
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        openat(folder, name, flags, Mode::from_raw_mode(FILE)).map(drop)
    };
    rustix::process::umask(umask);
    made
}

fn is_marked(facts: &Stat) -> bool {
    is_placeholder(facts.st_mode, u64::try_from(facts.st_size).unwrap_or(0))
}

impl Placeholder {
    fn is(&self, facts: &Stat) -> bool {
        fstat(&self.file).is_ok_and(|own| identity(&own) == identity(facts))
    }

    /// Whether it is still what has its name in its folder.
    fn is_there(&self) -> bool {
        let named = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match (named, fstat(&self.file)) {
            (Ok(named), Ok(own)) => identity(&named) == identity(&own) && is_marked(&own),
            _ => false,
        }
    }

    /// The descriptors that it consists of.
    pub fn files(&self) -> [BorrowedFd<'_>; 2] {
        [self.folder.as_fd(), self.file.as_fd()]
    }
}

impl Drop for Placeholder {
    /// Who can put something else in its place between the look and the removal may write to the folder, and could remove that
    /// himself. A folder that is not empty stays.
    fn drop(&mut self) {
        let alone = flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if alone && self.is_there() {
            let is_folder =
                fstat(&self.file).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::Directory);
            let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            unlinkat(&self.folder, &self.name, flags).unwrap_or_default();
        }
    }
}
