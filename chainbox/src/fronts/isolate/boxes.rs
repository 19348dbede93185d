//! Boxes as files: making one, taking it away, and whose it is. These few effects are the front's own: no link follows.
//!
//! A box is `ROOT/N/box`, and its lock `LOCKS/N`, which is never removed: it says whose the box is. No link is followed
//! anywhere, and what a program has left in a box is removed as [`chain::wipe`] does it.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use chain::open::without_links;
use chain::{Call as _, Hint as _, Result, refusal, show, wipe};
use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fchown, mkdirat, openat, unlinkat};
use rustix::process::geteuid;

use super::look::{Facts, Ids};

/// What its lock says of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub owner: Ids,
    /// Whether it was made with --cg.
    pub cgroup: bool,
}

/// A box that nobody else can use now.
#[derive(Debug)]
pub struct Held {
    lock: Flock<File>,
    pub record: Option<Record>,
}

/// Where the file of a lock is.
pub fn lock_path(facts: &Facts, number: u32) -> PathBuf {
    facts.lock_root.join(number.to_string())
}

/// Takes a box, or waits for it.
/// Errors: it is in use, or somebody else's.
pub fn hold(facts: &Facts, number: u32, owner: Ids, wait: bool) -> Result<Held> {
    let folder = own_folder(&facts.lock_root)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = lock_path(facts, number);
    let file =
        openat(&folder, number.to_string(), flags, Mode::RUSR | Mode::WUSR).call(&format!("open {}", show(&path)))?;
    let how = if wait { FlockArg::LockExclusive } else { FlockArg::LockExclusiveNonblock };
    let lock = Flock::lock(File::from(file), how).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => refusal!("This box is currently in use"),
        errno => chain::Failure::call("flock", errno).into(),
    })?;
    let held = Held { record: Record::read(&lock, &path)?, lock };
    match held.record {
        Some(record) if owner.uid != 0 && record.owner.uid != owner.uid => {
            Err(refusal!("box {number} belongs to user {}", record.owner.uid))
        }
        _ => Ok(held),
    }
}

impl Held {
    /// The descriptor that keeps the lock.
    pub fn file(&self) -> &File {
        &self.lock
    }

    /// In place: many file systems write a file to the disk at once that is emptied first.
    fn write(&self, record: Option<Record>) -> Result<()> {
        self.lock.write_all_at(text(record).as_bytes(), 0).call("write the lock")
    }
}

/// What stands in a lock: always as long.
fn text(record: Option<Record>) -> String {
    let Some(Record { owner, cgroup }) = record else { return format!("{:32}\n", "free") };
    format!("owner {:>10} {:>10} cg {}\n", owner.uid, owner.gid, u8::from(cgroup))
}

impl Record {
    /// Nothing stands in it where there is no box.
    fn read(file: &File, path: &Path) -> Result<Option<Self>> {
        let mut found = String::new();
        file.take(100).read_to_string(&mut found).call(&format!("read {}", show(path)))?;
        let words: Vec<u32> = found.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let record = match *words.as_slice() {
            [uid, gid, cgroup @ (0 | 1)] => Some(Self { owner: Ids { uid, gid }, cgroup: cgroup == 1 }),
            _ => None,
        };
        if found.is_empty() || text(record) == found {
            return Ok(record);
        }
        Err(refusal!("{}: not the lock of a box", show(path)))
    }
}

/// Makes a box anew; its folder.
pub fn init(facts: &Facts, number: u32, held: Held, record: Record) -> Result<PathBuf> {
    held.write(None)?;
    let root = own_folder(&facts.box_root)?;
    let path = facts.box_root.join(number.to_string());
    remove(&root, &path, number)?;
    // Who is not root gets at his box through folders that are root's.
    let on_the_way = if record.owner.uid == facts.caller.uid { 0o700 } else { 0o711 };
    if on_the_way != 0o700 {
        fchmod(&root, Mode::from_raw_mode(on_the_way)).call(&format!("fchmod {}", show(&facts.box_root)))?;
    }
    let folder = make(&root, &number.to_string(), on_the_way, &path)?;
    let inner = make(&folder, "box", 0o700, &path.join("box"))?;
    let Ids { uid, gid } = record.owner;
    if record.owner != facts.caller {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        fchown(&inner, Some(uid), Some(gid)).call("fchown")?;
    }
    held.write(Some(record))?;
    Ok(path)
}

fn make(parent: impl AsFd, name: &str, mode: u32, path: &Path) -> Result<OwnedFd> {
    let call = format!("mkdirat {}", show(path));
    mkdirat(&parent, name, Mode::from_raw_mode(mode)).call(&call)?;
    let folder = wipe::open_directory(&parent, name.as_ref()).call(&call)?;
    // Whatever the umask is.
    fchmod(&folder, Mode::from_raw_mode(mode)).call("fchmod")?;
    Ok(folder)
}

/// Takes a box away, if it is there.
pub fn cleanup(facts: &Facts, number: u32, held: Held) -> Result<()> {
    remove(&own_folder(&facts.box_root)?, &facts.box_root.join(number.to_string()), number)?;
    held.write(None)
}

fn remove(root: impl AsFd, path: &Path, number: u32) -> Result<()> {
    let name = number.to_string();
    let folder = match wipe::open_directory(&root, name.as_ref()) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        opened => opened.call(&format!("openat2 {}", show(path)))?,
    };
    wipe::contents(folder, path, &[])?;
    unlinkat(root, name, AtFlags::REMOVEDIR).call(&format!("rmdir {}", show(path)))
}

/// A folder that is this user's alone, made if it is not there.
fn own_folder(path: &Path) -> Result<OwnedFd> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).call(&format!("mkdir {}", show(above)))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).call(&format!("mkdir {}", show(path)))?,
        _ => {}
    }
    let folder = without_links(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let facts = File::from(folder.try_clone().call("fcntl(F_DUPFD_CLOEXEC)")?).metadata().call("fstat")?;
    if facts.uid() != geteuid().as_raw() || facts.mode() & 0o022 != 0 {
        return Err(refusal!("{}: not a folder of this user's alone", show(path)).hint("chmod go-w, or name another"));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_written_in_place_and_read_as_it_was() {
        let folder = std::env::temp_dir().join(format!("isolate-lock-{}", std::process::id()));
        let record = |uid| Some(Record { owner: Ids { uid, gid: 5 }, cgroup: uid == 0 });
        for record in [record(0), None, record(u32::MAX - 1)] {
            fs::write(&folder, text(record)).unwrap();
            assert_eq!(text(record).len(), text(None).len());
            assert_eq!(Record::read(&File::open(&folder).unwrap(), &folder).unwrap(), record);
        }
        for bad in ["free", "owner 0 0 cg 1\n", "x", &text(record(1)).repeat(2)] {
            fs::write(&folder, bad).unwrap();
            assert!(Record::read(&File::open(&folder).unwrap(), &folder).is_err(), "{bad}");
        }
        fs::remove_file(&folder).unwrap();
    }
}
