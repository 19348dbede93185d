//! Effects on a pool in a dataset.

mod cli;
mod clones;
mod pool;
mod templates;

use std::os::fd::OwnedFd;

use chain::{Result, refusal};

use super::backend::Backend;
use crate::look::zfs::pool::ZfsPool;
use crate::look::zfs::templates::{about, versions};
use crate::model::name::{CloneName, Name, Requested};
use crate::model::pool::{Lease, Tenure, missing};
use crate::step::Action;

impl Backend for ZfsPool {
    fn guard(&self, name: &Name) -> Result<OwnedFd> {
        pool::lock_of(self, name)
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
            Action::Destroy { clone, was } => clones::destroy(self, clone, was),
            Action::DropVersion { template, version } => self.zfs.destroy(&self.version(template, *version)),
            Action::Claim { .. } | Action::GiveBack(_) => Err(refusal!("not an action of a maintainer")),
        }
    }

    fn claim(&self, requested: &Requested, tenure: &Tenure) -> Result<Option<Lease>> {
        let name = &requested.template;
        let about = about(self, name)?.ok_or_else(|| missing(name))?;
        let latest = if about.kept.is_empty() { None } else { versions(self, name)?.last().copied() };
        let will_do = |version| about.kept.allows(requested.version, version, latest);
        let Some(id) = clones::claim(self, name, &tenure.holder, about.quota, will_do)? else { return Ok(None) };
        let exports = vec![
            ("ROOTFS", self.mount_point(name, id.as_str()).into_os_string()),
            ("ROOTFS_CLONE", format!("{name}/{id}").into()),
            ("ROOTFS_DATASET", clones::leased(self, name, &id, &tenure.holder).into()),
        ];
        Ok(Some(Lease { clone: CloneName { template: name.clone(), id }, exports, lock: None }))
    }

    fn give_back(&self, lease: Lease) -> Result<()> {
        clones::give_back(self, &lease.clone)
    }
}
