//! A pool in a dataset: what its datasets are called.

use std::path::{Path, PathBuf};

use chain::{Hint as _, Result, refusal};

use super::cli::Zfs;
use crate::model::name::{Id, Name, version_number};

/// Where clones are mounted, and locks lie: for root alone (mode 0700), so that nobody on the host reaches a setuid
/// program of a template (CVE-2021-41091).
pub const PLACE: &str = "/run/chainbox/pool";

/// A pool in a dataset.
#[derive(Debug)]
pub struct ZfsPool {
    pub zfs: Zfs,
    pub dataset: String,
}

impl ZfsPool {
    /// The pool in `dataset`, which need not be there yet.
    pub fn new(dataset: String) -> Result<Self> {
        let zfs = Zfs::find()?;
        if !rustix::process::geteuid().is_root() {
            return Err(refusal!("a pool of ZFS clones is used by root: nobody else may mount on Linux")
                .hint("a directory pool works for every user: --pool DIR"));
        }
        Ok(Self { zfs, dataset })
    }

    pub fn template(&self, name: &Name) -> String {
        format!("{}/{name}", self.dataset)
    }

    pub fn root(&self, name: &Name) -> String {
        format!("{}/{name}/root", self.dataset)
    }

    pub fn version(&self, name: &Name, version: u32) -> String {
        format!("{}/{name}/root@v{version}", self.dataset)
    }

    /// Where a clone, or the tree to edit, is mounted.
    pub fn mount_point(&self, name: &Name, what: &str) -> PathBuf {
        Path::new(PLACE).join(&self.dataset).join(name.as_str()).join(what)
    }
}

/// The last component of a dataset's name below `parent`.
pub fn below<'a>(parent: &str, dataset: &'a str) -> Option<&'a str> {
    dataset.strip_prefix(parent)?.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// A version's number in the name of a snapshot: `PARENT@vN`, without a leading zero.
pub fn version_in(parent: &str, snapshot: &str) -> Option<u32> {
    version_number(snapshot.strip_prefix(parent)?.strip_prefix("@v")?.as_ref())
}

/// What the name of a clone's dataset says: its id, and the holder's word where it is leased.
pub fn parts(name: &str) -> Option<(Id, Option<&str>)> {
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
