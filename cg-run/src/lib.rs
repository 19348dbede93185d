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
//! What was made is unmade on every way out but SIGKILL; after that `cg-run --gc` finds it ([`owner`]).
//!
//! * [`table`], [`args`]: command line to [`args::Request`]; nothing is looked at
//! * [`look`]: read-only facts about the place
//! * [`plan`], [`step`]: pure; the steps, or a refusal
//! * [`leaf`], [`tree`], [`mod@run`]: the only effects, with and without a cgroup
//! * [`deadline`], [`verdict`], [`accounts`], [`report`]: pure; when to kill, what became of it, what it used

pub mod accounts;
pub mod args;
pub mod cgroup;
pub mod deadline;
pub mod features;
pub mod gc;
pub mod leaf;
pub mod limit;
pub mod look;
pub mod owner;
pub mod plan;
pub mod proc;
pub mod report;
pub mod run;
pub mod step;
pub mod table;
pub mod tree;
pub mod units;
pub mod verdict;

use std::ffi::OsString;
use std::fs::File;

use chain::{Common, Explain};
use chain::{Context as _, Failure, Next, Result, print_error};

use crate::args::{Mode, Request};
use crate::look::{Facts, Place};
use crate::plan::Plan;
use crate::run::{Body, Start};
use crate::step::Step;
use crate::verdict::Outcome;

/// The tool: everything but the C `main`. A run ends as its child ended and does not return.
///
/// # Errors
/// Whatever kept the run from being started or from being finished, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli)?;
    if let Mode::Collect { parent } = &request.mode {
        return gc::collect(parent.as_deref());
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
    supervise(&cli.common, &request, &plan, place, next)
}

/// The plan must print also where it could not be done: earlier links of the chain have not prepared anything.
fn explain(form: Explain, request: &Request, prog: &[OsString]) -> Result<u8> {
    let planned = look::place(request)
        .and_then(|place| plan::plan(request, place.as_ref().map(|place| &place.facts)))
        .or_else(|error| {
            print_error(&format!("as things are here this would be refused: {error:#}"));
            plan::plan(request, Some(&Facts::wished(request)?))
        })?;
    chain::explain(form, &planned.steps(), prog)
}

fn print_check(place: Option<&Place>) -> Result<()> {
    match place {
        Some(place) => chain::print(&(features::checked(&place.facts) + &features::swap())),
        None => chain::print("no cgroup: time limits and the report only\n"),
    }
}

/// Opens the report, does the plan, writes the report, and ends as the child ended.
fn supervise(common: &Common, request: &Request, plan: &Plan, place: Option<Place>, next: Next) -> Result<u8> {
    let mut report = None;
    let outcome = in_order(common, request, plan, place, next, &mut report);
    match outcome {
        Ok(outcome) => {
            conclude(request, &outcome, report.as_ref())?;
            outcome.ended.finish()
        }
        Err(error) => {
            let text = report::failure(request.format, &format!("{error:#}"));
            report
                .as_ref()
                .map_or(Ok(()), |file| report::write(file, &text))
                .unwrap_or_else(|lost| print_error(&format!("{lost:#}")));
            Err(error)
        }
    }
}

fn in_order(
    common: &Common,
    request: &Request,
    plan: &Plan,
    place: Option<Place>,
    next: Next,
    report: &mut Option<File>,
) -> Result<Outcome> {
    let mut body = place.map(|place| Body::Leaf(leaf::Leaf::under(place.parent)));
    chain::perform(common, &plan.before, |step| match (step, &mut body) {
        (Step::OpenReport(target), _) => report::open(target).map(|file| *report = Some(file)),
        (Step::Adopt, body) => tree::Tree::adopt().map(|tree| *body = Some(Body::Tree(Box::new(tree)))),
        (step, Some(body)) => body.step(step),
        (_, None) => Err(Failure::refusal("nothing holds the run together").into()),
    })?;
    let body = body.context("nothing holds the run together")?;
    let start = Start { next, keep: &common.keep_fds, outlive: request.outlive };
    run::run(common, plan, body, start, &request.times)
}

fn conclude(request: &Request, outcome: &Outcome, report: Option<&File>) -> Result<()> {
    let (verdict, message) = outcome.judged(&request.times);
    if request.status {
        print_error(&report::status(outcome, verdict, &message));
    }
    let text = || report::text(request.format, outcome, verdict, &message);
    report.map_or(Ok(()), |file| report::write(file, &text()))
}
