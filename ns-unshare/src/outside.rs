//! With a pid namespace: the process outside. It starts the box, writes its maps where the box may not, passes signals
//! in, ends the box when the caller ends, and ends as the main process ended.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Context as _;
use chain::flags::Common;
use chain::sys::{self, Child, Fork};
use chain::wait::{self, Ended, Event, Resident};
use chain::{Call as _, Next, Result, speech};
use nix::libc::c_int;
use nix::poll::PollTimeout;

use crate::apply::{self, Proc};
use crate::hint;
use crate::init;
use crate::link::{Heard, Link};
use crate::plan::Plan;
use crate::step::Step;

/// Starts the box and stays until it has ended.
///
/// # Errors
/// What kept the box from being started or watched; it has been killed then.
pub fn start(common: &Common, plan: &Plan, next: Next) -> Result<u8> {
    let lifeline = lifeline(common, plan)?;
    let (ours, theirs) = Link::pair()?;
    let resident = Resident::begin(lifeline, &[])?;
    if plan.maps.is_empty() {
        // Before the child exists, so before anything untrusted does. Where maps are to be written, the child waits
        // for them, and its files in /proc must be ours until then.
        wait::hide_from_payload()?;
    }
    match sys::clone3(plan.new.flags(), None).call("clone3") {
        Ok(Fork::Child) => {
            drop(ours);
            wait::child_does(|| init::begin(common, plan, next, resident, theirs))
        }
        Ok(Fork::Parent(child)) => {
            drop((theirs, next));
            stay(common, plan, &Running { child, resident, link: ours })
        }
        Err(error) => Err(hint::creation(error, plan.new)).with_context(|| Step::Clone(plan.new).to_string()),
    }
}

fn lifeline(common: &Common, plan: &Plan) -> Result<Option<OwnedFd>> {
    if plan.outlive_caller {
        return Ok(None);
    }
    let file = wait::caller_lifeline().with_context(|| Step::WatchCaller.to_string())?;
    say_done(common, &Step::WatchCaller);
    Ok(file)
}

/// With `-v`: a step that made or watches a process, and so is not one of [`chain::perform`]'s.
pub fn say_done(common: &Common, step: &Step) {
    if common.verbose {
        speech::narrate(&step.to_string());
    }
}

/// A running box, seen from outside.
#[derive(Debug)]
struct Running {
    child: Child,
    resident: Resident,
    link: Link,
}

fn stay(common: &Common, plan: &Plan, running: &Running) -> Result<u8> {
    let ended = prepare(common, plan, running).and_then(|()| watch(plan, running));
    match ended {
        Ok(ended) => ended.finish(),
        Err(error) => {
            wait::kill(&running.child);
            wait::collect(&running.child)?;
            Err(error)
        }
    }
}

fn prepare(common: &Common, plan: &Plan, running: &Running) -> Result<()> {
    if !plan.maps.is_empty() {
        say_done(common, &Step::Clone(plan.new));
        let proc = Proc::of_child(&running.child)?;
        chain::perform(common, &plan.maps, |step| apply::step(step, &proc))?;
        wait::hide_from_payload()?;
        running.link.say(0)?;
    }
    running.resident.keep_only(&[running.child.pidfd.as_fd(), running.link.as_fd()])?;
    if plan.no_forward { running.resident.stop_listening() } else { Ok(()) }
}

/// Until the box has ended: by the main process, by the caller's end, or by a signal that nobody passes on.
fn watch(plan: &Plan, running: &Running) -> Result<Ended> {
    loop {
        match running.resident.next(&running.child, PollTimeout::NONE)? {
            Event::Signal(_) if plan.no_forward => {}
            Event::Signal(info) if !wait::is_for_child(&info) => {}
            Event::Signal(info) => running.link.say(c_int::try_from(info.ssi_signo).unwrap_or(0))?,
            Event::ParentGone => {
                wait::kill(&running.child);
                return collect(running);
            }
            Event::Ended => return collect(running),
            Event::Timeout => {}
        }
    }
}

/// How the main process ended, by the init's word; if it left none (killed, or the box could not be set up), how the
/// box's first process ended.
fn collect(running: &Running) -> Result<Ended> {
    let reaped = wait::collect(&running.child)?;
    Ok(match running.link.hear()? {
        Heard::Number(status) => Ended::from_raw(status),
        Heard::Nothing | Heard::Gone => Ended::from_raw(reaped.status),
    })
}
