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
//!
//! * [`args`], [`tree`]: command line to [`args::Request`]; nothing is looked at
//! * [`pool`]: what a pool is: templates, versions, clones, leases; the trait of the two backends
//! * [`plan`]: pure; request and facts to steps, or a refusal
//! * [`step`]: the one name of each step
//! * [`apply`]: steps to calls of the backend
//! * [`hold`]: the resident part of `run`
//! * [`dir`], [`folder`], [`mark`]: the `dir` backend: directories, by descriptor
//! * [`zfs`]: the `zfs` backend: datasets, by zfs(8)
//! * [`holder`], [`name`], [`kept`]: who holds a lease; what may be a name; versions that are kept

pub mod apply;
pub mod args;
pub mod command;
pub mod copy;
pub mod dir;
pub mod folder;
pub mod hold;
pub mod holder;
pub mod kept;
pub mod list;
pub mod lock;
pub mod look;
pub mod mark;
pub mod name;
pub mod pages;
pub mod plan;
pub mod pool;
pub mod prose;
pub mod step;
pub mod tree;
pub mod zfs;

use std::ffi::OsString;

use chain::Common;
use chain::Result;

use crate::args::{Request, Verb};
use crate::hold::Order;
use crate::pool::Backend;
use crate::step::Step;

/// The tool: everything but the C `main`.
///
/// # Errors
/// Whatever kept the subcommand from doing what it was asked, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some((common, request)) = args::parse(argv)? else { return Ok(0) };
    let pool = look::backend(&request)?;
    let order = |claim| Order { common: &common, pool: pool.as_ref(), claim };
    match &request.verb {
        Verb::List { json } => list::print_templates(pool.as_ref(), *json),
        Verb::Run { claim, lifeline, prog } => order(claim).run(*lifeline, prog),
        Verb::Acquire { claim, pid } => order(claim).acquire(*pid),
        Verb::Gc => apply::gc(&common, pool.as_ref()),
        _ => maintain(&common, &request, pool.as_ref()),
    }
}

/// The subcommands that change one template: under its lock, so that facts stay true until the last step.
fn maintain(common: &Common, request: &Request, pool: &dyn Backend) -> Result<u8> {
    let dry = common.check || common.explain.is_some();
    let guard = if dry { None } else { apply::guard(pool, &request.verb)? };
    let steps = plan::steps(&request.verb, &look::facts(pool, &request.verb)?)?;
    let steps: Vec<Step> = steps.into_iter().map(|action| Step::new(action, pool)).collect();
    if let Some(form) = common.explain {
        return chain::step::print(form, &steps).map(|()| 0);
    }
    if !common.check {
        chain::perform(common, &steps, |step| apply::step(pool, step))?;
    }
    drop(guard);
    Ok(0)
}
