//! Read-only facts: the ids and capabilities of this process, and the filters that the command line names. By system call
//! only: a box need not have /proc.

pub mod caller;
pub mod filters;
pub mod oci;
pub mod raw;
pub mod text;

use chain::{Call as _, Context as _, Result, show};
use nix::sys::stat::stat;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::thread::CapabilitySet;

use crate::args::{Keep, Request};
use crate::model::filter::Filter;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub permitted: CapabilitySet,
    /// The bounding set, where something depends on it: reading it takes a call for each capability.
    pub bounding: Option<CapabilitySet>,
    /// The supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// The ABI of Landlock, where it is requested; 0 where there is none.
    pub landlock: u32,
    /// What the request names, as it was read.
    pub filters: Vec<Filter>,
    /// What marks the message with the listener of a filter that asks.
    pub mark: u64,
    /// An earlier link has only explained itself: what it would have changed is not in these facts.
    pub explaining: bool,
}

/// Reads the facts that the request depends on.
pub fn facts(request: &Request, explaining: bool) -> Result<Facts> {
    let needs_bounding = request.allow_new_privs || request.keep != Keep::Only(CapabilitySet::empty());
    if !explaining {
        request.landlock.paths.iter().try_for_each(|(grant, path)| {
            stat(path.as_os_str())
                .call("stat")
                .map(drop)
                .with_context(|| format!("--landlock-{} {}", grant.name, show(path)))
        })?;
    }
    Ok(Facts {
        permitted: caller::sets()?.permitted,
        bounding: needs_bounding.then(caller::bounding).transpose()?,
        groups: if request.user.is_some() { caller::groups()? } else { vec![] },
        landlock: if request.landlock.is_anything() { caller::landlock()? } else { 0 },
        filters: filters::read(request)?,
        mark: if request.notify_fd.is_some() { unguessable()? } else { 0 },
        explaining,
    })
}

/// 64 bits that nobody can guess.
fn unguessable() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).call("getrandom")?;
    Ok(u64::from_ne_bytes(bytes))
}
