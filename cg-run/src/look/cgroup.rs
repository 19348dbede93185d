//! One cgroup v2 directory, held by descriptor: its path is only for messages. What is read of it; what changes it is in
//! [`crate::apply`].

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Result, refusal, show};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, fstatfs};
use nix::unistd::{AccessFlags, faccessat};
use rustix::fs::{Dir, FileType, fgetxattr};

/// The magic number of cgroup v1 (linux/magic.h).
const CGROUP1_SUPER_MAGIC: FsType = FsType(0x0027_e0eb);

/// A cgroup v2 directory.
#[derive(Debug)]
pub struct Cgroup {
    dir: OwnedFd,
    /// Where it is, for messages.
    pub path: PathBuf,
}

impl Cgroup {
    /// Opens a cgroup by path.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path, flags, Mode::empty()).call(&format!("open {}", show(path)))?;
        match fstatfs(&dir).call("fstatfs")?.filesystem_type() {
            CGROUP2_SUPER_MAGIC => Ok(Self { dir, path: path.to_owned() }),
            CGROUP1_SUPER_MAGIC => Err(refusal!("{}: is cgroup v1, which is never touched", show(path))),
            _ => Err(refusal!("{}: not on a cgroup v2 file system", show(path))),
        }
    }

    /// The child cgroup `name`.
    pub fn child(&self, name: &str) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let dir = openat(&self.dir, name, flags, Mode::empty()).call(&format!("openat {}", show(name)))?;
        Ok(Self { dir, path: self.path.join(name) })
    }

    /// A file of it, open for reading.
    pub fn file(&self, name: &str) -> Result<File> {
        self.opened(name, OFlag::O_RDONLY)
    }

    /// The same, open in this way.
    pub fn opened(&self, name: &str, how: OFlag) -> Result<File> {
        let flags = how | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(&self.dir, name, flags, Mode::empty()).call(&format!("open {name}"))?))
    }

    /// What a file of it holds.
    pub fn read(&self, name: &str) -> Result<String> {
        whole(&self.file(name)?).with_context(|| format!("read {name}"))
    }

    /// What a file of it holds; `None` where this kernel or this cgroup has no such file.
    pub fn read_if_there(&self, name: &str) -> Option<String> {
        self.read(name).ok()
    }

    /// Whether this process may write to these files; `.` is to make children.
    pub fn writable(&self, names: &[&str]) -> Result<()> {
        for name in names {
            faccessat(&self.dir, *name, AccessFlags::W_OK, AtFlags::AT_EACCESS)
                .call(&format!("write access to {}", show(self.path.join(name))))?;
        }
        Ok(())
    }

    /// Its children, by name. What cannot be a name of ours (no UTF-8) is left out.
    pub fn children(&self) -> Result<Vec<String>> {
        let mut names = vec![];
        for entry in Dir::read_from(&self.dir).call("getdents64")? {
            let entry = entry.call("getdents64")?;
            let name = entry.file_name().to_str().unwrap_or(".");
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The mark, if it has one.
    pub fn mark(&self, name: &str) -> Option<String> {
        let mut value = [0; 128];
        let size = fgetxattr(&self.dir, name, &mut value[..]).ok()?;
        String::from_utf8(value.get(..size)?.to_vec()).ok()
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The text of an open kernel file, from its beginning, as it is now. The file's own offset is not used, so that it can
/// be read again.
pub fn whole(file: &File) -> Result<String> {
    let mut text = vec![];
    let mut buffer = [0; 4096];
    loop {
        let size = file.read_at(&mut buffer, text.len() as u64).call("pread")?;
        match buffer.get(..size) {
            None | Some([]) => break,
            Some(more) => text.extend_from_slice(more),
        }
    }
    String::from_utf8(text).context("not text")
}

/// Whether cgroup.events tells of a live process inside, or below.
pub fn is_populated(events: &str) -> bool {
    // Anything but a clear "no" counts as inhabited: a removal that comes too late does no harm.
    !events.lines().any(|line| line == "populated 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_is_empty() {
        assert!(!is_populated("populated 0\nfrozen 0\n"));
        assert!(is_populated("populated 1\nfrozen 0\n"));
        assert!(is_populated(""));
        assert!(is_populated("populated 01\n"));
    }

    #[test]
    fn what_is_no_cgroup2_is_refused() {
        assert_eq!(Cgroup::open(Path::new("/proc")).unwrap_err().to_string(), "/proc: not on a cgroup v2 file system");
        assert!(format!("{:#}", Cgroup::open(Path::new("/no/such")).unwrap_err()).contains("ENOENT"));
    }
}
