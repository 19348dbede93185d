//! The `zfs` backend: a pool is a dataset, a clone is a ZFS clone, and the state of a clone is its name.
//!
//! ```text
//! POOL                      chainbox:pool=1
//! POOL/T                    chainbox:template=T  chainbox:target=N  chainbox:kept=...  chainbox:quota=BYTES
//!                           setuid=off devices=off mountpoint=none
//! POOL/T/root               the tree to edit, mounted; its snapshots root@vN (chainbox:version=N) are the versions
//! POOL/T/free-ID            chainbox:clone=ID, not mounted
//! POOL/T/leased-ID:HOLDER   the same after one `zfs rename`, which has one winner; mounted; HOLDER as in crate::holder
//! ```
//!
//! The holder stands in the name, so that claim and note are one step: no moment is left in which a leased clone has
//! no holder. Everything is done by zfs(8), with the verbs that zfs-fuse 0.7 and OpenZFS have in common; nothing is ever
//! destroyed recursively (-r, -R), and a clone only if it is a child of the template, carries the mark with its own id,
//! and comes from a version of the template.

mod cli;
mod clones;
mod templates;

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Failure, Result, show};

use cli::Zfs;

use crate::folder::Folder;
use crate::name::{CloneName, Id, Name, Wanted, version_number};
use crate::plan;
use crate::pool::{Backend, Guard, Kind, Lease, Template, Tenure};
use crate::step::Action;

/// Where clones are mounted, and locks lie: for root alone (mode 0700), so that nobody on the host reaches a setuid
/// program of a template (CVE-2021-41091).
const PLACE: &str = "/run/chainbox/pool";

/// A pool in a dataset.
#[derive(Debug)]
pub struct ZfsPool {
    zfs: Zfs,
    dataset: String,
}

impl ZfsPool {
    /// The pool in `dataset`, which need not be there yet.
    ///
    /// # Errors
    /// No zfs command; not root.
    pub fn new(dataset: String) -> Result<Self> {
        let zfs = Zfs::find()?;
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::refusal("a pool of ZFS clones is used by root: nobody else may mount on Linux")
                .hint("a directory pool works for every user: --pool DIR")
                .into());
        }
        Ok(Self { zfs, dataset })
    }

    fn template(&self, name: &Name) -> String {
        format!("{}/{name}", self.dataset)
    }

    fn root(&self, name: &Name) -> String {
        format!("{}/{name}/root", self.dataset)
    }

    fn version(&self, name: &Name, version: u32) -> String {
        format!("{}/{name}/root@v{version}", self.dataset)
    }

    /// Where a clone, or the tree to edit, is mounted.
    fn mount_point(&self, name: &Name, what: &str) -> PathBuf {
        Path::new(PLACE).join(&self.dataset).join(name.as_str()).join(what)
    }

    /// The place, made and checked to be root's alone.
    fn place() -> Result<Folder> {
        DirBuilder::new().recursive(true).mode(0o700).create(PLACE).call("mkdir").context(PLACE)?;
        Folder::open(Path::new(PLACE))
    }

    fn lock_of(&self, name: &Name) -> Result<Guard> {
        Self::place()?;
        // No name of a dataset has a comma in it.
        let path = Path::new(PLACE).join(format!("{},{name}.lock", self.dataset.replace('/', ",")));
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(nix::libc::O_NOFOLLOW).open(&path).call("open").with_context(|| show(&path))?;
        crate::lock::waiting(&file).with_context(|| show(&path))?;
        Ok(Guard(file.into()))
    }
}

impl Backend for ZfsPool {
    fn title(&self) -> String {
        format!("zfs:{}", self.dataset)
    }

    fn default_kind(&self) -> Kind {
        Kind::Zfs
    }

    fn directory(&self) -> Option<&Path> {
        None
    }

    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)> {
        templates::all(self)
    }

    fn look(&self, name: &Name) -> Result<Option<Template>> {
        templates::look(self, name)
    }

    fn call(&self, action: &Action) -> String {
        let pool = &self.dataset;
        match action {
            Action::Init { template, .. } => format!("zfs create {pool}/{template}, zfs create {pool}/{template}/root"),
            Action::Snapshot { template, version, .. } => format!("zfs snapshot {}", self.version(template, *version)),
            Action::Target { of: Wanted { template, version: None }, count } => {
                format!("zfs set chainbox:target={count} {pool}/{template}")
            }
            Action::Target { of, .. } => format!("zfs set chainbox:kept=VERSION:COUNT,... {pool}/{}", of.template),
            Action::Quota { template, bytes } => format!("zfs set chainbox:quota={bytes} {pool}/{template}"),
            Action::Clone { template, version, .. } => {
                format!("zfs clone {} {pool}/{template}/free-ID", self.version(template, *version))
            }
            Action::Claim { of: Wanted { template, .. }, .. } => {
                format!("zfs rename {pool}/{template}/free-ID {pool}/{template}/leased-ID:HOLDER, zfs mount")
            }
            Action::GiveBack { template } => format!("zfs destroy {pool}/{template}/leased-ID:HOLDER"),
            Action::Destroy { clone, .. } => format!("zfs destroy (the dataset of {clone})"),
            Action::DropVersion { template, version } => format!("zfs destroy {}", self.version(template, *version)),
        }
    }

    fn guard(&self, name: &Name) -> Result<Guard> {
        self.lock_of(name)
    }

    fn act(&self, action: &Action) -> Result<()> {
        match action {
            Action::Init { template, from, .. } => templates::init(self, template, from.as_deref()),
            Action::Snapshot { template, version, .. } => templates::freeze(self, template, *version),
            Action::Target { of, count } => templates::keep(self, of, *count),
            Action::Quota { template, bytes } => {
                self.zfs.done(&["set", &format!("chainbox:quota={bytes}"), &self.template(template)])
            }
            Action::Clone { template, version, count, .. } => clones::make(self, template, *version, *count),
            Action::Destroy { clone, was } => clones::destroy(self, clone, *was),
            Action::DropVersion { template, version } => self.zfs.destroy(&self.version(template, *version)),
            Action::Claim { .. } | Action::GiveBack { .. } => {
                Err(Failure::refusal("not an action of a maintainer").into())
            }
        }
    }

    fn claim(&self, wanted: &Wanted, tenure: &Tenure) -> Result<Option<Lease>> {
        let name = &wanted.template;
        let about = templates::about(self, name)?.ok_or_else(|| plan::missing(name))?;
        let latest = if about.kept.is_empty() { None } else { templates::versions(self, name)?.last().copied() };
        let will_do = |version| about.kept.allows(wanted.version, version, latest);
        let Some(id) = clones::claim(self, name, tenure.holder(), about.quota, will_do)? else { return Ok(None) };
        let exports = vec![
            ("ROOTFS", self.mount_point(name, id.as_str()).into_os_string()),
            ("ROOTFS_CLONE", format!("{name}/{id}").into()),
            ("ROOTFS_DATASET", clones::leased(self, name, &id, tenure.holder()).into()),
        ];
        Ok(Some(Lease { clone: CloneName { template: name.clone(), id }, exports, lock: None }))
    }

    fn give_back(&self, lease: Lease) -> Result<()> {
        clones::give_back(self, &lease.clone)
    }
}

/// The last component of a dataset's name below `parent`.
fn below<'a>(parent: &str, dataset: &'a str) -> Option<&'a str> {
    dataset.strip_prefix(parent)?.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// A version's number in the name of a snapshot: `PARENT@vN`, without a leading zero.
fn version_in(parent: &str, snapshot: &str) -> Option<u32> {
    version_number(snapshot.strip_prefix(parent)?.strip_prefix("@v")?.as_ref())
}

/// What the name of a clone's dataset says: its id, and the holder's word where it is leased.
fn parts(name: &str) -> Option<(Id, Option<&str>)> {
    if let Some(id) = name.strip_prefix("free-") {
        return Some((Id::parse(id.as_ref())?, None));
    }
    let (id, holder) = name.strip_prefix("leased-")?.split_once(':')?;
    Some((Id::parse(id.as_ref())?, Some(holder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whole_or_not_at_all() {
        assert_eq!(below("tank/p", "tank/p/t"), Some("t"));
        for other in ["tank/p", "tank/pp/t", "tank/p/t/root", "tank/p/", "tank"] {
            assert_eq!(below("tank/p", other), None, "{other}");
        }
        assert_eq!(version_in("tank/p/t/root", "tank/p/t/root@v12"), Some(12));
        for other in
            ["tank/p/t/root@12", "tank/p/t/root@v0", "tank/p/t/root@v01", "tank/p/t/root@v", "tank/p/u/root@v1"]
        {
            assert_eq!(version_in("tank/p/t/root", other), None, "{other}");
        }
        let id = "00000000000000aa";
        assert_eq!(parts(&format!("free-{id}")).unwrap().1, None);
        assert_eq!(parts(&format!("leased-{id}:1:2:ab:3:4")).unwrap().1, Some("1:2:ab:3:4"));
        for other in
            ["root", "free-", "free-aa", &format!("leased-{id}"), &format!("free-{id}:1"), &format!("dead-{id}")]
        {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
