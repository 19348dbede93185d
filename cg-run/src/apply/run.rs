//! The run itself: the child is started, watched, killed where it has to be, and what it leaves is taken away.

use std::os::fd::{AsFd as _, RawFd};
use std::time::{Duration, Instant};

use chain::fault::{Faults, Heard, time_of_day};
use chain::step::done;
use chain::sys::{AtEnd, Child, Fork, Reaped, fork, fork_into};
use chain::terminal::TerminalLease;
use chain::wait::{self, Ended, Event, Resident, child_does, die_with, hide_from_payload};
use chain::{Call as _, Common, Hint as _, Next, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::sys::signalfd::siginfo;
use nix::unistd::{SysconfVar, getpid, sysconf};

use super::job::Gate;
use super::supervised::{self, Supervised};
use crate::hints;
use crate::look::cgroup::Cgroup;
use crate::model::accounts::Accounts;
use crate::model::deadline::TimeLimits;
use crate::model::verdict::{Cause, Outcome};
use crate::plan::Plan;

/// What the child needs.
#[derive(Debug)]
pub struct Start<'a> {
    pub next: Next,
    pub keep: &'a [RawFd],
    /// Signals, and what tells that the process is gone that the caller knows.
    pub resident: Resident,
}

/// How long a run that is asked to end may take for it.
const GRACE: Duration = Duration::from_secs(2);

/// How long a program may take to be seen dead that has killed its whole job: then it is its own end that counts.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// A run that has begun.
struct Running {
    child: Child,
    resident: Resident,
    /// What links below say that have failed.
    heard: Heard,
    /// From when on wall time counts: the start of the child, and once that is known the start of the program.
    since: Instant,
    /// CPU time that was used until then.
    before: Duration,
    begun: bool,
    /// Whether CPU time is reported. For a limit alone, what the link says of itself has to do.
    reports_cpu: bool,
    /// How many processors could work at the same time: how fast CPU time can pass.
    processors: u32,
}

/// Runs the plan from the start of the child to the removal of the leaf.
pub fn run(
    common: &Common,
    plan: &Plan,
    mut supervised: Supervised,
    start: Start<'_>,
    times: &TimeLimits,
) -> Result<Outcome> {
    // No option requests this one: a terminal that cannot be looked at is the caller's affair.
    let looked = TerminalLease::look();
    let has_terminal = !matches!(looked, Ok(None));
    let terminal = looked.unwrap_or_default();
    let outcome = in_order(common, plan, &mut supervised, start, times, has_terminal);
    // Where something failed, the run is killed only here.
    drop(supervised);
    if let Some(terminal) = terminal.filter(|_| was_killed(&outcome)) {
        done(common, &plan.give_back, || {
            terminal.end();
            Ok(())
        })?;
    }
    outcome
}

/// Whether the run that had the terminal was killed, by cg-run, or with the whole leaf for its memory. A run that ends in
/// another way leaves the terminal as it wants to: stty(1) does nothing else.
fn was_killed(outcome: &Result<Outcome>) -> bool {
    let by_kill = |outcome: &Outcome| outcome.killed.is_some() || outcome.ended == Ended::Signal(libc::SIGKILL);
    outcome.as_ref().map_or(true, by_kill)
}

fn in_order(
    common: &Common,
    plan: &Plan,
    supervised: &mut Supervised,
    start: Start<'_>,
    times: &TimeLimits,
    has_terminal: bool,
) -> Result<Outcome> {
    let mut running = done(common, &plan.start, || begin(plan, supervised, start, has_terminal))?;
    // Where the leaf cannot be read any more, the child may be in another.
    let watched = done(common, &plan.watch, || watch(supervised, &mut running, times));
    let Watched { reaped, killed, interrupted, resident } = watched.inspect_err(|_| wait::kill(&running.child))?;
    hear(supervised, &mut running)?;
    let wall = running.since.elapsed();
    done(common, &plan.kill, || supervised.kill_rest(&running.child))?;
    let mut accounts = match &plan.account {
        Some(step) => done(common, step, || supervised.accounts(&reaped))?,
        None => Accounts::default(),
    };
    accounts.max_rss = accounts.max_rss.max(resident);
    accounts.cpu = accounts.cpu.without(running.before);
    plan.after.iter().try_for_each(|step| done(common, step, || supervised.step(step)))?;
    supervised.end();
    let fault = running.heard.fault()?;
    let (ended, without_cgroup) = (Ended::from_raw(reaped.status), plan.without_cgroup.clone());
    let executed = running.begun;
    Ok(Outcome { ended, killed, interrupted, executed, fault, wall, accounts, without_cgroup })
}

fn begin(plan: &Plan, supervised: &mut Supervised, start: Start<'_>, has_terminal: bool) -> Result<Running> {
    let resident = start.resident;
    hide_from_payload()?;
    let (faults, gate) = (Faults::new()?, Gate::new()?);
    let leaf = match supervised {
        Supervised::Leaf(leaf) => Some(leaf.cgroup()?),
        Supervised::Tree(tree) => {
            tree.begin();
            None
        }
    };
    let (since, own) = (Instant::now(), getpid());
    let (fork, enters) = forked(leaf).hinted(hints::NOT_STARTED)?;
    let child = match fork {
        Fork::Parent(child) => child,
        Fork::Child => child_does(|| {
            faults.below();
            let ready = die_with(own)
                .and_then(|()| gate.pass())
                .and_then(|()| enters.map_or(Ok(()), Cgroup::enter).hinted(hints::NOT_STARTED))
                .and_then(|()| resident.restore_signals());
            ready.map_or_else(|error| error, |()| start.next.exec(start.keep))
        }),
    };
    gate.leave(has_terminal).inspect_err(|_| wait::kill(&child))?;
    Ok(Running {
        child,
        resident,
        heard: faults.above(),
        since,
        before: Duration::ZERO,
        begun: false,
        reports_cpu: plan.account.is_some(),
        processors: processors(),
    })
}

/// A child in the leaf, and the leaf if it still has to go there by itself: filters deny clone3(2), the only call that
/// starts a process in a cgroup (every container runtime's default profile, with ENOSYS or EPERM; nothing else of the kernel
/// answers so). It goes before it does anything else.
fn forked(leaf: Option<&Cgroup>) -> Result<(Fork, Option<&Cgroup>)> {
    let there = leaf.map(|leaf| fork_into(leaf.as_fd()));
    match there {
        None | Some(Err(Errno::ENOSYS | Errno::EPERM)) => fork(0, AtEnd::Signal).call("clone").map(|fork| (fork, leaf)),
        Some(started) => started.call("clone3").map(|fork| (fork, None)),
    }
}

/// How a run ended.
struct Watched {
    reaped: Reaped,
    killed: Option<Cause>,
    interrupted: bool,
    /// The most memory that one process had of those that were killed.
    resident: u64,
}

/// Waits until the child has ended: by itself, because of a limit, or because somebody asked the run to end.
fn watch(supervised: &mut Supervised, running: &mut Running, times: &TimeLimits) -> Result<Watched> {
    let processors = running.processors;
    let clock = supervised.clock()?;
    // The wall time at which an interrupted run has had its time to end.
    let (mut patient_until, mut orphaned): (Option<Duration>, bool) = (None, false);
    let mut ended = false;
    let killed = loop {
        // First, and by the child itself: signals that keep coming cannot hide its end.
        if let Some(reaped) = supervised.reap(&running.child)? {
            return Ok(Watched { reaped, killed: None, interrupted: patient_until.is_some(), resident: 0 });
        }
        if ended {
            // Whoever traces a process hears of its end first (ptrace(2)), and need not let go: one of the run goes with the rest.
            let reaped = supervised.kill_all(&running.child)?;
            return Ok(Watched { reaped, killed: None, interrupted: patient_until.is_some(), resident: 0 });
        }
        let wall = running.since.elapsed();
        let most = wall.saturating_mul(processors);
        let cpu = if times.cpu.is_some_and(|limit| most >= limit) {
            supervised.cpu(clock.as_ref())?.saturating_sub(running.before)
        } else {
            // Even that is within the limit: nothing need be read.
            most
        };
        if let Some(which) = times.kill(wall, cpu) {
            // That the program was executed may be said and not yet heard: what was used before is not its own.
            let before = running.begun;
            hear(supervised, running)?;
            if before == running.begun {
                break Cause::Limit(which);
            }
            continue;
        }
        if patient_until.is_some_and(|until| wall >= until) {
            break Cause::Interrupted;
        }
        let next = times.next_look(wall, cpu, processors);
        let next = next.into_iter().chain(patient_until.map(|until| until.saturating_sub(wall))).min();
        let others = running.heard.waits().then(|| running.heard.as_fd());
        match running.resident.next_or(Some(&running.child), others.as_slice(), rounded_up(next))? {
            Event::Signal(info) if info.ssi_signo == Signal::SIGCHLD as u32 => {}
            Event::Signal(info) => {
                wait::pass_on(&info, &running.child);
                if interrupts(&info) {
                    patient_until.get_or_insert(running.since.elapsed() + GRACE);
                }
            }
            Event::ParentGone if orphaned => break Cause::CallerGone,
            Event::ParentGone => {
                orphaned = true;
                supervised::ends_within(&running.child, LAST_MOMENT)?;
            }
            Event::Other => hear(supervised, running)?,
            Event::Ended => ended = true,
            Event::Timeout => {}
        }
    };
    hear(supervised, running)?;
    let resident = if running.reports_cpu { supervised.most_resident() } else { 0 };
    let reaped = supervised.kill_all(&running.child)?;
    Ok(Watched { reaped, killed: Some(killed), interrupted: patient_until.is_some(), resident })
}

/// Listens for the moment in which the program was executed: what was used before is not its own. Of what the box has used
/// until it is heard here, it may have used as much as all processors can in the time between.
fn hear(supervised: &mut Supervised, running: &mut Running) -> Result<()> {
    let Some(begun) = running.heard.begun()?.filter(|_| !running.begun) else { return Ok(()) };
    running.begun = true;
    // First what was used, then the time: what the program uses while it is read must not count as used before.
    let used = if running.reports_cpu { supervised.cpu(None)? } else { Duration::ZERO };
    let late = time_of_day().saturating_sub(begun.at);
    let at = Instant::now().checked_sub(late).unwrap_or(running.since);
    running.since = running.since.max(at);
    running.before = begun.cpu.max(used.saturating_sub(late.saturating_mul(running.processors)));
    Ok(())
}

/// Whether a signal asks the whole run to end. What is typed at the terminal asks the program alone (a shell goes on); that
/// the terminal is gone, everybody.
fn interrupts(info: &siginfo) -> bool {
    let signal = libc::c_int::try_from(info.ssi_signo).unwrap_or(0);
    wait::asks_to_end(signal) && (wait::is_for_child(info) || signal == libc::SIGHUP)
}

fn processors() -> u32 {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// poll(2) counts in milliseconds; rounded down it would spin through the last one.
fn rounded_up(timeout: Option<Duration>) -> PollTimeout {
    timeout.map_or(PollTimeout::NONE, |time| {
        PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    })
}
