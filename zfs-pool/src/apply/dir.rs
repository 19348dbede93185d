//! Effects on a pool in a directory.

mod claim;
mod destroy;
mod make;

use std::os::fd::OwnedFd;

use chain::{Context as _, Result, print_error, refusal, show};
use rustix::fs::OFlags;

use super::backend::Backend;
use super::lock;
use crate::look::dir::pool::{ABOUT, DirPool, LOCK};
use crate::look::dir::see::{about, tree};
use crate::look::folder::absent_is_none;
use crate::model::kept::Kept;
use crate::model::mark::About;
use crate::model::name::{CloneName, Name, Requested};
use crate::model::pool::{Lease, Tenure, missing};
use crate::step::{Action, FREE, LEASED};

impl Backend for DirPool {
    fn guard(&self, name: &Name) -> Result<OwnedFd> {
        let folder = self.present(name)?;
        let lock = absent_is_none(folder.file(LOCK, OFlags::RDWR))?.ok_or_else(|| missing(name))?;
        lock::waiting(&lock).with_context(|| show(folder.path().join(LOCK)))?;
        Ok(lock.into())
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
                let lower = tree(&folder, template, *version)?;
                (0..*count).try_for_each(|_| make::make(&folder, template, *version, *kind, &lower))
            }
            Action::Destroy { clone, was } => destroy::destroy(&self.present(&clone.template)?, clone, was),
            Action::DropVersion { template, version } => {
                destroy::drop_version(&self.present(template)?, template, *version)
            }
            Action::Init { .. } | Action::Claim { .. } | Action::GiveBack(_) | Action::Quota { .. } => {
                Err(refusal!("not an action of a directory pool"))
            }
        }
    }

    fn claim(&self, requested: &Requested, tenure: &Tenure) -> Result<Option<Lease>> {
        let name = &requested.template;
        let folder = self.present(name)?;
        let kept = about(&folder, name).map_err(|_| missing(name))?.kept;
        let (free, leased) = (folder.at(FREE)?, folder.at(LEASED)?);
        let race = claim::Race { name, free: &free, leased: &leased, choice: claim::choice(&folder, requested, kept)? };
        for entry in free.names()? {
            match race.claim_one(&entry, tenure) {
                Ok(Some((id, lock, version, kind))) => {
                    let clone = CloneName { template: name.clone(), id };
                    let exports = claim::exports(&folder, &clone, version, kind)?;
                    return Ok(Some(Lease { clone, exports, lock: Some(lock) }));
                }
                Ok(None) => {}
                Err(error) => print_error(&format!("{error:#}: skipped")),
            }
        }
        Ok(None)
    }

    fn give_back(&self, lease: Lease) -> Result<()> {
        let folder = self.present(&lease.clone.template)?;
        destroy::bury(&folder, LEASED, &lease.clone)
    }
}
