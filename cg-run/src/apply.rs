//! The only effects. A run: the steps before, the child, the way back, and the report of it.

pub mod gc;

mod callers;
mod cgroup;
mod leaf;
mod lend;
mod report;
mod run;
mod said;
mod supervised;
mod tree;

use std::fs::File;

use chain::message::print_bare;
use chain::{Common, Next, Result, print_error};

use self::leaf::Leaf;
use self::run::{Start, run};
use self::supervised::Supervised;
use crate::args::Request;
use crate::look::Place;
use crate::model;
use crate::model::report::{Format, Target};
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
            let isolates = conclude(request, &outcome, report.as_ref())?;
            if request.as_isolate { Ok(isolates) } else { outcome.ended.finish() }
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
    if let Some(target) = &request.report {
        print_lost(report_failure(target, request.format, &format!("{error:#}")));
    }
    error
}

/// A report of what could not begin.
pub fn report_failure(target: &Target, format: Format, text: &str) -> Result<()> {
    let text = model::report::failure(format, text);
    report::open(target).and_then(|file| report::write(&file, &text))
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

/// Says and writes what became of the run; the exit status that isolate has for it.
fn conclude(request: &Request, outcome: &Outcome, report: Option<&File>) -> Result<u8> {
    let (verdict, message) = outcome.judged(&request.times);
    match (request.status, request.as_isolate) {
        (true, true) => print_bare(&model::report::isolate_line(outcome, verdict, &message)),
        (true, false) => print_error(&model::report::status(outcome, verdict, &message)),
        (false, _) => {}
    }
    let text = || model::report::text(request.format, outcome, verdict, &message);
    report.map_or(Ok(()), |file| report::write(file, &text()))?;
    Ok(model::report::isolate_exit(outcome, verdict, &message))
}
