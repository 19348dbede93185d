//! `zfs-pool`: leases a fresh clone of a template to a program, and destroys the clone afterwards.
//!
//! ```text
//! template --snapshot--> version --refill--> free clone --claim--> leased clone --release--> gone
//! ```
//!
//! The layer is the file tree that the rest of the chain uses as its root. `run` is resident: it claims a free clone
//! (one rename, so one winner), tells the next program by environment variables where it is, waits for it and
//! destroys the clone. The lease lives in this parent alone and dies with it; what a killed holder left, `gc` finds.
//! All other subcommands are short-lived and need no daemon.

mod apply;
mod args;
mod features;
mod hints;
mod look;
mod model;
mod plan;
mod step;
mod table;

use std::ffi::OsString;

use chain::{Common, Result};

use crate::apply::backend::Backend;
use crate::apply::hold::Order;
use crate::args::{Parsed, Request, Verb};
use crate::model::pool::Place;
use crate::step::Step;

pub use crate::table::pages::syntaxes;

/// The tool: everything but the C `main`.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let (common, request) = match args::parse(argv)? {
        Parsed::Request(common, request) => (common, request),
        Parsed::Page(page) => return chain::print(&page).map(|()| 0),
        Parsed::Features => return chain::print(&features::features()).map(|()| 0),
    };
    let place = &look::pool(&request)?;
    let pool = apply::backend(place)?;
    let pool = pool.as_ref();
    let order = |claim| Order { common: &common, place, pool, claim };
    match &request.verb {
        Verb::List { json } => look::list::print_templates(pool, *json),
        Verb::Run { claim, lifeline, prog } => order(claim).run(*lifeline, prog),
        Verb::Acquire { claim, pid } => order(claim).acquire(*pid),
        Verb::Gc => apply::gc(&common, place, pool),
        _ => maintain(&common, &request, place, pool),
    }
}

/// The subcommands that change one template: under its lock, so that facts stay true until the last step.
fn maintain(common: &Common, request: &Request, place: &Place, pool: &dyn Backend) -> Result<u8> {
    let dry = common.check || common.explain.is_some();
    let guard = if dry { None } else { apply::guard(pool, &request.verb)? };
    let actions = plan::steps(&request.verb, &look::facts(place, pool, &request.verb)?)?;
    let steps: Vec<Step> = actions.into_iter().map(|action| Step { action, place: place.clone() }).collect();
    if let Some(form) = common.explain {
        return chain::step::print(form, &steps).map(|()| 0);
    }
    if !common.check {
        chain::perform(common, &steps, |step| pool.act(&step.action))?;
    }
    drop(guard);
    Ok(0)
}
