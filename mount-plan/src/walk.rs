//! Finding a target in the new root, by descriptor, and making what is missing of it.
//!
//! A path is resolved by the kernel with openat2(2) (Linux 5.6) from the descriptor of the new root: RESOLVE_IN_ROOT
//! keeps links and `..` within it, RESOLVE_NO_MAGICLINKS refuses the links of /proc that lead anywhere
//! (CVE-2021-30465, CVE-2024-21626, hakoniwa#164). O_PATH needs no permission to read a directory, only to pass it.
//! Whatever is made, is made in a filesystem that the plan itself has made: nothing ever appears in a bound tree.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use chain::failure::{Call as _, Failure};
use chain::{Context as _, Hint as _, Result, show};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, mkdirat, mknodat, openat, openat2};
use rustix::io::Errno;

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

/// The new root and what the plan has made in it.
#[derive(Debug)]
pub struct Place<'a> {
    /// The new root's own descriptor.
    pub root: BorrowedFd<'a>,
    /// The devices (`st_dev`) of the filesystems that the plan has made.
    pub own: &'a [u64],
}

/// How often a walk that raced with a rename is tried again. The kernel answers EAGAIN then.
const TRIES: usize = 128;

/// Opens `path` below `root` with O_PATH, links and `..` staying inside.
///
/// # Errors
/// What openat2(2) says.
pub fn open_in(root: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    resolved(root, path, flags, ResolveFlags::IN_ROOT)
}

/// Opens `path` beneath a directory of the old root; a link or a `..` that leads out of it is refused (CVE-2024-42472: who
/// writes in the directory decides what its links are).
///
/// # Errors
/// What openat2(2) says.
pub fn open_beneath(dir: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let found = resolved(dir, path, OFlags::empty(), ResolveFlags::BENEATH);
    let call = format!("openat2({}, RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS)", show(path));
    match found {
        Err(Errno::XDEV) => found.call(&call).map_err(|error| error.hint("it leads out of the source")),
        _ => found.call(&call),
    }
}

fn resolved(root: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match openat2(&root, inside, flags, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::AGAIN | Errno::INTR) => last = Errno::AGAIN,
            result => return result,
        }
    }
    Err(last)
}

impl Place<'_> {
    /// The place to mount on, made where it is missing.
    ///
    /// # Errors
    /// A component that cannot be passed, by its name; a missing one in a tree that is not the plan's own.
    pub fn point(&self, path: &Path, point: Point, last: Last) -> Result<OwnedFd> {
        let flags = if last == Last::Refuse { OFlags::NOFOLLOW } else { OFlags::empty() };
        let found = match open_in(self.root, path, flags) {
            Ok(found) => found,
            Err(Errno::NOENT) => self.made(path, point)?,
            Err(errno) => return Err(self.blamed(path, errno)),
        };
        if last == Last::Refuse && FileType::from_raw_mode(fstat(&found).call("fstat")?.st_mode) == FileType::Symlink {
            return Err(Failure::refusal(format!("{} is a symbolic link there", show(path))).into());
        }
        Ok(found)
    }

    /// The directory that holds the last component of `path`, made where it is missing, and must be the plan's own.
    ///
    /// # Errors
    /// As [`Place::point`].
    pub fn parent(&self, path: &Path) -> Result<OwnedFd> {
        let parent = self.point(path.parent().unwrap_or(Path::new("/")), Point::Dir(0o755), Last::Follow)?;
        self.refuse_foreign(&parent, path)?;
        Ok(parent)
    }

    /// Makes the missing end of `path`: looks upwards for what exists, then goes down again.
    fn made(&self, path: &Path, point: Point) -> Result<OwnedFd> {
        let parent_path = path.parent().unwrap_or(Path::new("/"));
        let parent = match open_in(self.root, parent_path, OFlags::empty()) {
            Ok(parent) => parent,
            Err(Errno::NOENT) if parent_path != Path::new("/") => self.made(parent_path, Point::Dir(0o755))?,
            Err(errno) => return Err(self.blamed(parent_path, errno)),
        };
        self.refuse_foreign(&parent, path)?;
        let name = path.file_name().unwrap_or_default();
        match point {
            Point::Dir(mode) => mkdirat(&parent, name, Mode::from_raw_mode(mode)).call("mkdirat"),
            Point::File => mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0).call("mknodat"),
        }
        .map_err(|error| dangling(error, path))
        .with_context(|| format!("make {}", show(path)))?;
        // The directory is the plan's own and nobody else has it yet; NOFOLLOW all the same.
        openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call(&format!("openat({})", show(path)))
    }

    /// A directory in a bound tree is not ours to write in: the entry would leave something behind on the host.
    fn refuse_foreign(&self, parent: &OwnedFd, path: &Path) -> Result<()> {
        let facts: Stat = fstat(parent).call("fstat")?;
        if self.own.contains(&facts.st_dev) {
            return Ok(());
        }
        let text = format!("{} does not exist, and the directory it would be in was not made by this plan", show(path));
        Err(Failure::refusal(text)
            .hint(format!("make it in the source first (mkdir -p), or put a tmpfs above it: {}", show(path)))
            .into())
    }

    /// Names the first component that cannot be passed.
    fn blamed(&self, path: &Path, errno: Errno) -> anyhow::Error {
        let mut prefix = PathBuf::from("/");
        for component in path.components().skip(1) {
            prefix.push(component);
            if open_in(self.root, &prefix, OFlags::empty()).is_err() {
                break;
            }
        }
        let failure = Failure::call(
            &format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)", show(&prefix)),
            nix::errno::Errno::from_raw(errno.raw_os_error()),
        );
        match errno {
            Errno::LOOP => failure.hint("a link of /proc that could lead out of the root, or links that go in circles"),
            Errno::NOTDIR => failure.hint("a component of the target is a file"),
            _ => failure,
        }
        .into()
    }
}

fn dangling(error: anyhow::Error, path: &Path) -> anyhow::Error {
    if chain::failure::errno_of(&error) != Some(nix::errno::Errno::EEXIST) {
        return error;
    }
    let hint = format!("{} is a link to something that does not exist in the new root: make that first", show(path));
    error.hint(hint)
}

/// Opens a source in the old root, as the caller would: links are followed, permissions are the caller's.
///
/// # Errors
/// What openat(2) says.
pub fn open_source(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    openat(CWD, path, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call(&format!("open {}", show(path)))
}
