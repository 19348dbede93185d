//! A directory of a pool, held open. Everything below a pool is reached from here by one name at a time: no symbolic
//! link is followed, no mount point crossed, and a directory that somebody else could write to is not believed.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::wipe::{ONE_NAME, names, open_directory};
use chain::{Call as _, Context as _, Failure, Result, show};
use nix::errno::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

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
    ///
    /// # Errors
    /// What open(2) says; a directory that another user owns or may write to.
    pub fn open(path: &Path) -> Result<Self> {
        let path = path.canonicalize().call("realpath").with_context(|| show(path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).call("open").with_context(|| show(&path))?;
        Self { fd, path }.trusted()
    }

    /// A directory in this one.
    ///
    /// # Errors
    /// What openat2(2) says (ELOOP: a symbolic link; EXDEV: a mount point); one that another user owns or may write to.
    pub fn at(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let path = self.path.join(name.as_ref());
        let fd = open_directory(self, name.as_ref()).call("openat2").with_context(|| show(&path))?;
        Self { fd, path }.trusted()
    }

    /// [`Folder::at`], or `None` where there is nothing of that name.
    ///
    /// # Errors
    /// As [`Folder::at`].
    pub fn find(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        absent_is_none(self.at(name))
    }

    /// A new directory in this one, whatever the caller's umask takes away.
    ///
    /// # Errors
    /// What mkdirat(2) and chmodat(2) say.
    pub fn make(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let shown = || show(self.path.join(name.as_ref()));
        rustix::fs::mkdirat(self, name.as_ref(), Mode::RWXU).call("mkdirat").with_context(shown)?;
        rustix::fs::chmodat(self, name.as_ref(), Mode::RWXU, AtFlags::empty()).call("fchmodat").with_context(shown)?;
        self.at(name)
    }

    /// A directory in this one, made where it is not there.
    ///
    /// # Errors
    /// What mkdirat(2) says.
    pub fn ensure(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        match self.make(&name) {
            Err(error) if errno_of(&error) == Some(Errno::EEXIST) => self.at(name),
            made => made,
        }
    }

    /// Nobody but the owner may have a hand in a pool: what is in it is removed, mounted and executed.
    fn trusted(self) -> Result<Self> {
        let facts = rustix::fs::fstat(&self.fd).call("fstat")?;
        let refuse = |text: String, hint: &str| Err(Failure::refusal(text).hint(hint).into());
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

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// What getdents64(2) says.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let mut names = names(self).with_context(|| show(&self.path))?;
        names.sort();
        Ok(names)
    }

    /// A small regular file in it.
    ///
    /// # Errors
    /// What openat2(2) says; anything but a small regular file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.file(name, flags)?;
        let mut bytes = vec![];
        file.take(LARGEST + 1).read_to_end(&mut bytes).call("read").with_context(|| self.shown(name))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Failure::refusal(format!("{}: too large", self.shown(name))).into());
        }
        Ok(bytes)
    }

    /// Opens a regular file in it.
    ///
    /// # Errors
    /// What openat2(2) says; anything but a regular file.
    pub fn file(&self, name: &str, flags: OFlags) -> Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(self, name, flags, Mode::empty(), ONE_NAME).call("openat2");
        let file = File::from(opened.with_context(|| self.shown(name))?);
        let facts = file.metadata().call("fstat").with_context(|| self.shown(name))?;
        if !facts.is_file() {
            return Err(Failure::refusal(format!("{}: not a regular file", self.shown(name))).into());
        }
        Ok(file)
    }

    /// A new file in it.
    ///
    /// # Errors
    /// What openat2(2) or write(2) say; EEXIST where it is there.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(self, name, flags, Mode::RUSR | Mode::WUSR, ONE_NAME).call("openat2");
        let mut file = File::from(opened.with_context(|| self.shown(name))?);
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).call("fchmod").with_context(|| self.shown(name))?;
        file.write_all(bytes).call("write").with_context(|| self.shown(name))?;
        Ok(file)
    }

    /// Replaces a file in one step: a reader sees the old text or the new one. For who has the maintenance lock.
    ///
    /// # Errors
    /// What the system calls say.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let part = format!(".{name}");
        match rustix::fs::unlinkat(self, part.as_str(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno).call("unlinkat").with_context(|| self.shown(&part)),
        }
        self.write_new(&part, bytes)?;
        rustix::fs::renameat(self, part.as_str(), self, name).call("renameat").with_context(|| self.shown(name))
    }

    /// Moves `name` into `other`, where nothing of that name may be: the transition that has one winner.
    ///
    /// # Errors
    /// ENOENT: somebody was faster.
    pub fn move_to(&self, name: impl AsRef<OsStr>, other: &Self) -> Result<()> {
        let name = name.as_ref();
        self.move_as(name, other, name)
    }

    /// [`Folder::move_to`] under a new name.
    ///
    /// # Errors
    /// As there.
    pub fn move_as(&self, name: impl AsRef<OsStr>, other: &Self, new: impl AsRef<OsStr>) -> Result<()> {
        rustix::fs::renameat_with(self, name.as_ref(), other, new.as_ref(), RenameFlags::NOREPLACE)
            .call("renameat2")
            .with_context(|| format!("{} to {}", show(self.path.join(name.as_ref())), show(&other.path)))
    }

    fn shown(&self, name: &str) -> impl Display + Send + Sync + use<> {
        show(self.path.join(name))
    }
}

/// Turns "there is none" into `None`.
///
/// # Errors
/// Every other failure.
pub fn absent_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if errno_of(&error) == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
