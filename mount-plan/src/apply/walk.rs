//! Finding a target in the new root, by descriptor, and making what is missing of it. Whatever is made, is made in a
//! filesystem that the plan itself has made: nothing appears in a bound tree but what an entry with X-mount.make names.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Failure, Hint as _, Result, refusal, show};
use nix::errno;
use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, mknodat, openat};
use rustix::io::Errno;

use super::stage::Stage;
use crate::hints;
use crate::look::open::{file_type, open_in};

/// What must be there to mount something on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A directory, made with this mode where it is missing.
    Dir(u32),
    /// Anything but a directory, made as an empty file where it is missing.
    File,
}

/// Whether a link at the very end of a path is followed. Within the path links always are, inside the new root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Followed: /var/run is a good name for /run.
    Follow,
    /// Refused: what is mounted for its name alone (proc, /dev, a mask) must be where the name says.
    Refuse,
}

impl Stage {
    /// The place to mount on, made where it is missing.
    pub fn point(&self, path: &Path, point: Point, last: Last) -> Result<OwnedFd> {
        let flags = if last == Last::Refuse { OFlags::NOFOLLOW } else { OFlags::empty() };
        let found = match open_in(self.root()?, path, flags) {
            Ok(found) => found,
            Err(Errno::NOENT) => self.made(path, point)?,
            Err(errno) => return Err(blamed(self.root()?, path, errno)),
        };
        if last == Last::Refuse && file_type(&found)? == FileType::Symlink {
            return Err(refusal!("{} is a symbolic link there", show(path)));
        }
        Ok(found)
    }

    /// What is there, links followed.
    pub fn there(&self, path: &Path) -> Result<OwnedFd> {
        let root = self.root()?;
        open_in(root, path, OFlags::empty()).map_err(|errno| blamed(root, path, errno))
    }

    /// The directory that holds the last component of `path`, made where it is missing, and must be the plan's own.
    pub fn parent(&self, path: &Path) -> Result<OwnedFd> {
        let parent = self.point(path.parent().unwrap_or(Path::new("/")), Point::Dir(0o755), Last::Follow)?;
        self.refuse_foreign(&parent, path)?;
        Ok(parent)
    }

    /// Makes the missing end of `path`: looks upwards for what exists, then goes down again.
    fn made(&self, path: &Path, point: Point) -> Result<OwnedFd> {
        let parent_path = path.parent().unwrap_or(Path::new("/"));
        let parent = match open_in(self.root()?, parent_path, OFlags::empty()) {
            Ok(parent) => parent,
            Err(Errno::NOENT) if parent_path != Path::new("/") => self.made(parent_path, Point::Dir(0o755))?,
            Err(errno) => return Err(blamed(self.root()?, parent_path, errno)),
        };
        self.refuse_foreign(&parent, path)?;
        let name = path.file_name().unwrap_or_default();
        match point {
            Point::Dir(mode) => mkdirat(&parent, name, Mode::from_raw_mode(mode)).call("mkdirat"),
            Point::File => mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0).call("mknodat"),
        }
        .map_err(|error| error.hinted(&[(errno::Errno::EEXIST, &dangling(path))]))
        .hinted(&hints::MAKE)
        .with_context(|| format!("make {}", show(path)))?;
        // Mostly the directory is the plan's own and nobody else has it yet; NOFOLLOW all the same.
        openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call(&format!("openat({})", show(path)))
    }

    /// Whether the plan has made the filesystem, or the entry may change any.
    pub fn may_change(&self, file: &OwnedFd) -> Result<bool> {
        Ok(self.makes_anywhere || self.own.contains(&fstat(file).call("fstat")?.st_dev))
    }

    /// A directory in a bound tree is not ours to write in: the entry would leave something behind on the host.
    fn refuse_foreign(&self, parent: &OwnedFd, path: &Path) -> Result<()> {
        if self.may_change(parent)? {
            return Ok(());
        }
        Err(refusal!("{} does not exist, and the directory it would be in was not made by this plan", show(path))
            .hint(format!("make it in the source first (mkdir -p), or put a tmpfs above it: {}", show(path))))
    }
}

/// Names the first component that cannot be passed.
fn blamed(root: &OwnedFd, path: &Path, errno: Errno) -> anyhow::Error {
    let mut prefix = PathBuf::from("/");
    for component in path.components().skip(1) {
        prefix.push(component);
        if open_in(root, &prefix, OFlags::empty()).is_err() {
            break;
        }
    }
    let call = format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)", show(&prefix));
    let failure = Failure::call(&call, errno::Errno::from_raw(errno.raw_os_error()));
    anyhow::Error::from(failure).hinted(&hints::TARGET)
}

fn dangling(path: &Path) -> String {
    format!("{} is a link to something that does not exist in the new root: make that first", show(path))
}
