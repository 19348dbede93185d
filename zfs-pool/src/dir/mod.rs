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

mod claim;
mod destroy;
mod make;
mod see;

use std::path::{Path, PathBuf};

use chain::failure::errno_of;
use chain::{Context as _, Failure, Hint as _, Result, show};
use nix::errno::Errno;
use rustix::fs::OFlags;

use crate::folder::{Folder, absent_is_none};
use crate::kept::Kept;
use crate::lock;
use crate::mark::About;
use crate::name::{CloneName, Name, Wanted};
use crate::plan;
use crate::pool::{Backend, Clone, Guard, Kind, Lease, Template, Tenure};
use crate::step::{Action, Was};

use see::about;

const FREE: &str = "free";
const LEASED: &str = "leased";
const DEAD: &str = "dead";
const MAKING: &str = "making";
const VERSIONS: &str = "versions";
const FOLDERS: [&str; 5] = [VERSIONS, MAKING, FREE, LEASED, DEAD];
const ABOUT: &str = "about";
const ABOUT_PART: &str = ".about";
const LOCK: &str = "lock";
const MARK: &str = "mark";
/// A mark that is being written: all that a process which is killed at that moment leaves in a cell.
const MARK_PART: &str = ".mark";
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
        let pool = Folder::open(&self.path).map_err(no_pool)?;
        let (mut names, mut foreign) = (vec![], vec![]);
        for entry in pool.names()? {
            let folder = Name::parse(&entry).and_then(|name| Ok((pool.at(&entry)?, name)));
            match folder.map(|(folder, name)| (see::standing(&folder, &name), name)) {
                Ok((see::Standing::Complete, name)) => names.push(name),
                Ok((see::Standing::Begun, name)) => {
                    chain::print_error(&format!("{name}: its init did not finish; the same init again completes it"));
                }
                Ok((see::Standing::NotOurs, _)) | Err(_) => foreign.push(show(&entry)),
            }
        }
        Ok((names, foreign))
    }

    fn look(&self, name: &Name) -> Result<Option<Template>> {
        let Some(folder) = self.template(name)? else { return Ok(None) };
        let Some(about) = absent_is_none(about(&folder, name))? else { return Ok(None) };
        let mut foreign = vec![];
        let versions = see::versions(&folder, name, &mut foreign)?;
        let mut clones = vec![];
        for place in [FREE, LEASED, DEAD, MAKING] {
            clones.extend(see::clones_in(&folder, place, name, &mut foreign)?);
        }
        clones.sort_by(|a: &Clone, b| a.id.cmp(&b.id));
        let About { template, kind, target, kept, from, reference } = about;
        Ok(Some(Template { name: template, kind, target, kept, quota: 0, from, reference, versions, clones, foreign }))
    }

    fn call(&self, action: &Action) -> String {
        match action {
            Action::Init { template, reference: false, .. } => {
                format!("mkdir({0}/{template}), cp -a to {0}/{template}/versions/1", self.title())
            }
            Action::Init { template, .. } => format!("mkdir({}/{template})", self.title()),
            Action::Snapshot { version, .. } => format!("cp -a to making/, rename to versions/{version}"),
            Action::Target { .. } => "rename(.about, about)".to_owned(),
            Action::Quota { .. } => "none".to_owned(),
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
        lock::waiting(&lock).with_context(|| show(folder.path().join(LOCK)))?;
        Ok(Guard(lock.into()))
    }

    fn act(&self, action: &Action) -> Result<()> {
        match action {
            Action::Init { template, kind, from: Some(from), reference } => {
                let about = About {
                    template: template.clone(),
                    kind: *kind,
                    target: 0,
                    kept: Kept::default(),
                    from: from.clone(),
                    reference: *reference,
                };
                make::init(&self.path, &about)
            }
            Action::Snapshot { template, version, from } => {
                make::freeze(&self.present(template)?, template, *version, from, false)
            }
            Action::Target { of, count } => {
                let folder = self.present(&of.template)?;
                let mut about = about(&folder, &of.template)?;
                match of.version {
                    Some(version) => about.kept = about.kept.with(version, *count),
                    None => about.target = *count,
                }
                folder.replace(ABOUT, &about.text()?)
            }
            Action::Clone { template, version, kind, count } => {
                let folder = self.present(template)?;
                let lower = see::tree(&folder, template, *version)?;
                (0..*count).try_for_each(|_| make::make(&folder, template, *version, *kind, &lower))
            }
            Action::Destroy { clone, was } => destroy::destroy(&self.present(&clone.template)?, clone, *was),
            Action::DropVersion { template, version } => {
                destroy::drop_version(&self.present(template)?, template, *version)
            }
            Action::Init { .. } | Action::Claim { .. } | Action::GiveBack { .. } | Action::Quota { .. } => {
                Err(Failure::refusal("not an action of a directory pool").into())
            }
        }
    }

    fn claim(&self, wanted: &Wanted, tenure: &Tenure) -> Result<Option<Lease>> {
        let name = &wanted.template;
        let folder = self.present(name)?;
        let kept = about(&folder, name).map_err(|_| plan::missing(name))?.kept;
        let (free, leased) = (folder.at(FREE)?, folder.at(LEASED)?);
        let race = claim::Race { name, free: &free, leased: &leased, choice: claim::choice(&folder, wanted, kept)? };
        for entry in free.names()? {
            match race.claim_one(&entry, tenure) {
                Ok(Some((id, lock, version, kind))) => {
                    let clone = CloneName { template: name.clone(), id };
                    let exports = claim::exports(&folder, &clone, version, kind)?;
                    return Ok(Some(Lease { clone, exports, lock: Some(lock) }));
                }
                Ok(None) => {}
                Err(error) => chain::print_error(&format!("{error:#}: skipped")),
            }
        }
        Ok(None)
    }

    fn give_back(&self, lease: Lease) -> Result<()> {
        let folder = self.present(&lease.clone.template)?;
        destroy::bury(&folder, LEASED, &lease.clone)
    }
}

fn no_pool(error: anyhow::Error) -> anyhow::Error {
    if errno_of(&error) != Some(Errno::ENOENT) {
        return error;
    }
    error.hint("there is no pool yet: zfs-pool init makes it, with its first template")
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
