//! The only effects. A run: the steps before, the child, the way back, and the report of it.

pub mod gc;
pub mod job;

mod callers;
mod cgroup;
mod leaf;
mod lend;
mod report;
pub mod run;
mod said;
mod supervised;
mod tree;

use chain::message::print_bare;
use chain::wait::Ended;
use chain::{Common, Result, print_error};

use self::leaf::Leaf;
use self::report::Report;
use self::run::{Start, run};
use self::supervised::Supervised;
use crate::args::Request;
use crate::look::Place;
use crate::model;
use crate::model::report::{Format, Target};
use crate::model::verdict::Outcome;
use crate::plan::Plan;
use crate::step::Step;

/// What a report says of a run of which nobody could write the end.
const UNFINISHED: &str = "cg-run was killed before the run had ended";

/// Opens the report, does the plan, writes the report. How this process is to end: as the child ended.
pub fn supervise(
    common: &Common,
    request: &Request,
    plan: &Plan,
    place: Option<Place>,
    start: Start<'_>,
) -> Result<Ended> {
    if let Some(why) = plan.without_cgroup.as_ref().filter(|_| common.verbose || said::first_time()) {
        print_error(&format!("no limits by a cgroup: {why}"));
    }
    let mut report = None;
    match in_order(common, request, plan, place, start, &mut report) {
        Ok(outcome) => {
            let isolates = conclude(request, &outcome, report.as_ref())?;
            Ok(if request.as_isolate { Ended::Exit(isolates) } else { outcome.ended })
        }
        Err(error) => {
            let text = model::report::failure(request.format, &format!("{error:#}"));
            print_lost(report.map_or(Ok(()), |report| report.write(&text)));
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
    Report::open(target).and_then(|report| report.write(&text))
}

fn print_lost(written: Result<()>) {
    written.unwrap_or_else(|lost| print_error(&format!("{lost:#}")));
}

fn in_order(
    common: &Common,
    request: &Request,
    plan: &Plan,
    place: Option<Place>,
    start: Start<'_>,
    report: &mut Option<Report>,
) -> Result<Outcome> {
    let mut supervised = place.map_or_else(
        || Supervised::Tree(Box::default()),
        |place| Supervised::Leaf(Leaf::under(place.parent, place.move_callers)),
    );
    chain::perform(common, &plan.before, |step| match step {
        Step::OpenReport(target) => {
            let unfinished = model::report::failure(request.format, UNFINISHED);
            report.insert(Report::open(target)?).begin(&unfinished)
        }
        step => supervised.step(step),
    })?;
    run(common, plan, supervised, start, &request.times)
}

/// Says and writes what became of the run; the exit status that isolate has for it.
fn conclude(request: &Request, outcome: &Outcome, report: Option<&Report>) -> Result<u8> {
    let (verdict, message) = outcome.judged(&request.times);
    match (request.status, request.as_isolate) {
        (true, true) => print_bare(&model::report::isolate_line(outcome, verdict, &message)),
        (true, false) => print_error(&model::report::status(outcome, verdict, &message)),
        (false, _) => {}
    }
    let text = || model::report::text(request.format, outcome, verdict, &message);
    report.map_or(Ok(()), |report| report.write(&text()))?;
    Ok(model::report::isolate_exit(outcome, verdict, &message))
}
