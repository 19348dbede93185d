//! Read-only facts: the sources, opened; the descriptors, what they are.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use chain::failure::{Call as _, Failure, errno_of};
use chain::{Context as _, Hint as _, Result, message, sys};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::entry::{Content, Entry, Upper, What};
use crate::idmap::Idmap;
use crate::step::whole;
use crate::walk::{open_beneath, open_source};

pub use crate::features::features;

/// A file of the old root, opened before the first effect.
#[derive(Debug)]
pub struct Source {
    /// Opened with O_PATH, or for reading where the content is wanted.
    pub file: OwnedFd,
    /// Whether it is a directory.
    pub directory: bool,
}

/// What is known before the plan is made.
#[derive(Debug, Default)]
pub struct Facts {
    /// The sources of each entry; `None` where they are missing and the entry says nofail.
    pub sources: Vec<Option<Vec<Source>>>,
    /// The caller's working directory; `None` where it has no path.
    pub cwd: Option<PathBuf>,
}

/// Opens every source, in order.
///
/// # Errors
/// The first that cannot be opened, unless its entry says nofail.
pub fn facts(entries: &[Entry]) -> Result<Facts> {
    let sources = entries.iter().map(opened).collect::<Result<_>>()?;
    Ok(Facts { sources, cwd: std::env::current_dir().ok() })
}

/// What `--explain` knows: nothing of this machine, since the links before this one have done nothing yet.
#[must_use]
pub fn no_facts(entries: &[Entry]) -> Facts {
    Facts { sources: entries.iter().map(|_| Some(vec![])).collect(), cwd: std::env::current_dir().ok() }
}

fn opened(entry: &Entry) -> Result<Option<Vec<Source>>> {
    match entry.sources().into_iter().map(|path| source(entry, path)).collect::<Result<Vec<_>>>() {
        Ok(sources) => Ok(Some(sources)),
        Err(error) if entry.nofail => {
            message::print_error(&format!("{:#} (nofail: left out)", error.context(whole(entry))));
            Ok(None)
        }
        Err(error) => Err(explained(error)).with_context(|| whole(entry)),
    }
}

fn source(entry: &Entry, path: &Path) -> Result<Source> {
    let file = match entry.what {
        // O_NONBLOCK: a FIFO must not hold us up.
        What::File(Content::Copy(_), _) => {
            openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .call(&format!("open {}", chain::show(path)))?
        }
        What::Image { ref file, .. } if path == file => {
            let access = if entry.attributes.read_only() { OFlags::RDONLY } else { OFlags::RDWR };
            openat(CWD, path, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .call(&format!("open {}", chain::show(path)))?
        }
        // mount_setattr(2) takes no namespace that was opened with O_PATH.
        What::Bind { idmap: Some(Idmap::Namespace(ref map)), .. }
        | What::Image { idmap: Some(Idmap::Namespace(ref map)), .. }
            if path == map =>
        {
            openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .call(&format!("open {}", chain::show(path)))?
        }
        What::Bind { ref source, subdir: Some(ref part), .. } if path == source => {
            open_beneath(&open_source(path, OFlags::DIRECTORY)?, part)?
        }
        What::Overlay { .. } => open_source(path, OFlags::DIRECTORY).map_err(|error| work_hint(entry, path, error))?,
        _ => open_source(path, OFlags::empty())?,
    };
    let directory = FileType::from_raw_mode(fstat(&file).call("fstat")?.st_mode) == FileType::Directory;
    Ok(Source { file, directory })
}

/// What aufs did not need.
fn work_hint(entry: &Entry, path: &Path, error: anyhow::Error) -> anyhow::Error {
    match &entry.what {
        What::Overlay { upper: Upper::Kept { work, .. }, .. } if work == path => error.hint("an empty directory on the filesystem of the changes, which overlayfs needs for itself (workdir=): make it first"),
        _ => error,
    }
}

fn explained(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EMFILE) => error.hint("each source is held open until the root is complete: raise the hard limit (ulimit -Hn), or put rlimit-exec \
             --nofile behind mount-plan"),
        _ => error,
    }
}

/// More descriptors for as long as the value lives: a plan holds each source open, and the soft limit is often 1024.
#[derive(Debug)]
pub struct Room(Option<(u64, u64)>);

impl Room {
    /// Raises the soft limit towards the hard one if `sources` need it.
    ///
    /// # Errors
    /// What getrlimit(2) or setrlimit(2) say.
    pub fn make(sources: usize) -> Result<Self> {
        let need = sources as u64 + 64;
        if need <= 256 {
            return Ok(Self(None));
        }
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).call("getrlimit(RLIMIT_NOFILE)")?;
        if need <= soft {
            return Ok(Self(None));
        }
        setrlimit(Resource::RLIMIT_NOFILE, need.min(hard), hard).call("setrlimit(RLIMIT_NOFILE)")?;
        Ok(Self(Some((soft, hard))))
    }

    /// Puts the limit back.
    ///
    /// # Errors
    /// What setrlimit(2) says.
    pub fn give_back(self) -> Result<()> {
        let Some((soft, hard)) = self.0 else { return Ok(()) };
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).call("setrlimit(RLIMIT_NOFILE)")
    }
}

/// Refuses directories among the descriptors that the next program gets: each would be a way to climb into the old root
/// (CVE-2024-21626).
///
/// # Errors
/// The first such descriptor.
pub fn refuse_directories(keep: &[RawFd]) -> Result<()> {
    for fd in (0..=2).chain(keep.iter().copied()) {
        let Ok(file) = sys::borrowed(fd) else { continue };
        // The place-holder of a closed standard descriptor is closed again by exec.
        let closes = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFD).call("fcntl")? & libc::FD_CLOEXEC != 0;
        let directory = FileType::from_raw_mode(fstat(file).call("fstat")?.st_mode) == FileType::Directory;
        if directory && (fd > 2 || !closes) {
            return Err(Failure::refusal(format!("descriptor {fd} is a directory of the old root"))
                .hint("close it (N<&-): who holds it can climb out of the new root")
                .into());
        }
    }
    Ok(())
}

/// Whether this is a user namespace other than the first: then ids are mapped, and overlayfs keeps its attributes
/// elsewhere. An unreadable map counts as one.
#[must_use]
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// A descriptor of the caller that a plan names.
///
/// # Errors
/// EBADF where it is not open.
pub fn inherited(fd: i32) -> Result<BorrowedFd<'static>> {
    sys::borrowed(fd).call(&format!("descriptor {fd}: fcntl"))
}
