//! The first process of the box: it sets the box up; then it is the init, pid 1, with the main process as its child. With
//! --as-pid1 that child is pid 1 of a pid namespace within: the init is then out of its sight, and still the one whose
//! end ends everything, which a program could not be trusted with (prctl(2) lets it clear PR_SET_PDEATHSIG).
//!
//! The init ends, and with it the box, in three cases: the main process has ended; the channel to the process outside is
//! closed; or, where it is stopped and could not notice that, by PR_SET_PDEATHSIG.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use chain::Common;
use chain::sys::{self, AtEnd, Child, Fork};
use chain::wait::{self, Ended, Event, Resident};
use chain::{Call as _, Result, message};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::poll::PollTimeout;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, chdir, setsid};

use super::bridge::Pty;
use super::channel::{Channel, Received, TO_GROUP};
use super::foreground::{self, Job};
use super::proc::Proc;
use super::{handshake, steps};
use crate::hints;
use crate::look::program::Program;
use crate::model::namespace::{Namespace, Set};
use crate::model::setup::Session;
use crate::plan::{Plan, Residence};
use crate::step::Step;

/// How often it is looked whether whoever traces the ended main process has let go of it.
const PAUSE: Duration = Duration::from_millis(1);

/// What the first process brings along from outside, most of it for the main process.
pub struct Inherited {
    /// What the main process executes.
    pub program: Program,
    /// The signals as the caller had them.
    pub resident: Resident,
    /// The caller's terminal, where it is to be lent.
    pub job: Option<Job>,
    /// The box's own terminal.
    pub pty: Option<Pty>,
}

/// The first process's work. Returns only a failure.
pub fn begin(common: &Common, plan: &Plan, inherited: Inherited, channel: Channel) -> anyhow::Error {
    let ready = set_up(common, plan, &channel).and_then(|()| end_with_outside(&channel));
    match (ready, plan.residence) {
        (Err(error), _) => error,
        (Ok(()), Residence::Init) => stay(common, plan, inherited, channel).err().unwrap_or_else(|| sys::exit_now(0)),
        (Ok(()), _) => {
            let waits = Some(channel).filter(|_| !plan.outside.is_empty());
            match waits.iter().try_for_each(|channel| channel.send(0)) {
                Ok(()) => execute(common, plan, inherited, waits),
                Err(error) => error,
            }
        }
    }
}

fn set_up(common: &Common, plan: &Plan, channel: &Channel) -> Result<()> {
    if plan.reports_before_maps() {
        channel.send(0)?;
        handshake::say_numbers(plan, channel)?;
    }
    if plan.maps.is_empty() {
        chain::step::print_done(common, &Step::Clone(plan.new));
        // The process outside is hidden already, and so is this copy of it; what is hidden may not write its own maps.
        if plan.new.has(Namespace::User) || (!plan.outside.is_empty() && plan.joins.is_empty()) {
            prctl::set_dumpable(true).call("prctl(PR_SET_DUMPABLE, 1)")?;
        }
    } else if channel.receive()? == Received::Gone {
        // The process outside has printed why.
        sys::exit_now(125);
    }
    plan.maps.iter().chain(&plan.outside).for_each(handshake::forget);
    chain::perform(common, &plan.inside, |step| steps::step(step, &Proc::Own))?;
    steps::verify(plan.ids)
}

/// In the process that is to become the program: says which namespaces it is in, and waits until the steps outside have
/// been done. `channel` leads to the process outside, or to the init.
fn await_start(plan: &Plan, channel: &Channel) -> Result<()> {
    if plan.reports_at_start() {
        handshake::say_numbers(plan, channel)?;
    }
    // Whoever is gone has printed why.
    if channel.receive()? == Received::Gone { sys::exit_now(125) } else { Ok(()) }
}

/// From now on the kernel kills this process when the one outside dies. If that has happened before, the channel says so.
/// After the ids have been changed: that clears the setting (prctl(2)).
fn end_with_outside(channel: &Channel) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).call("prctl(PR_SET_PDEATHSIG)")?;
    if channel.is_closed()? { sys::exit_now(125) } else { Ok(()) }
}

/// The main process: the wait for its start, its process group, signals as the caller had them, the last steps, exec.
fn execute(common: &Common, plan: &Plan, inherited: Inherited, waits: Option<Channel>) -> anyhow::Error {
    let group: Vec<_> = plan.group().into_iter().collect();
    let started = waits.iter().try_for_each(|channel| await_start(plan, channel));
    let ready = started
        .and_then(|()| chain::perform(common, &group, |step| enter_group(step, &inherited)))
        .and_then(|()| inherited.resident.restore_signals())
        .and_then(|()| chain::perform(common, &plan.last, |step| steps::step(step, &Proc::Own)));
    drop((inherited.resident, inherited.job, inherited.pty, waits));
    match ready.and_then(|()| inherited.program.resolve()) {
        Ok(next) => next.exec(&common.keep_fds),
        Err(error) => error,
    }
}

fn enter_group(step: &Step, inherited: &Inherited) -> Result<()> {
    match (step, &inherited.pty) {
        (Step::Session(Session::Pty), Some(pty)) => pty.enter(),
        (Step::Session(Session::New), _) => setsid().call("setsid").map(drop),
        _ => foreground::enter(inherited.job.as_ref()),
    }
}

/// The init: forks the main process and serves until it has ended. Returns only a failure.
///
/// What is said of the box names the main process, for the files of the init are closed to an ordinary user once it has
/// hidden itself. So the main process is there before the steps outside, and waits for their end.
fn stay(common: &Common, plan: &Plan, inherited: Inherited, channel: Channel) -> Result<()> {
    let (gate, waits) = if plan.outside.is_empty() {
        wait::hide_from_payload()?;
        (None, None)
    } else {
        Some(Channel::pair()?).unzip()
    };
    // The command line is that of the whole chain, with paths of the host, and would be readable all the same.
    sys::arguments::forget(message::tool());
    let resident = Resident::begin([channel.lifeline()?], &[Signal::SIGCHLD])?;
    chain::step::print_done(common, &plan.init());
    match fork_main(plan).with_context(|| plan.init().to_string())? {
        Fork::Child => {
            drop((resident, channel, gate));
            wait::child_does(|| execute(common, plan, inherited, waits))
        }
        Fork::Parent(main) => {
            let Inherited { job, program, resident: callers, pty } = inherited;
            drop((program, callers, pty, waits));
            gate.iter().try_for_each(|gate| tell_outside(plan, &main, &channel, gate))?;
            // The caller's folder would keep its mount busy after the root has changed.
            chdir("/").call("chdir /")?;
            let keep = [main.pidfd.as_fd(), channel.as_fd()].into_iter();
            let keep = keep.chain(job.as_ref().map(AsFd::as_fd)).chain(gate.as_ref().map(AsFd::as_fd));
            resident.keep_only(&keep.collect::<Vec<_>>())?;
            serve(&resident, &main, &channel, job, gate)
        }
    }
}

/// Says which process waits for its start, and passes on what that says of itself.
fn tell_outside(plan: &Plan, main: &Child, channel: &Channel, gate: &Channel) -> Result<()> {
    channel.send_process(main.pidfd.as_fd())?;
    let numbers = if plan.reports_at_start() { plan.reported().iter().count() } else { 0 };
    for _ in 0..numbers {
        match gate.receive()? {
            Received::Number(number) => channel.send(number)?,
            // It has printed why.
            _ => sys::exit_now(125),
        }
    }
    Ok(())
}

fn fork_main(plan: &Plan) -> Result<Fork> {
    let new = if plan.as_pid1 { Set::default().with(Namespace::Pid) } else { Set::default() };
    sys::fork(new.flags(), AtEnd::Signal).call("clone").map_err(|error| hints::creation(error, new))
}

/// Opens the gate when the process outside says so; reaps and passes signals on until the main process has ended, then
/// ends the box.
fn serve(
    resident: &Resident,
    main: &Child,
    channel: &Channel,
    mut job: Option<Job>,
    mut gate: Option<Channel>,
) -> Result<()> {
    let mut ended = false;
    loop {
        match resident.next(main, PollTimeout::NONE)? {
            Event::Signal(info) if info.ssi_signo == libc::SIGCHLD as u32 => {}
            // From outside the box (pid 0) signals come by the channel only: one that was sent to the whole process group
            // has reached the main process by itself.
            Event::Signal(info) if info.ssi_pid == 0 => {}
            Event::Signal(info) => wait::pass_on(&info, main),
            Event::ParentGone => match channel.try_receive()? {
                Received::Number(_) if gate.is_some() => {
                    wait::hide_from_payload()?;
                    gate.take().map_or(Ok(()), |gate| gate.send(0))?;
                }
                Received::Number(word) if job.as_mut().is_some_and(|job| job.obey(main.pid, word)) => {}
                Received::Number(word) => {
                    signal_main(main, word);
                    let ends = wait::asks_to_end(word & !TO_GROUP);
                    job.as_mut().filter(|_| ends).map_or(Ok(()), |job| job.end_of_box(channel))?;
                }
                Received::Nothing => {}
                Received::Gone => sys::exit_now(125),
            },
            Event::Ended => ended = true,
            Event::Other | Event::Timeout => {}
        }
        match (reap_all(main.pid, job.is_some())?, &mut job) {
            (Some(status), Some(job)) if foreground::is_stop(status) => channel.send(job.freeze(status))?,
            (Some(status), _) => {
                channel.send(status)?;
                finish(status);
            }
            // Whoever traces it hears of its end first (ptrace(2)), and need not let go: in the box nobody is left then. Who does
            // that from outside is waited for.
            (None, _) if ended => {
                kill(Pid::from_raw(-1), Signal::SIGKILL).unwrap_or_default();
                sleep(PAUSE);
            }
            (None, _) => {}
        }
    }
}

/// ESRCH: it has just ended, which the next round sees.
pub fn signal_main(main: &Child, word: c_int) {
    let signal = word & !TO_GROUP;
    if word == signal {
        return wait::signal(main, signal);
    }
    if let Ok(signal) = Signal::try_from(signal) {
        killpg(main.pid, signal).unwrap_or_default();
    }
    if wait::asks_to_end(signal) {
        killpg(main.pid, Signal::SIGCONT).unwrap_or_default();
    }
}

/// Collects whatever has ended; the raw wait status if the main process was among it, or where it has stopped.
fn reap_all(main: Pid, stops: bool) -> Result<Option<c_int>> {
    let any = Pid::from_raw(-1);
    loop {
        match if stops { sys::reap_or_see_stopped(any) } else { sys::reap(any, false) } {
            Ok(Some(reaped)) if reaped.pid == main => return Ok(Some(reaped.status)),
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::ECHILD) => return Ok(None),
            error => return error.call("wait4").map(|_| None),
        }
    }
}

/// Ends pid 1, and so the box. The code is for whoever looks at the init from outside; the exact status has gone by
/// the channel.
fn finish(status: c_int) -> ! {
    match Ended::from_raw(status) {
        Ended::Exit(code) => sys::exit_now(code),
        Ended::Signal(signal) => sys::exit_now(u8::try_from(128 + signal).unwrap_or(255)),
    }
}
