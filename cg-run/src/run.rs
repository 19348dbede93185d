//! The only effects of a run: make, start, watch, kill, account, remove.

use std::io::Read as _;
use std::os::fd::{AsFd as _, RawFd};
use std::time::{Duration, Instant};

use chain::Common;
use chain::failure::errno_of;
use chain::sys::{AtEnd, Child, Fork, Reaped, fork, fork_into, reap};
use chain::terminal::TerminalLease;
use chain::wait::{self, Ended, Event, Resident, child_does, die_with, hide_from_payload};
use chain::{Call as _, Context as _, Failure, Hint as _, Next, Result, message};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, getpid, sysconf};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::accounts::{self, Accounts};
use crate::cgroup::{Cgroup, PATIENCE, whole};
use crate::deadline::TimeLimits;
use crate::leaf::Leaf;
use crate::plan::Plan;
use crate::step::Step;
use crate::tree::Tree;
use crate::verdict::{Cause, Outcome};

/// What holds the processes of a run together.
#[derive(Debug)]
pub enum Body {
    /// A leaf cgroup.
    Leaf(Leaf),
    /// Nothing but their descent.
    Tree(Box<Tree>),
}

/// What the child needs.
#[derive(Debug)]
pub struct Start<'a> {
    /// The next program.
    pub next: Next,
    /// Descriptors that it keeps.
    pub keep: &'a [RawFd],
    /// Whether the run goes on when the caller is gone.
    pub outlive: bool,
}

/// A run that has begun.
struct Running {
    child: Child,
    resident: Resident,
    /// Readable with a byte in it if the next program could not be executed.
    unexecuted: std::fs::File,
    since: Instant,
}

/// Runs the plan from the start of the child to the removal of the leaf.
///
/// # Errors
/// The step that failed. What was made is unmade then all the same.
pub fn run(common: &Common, plan: &Plan, mut body: Body, start: Start<'_>, times: &TimeLimits) -> Result<Outcome> {
    // Nobody asked for this one: a terminal that cannot be looked at is the caller's affair.
    let terminal = TerminalLease::look().unwrap_or_default();
    let outcome = supervised(common, plan, &mut body, start, times);
    // Where something failed, the run is killed only here.
    drop(body);
    if let Some(terminal) = terminal.filter(|_| was_killed(&outcome)) {
        done(common, &plan.give_back, || {
            terminal.end();
            Ok(())
        })?;
    }
    outcome
}

/// Whether whoever had the terminal was killed, by cg-run, or with the whole leaf for its memory. Who ends in another way
/// leaves the terminal as it wants to: stty(1) does nothing else.
fn was_killed(outcome: &Result<Outcome>) -> bool {
    let by_kill = |outcome: &Outcome| outcome.killed.is_some() || outcome.ended == Ended::Signal(libc::SIGKILL);
    outcome.as_ref().map_or(true, by_kill)
}

fn supervised(common: &Common, plan: &Plan, body: &mut Body, start: Start<'_>, times: &TimeLimits) -> Result<Outcome> {
    let running = done(common, &plan.start, || begin(body, start))?;
    // Where the leaf cannot be read any more, the child may be in another.
    let watched = done(common, &plan.watch, || watch(body, &running, times));
    let (reaped, killed) = watched.inspect_err(|_| wait::kill(&running.child))?;
    let wall = running.since.elapsed();
    done(common, &plan.kill, || body.kill_rest(&running.child))?;
    let accounts = match &plan.account {
        Some(step) => done(common, step, || body.accounts(&reaped))?,
        None => Accounts::default(),
    };
    plan.after.iter().try_for_each(|step| done(common, step, || body.step(step)))?;
    body.end();
    let executed = !wrote(&running.unexecuted);
    Ok(Outcome { ended: Ended::from_raw(reaped.status), killed, executed, wall, accounts })
}

/// One step that yields something: as [`chain::perform`] does it.
fn done<T>(common: &Common, step: &Step, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let value = work().with_context(|| step.to_string())?;
    if common.verbose {
        message::print_step(&step.to_string());
    }
    Ok(value)
}

fn begin(body: &mut Body, start: Start<'_>) -> Result<Running> {
    let lifeline = if start.outlive { None } else { wait::caller_lifeline()? };
    let also: &[Signal] = if matches!(body, Body::Tree(_)) { &[Signal::SIGCHLD] } else { &[] };
    let resident = Resident::begin(lifeline, also)?;
    hide_from_payload()?;
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).call("pipe2")?;
    let leaf = match body {
        Body::Leaf(leaf) => Some(leaf.cgroup()?),
        Body::Tree(tree) => {
            tree.begin();
            None
        }
    };
    let (since, own) = (Instant::now(), getpid());
    let (fork, enters) = forked(leaf).map_err(not_started)?;
    let child = match fork {
        Fork::Parent(child) => child,
        Fork::Child => child_does(|| {
            let ready = die_with(own)
                .and_then(|()| enters.map_or(Ok(()), Cgroup::enter).map_err(not_started))
                .and_then(|()| resident.restore_signals());
            let error = ready.map_or_else(|error| error, |()| start.next.exec(start.keep));
            // Nobody reads it only if cg-run is gone; the failure itself is said on standard error.
            rustix::io::write(&write_end, b"x").unwrap_or_default();
            error
        }),
    };
    Ok(Running { child, resident, unexecuted: read_end.into(), since })
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

fn not_started(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EACCES) => error.hint(
            "to place a process one has to be allowed to write cgroup.procs of the cgroup above both, the one that it \
             comes from and the leaf: start inside the delegated cgroup (systemd-run --user --scope -p Delegate=yes)",
        ),
        Some(Errno::EAGAIN) => error.hint("RLIMIT_NPROC, or pids.max of this cgroup or one above"),
        _ => error,
    }
}

fn wrote(mut pipe: &std::fs::File) -> bool {
    matches!(pipe.read(&mut [0]), Ok(1))
}

/// Waits until the child has ended, by itself or because of a limit. Returns how, and why if it was killed.
fn watch(body: &mut Body, running: &Running, times: &TimeLimits) -> Result<(Reaped, Option<Cause>)> {
    let processors = processors(times);
    let clock = body.clock()?;
    loop {
        // First, and by the child itself: signals that keep coming cannot hide its end.
        if let Some(reaped) = body.reap(&running.child)? {
            return Ok((reaped, None));
        }
        let wall = running.since.elapsed();
        let cpu = spent(body, clock.as_ref(), times, wall * processors)?;
        if let Some(which) = times.kill(wall, cpu) {
            return killed(body, running, Cause::Limit(which));
        }
        match running.resident.next(&running.child, rounded_up(times.next_look(wall, cpu, processors)))? {
            Event::Signal(info) if info.ssi_signo == Signal::SIGCHLD as u32 => {}
            Event::Signal(info) => wait::pass_on(&info, &running.child),
            Event::ParentGone => return killed(body, running, Cause::CallerGone),
            Event::Ended | Event::Other | Event::Timeout => {}
        }
    }
}

/// CPU time so far, or the most that it can be (`most`: every processor busy all the time) while even that is within
/// the limit: then nothing need be read, which for a process tree is all of /proc.
fn spent(body: &mut Body, clock: Option<&std::fs::File>, times: &TimeLimits, most: Duration) -> Result<Duration> {
    if times.cpu.is_some_and(|limit| most >= limit) { body.cpu(clock) } else { Ok(most) }
}

fn killed(body: &mut Body, running: &Running, cause: Cause) -> Result<(Reaped, Option<Cause>)> {
    Ok((body.kill_all(&running.child)?, Some(cause)))
}

/// Collects the killed child. One that waits for a device, or for a server of FUSE, may never end.
fn collect(child: &Child) -> Result<Reaped> {
    let mut file = [PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    match poll(&mut file, patience).call("poll")? {
        0 => Err(Failure::refusal(format!("does not die: process {}", child.pid)).into()),
        _ => wait::collect(child),
    }
}

/// How many processors could work at the same time: how fast CPU time can pass.
fn processors(times: &TimeLimits) -> u32 {
    if times.cpu.is_none() {
        return 1;
    }
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// poll(2) counts in milliseconds; rounded down it would spin through the last one.
fn rounded_up(timeout: Option<Duration>) -> PollTimeout {
    timeout.map_or(PollTimeout::NONE, |time| {
        PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    })
}

impl Body {
    /// Does a step that belongs to what holds the run together.
    ///
    /// # Errors
    /// What the step says.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match self {
            Self::Leaf(leaf) => leaf.step(step),
            Self::Tree(_) => Err(Failure::refusal("not a step of a process tree").into()),
        }
    }

    /// The file that tells the CPU time of a leaf, held open.
    fn clock(&self) -> Result<Option<std::fs::File>> {
        match self {
            Self::Leaf(leaf) => leaf.cgroup()?.file("cpu.stat").map(Some),
            Self::Tree(_) => Ok(None),
        }
    }

    fn cpu(&mut self, clock: Option<&std::fs::File>) -> Result<Duration> {
        match (self, clock) {
            (Self::Tree(tree), _) => tree.cpu(),
            (Self::Leaf(_), Some(file)) => Ok(accounts::cpu(&whole(file)?).total),
            (Self::Leaf(leaf), None) => Ok(leaf.accounts()?.cpu.total),
        }
    }

    fn reap(&mut self, child: &Child) -> Result<Option<Reaped>> {
        match self {
            Self::Leaf(_) => reap(child.pid, false).call("wait4"),
            Self::Tree(tree) => tree.reap(child.pid),
        }
    }

    fn kill_all(&mut self, child: &Child) -> Result<Reaped> {
        match self {
            Self::Leaf(leaf) => {
                // A program that may write to cgroups can have left the leaf.
                wait::kill(child);
                leaf.empty()?;
                collect(child)
            }
            Self::Tree(tree) => {
                wait::kill(child);
                tree.kill(child.pid)?.map_or_else(|| wait::collect(child), Ok)
            }
        }
    }

    fn kill_rest(&mut self, child: &Child) -> Result<()> {
        match self {
            Self::Leaf(leaf) => leaf.empty(),
            Self::Tree(tree) => tree.kill(child.pid).map(drop),
        }
    }

    fn accounts(&self, reaped: &Reaped) -> Result<Accounts> {
        match self {
            Self::Leaf(leaf) => {
                let mut accounts = leaf.accounts()?;
                accounts.add_usage(&reaped.usage);
                Ok(accounts)
            }
            Self::Tree(tree) => Ok(tree.accounts()),
        }
    }

    fn end(&mut self) {
        if let Self::Tree(tree) = self {
            tree.end();
        }
    }
}
