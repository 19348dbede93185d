//! The `dir` backend: a pool is a directory, and every state of a clone is the folder that it lies in.
//!
//! ```text
//! POOL/T/about              how clones are made, how many are to be free, where versions come from
//! POOL/T/lock               the maintenance lock (init, snapshot, refill, regenerate, gc)
//! POOL/T/versions/N/        mark, root/ (a frozen tree), or a mark that names the tree that is used in place
//! POOL/T/making/ID/  -->  free/ID/  -->  leased/ID/  -->  dead/ID/       each arrow is one rename(2)
//!                           mark, lease, and root/ (copy) or upper/ and work/ (overlay)
//! ```
//!
//! Locks are open file description locks (fcntl(2) F_OFD_SETLK): the kernel gives them back when their holder is gone,
//! however it went. A claim takes the lock of the clone's `lease` file, writes the holder down, and renames; so whoever
//! sees a clone in `leased/` can tell by the lock, or by the holder noted there, whether the lease lives.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Failure, Result, show};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::folder::{Folder, absent_is_none};
use crate::holder::{Alive, Holder};
use crate::mark::{About, CloneMark, VersionMark};
use crate::name::{CloneName, Id, Name};
use crate::pool::{Backend, Clone, Guard, Kind, Lease, State, Template, Tenure};
use crate::step::{Action, Was};
use crate::{command, plan, wipe};

const FREE: &str = "free";
const LEASED: &str = "leased";
const DEAD: &str = "dead";
const MAKING: &str = "making";
const VERSIONS: &str = "versions";
const FOLDERS: [&str; 5] = [VERSIONS, MAKING, FREE, LEASED, DEAD];
const ABOUT: &str = "about";
const LOCK: &str = "lock";
const MARK: &str = "mark";
const LEASE: &str = "lease";

/// A pool in a directory.
#[derive(Debug)]
pub struct DirPool {
    path: PathBuf,
}

impl DirPool {
    /// The pool at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The template's directory; `None` where the template, or the pool, is not there.
    fn template(&self, name: &Name) -> Result<Option<Folder>> {
        let Some(pool) = absent_is_none(Folder::open(&self.path))? else { return Ok(None) };
        pool.find(name.as_str())
    }

    fn present(&self, name: &Name) -> Result<Folder> {
        self.template(name)?.ok_or_else(|| plan::missing(name))
    }
}

impl Backend for DirPool {
    fn title(&self) -> String {
        show(&self.path).to_string()
    }

    fn default_kind(&self) -> Kind {
        Kind::Overlay
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)> {
        let pool = Folder::open(&self.path).map_err(|error| no_pool(error))?;
        let (mut names, mut foreign) = (vec![], vec![]);
        for entry in pool.names()? {
            match Name::parse(&entry).and_then(|name| about(&pool.at(&entry)?, &name).map(|_| name)) {
                Ok(name) => names.push(name),
                Err(_) => foreign.push(show(&entry)),
            }
        }
        Ok((names, foreign))
    }

    fn look(&self, name: &Name) -> Result<Option<Template>> {
        let Some(folder) = self.template(name)? else { return Ok(None) };
        let Some(about) = absent_is_none(about(&folder, name))? else { return Ok(None) };
        let mut foreign = vec![];
        let versions = versions(&folder, name, &mut foreign)?;
        let mut clones = vec![];
        for place in [FREE, LEASED, DEAD, MAKING] {
            clones.extend(clones_in(&folder, place, name, &mut foreign)?);
        }
        clones.sort_by(|a: &Clone, b| a.id.cmp(&b.id));
        let About { template, kind, target, from, reference } = about;
        Ok(Some(Template { name: template, kind, target, from, reference, versions, clones, foreign }))
    }

    fn call(&self, action: &Action) -> String {
        match action {
            Action::Init { template, reference: false, .. } => {
                format!("mkdir({0}/{template}), cp -a to {0}/{template}/versions/1", self.title())
            }
            Action::Init { template, .. } => format!("mkdir({}/{template})", self.title()),
            Action::Snapshot { version, .. } => format!("cp -a to making/, rename to versions/{version}"),
            Action::Target { .. } => "rename(.about, about)".to_owned(),
            Action::Clone { kind: Kind::Copy, .. } => "cp -a --reflink=auto to making/ID, rename to free/ID".to_owned(),
            Action::Clone { .. } => "mkdir(making/ID/upper), mkdir(making/ID/work), rename to free/ID".to_owned(),
            Action::Claim { .. } => "fcntl(F_OFD_SETLK), renameat2(free/ID, leased/ID, RENAME_NOREPLACE)".to_owned(),
            Action::GiveBack { .. } => "rename(leased/ID, dead/ID), unlinkat".to_owned(),
            Action::Destroy { was, .. } => format!("rename({}/ID, dead/ID), unlinkat", place(*was)),
            Action::DropVersion { version, .. } => format!("rename(versions/{version}, dead/ID), unlinkat"),
        }
    }

    fn guard(&self, name: &Name) -> Result<Guard> {
        let folder = self.present(name)?;
        let lock = absent_is_none(folder.file(LOCK, OFlags::RDWR))?.ok_or_else(|| plan::missing(name))?;
        lock_waiting(&lock).with_context(|| show(folder.path().join(LOCK)))?;
        Ok(Guard(lock.into()))
    }

    fn act(&self, action: &Action) -> Result<()> {
        match action {
            Action::Init { template, kind, from: Some(from), reference } => {
                let about = About {
                    template: template.clone(),
                    kind: *kind,
                    target: 0,
                    from: from.clone(),
                    reference: *reference,
                };
                init(&self.path, &about)
            }
            Action::Snapshot { template, version, from } => {
                freeze(&self.present(template)?, template, *version, from, false)
            }
            Action::Target { template, count } => {
                let folder = self.present(template)?;
                let about = About { target: *count, ..about(&folder, template)? };
                folder.replace(ABOUT, &about.text()?)
            }
            Action::Clone { template, version, kind, count } => {
                let folder = self.present(template)?;
                let lower = tree(&folder, template, *version)?;
                (0..*count).try_for_each(|_| make(&folder, template, *version, *kind, &lower))
            }
            Action::Destroy { clone, was } => destroy(&self.present(&clone.template)?, clone, *was),
            Action::DropVersion { template, version } => drop_version(&self.present(template)?, template, *version),
            Action::Init { .. } | Action::Claim { .. } | Action::GiveBack { .. } => {
                Err(Failure::refusal("not an action of a directory pool").into())
            }
        }
    }

    fn claim(&self, name: &Name, tenure: &Tenure) -> Result<Option<Lease>> {
        let folder = self.present(name)?;
        about(&folder, name).map_err(|_| plan::missing(name))?;
        let (free, leased) = (folder.at(FREE)?, folder.at(LEASED)?);
        for entry in free.names()? {
            match claim_one(&free, &leased, name, &entry, tenure) {
                Ok(Some((id, lock, version, kind))) => {
                    let clone = CloneName { template: name.clone(), id };
                    let exports = exports(&folder, &clone, version, kind)?;
                    return Ok(Some(Lease { clone, exports, lock: Some(lock) }));
                }
                Ok(None) => {}
                Err(error) => chain::say(&format!("{error:#}: skipped")),
            }
        }
        Ok(None)
    }

    fn give_back(&self, lease: Lease) -> Result<()> {
        let folder = self.present(&lease.clone.template)?;
        bury(&folder, LEASED, &lease.clone)
    }
}

fn no_pool(error: anyhow::Error) -> anyhow::Error {
    if errno_of(&error) != Some(Errno::ENOENT) {
        return error;
    }
    chain::failure::with_hint(error, "there is no pool yet: zfs-pool init makes it, with its first template")
}

fn place(was: Was) -> &'static str {
    match was {
        Was::Free => FREE,
        Was::Leased | Was::Orphan => LEASED,
        Was::Dead => DEAD,
        Was::Unfinished => MAKING,
    }
}

fn not_ours(path: &Path) -> anyhow::Error {
    Failure::refusal(format!("{}: without our mark, so it is not ours", show(path))).into()
}

// ---------------------------------------------------------------- looking

fn about(folder: &Folder, name: &Name) -> Result<About> {
    let about = About::parse(&folder.read(ABOUT)?).filter(|about| about.template == *name);
    about.ok_or_else(|| not_ours(&folder.path().join(ABOUT)))
}

/// A version's number as the name of its folder: decimal, without a leading zero.
fn version_number(entry: &OsStr) -> Option<u32> {
    let number = chain::flags::number(entry).and_then(|number| u32::try_from(number).ok());
    number.filter(|number| *number > 0 && entry.to_str() == Some(&number.to_string()))
}

fn versions(folder: &Folder, name: &Name, foreign: &mut Vec<String>) -> Result<Vec<u32>> {
    let mut versions = vec![];
    for entry in folder.at(VERSIONS)?.names()? {
        match version_number(&entry).filter(|number| version_mark(folder, name, *number).is_ok()) {
            Some(number) => versions.push(number),
            None => foreign.push(format!("{VERSIONS}/{}", show(&entry))),
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

fn version_mark(folder: &Folder, name: &Name, version: u32) -> Result<VersionMark> {
    let cell = folder.at(VERSIONS)?.at(version.to_string())?;
    let mark = VersionMark::parse(&cell.read(MARK)?);
    mark.filter(|mark| mark.template == *name && mark.version == version).ok_or_else(|| not_ours(cell.path()))
}

/// The frozen tree of a version.
fn tree(folder: &Folder, name: &Name, version: u32) -> Result<PathBuf> {
    let own = || folder.path().join(VERSIONS).join(version.to_string()).join("root");
    Ok(version_mark(folder, name, version)?.reference.unwrap_or_else(own))
}

fn clones_in(folder: &Folder, place: &str, name: &Name, foreign: &mut Vec<String>) -> Result<Vec<Clone>> {
    let mut clones = vec![];
    let inside = folder.at(place)?;
    for entry in inside.names()? {
        match clone_in(&inside, place, name, &entry) {
            Ok(Some(clone)) => clones.push(clone),
            Err(error) if errno_of(&error) == Some(Errno::ENOENT) => {}
            Ok(None) | Err(_) => foreign.push(format!("{place}/{}", show(&entry))),
        }
    }
    Ok(clones)
}

/// One entry as a clone; `None` where it is not ours.
fn clone_in(inside: &Folder, place: &str, name: &Name, entry: &OsStr) -> Result<Option<Clone>> {
    let Some(id) = Id::parse(entry) else { return Ok(None) };
    let cell = inside.at(entry)?;
    let going = place == DEAD || place == MAKING;
    let version = match ours(&cell, name, &id)? {
        Ours::Clone(mark) => Some(mark.version),
        Ours::Version | Ours::Empty if going => None,
        _ => return Ok(None),
    };
    let state = match place {
        FREE => State::Free,
        LEASED => judged(&cell)?,
        DEAD => State::Dead,
        _ => State::Unfinished,
    };
    Ok(Some(Clone { id, version, state }))
}

/// What a cell (a folder that holds a clone or a version) says about itself.
enum Ours {
    Clone(CloneMark),
    Version,
    /// Nothing at all, or a mark that is not written yet: just begun, or all but removed.
    Empty,
    No,
}

fn ours(cell: &Folder, name: &Name, id: &Id) -> Result<Ours> {
    let bytes = absent_is_none(cell.read(MARK))?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(if cell.names()?.iter().all(|name| name == MARK) { Ours::Empty } else { Ours::No });
    }
    if let Some(mark) = CloneMark::parse(&bytes).filter(|mark| mark.template == *name && mark.id == *id) {
        return Ok(Ours::Clone(mark));
    }
    let version = VersionMark::parse(&bytes).filter(|mark| mark.template == *name);
    Ok(if version.is_some() { Ours::Version } else { Ours::No })
}

/// Whether the lease of a cell in `leased/` lives: by its lock, or by the process noted in it.
fn judged(cell: &Folder) -> Result<State> {
    let text = String::from_utf8_lossy(&cell.read(LEASE)?).into_owned();
    let holder = text.trim_end().split_once(' ').and_then(|(tenure, word)| Some((tenure, Holder::parse(word)?)));
    let pid = |holder: &Holder| format!("pid {}", holder.pid);
    if is_locked(&cell.file(LEASE, OFlags::RDWR)?)? {
        return Ok(State::Leased(holder.map_or("a process that runs".to_owned(), |(_, holder)| pid(&holder))));
    }
    match holder {
        Some(("process", holder)) => Ok(match holder.alive()? {
            Alive::Yes => State::Leased(pid(&holder)),
            Alive::Unknown => State::Leased(format!("{} of another namespace", pid(&holder))),
            Alive::No => State::Orphan,
        }),
        _ => Ok(State::Orphan),
    }
}

// ---------------------------------------------------------------- locks

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the lock of an open file, if nobody has it.
fn lock_now(file: &File) -> Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno).call("fcntl(F_OFD_SETLK)"),
    }
}

fn lock_waiting(file: &File) -> Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK))) {
            Err(Errno::EINTR) => {}
            done => return done.call("fcntl(F_OFD_SETLKW)").map(drop),
        }
    }
}

/// Whether somebody has the lock. Asks without taking it, so that nobody who wants it is disturbed.
fn is_locked(file: &File) -> Result<bool> {
    let mut asked = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked)).call("fcntl(F_OFD_GETLK)")?;
    Ok(libc::c_int::from(asked.l_type) != libc::F_UNLCK)
}

// ---------------------------------------------------------------- making

/// Makes a template. What a killed `init` left without its `about` file is completed.
fn init(pool: &Path, template: &About) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(pool).call("mkdir").with_context(|| show(pool))?;
    let folder = Folder::open(pool)?.ensure(template.template.as_str())?;
    if absent_is_none(folder.file(LOCK, OFlags::RDWR))?.is_none() {
        folder.write_new(LOCK, b"").map(drop).or_else(|error| ignore(error, Errno::EEXIST))?;
    }
    let lock = folder.file(LOCK, OFlags::RDWR)?;
    lock_waiting(&lock)?;
    if absent_is_none(folder.read(ABOUT))?.is_some() {
        return Err(Failure::refusal(format!("{}: there is such a template already", template.template)).into());
    }
    for name in FOLDERS {
        folder.ensure(name)?;
    }
    if folder.at(VERSIONS)?.find("1")?.is_none() {
        freeze(&folder, &template.template, 1, &template.from, template.reference)?;
    }
    folder.replace(ABOUT, &template.text()?)
}

fn ignore(error: anyhow::Error, errno: Errno) -> Result<()> {
    if errno_of(&error) == Some(errno) { Ok(()) } else { Err(error) }
}

/// A new cell in `making/`, with its mark in it before anything else.
fn cell(folder: &Folder, mark: impl Fn(&Id) -> Result<Vec<u8>>) -> Result<(Id, Folder)> {
    let making = folder.at(MAKING)?;
    loop {
        let id = Id::now();
        match making.make(id.as_str()) {
            Ok(cell) => {
                cell.write_new(MARK, &mark(&id)?)?;
                return Ok((id, cell));
            }
            Err(error) => ignore(error, Errno::EEXIST)?,
        }
    }
}

/// Makes a version: a copy of `from`, or a note that `from` is used in place.
fn freeze(folder: &Folder, name: &Name, version: u32, from: &Path, reference: bool) -> Result<()> {
    let reference = reference.then(|| from.to_owned());
    let mark = VersionMark { template: name.clone(), version, reference };
    let (id, cell) = cell(folder, |_| mark.text())?;
    let copied = if mark.reference.is_some() { Ok(()) } else { copy(from, &cell.path().join("root")) };
    finish(folder, &id, copied, &folder.at(VERSIONS)?, version.to_string())
}

fn make(folder: &Folder, name: &Name, version: u32, kind: Kind, lower: &Path) -> Result<()> {
    let mark = |id: &Id| CloneMark { template: name.clone(), id: id.clone(), version, kind }.text();
    let (id, cell) = cell(folder, mark)?;
    cell.write_new(LEASE, b"")?;
    let made = match kind {
        Kind::Copy => copy(lower, &cell.path().join("root")),
        _ => layers(&cell, lower),
    };
    finish(folder, &id, made, &folder.at(FREE)?, id.as_str())
}

/// Moves what is complete to its place, and removes at once what could not be completed.
fn finish(folder: &Folder, id: &Id, made: Result<()>, to: &Folder, new: impl AsRef<OsStr>) -> Result<()> {
    let making = folder.at(MAKING)?;
    let error = match made.and_then(|()| making.move_as(id.as_str(), to, new)) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // What is left over is found by gc; the first failure is the one to report.
    erase(&making, id).unwrap_or_default();
    Err(error)
}

/// The writable layer and the work directory of an overlay. The root of an overlay looks like the root of its upper
/// layer, so that one gets the mode and (from root) the owner of the tree below.
fn layers(cell: &Folder, lower: &Path) -> Result<()> {
    let facts = lower.metadata().call("stat").with_context(|| show(lower))?;
    cell.make("work")?;
    let upper = cell.make("upper")?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
        rustix::fs::fchown(&upper, Some(user), Some(group)).call("fchown").with_context(|| show(upper.path()))?;
    }
    let mode = Mode::from_raw_mode(facts.mode() & 0o1777);
    rustix::fs::fchmod(&upper, mode).call("fchmod").with_context(|| show(upper.path()))
}

/// Copies a tree with everything that cp(1) can keep, within one file system, sharing blocks where that is possible.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let cp = command::find("cp").ok_or_else(|| Failure::refusal("cp: not found in /usr/bin or /bin"))?;
    let options = ["-a", "-x", "--reflink=auto", "-T", "--"].map(OsStr::new);
    let args: Vec<&OsStr> = options.into_iter().chain([from.as_os_str(), to.as_os_str()]).collect();
    command::run(&cp, &args, b"")?
        .checked("cp")
        .map(drop)
        .map_err(|error| chain::failure::with_hint(error, "--reference uses a tree in place, without reading it all"))
}

// ---------------------------------------------------------------- claiming

type Claimed = (Id, OwnedFd, u32, Kind);

/// Tries one entry of `free/`. `None`: somebody was faster.
fn claim_one(free: &Folder, leased: &Folder, name: &Name, entry: &OsStr, tenure: &Tenure) -> Result<Option<Claimed>> {
    let refused = || not_ours(&free.path().join(entry));
    let id = Id::parse(entry).ok_or_else(refused)?;
    let Some(cell) = free.find(entry)? else { return Ok(None) };
    let Some(mut lease) = absent_is_none(cell.file(LEASE, OFlags::RDWR))? else { return Ok(None) };
    if !lock_now(&lease)? {
        return Ok(None);
    }
    let Ours::Clone(mark) = ours(&cell, name, &id)? else { return Err(refused()) };
    let line = match tenure {
        Tenure::Resident(holder) => format!("resident {}\n", holder.word()),
        Tenure::Process(holder) => format!("process {}\n", holder.word()),
    };
    lease.set_len(0).and_then(|()| lease.write_all(line.as_bytes())).call("write").context("lease")?;
    let moved = absent_is_none(free.move_to(entry, leased))?;
    Ok(moved.map(|()| (id, lease.into(), mark.version, mark.kind)))
}

/// What the next program is told.
fn exports(folder: &Folder, clone: &CloneName, version: u32, kind: Kind) -> Result<Vec<(&'static str, OsString)>> {
    let place = folder.path().join(LEASED).join(clone.id.as_str());
    let mut exports = vec![("ROOTFS_CLONE", clone.to_string().into())];
    if kind == Kind::Copy {
        exports.push(("ROOTFS", place.join("root").into()));
    } else {
        exports.push(("ROOTFS_LOWER", tree(folder, &clone.template, version)?.into()));
        exports.push(("ROOTFS_UPPER", place.join("upper").into()));
        exports.push(("ROOTFS_WORK", place.join("work").into()));
    }
    Ok(exports)
}

// ---------------------------------------------------------------- destroying

/// Destroys a clone if it still is what the plan says; what changed meanwhile is somebody else's now.
fn destroy(folder: &Folder, clone: &CloneName, was: Was) -> Result<()> {
    let inside = folder.at(place(was))?;
    let Some(cell) = inside.find(clone.id.as_str())? else { return Ok(()) };
    let lease = absent_is_none(cell.file(LEASE, OFlags::RDWR))?;
    if let Some(lease) = &lease
        && !lock_now(lease)?
    {
        let held = Failure::refusal(format!("{clone}: a running zfs-pool holds it")).hint("end that one");
        return if was == Was::Leased { Err(held.into()) } else { Ok(()) };
    }
    // The lock is ours; what the file says now stays so.
    if was == Was::Orphan && noted_holder_lives(&cell)? {
        return Ok(());
    }
    match was {
        Was::Dead | Was::Unfinished => erase(&inside, &clone.id),
        _ => bury(folder, place(was), clone),
    }
}

fn noted_holder_lives(cell: &Folder) -> Result<bool> {
    let text = String::from_utf8_lossy(&cell.read(LEASE)?).into_owned();
    let holder = text.trim_end().strip_prefix("process ").and_then(Holder::parse);
    holder.map_or(Ok(false), |holder| Ok(holder.alive()? != Alive::No))
}

/// Moves a clone to `dead/`, from where nobody can claim it, and removes it.
fn bury(folder: &Folder, from: &str, clone: &CloneName) -> Result<()> {
    let dead = folder.at(DEAD)?;
    let inside = folder.at(from)?;
    if let Ours::No | Ours::Empty = ours(&inside.at(clone.id.as_str())?, &clone.template, &clone.id)? {
        return Err(not_ours(&inside.path().join(clone.id.as_str())));
    }
    inside.move_to(clone.id.as_str(), &dead)?;
    erase(&dead, &clone.id)
}

/// Removes a cell: everything in it, then its lease, its mark last, so that a half-removed one still is ours.
fn erase(inside: &Folder, id: &Id) -> Result<()> {
    let Some(cell) = inside.find(id.as_str())? else { return Ok(()) };
    if absent_is_none(cell.read(MARK))?.is_some() {
        wipe::contents(&cell, &[LEASE, MARK])?;
        for file in [LEASE, MARK] {
            match rustix::fs::unlinkat(&cell, file, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(errno).call("unlinkat").with_context(|| show(cell.path().join(file))),
            }
        }
    }
    match rustix::fs::unlinkat(inside, id.as_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).call("rmdir").with_context(|| show(cell.path())),
    }
}

/// Destroys a version. Whoever calls has the maintenance lock: no clone of it can be made meanwhile.
fn drop_version(folder: &Folder, name: &Name, version: u32) -> Result<()> {
    version_mark(folder, name, version)?;
    let dead = folder.at(DEAD)?;
    let id = Id::now();
    folder.at(VERSIONS)?.move_as(version.to_string(), &dead, id.as_str())?;
    erase(&dead, &id)
}
