//! Files are looked up once, by descriptor.
//!
//! A path is resolved by the kernel with openat2(2) (Linux 5.6): RESOLVE_IN_ROOT keeps links and `..` within the new root,
//! RESOLVE_NO_MAGICLINKS refuses the links of /proc that lead anywhere (CVE-2021-30465, CVE-2024-21626, hakoniwa#164).
//! O_PATH needs no permission to read a directory, only to pass it.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use chain::open::without_links;
use chain::{Call as _, Failure, Hint as _, Result, show, sys};
use nix::errno;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::{Errno, FdFlags, fcntl_getfd};

/// How often a walk that raced with a rename is tried again. The kernel answers EAGAIN then.
const TRIES: usize = 128;

/// What becomes of symbolic links in the path of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are followed, as the caller would.
    Followed,
    /// One is an error, wherever in the path: it may be somebody else's, who would choose by it what the box gets.
    Refused,
}

/// For a link that is refused.
const NAME_IT: &str = "name what the link leads to";

impl Links {
    fn resolve(self) -> ResolveFlags {
        match self {
            Self::Followed => ResolveFlags::empty(),
            Self::Refused => ResolveFlags::NO_SYMLINKS,
        }
    }
}

/// Opens `path` below `root` with O_PATH, links and `..` staying inside.
pub fn open_in(root: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    resolved(root, path, flags, ResolveFlags::IN_ROOT)
}

/// Opens `path` beneath a directory of the old root; a link or a `..` that leads out of it is refused (CVE-2024-42472:
/// whoever writes in the directory decides what its links are).
pub fn open_beneath(dir: impl AsFd, path: &Path, links: Links) -> Result<OwnedFd> {
    resolved(dir, path, OFlags::empty(), ResolveFlags::BENEATH | links.resolve())
        .call(&format!("openat2({}, RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS)", show(path)))
        .hinted(&[(errno::Errno::EXDEV, "it leads out of the source"), (errno::Errno::ELOOP, NAME_IT)])
}

fn resolved(root: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        match openat2(&root, inside, flags, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a file of the old root with O_PATH, with the caller's permissions.
pub fn open_source(path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd> {
    opened(path, flags | OFlags::PATH, links)
}

/// The same with `access` to its content. O_NONBLOCK: a FIFO must not hold us up.
pub fn open_content(path: &Path, access: OFlags, links: Links) -> Result<OwnedFd> {
    opened(path, access | OFlags::NONBLOCK | OFlags::NOCTTY, links)
}

fn opened(path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd> {
    if links == Links::Refused {
        return without_links(path, flags, Mode::empty());
    }
    let opened = openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
    let target = if matches!(opened, Err(Errno::NOENT)) { fs::read_link(path).ok() } else { None };
    let opened = opened.call(&format!("open {}", show(path)));
    match target {
        // It is there for ls(1): the hint says what is not.
        Some(target) => {
            opened.hint(format!("{} is a symbolic link to {}, which is not there", show(path), show(target)))
        }
        None => opened,
    }
}

pub fn file_type(file: impl AsFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file).call("fstat")?.st_mode))
}

/// A descriptor of the caller that a plan names. One that exec would close is none: it is of this process's own files, which
/// take the numbers that are free.
pub fn inherited(fd: i32) -> Result<BorrowedFd<'static>> {
    let call = format!("descriptor {fd}: fcntl");
    let file = sys::borrowed(fd).call(&call)?;
    if fcntl_getfd(file).call(&call)?.contains(FdFlags::CLOEXEC) {
        return Err(Failure::call(&call, errno::Errno::EBADF).into());
    }
    Ok(file)
}
