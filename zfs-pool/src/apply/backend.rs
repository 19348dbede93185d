//! What keeps a pool. The two backends make the same promises: a claim has one winner, a lease dies with its holder, and
//! nothing is destroyed that is not ours by place, by mark and by name.

use std::os::fd::OwnedFd;

use chain::Result;

use crate::look::Look;
use crate::model::name::{Name, Requested};
use crate::model::pool::{Lease, Tenure};
use crate::step::Action;

pub trait Backend: Look {
    /// Takes the maintenance lock, waiting for it: one process at a time changes what a template is. Closed, it is given back.
    fn guard(&self, name: &Name) -> Result<OwnedFd>;

    /// Does one action of a maintainer.
    fn act(&self, action: &Action) -> Result<()>;

    /// Claims a free clone that fits the request; `None` where none is free.
    fn claim(&self, requested: &Requested, tenure: &Tenure) -> Result<Option<Lease>>;

    /// Gives a claimed clone back: destroys it. One that is in use or cannot be removed, `gc` will find.
    fn give_back(&self, lease: Lease) -> Result<()>;
}
