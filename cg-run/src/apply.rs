//! The only effects. A run: the steps before, the child, the way back, and the report of it.

pub mod gc;

mod callers;
mod cgroup;
mod leaf;
mod report;
mod run;
mod said;
mod supervised;
mod tree;

use std::fs::File;

use chain::{Common, Next, Result, print_error};

use self::leaf::Leaf;
use self::run::{Start, run};
use self::supervised::Supervised;
use crate::args::Request;
use crate::look::Place;
use crate::model;
use crate::model::verdict::Outcome;
use crate::plan::Plan;
use crate::step::Step;

/// Opens the report, does the plan, writes the report, and ends as the child ended.
pub fn supervise(common: &Common, request: &Request, plan: &Plan, place: Option<Place>, next: Next) -> Result<u8> {
    if let Some(why) = plan.without_cgroup.as_ref().filter(|_| common.verbose || said::first_time()) {
        print_error(&format!("no limits by a cgroup: {why}"));
    }
    let mut report = None;
    match in_order(common, request, plan, place, next, &mut report) {
        Ok(outcome) => {
            conclude(request, &outcome, report.as_ref())?;
            outcome.ended.finish()
        }
        Err(error) => {
            let text = model::report::failure(request.format, &format!("{error:#}"));
            print_lost(report.map_or(Ok(()), |file| report::write(&file, &text)));
            Err(error)
        }
    }
}

/// What could not begin has a report too: whoever reads the file of the run before would take it for this one's.
pub fn report_refusal(request: &Request, error: anyhow::Error) -> anyhow::Error {
    let text = model::report::failure(request.format, &format!("{error:#}"));
    if let Some(target) = &request.report {
        print_lost(report::open(target).and_then(|file| report::write(&file, &text)));
    }
    error
}

fn print_lost(written: Result<()>) {
    written.unwrap_or_else(|lost| print_error(&format!("{lost:#}")));
}

fn in_order(
    common: &Common,
    request: &Request,
    plan: &Plan,
    place: Option<Place>,
    next: Next,
    report: &mut Option<File>,
) -> Result<Outcome> {
    let mut supervised = place.map_or_else(
        || Supervised::Tree(Box::default()),
        |place| Supervised::Leaf(Leaf::under(place.parent, place.move_callers)),
    );
    chain::perform(common, &plan.before, |step| match step {
        Step::OpenReport(target) => report::open(target).map(|file| *report = Some(file)),
        step => supervised.step(step),
    })?;
    let start = Start { next, keep: &common.keep_fds, outlive: request.outlive };
    run(common, plan, supervised, start, &request.times)
}

fn conclude(request: &Request, outcome: &Outcome, report: Option<&File>) -> Result<()> {
    let (verdict, message) = outcome.judged(&request.times);
    if request.status {
        print_error(&model::report::status(outcome, verdict, &message));
    }
    let text = || model::report::text(request.format, outcome, verdict, &message);
    report.map_or(Ok(()), |file| report::write(file, &text()))
}
