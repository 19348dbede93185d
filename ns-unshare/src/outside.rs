//! With a pid namespace: the process outside. It starts the box, writes its maps where the box may not, passes signals
//! in, ends the box when the caller ends, and ends as the main process ended.

use std::os::fd::AsFd;

use anyhow::Context as _;
use chain::Common;
use chain::sys::{self, AtEnd, Child, Fork};
use chain::wait::{self, Ended, Event, Lifeline, Resident};
use chain::{Call as _, Result, message};
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::sys::signalfd::siginfo;

use crate::apply::{self, Proc};
use crate::args::Session;
use crate::bridge::{self, Bridge};
use crate::foreground::{self, Loan};
use crate::handshake;
use crate::hint;
use crate::init::{self, Caller};
use crate::join::{self, Program};
use crate::link::{Heard, Link, TO_GROUP};
use crate::plan::{Plan, Residence};
use crate::step::Step;

/// Starts the box and stays until it has ended.
///
/// # Errors
/// What kept the box from being started or watched; it has been killed then.
pub fn start(common: &Common, plan: &Plan, program: Program) -> Result<u8> {
    let lifeline = lifeline(common, plan)?;
    let (ours, theirs) = Link::pair()?;
    let foreground = plan.session == Session::Foreground;
    let loan = if foreground { Loan::offer()? } else { None };
    let resident = Resident::begin(lifeline, if foreground { &foreground::TAKEN } else { &[] })?;
    let bridged = if plan.session == Session::Pty { Some(bridge::start()?) } else { None };
    let (bridge, pty) = bridged.unzip();
    if plan.maps.is_empty() {
        // Before the child exists, so before anything untrusted does. Where maps are to be written, the child waits
        // for them, and its files in /proc must be ours until then.
        wait::hide_from_payload()?;
    }
    if let Err(error) = join::enter(common, &plan.joins) {
        bridge.iter().for_each(Bridge::end);
        return Err(error);
    }
    match sys::fork(plan.new.flags(), AtEnd::Signal).call("clone") {
        Ok(Fork::Child) => {
            drop((ours, bridge));
            wait::child_does(|| init::begin(common, plan, Caller { program, resident, loan, pty }, theirs))
        }
        Ok(Fork::Parent(child)) => {
            drop((theirs, program, pty));
            let listens = loan.is_some();
            stay(common, plan, &mut Running { child, resident, link: ours, loan, bridge, listens, said: None })
        }
        Err(error) => {
            bridge.iter().for_each(Bridge::end);
            Err(hint::creation(error, plan.new)).with_context(|| Step::Clone(plan.new).to_string())
        }
    }
}

fn lifeline(common: &Common, plan: &Plan) -> Result<Option<Lifeline>> {
    if plan.outlive_caller {
        return Ok(None);
    }
    let line = wait::caller_lifeline().with_context(|| Step::WatchCaller.to_string())?;
    say_done(common, &Step::WatchCaller);
    Ok(line)
}

/// With `-v`: a step that made or watches a process, and so is not one of [`chain::perform`]'s.
pub fn say_done(common: &Common, step: &Step) {
    if common.verbose {
        message::print_step(&step.to_string());
    }
}

/// A running box, seen from outside.
#[derive(Debug)]
struct Running {
    child: Child,
    resident: Resident,
    link: Link,
    loan: Option<Loan>,
    bridge: Option<Bridge>,
    /// Whether the init may say more before it ends.
    listens: bool,
    /// The raw wait status of the main process.
    said: Option<c_int>,
}

fn stay(common: &Common, plan: &Plan, running: &mut Running) -> Result<u8> {
    let ended = prepare(common, plan, running).and_then(|given_up| given_up.map_or_else(|| watch(plan, running), Ok));
    if ended.is_err() {
        wait::kill(&running.child);
        wait::collect(&running.child)?;
    }
    running.loan.iter().for_each(Loan::end);
    if let Some(bridge) = &running.bridge {
        // The terminal may take its time to show the rest, or all the time there is.
        running.resident.stop_listening()?;
        bridge.end();
    }
    ended?.finish()
}

/// Writes the maps, and does what is to be done outside before the next program starts. How that ended, where it did not
/// come to that.
fn prepare(common: &Common, plan: &Plan, running: &mut Running) -> Result<Option<Ended>> {
    if !plan.maps.is_empty() {
        say_done(common, &Step::Clone(plan.new));
        let proc = Proc::of_child(&running.child)?;
        chain::perform(common, &plan.maps, |step| apply::step(step, &proc))?;
        wait::hide_from_payload()?;
        running.link.say(0)?;
    }
    // The box says when it is set up; where it is gone, it has said why.
    if !plan.outside.is_empty() && running.link.wait()? != Heard::Gone {
        if let Some(ended) = outside_steps(common, plan, running)? {
            return Ok(Some(ended));
        }
        running.link.say(0)?;
    }
    let mut keep = vec![running.child.pidfd.as_fd(), running.link.as_fd()];
    keep.extend(running.loan.as_ref().map(AsFd::as_fd));
    keep.extend(running.bridge.iter().flat_map(Bridge::files));
    running.resident.keep_only(&keep)?;
    if plan.no_forward {
        running.resident.stop_listening()?;
    }
    Ok(None)
}

/// Pins, says that the box is ready, and waits for the word to start. How it ended, if it did meanwhile.
fn outside_steps(common: &Common, plan: &Plan, running: &mut Running) -> Result<Option<Ended>> {
    let mut ended = None;
    let (child, resident) = (&running.child, &running.resident);
    chain::perform(common, &plan.outside, |step| match step {
        Step::SayReady(fd) => handshake::say_ready(*fd, child.pid),
        Step::AwaitStart(fd) => {
            ended = handshake::await_start(*fd, resident, child)?;
            Ok(())
        }
        pin => apply::step(pin, &Proc::of_child(child)?),
    })?;
    Ok(ended)
}

/// Until the box has ended: by the main process, by the caller's end, or by a signal that nobody passes on.
fn watch(plan: &Plan, running: &mut Running) -> Result<Ended> {
    running.loan.as_mut().map_or(Ok(()), Loan::hold_stops)?;
    loop {
        let stops = running.loan.as_ref().and_then(Loan::stops).map(AsFd::as_fd);
        let others: Vec<_> = running.listens.then(|| running.link.as_fd()).into_iter().chain(stops).collect();
        match running.resident.next_or(Some(&running.child), &others, PollTimeout::NONE)? {
            Event::Signal(info) if is_for_box(plan, &info) => {
                let group = if info.ssi_code == libc::SI_KERNEL { TO_GROUP } else { 0 };
                let signal = c_int::try_from(info.ssi_signo).unwrap_or(0);
                if plan.residence == Residence::Parent {
                    init::signal_main(&running.child, signal | group);
                } else if !running.loan.as_mut().is_some_and(|loan| loan.signalled(signal)) {
                    running.link.say(signal | group)?;
                }
            }
            Event::ParentGone => {
                wait::kill(&running.child);
                return collect(running);
            }
            Event::Ended => return collect(running),
            Event::Other => {
                running.loan.as_mut().map_or(Ok(()), |loan| loan.pass_stop_on(&running.link))?;
                listen(running)?;
            }
            Event::Signal(_) | Event::Timeout => {}
        }
    }
}

/// What a terminal sent to this process's group has reached the box by itself only if the box is in that group.
fn is_for_box(plan: &Plan, info: &siginfo) -> bool {
    let from_terminal = info.ssi_code == libc::SI_KERNEL
        && match plan.session {
            Session::Shared => false,
            Session::Foreground | Session::New => true,
            // The bridge passes the window's size on.
            Session::Pty => info.ssi_signo != libc::SIGWINCH as u32,
        };
    !plan.no_forward && (from_terminal || wait::is_for_child(info))
}

/// While the box runs, the init says that the main process has stopped, and at last how it ended.
fn listen(running: &mut Running) -> Result<()> {
    let heard = running.link.hear()?;
    match (heard, running.loan.as_mut()) {
        (Heard::Number(word), Some(loan)) if foreground::is_stop(word) => return loan.stopped(word, &running.link),
        (Heard::Number(status), _) => running.said = Some(status),
        _ => {}
    }
    running.listens = heard == Heard::Nothing;
    Ok(())
}

/// How the main process ended, by the init's word; if it left none (killed, or the box could not be set up), how the
/// box's first process ended.
fn collect(running: &mut Running) -> Result<Ended> {
    let reaped = wait::collect(&running.child)?;
    while let Heard::Number(word) = running.link.hear()? {
        running.said = Some(word).filter(|word| !foreground::is_stop(*word)).or(running.said);
    }
    Ok(Ended::from_raw(running.said.unwrap_or(reaped.status)))
}
