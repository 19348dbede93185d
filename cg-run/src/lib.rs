//! `cg-run`: runs the next program in a leaf cgroup, measures it, keeps it within limits, kills what is left, and says
//! what became of it.
//!
//! The layer is cgroups(7), version 2 only. Three processes: the one that the caller started stays in the caller's process
//! group and ends as the run ends; one outside of it measures and kills; and its child executes the next link.
//!
//! ```text
//! caller -- lifeline --> cg-run -- lifeline --> cg-run -- clone3(CLONE_INTO_CGROUP) --> child = the rest of the chain
//!                       (the job)             (measures)                                  |
//!                                                 '--- cpu.stat, cgroup.kill ----------> leaf, removed at the end
//! ```
//!
//! What was made is unmade on every way out but SIGKILL; after that the next run finds it by the leaf's name, or `cg-run --gc` by
//! that or its mark.

mod apply;
mod args;
mod features;
mod hints;
mod look;
mod model;
mod plan;
mod step;
pub mod table;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use chain::{Cli, Explain, Next, Result, print_error};

use crate::apply::run::Start;
use crate::args::{Mode, Request};
use crate::look::{Facts, Place};
use crate::model::report::Format;
use crate::plan::Plan;

/// The tool: everything but the C `main`. A run ends as its child ended and does not return.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli)?;
    if let Mode::Collect { parent } = &request.mode {
        let only_look = cli.common.check || cli.common.explain.is_some();
        return apply::gc::collect(parent.as_deref(), only_look);
    }
    if let Some(form) = cli.common.explain {
        return explain(form, &request, cli);
    }
    let Cli { common, prog, .. } = cli;
    if common.check {
        return prepare(&request, true, prog).map(|_| 0);
    }
    let resident = apply::job::divide(request.outlive).map_err(|error| apply::report_refusal(&request, error))?;
    let done = match prepare(&request, false, prog) {
        Ok((plan, place, next)) => {
            apply::supervise(&common, &request, &plan, place, Start { next, keep: &common.keep_fds, resident })
        }
        Err(error) => Err(apply::report_refusal(&request, error)),
    };
    apply::job::wake();
    done?.finish()
}

/// Writes isolate's report of a run that could not begin, for what starts one.
/// Errors: as of `--report`.
pub fn report_failure(file: &OsStr, text: &str) -> Result<()> {
    apply::report_failure(&args::target(file), Format::Isolate, text)
}

/// The path of the cgroup that this process is in.
/// Errors: there is none.
pub fn own_cgroup() -> Result<PathBuf> {
    look::own_path()
}

/// Everything that is found out before the first effect.
fn prepare(request: &Request, check: bool, prog: Vec<OsString>) -> Result<(Plan, Option<Place>, Next)> {
    let devices = look::devices(request)?;
    let place = look::place(request, devices);
    if let (true, Ok(place)) = (check, &place) {
        print_check(place.as_ref())?;
    }
    let (plan, place) = planned(request, place)?;
    if let (true, Some(why)) = (check, &plan.without_cgroup) {
        chain::print(&format!("no limits by a cgroup: {why}\n"))?;
    }
    let next = Next::resolve(&program(request, &plan, prog))?;
    Ok((plan, place, next))
}

/// The plan for this place; where it is none, and a cgroup was requested only if possible, the plan without one.
fn planned(request: &Request, place: Result<Option<Place>>) -> Result<(Plan, Option<Place>)> {
    let planned = place.and_then(|place| {
        let facts = place.as_ref().map(|place| &place.facts);
        Ok((plan::plan(request, facts)?, place))
    });
    match planned {
        Err(error) if request.if_possible.is_some() => {
            let without_cgroup = Some(format!("{error:#}"));
            Ok((Plan { without_cgroup, ..plan::plan(request, None)? }, None))
        }
        planned => planned,
    }
}

/// What is executed: where there is no cgroup, behind the link that was given for that.
fn program(request: &Request, plan: &Plan, prog: Vec<OsString>) -> Vec<OsString> {
    match &request.if_possible {
        Some(link) if plan.without_cgroup.is_some() => [link.clone(), prog].concat(),
        _ => prog,
    }
}

/// The plan must print also where it could not be done: earlier links of the chain have not prepared anything.
fn explain(form: Explain, request: &Request, cli: Cli<table::Key>) -> Result<u8> {
    let planned = look::devices(request)
        .and_then(|devices| planned(request, look::place(request, devices)))
        .map(|(plan, _)| plan)
        .inspect(|plan| {
            plan.without_cgroup.iter().for_each(|why| print_error(&format!("no limits by a cgroup: {why}")))
        })
        .or_else(|error| {
            print_error(&format!("as things are here this would be refused: {error:#}"));
            plan::plan(request, Some(&Facts::as_requested(request)?))
        })?;
    let prog = program(request, &planned, cli.prog);
    chain::explain(form, &planned.steps(), &prog, &cli.common.keep_fds)
}

fn print_check(place: Option<&Place>) -> Result<()> {
    match place {
        Some(place) => chain::print(&(features::checked(&place.facts) + &features::swap())),
        None => chain::print("no cgroup: time limits and the report only\n"),
    }
}
