//! One cgroup v2 directory, held by descriptor: its path is only for messages.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Failure, Result, show};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, fstatfs};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};
use rustix::fs::{Dir, FileType, XattrFlags, fgetxattr, fsetxattr};

/// The magic number of cgroup v1 (linux/magic.h).
const CGROUP1_SUPER_MAGIC: FsType = FsType(0x0027_e0eb);

/// How long the killed may take to die. They are past every wait but those of a broken device.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How deep a payload with its own rights over the leaf may have nested cgroups before they are left to a person.
const DEPTH: usize = 64;

/// A cgroup v2 directory.
#[derive(Debug)]
pub struct Cgroup {
    dir: OwnedFd,
    /// Where it is, for messages.
    pub path: PathBuf,
}

impl Cgroup {
    /// Opens a cgroup by path.
    ///
    /// # Errors
    /// No such directory, or one that is not on cgroup v2.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path, flags, Mode::empty()).call(&format!("open {}", show(path)))?;
        match fstatfs(&dir).call("fstatfs")?.filesystem_type() {
            CGROUP2_SUPER_MAGIC => Ok(Self { dir, path: path.to_owned() }),
            CGROUP1_SUPER_MAGIC => {
                Err(Failure::refusal(format!("{}: is cgroup v1, which is never touched", show(path))).into())
            }
            _ => Err(Failure::refusal(format!("{}: not on a cgroup v2 file system", show(path))).into()),
        }
    }

    /// The child cgroup `name`.
    ///
    /// # Errors
    /// What openat(2) says.
    pub fn child(&self, name: &str) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let dir = openat(&self.dir, name, flags, Mode::empty()).call(&format!("openat {}", show(name)))?;
        Ok(Self { dir, path: self.path.join(name) })
    }

    /// Makes the child cgroup `name`, which must be new.
    ///
    /// # Errors
    /// What mkdirat(2) says; EEXIST where it is there.
    pub fn make(&self, name: &str) -> Result<Self> {
        mkdirat(&self.dir, name, Mode::from_bits_truncate(0o755)).call(&format!("mkdirat {}", show(name)))?;
        self.child(name)
    }

    /// A file of it, open for reading.
    ///
    /// # Errors
    /// What openat(2) says.
    pub fn file(&self, name: &str) -> Result<File> {
        self.opened(name, OFlag::O_RDONLY)
    }

    fn opened(&self, name: &str, how: OFlag) -> Result<File> {
        let flags = how | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(&self.dir, name, flags, Mode::empty()).call(&format!("open {name}"))?))
    }

    /// What a file of it holds.
    ///
    /// # Errors
    /// What openat(2) or read(2) say.
    pub fn read(&self, name: &str) -> Result<String> {
        whole(&self.file(name)?).with_context(|| format!("read {name}"))
    }

    /// What a file of it holds; `None` where this kernel or this cgroup has no such file.
    #[must_use]
    pub fn read_if_there(&self, name: &str) -> Option<String> {
        self.read(name).ok()
    }

    /// Writes a file of it, by one write(2) as the kernel wants it.
    ///
    /// # Errors
    /// What openat(2) or write(2) say.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        let written = self.opened(name, OFlag::O_WRONLY)?.write(value.as_bytes()).call(&format!("write {name}"))?;
        if written == value.len() { Ok(()) } else { Err(Failure::refusal(format!("write {name}: cut short")).into()) }
    }

    /// Moves this process into it, which must be so new that the process is all that it holds. The kernel moves past a
    /// limit of processes that would keep one from being started there.
    ///
    /// # Errors
    /// What write(2) says; EAGAIN for a cgroup that may have no process.
    pub fn enter(&self) -> Result<()> {
        // 0 is the process that writes.
        self.write("cgroup.procs", "0")?;
        match self.read_if_there("pids.max") {
            Some(most) if most.trim() == "0" => Err(Failure::call("write cgroup.procs", Errno::EAGAIN).into()),
            _ => Ok(()),
        }
    }

    /// Whether this process may make children here and put processes into them.
    ///
    /// # Errors
    /// What faccessat(2) says, for the first of both that may not be written.
    pub fn writable(&self) -> Result<()> {
        for name in [".", "cgroup.procs"] {
            faccessat(&self.dir, name, AccessFlags::W_OK, AtFlags::AT_EACCESS)
                .call(&format!("write access to {}", show(self.path.join(name))))?;
        }
        Ok(())
    }

    /// Its children, by name. What cannot be a name of ours (no UTF-8) is left out.
    ///
    /// # Errors
    /// What getdents64(2) says.
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

    /// Marks it (user.* attributes exist on cgroup v2 since Linux 5.7).
    ///
    /// # Errors
    /// What fsetxattr(2) says.
    pub fn set_mark(&self, name: &str, value: &str) -> Result<()> {
        fsetxattr(&self.dir, name, value.as_bytes(), XattrFlags::CREATE).call(&format!("fsetxattr {name}"))
    }

    /// The mark, if it has one.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<String> {
        let mut value = [0; 128];
        let size = fgetxattr(&self.dir, name, &mut value[..]).ok()?;
        String::from_utf8(value.get(..size)?.to_vec()).ok()
    }

    /// Whether a live process is inside, or below.
    ///
    /// # Errors
    /// An unreadable cgroup.events.
    pub fn populated(&self) -> Result<bool> {
        Ok(populated(&self.read("cgroup.events")?))
    }

    /// Kills everything inside and below at once (cgroup.kill, Linux 5.14), and takes a freeze away: it would outlive
    /// the killed and catch the next process.
    ///
    /// # Errors
    /// What the kernel says about the write.
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")?;
        self.write("cgroup.freeze", "0").or_else(|error| absent_is_fine(error, Errno::ENOENT))
    }

    /// Kills everything inside and waits until it is dead.
    ///
    /// # Errors
    /// Something that does not die in ten seconds.
    pub fn empty(&self) -> Result<()> {
        let events = self.file("cgroup.events")?;
        if !populated(&whole(&events)?) {
            return Ok(());
        }
        self.kill()?;
        let deadline = Instant::now() + PATIENCE;
        while populated(&whole(&events)?) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.undead());
            }
            // kernfs reports a change as POLLPRI, once the file has been read before.
            let mut files = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut files, timeout)
                .or_else(|errno| if errno == Errno::EINTR { Ok(0) } else { Err(errno) })
                .call("poll")?;
        }
        Ok(())
    }

    fn undead(&self) -> anyhow::Error {
        let pids = self.read_if_there("cgroup.procs").unwrap_or_default();
        Failure::refusal(format!(
            "{}: does not die: process {}",
            show(&self.path),
            pids.split_whitespace().collect::<Vec<_>>().join(", ")
        ))
        .hint("a process in state D (ps -o pid,stat,wchan) waits for a device; cg-run --gc removes the cgroup later")
        .into()
    }

    /// Removes the child `name` with everything below. There must be no live process inside.
    ///
    /// # Errors
    /// What rmdir(2) says: EBUSY where somebody is inside.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.remove_below(name, DEPTH)
    }

    fn remove_below(&self, name: &str, depth: usize) -> Result<()> {
        let remove = || unlinkat(&self.dir, name, UnlinkatFlags::RemoveDir);
        // A leaf is nearly always without children; only EBUSY (or ENOTEMPTY) sends us down.
        match remove() {
            Ok(()) => return Ok(()),
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if depth > 0 => {}
            Err(errno) => return Err(Failure::call(&format!("rmdir {}", show(self.path.join(name))), errno).into()),
        }
        let child = self.child(name)?;
        child.children()?.iter().try_for_each(|below| child.remove_below(below, depth - 1))?;
        remove().call(&format!("rmdir {}", show(self.path.join(name))))
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The text of an open kernel file, from its beginning, as it is now. The file's own offset is not used, so that it can
/// be read again.
///
/// # Errors
/// What pread(2) says.
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

fn populated(events: &str) -> bool {
    // Anything but a clear "no" counts as inhabited: who removes too late does no harm.
    !events.lines().any(|line| line == "populated 0")
}

/// No error where the system call failed with `errno`.
///
/// # Errors
/// Every other one.
pub fn absent_is_fine(error: anyhow::Error, errno: Errno) -> Result<()> {
    if errno_of(&error) == Some(errno) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_is_empty() {
        assert!(!populated("populated 0\nfrozen 0\n"));
        assert!(populated("populated 1\nfrozen 0\n"));
        assert!(populated(""));
        assert!(populated("populated 01\n"));
    }

    #[test]
    fn what_is_no_cgroup2_is_refused() {
        assert_eq!(Cgroup::open(Path::new("/proc")).unwrap_err().to_string(), "/proc: not on a cgroup v2 file system");
        assert!(format!("{:#}", Cgroup::open(Path::new("/no/such")).unwrap_err()).contains("ENOENT"));
    }
}
