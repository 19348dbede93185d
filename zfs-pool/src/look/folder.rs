//! A directory of a pool, held open. Everything below a pool is reached from here by one name at a time: no symbolic
//! link is followed, no mount point crossed, and a directory that another user could write to is not believed. What is
//! read of it; what changes it is in [`crate::apply`].

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::wipe::{ONE_NAME, names, open_directory};
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use nix::errno::Errno;
use rustix::fs::{Mode, OFlags};

/// The largest file that a pool keeps about itself. Anything larger is not ours.
const LARGEST: u64 = 64 * 1024;

/// A directory of a pool. The path is for messages and for what the next program is told; nothing is opened by it.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Opens the pool itself. `path` is the user's word and is taken as it is.
    pub fn open(path: &Path) -> Result<Self> {
        let path = path.canonicalize().call("realpath").with_context(|| show(path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).call("open").with_context(|| show(&path))?;
        Self { fd, path }.trusted()
    }

    /// A directory in this one.
    pub fn at(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let path = self.path.join(name.as_ref());
        let fd = open_directory(self, name.as_ref()).call("openat2").with_context(|| show(&path))?;
        Self { fd, path }.trusted()
    }

    /// [`Folder::at`], or `None` where there is nothing of that name.
    pub fn find(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        absent_is_none(self.at(name))
    }

    /// Nobody but the owner may have a hand in a pool: what is in it is removed, mounted and executed.
    fn trusted(self) -> Result<Self> {
        let facts = rustix::fs::fstat(&self.fd).call("fstat")?;
        let refuse = |text: String, hint: &str| Err(refusal!("{text}").hint(hint));
        if facts.st_uid != rustix::process::geteuid().as_raw() {
            let text = format!("{}: owned by user {}", show(&self.path), facts.st_uid);
            return refuse(text, "a pool is used by its owner alone");
        }
        if facts.st_mode & 0o022 != 0 {
            let text = format!("{}: others may write to it (mode {:04o})", show(&self.path), facts.st_mode & 0o7777);
            return refuse(text, "chmod go-w it, after a look at what is in it");
        }
        Ok(self)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, sorted.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let mut names = names(self).with_context(|| show(&self.path))?;
        names.sort();
        Ok(names)
    }

    /// A small regular file in it.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.file(name, flags)?;
        let mut bytes = vec![];
        file.take(LARGEST + 1).read_to_end(&mut bytes).call("read").with_context(|| self.shown(name))?;
        if bytes.len() as u64 > LARGEST {
            return Err(refusal!("{}: too large", self.shown(name)));
        }
        Ok(bytes)
    }

    /// Opens a regular file in it.
    pub fn file(&self, name: &str, flags: OFlags) -> Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(self, name, flags, Mode::empty(), ONE_NAME).call("openat2");
        let file = File::from(opened.with_context(|| self.shown(name))?);
        let facts = file.metadata().call("fstat").with_context(|| self.shown(name))?;
        if !facts.is_file() {
            return Err(refusal!("{}: not a regular file", self.shown(name)));
        }
        Ok(file)
    }

    /// The path of a file in it, for messages.
    pub fn shown(&self, name: &str) -> impl Display + Send + Sync + use<> {
        show(self.path.join(name))
    }
}

/// Turns "there is none" into `None`.
pub fn absent_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if errno_of(&error) == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
