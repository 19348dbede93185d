//! Files are looked up once, by descriptor.
//!
//! A path is resolved by the kernel with openat2(2) (Linux 5.6): RESOLVE_IN_ROOT keeps links and `..` within the new root,
//! RESOLVE_NO_MAGICLINKS refuses the links of /proc that lead anywhere (CVE-2021-30465, CVE-2024-21626, hakoniwa#164).
//! O_PATH needs no permission to read a directory, only to pass it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use chain::{Call as _, Hint as _, Result, show, sys};
use nix::errno;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

/// How often a walk that raced with a rename is tried again. The kernel answers EAGAIN then.
const TRIES: usize = 128;

/// Opens `path` below `root` with O_PATH, links and `..` staying inside.
pub fn open_in(root: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    resolved(root, path, flags, ResolveFlags::IN_ROOT)
}

/// Opens `path` beneath a directory of the old root; a link or a `..` that leads out of it is refused (CVE-2024-42472:
/// whoever writes in the directory decides what its links are).
pub fn open_beneath(dir: impl AsFd, path: &Path) -> Result<OwnedFd> {
    resolved(dir, path, OFlags::empty(), ResolveFlags::BENEATH)
        .call(&format!("openat2({}, RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS)", show(path)))
        .hinted(&[(errno::Errno::EXDEV, "it leads out of the source")])
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

/// Opens a file of the old root with O_PATH, as the caller would: links are followed, permissions are the caller's.
pub fn open_source(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    opened(path, flags | OFlags::PATH | OFlags::CLOEXEC)
}

/// The same with `access` to its content. O_NONBLOCK: a FIFO must not hold us up.
pub fn open_content(path: &Path, access: OFlags) -> Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    opened(path, flags)
}

/// A link that leads nowhere is there for ls(1): the hint says what is not.
fn opened(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let file = openat(CWD, path, flags, Mode::empty()).call(&format!("open {}", show(path)));
    match std::fs::read_link(path) {
        Ok(target) if file.is_err() => {
            let dangling = format!("{} is a symbolic link to {}, which is not there", show(path), show(target));
            file.hinted(&[(errno::Errno::ENOENT, &dangling)])
        }
        _ => file,
    }
}

pub fn file_type(file: impl AsFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file).call("fstat")?.st_mode))
}

/// A descriptor of the caller that a plan names.
pub fn inherited(fd: i32) -> Result<BorrowedFd<'static>> {
    sys::borrowed(fd).call(&format!("descriptor {fd}: fcntl"))
}
