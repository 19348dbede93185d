//! What changes a directory of a pool.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;

use chain::failure::errno_of;
use chain::wipe::ONE_NAME;
use chain::{Call as _, Context as _, Result, show};
use nix::errno::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use crate::look::folder::Folder;

impl Folder {
    /// A new directory in this one, whatever the caller's umask takes away.
    pub fn make(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let shown = || show(self.path().join(name.as_ref()));
        rustix::fs::mkdirat(self, name.as_ref(), Mode::RWXU).call("mkdirat").with_context(shown)?;
        rustix::fs::chmodat(self, name.as_ref(), Mode::RWXU, AtFlags::empty()).call("fchmodat").with_context(shown)?;
        self.at(name)
    }

    /// A directory in this one, made where it is not there.
    pub fn ensure(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        match self.make(&name) {
            Err(error) if errno_of(&error) == Some(Errno::EEXIST) => self.at(name),
            made => made,
        }
    }

    /// A new file in it.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(self, name, flags, Mode::RUSR | Mode::WUSR, ONE_NAME).call("openat2");
        let mut file = File::from(opened.with_context(|| self.shown(name))?);
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).call("fchmod").with_context(|| self.shown(name))?;
        file.write_all(bytes).call("write").with_context(|| self.shown(name))?;
        Ok(file)
    }

    /// Replaces a file in one step: a reader sees the old text or the new one. For the process with the maintenance lock.
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
    pub fn move_to(&self, name: impl AsRef<OsStr>, other: &Self) -> Result<()> {
        let name = name.as_ref();
        self.move_as(name, other, name)
    }

    /// [`Folder::move_to`] under a new name.
    pub fn move_as(&self, name: impl AsRef<OsStr>, other: &Self, new: impl AsRef<OsStr>) -> Result<()> {
        rustix::fs::renameat_with(self, name.as_ref(), other, new.as_ref(), RenameFlags::NOREPLACE)
            .call("renameat2")
            .with_context(|| format!("{} to {}", show(self.path().join(name.as_ref())), show(other.path())))
    }
}
