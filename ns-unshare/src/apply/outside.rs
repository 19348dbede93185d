//! With a pid namespace: the process outside. It starts the box, writes its maps where the box may not, passes signals
//! in, ends the box when the caller ends, and ends as the main process ended.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::Context as _;
use chain::Common;
use chain::fault::{Faults, Heard};
use chain::sys::{self, AtEnd, Child, Fork};
use chain::wait::{self, Ended, Event, Lifeline, Resident};
use chain::{Call as _, Result};
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::sys::signalfd::siginfo;

use super::bridge::{self, Bridge};
use super::channel::{Channel, Received, TO_GROUP};
use super::first_root::{self, WayBack};
use super::foreground::{self, Job};
use super::init::{self, Inherited};
use super::placeholder::{self, Placeholder};
use super::proc::Proc;
use super::{handshake, join, steps};
use crate::hints;
use crate::look::program::Program;
use crate::model::setup::Session;
use crate::plan::{Plan, Residence};
use crate::step::Step;

/// Starts the box and stays until it has ended.
pub fn start(common: &Common, plan: &Plan, program: Program) -> Result<u8> {
    let lifeline = lifeline(common, plan)?;
    let (ours, theirs) = Channel::pair()?;
    let foreground = plan.session == Session::Foreground;
    let job = if foreground { Job::look()? } else { None };
    let resident = Resident::begin(lifeline, if foreground { &foreground::TAKEN } else { &[] })?;
    let faults = plan.status_fd().map(|_| Faults::new()).transpose()?;
    let bridged = if plan.session == Session::Pty { Some(bridge::start()?) } else { None };
    let (bridge, pty) = bridged.unzip();
    if plan.maps.is_empty() {
        // Before the child exists, so before anything untrusted does. Where maps are to be written, the child waits
        // for them, and its files in /proc must be ours until then.
        wait::hide_from_payload()?;
    }
    let way_back = join::enter(common, &plan.joins).and_then(|()| first_root::cover(common, plan));
    match way_back.and_then(|way_back| Ok((fork(plan)?, way_back))) {
        Ok((Fork::Child, _)) => {
            drop((ours, bridge));
            faults.into_iter().for_each(Faults::below);
            wait::child_does(|| init::begin(common, plan, Inherited { program, resident, job, pty }, theirs))
        }
        Ok((Fork::Parent(child), way_back)) => {
            drop((theirs, program, pty));
            let (listens, heard) = (job.is_some(), faults.map(Faults::above));
            let (locks, placeholders, said, status) = (vec![], vec![], vec![], None);
            let channel = ours;
            let mut running = Running {
                child,
                way_back,
                resident,
                channel,
                job,
                bridge,
                listens,
                heard,
                locks,
                placeholders,
                said,
                status,
            };
            stay(common, plan, &mut running)
        }
        Err(error) => {
            bridge.iter().for_each(Bridge::end);
            Err(error)
        }
    }
}

fn fork(plan: &Plan) -> Result<Fork> {
    let forked = sys::fork(plan.new.flags(), AtEnd::Signal).call("clone");
    forked.map_err(|error| hints::creation(error, plan.new)).with_context(|| Step::Clone(plan.new).to_string())
}

fn lifeline(common: &Common, plan: &Plan) -> Result<Option<Lifeline>> {
    if plan.outlive_caller {
        return Ok(None);
    }
    let line = wait::caller_lifeline().with_context(|| Step::WatchCaller.to_string())?;
    chain::step::print_done(common, &Step::WatchCaller);
    Ok(line)
}

/// A running box, seen from outside.
struct Running {
    child: Child,
    way_back: Option<WayBack>,
    resident: Resident,
    channel: Channel,
    job: Option<Job>,
    bridge: Option<Bridge>,
    /// Whether the init may say more before it ends.
    listens: bool,
    /// What links below say that have failed.
    heard: Option<Heard>,
    /// What this process holds for the box.
    locks: Vec<OwnedFd>,
    placeholders: Vec<Placeholder>,
    /// What is said of the box, where somebody asked.
    said: Vec<String>,
    /// The raw wait status of the main process.
    status: Option<c_int>,
}

fn stay(common: &Common, plan: &Plan, running: &mut Running) -> Result<u8> {
    let ended = prepare(common, plan, running).and_then(|given_up| match given_up {
        Some(ended) => Ok(ended),
        None => watch(plan, running).inspect(|ended| say_end(plan, running, *ended)),
    });
    if ended.is_err() {
        wait::kill(&running.child);
        wait::collect(&running.child)?;
    }
    // The last one first: it may be in the one before.
    while running.placeholders.pop().is_some() {}
    running.job.iter().for_each(Job::end);
    if let Some(bridge) = running.bridge.as_ref().filter(|bridge| !bridge.give_up()) {
        // The terminal may take its time to show the rest, or all the time there is.
        running.resident.stop_listening()?;
        bridge.end();
    }
    ended?.finish()
}

/// Where somebody asked how the program ended, and it was executed.
fn say_end(plan: &Plan, running: &mut Running, ended: Ended) {
    let failed = running.heard.as_mut().is_some_and(|heard| !matches!(heard.fault(), Ok(None)));
    if let Some(fd) = plan.status_fd().filter(|_| !failed) {
        handshake::say_end(fd, ended);
    }
}

/// Writes the maps, and does what is to be done outside before the next program starts. How that ended, where it did not
/// come to that.
fn prepare(common: &Common, plan: &Plan, running: &mut Running) -> Result<Option<Ended>> {
    running.way_back.take().map_or(Ok(()), WayBack::take)?;
    if plan.reports_before_maps() && !hear(plan, running, true)? {
        return Ok(None);
    }
    if !plan.maps.is_empty() {
        chain::step::print_done(common, &Step::Clone(plan.new));
        if let Some(ended) = outside_steps(common, &plan.maps, running)? {
            return Ok(Some(ended));
        }
        wait::hide_from_payload()?;
        running.channel.send(0)?;
    }
    // The box says when it is set up; where it is gone, it has printed why.
    if !plan.outside.is_empty() && hear(plan, running, plan.reports_at_start())? {
        if let Some(ended) = outside_steps(common, &plan.outside, running)? {
            return Ok(Some(ended));
        }
        running.channel.send(0)?;
    }
    let mut keep = vec![running.child.pidfd.as_fd(), running.channel.as_fd()];
    keep.extend(running.job.as_ref().map(AsFd::as_fd));
    keep.extend(running.bridge.iter().flat_map(Bridge::files));
    let held = plan.held().map(|fd| sys::borrowed(fd).call(&format!("descriptor {fd}: fcntl")));
    keep.extend(held.collect::<Result<Vec<_>>>()?);
    keep.extend(running.heard.as_ref().map(AsFd::as_fd));
    keep.extend(running.locks.iter().map(AsFd::as_fd));
    keep.extend(running.placeholders.iter().flat_map(Placeholder::files));
    running.resident.keep_only(&keep)?;
    if plan.no_forward {
        running.resident.stop_listening()?;
    }
    Ok(None)
}

/// Waits until the box has come so far, and hears what it says of itself where it `reports`. False where it has ended instead.
fn hear(plan: &Plan, running: &mut Running, reports: bool) -> Result<bool> {
    let (received, process) = running.channel.receive_process()?;
    if received == Received::Gone {
        return Ok(false);
    }
    if reports {
        let process = process.as_ref().map_or(running.child.pidfd.as_fd(), AsFd::as_fd);
        let Some(said) = handshake::hear_numbers(plan, process, &running.channel)? else { return Ok(false) };
        running.said = said;
    }
    Ok(true)
}

/// What is done from outside: maps, pins, what is said of the box, and waiting. How it ended, if it did meanwhile.
fn outside_steps(common: &Common, steps: &[Step], running: &mut Running) -> Result<Option<Ended>> {
    let Running { child, resident, locks, placeholders, said, .. } = running;
    let mut ended = None;
    chain::perform(common, steps, |step| {
        match step {
            _ if ended.is_some() => {}
            Step::SayReady(fd) => handshake::say_ready(*fd, child.pid)?,
            Step::SayInfo(fd) => handshake::say_info(*fd, said)?,
            Step::SayStatus(fd) => handshake::say_status(*fd, said)?,
            Step::Lock(file) => locks.push(handshake::lock(file)?),
            Step::Placeholder(path, is_folder) => placeholder::put(path, *is_folder, placeholders).map(drop)?,
            Step::AwaitStart(fd) => ended = handshake::await_start(*fd, resident, child)?,
            Step::AwaitByte(fd) => ended = handshake::await_byte(*fd, resident, child)?,
            step => steps::step(step, &Proc::of_child(child)?)?,
        }
        Ok(())
    })?;
    Ok(ended)
}

/// Until the box has ended: by the main process, by the caller's end, or by a signal that nobody passes on.
fn watch(plan: &Plan, running: &mut Running) -> Result<Ended> {
    running.job.as_mut().map_or(Ok(()), Job::hold_stops)?;
    loop {
        let bridge = running.bridge.as_ref().and_then(Bridge::stops);
        let stops = running.job.as_ref().and_then(Job::stops).or(bridge).map(AsFd::as_fd);
        let others: Vec<_> = running.listens.then(|| running.channel.as_fd()).into_iter().chain(stops).collect();
        match running.resident.next_or(Some(&running.child), &others, PollTimeout::NONE)? {
            Event::Signal(info) if is_for_box(plan, &info) => {
                let group = if info.ssi_code == libc::SI_KERNEL { TO_GROUP } else { 0 };
                let signal = c_int::try_from(info.ssi_signo).unwrap_or(0);
                let bridge = running.bridge.as_mut().filter(|_| wait::asks_to_end(signal));
                bridge.map_or(Ok(()), Bridge::ask_to_end)?;
                if plan.residence == Residence::Parent {
                    init::signal_main(&running.child, signal | group);
                } else if !running.job.as_mut().is_some_and(|job| job.signalled(signal)) {
                    running.channel.send(signal | group)?;
                }
            }
            Event::ParentGone => {
                wait::kill(&running.child);
                return collect(running);
            }
            Event::Ended => return collect(running),
            Event::Other => {
                running.bridge.as_ref().map_or(Ok(()), Bridge::stop)?;
                running.job.as_mut().map_or(Ok(()), |job| job.pass_stop_on(&running.channel))?;
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
    let received = running.channel.try_receive()?;
    if let Received::Number(word) = received {
        match running.job.as_mut() {
            Some(job) if !foreground::is_end(word) => return job.hear(word, &running.channel),
            _ => running.status = Some(word),
        }
    }
    running.listens = received == Received::Nothing;
    Ok(())
}

/// How the main process ended, by the init's word; if it left none (killed, or the box could not be set up), how the
/// box's first process ended.
fn collect(running: &mut Running) -> Result<Ended> {
    let reaped = wait::collect(&running.child)?;
    while let Received::Number(word) = running.channel.try_receive()? {
        running.status = Some(word).filter(|word| foreground::is_end(*word)).or(running.status);
    }
    Ok(Ended::from_raw(running.status.unwrap_or(reaped.status)))
}
