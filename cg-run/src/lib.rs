//! `cg-run`: runs the next program in a leaf cgroup, measures it, keeps it within limits, kills what is left, and says
//! what became of it.
//!
//! The layer is cgroups(7), version 2 only. Two processes: cg-run stays and watches, its child executes the next link.
//!
//! ```text
//! caller -- lifeline --> cg-run -- clone3(CLONE_INTO_CGROUP) --> child = the rest of the chain
//!                          |                                       |
//!                          '--- cpu.stat, cgroup.kill ---------> leaf, removed at the end
//! ```
//!
//! What was made is unmade on every way out but SIGKILL; after that `cg-run --gc` finds it by the leaf's name or mark.

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

use chain::{Explain, Next, Result, print_error};

use crate::args::{Mode, Request};
use crate::look::{Facts, Place};

/// The tool: everything but the C `main`. A run ends as its child ended and does not return.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli)?;
    if let Mode::Collect { parent } = &request.mode {
        let only_look = cli.common.check || cli.common.explain.is_some();
        return apply::gc::collect(parent.as_deref(), only_look);
    }
    if let Some(form) = cli.common.explain {
        return explain(form, &request, &cli.prog);
    }
    let place = look::place(&request)?;
    if cli.common.check {
        print_check(place.as_ref())?;
    }
    let plan = plan::plan(&request, place.as_ref().map(|place| &place.facts))?;
    let next = Next::resolve(&cli.prog)?;
    if cli.common.check {
        return Ok(0);
    }
    apply::supervise(&cli.common, &request, &plan, place, next)
}

/// The plan must print also where it could not be done: earlier links of the chain have not prepared anything.
fn explain(form: Explain, request: &Request, prog: &[OsString]) -> Result<u8> {
    let planned = look::place(request)
        .and_then(|place| plan::plan(request, place.as_ref().map(|place| &place.facts)))
        .or_else(|error| {
            print_error(&format!("as things are here this would be refused: {error:#}"));
            plan::plan(request, Some(&Facts::as_requested(request)?))
        })?;
    chain::explain(form, &planned.steps(), prog)
}

fn print_check(place: Option<&Place>) -> Result<()> {
    match place {
        Some(place) => chain::print(&(features::checked(&place.facts) + &features::swap())),
        None => chain::print("no cgroup: time limits and the report only\n"),
    }
}
