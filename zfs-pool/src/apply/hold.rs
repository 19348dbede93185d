//! Leases: `acquire` for another process, and `run`, which stays.
//!
//! ```text
//! caller -- lifeline --> zfs-pool run (lease, lock) -- signals, pidfd --> PROG (the rest of the chain)
//! ```
//!
//! The lease lives in the resident parent alone: the lock's descriptor is close-on-exec and never handed down. If the
//! parent is killed, the kernel gives the lock back and kills PROG (PR_SET_PDEATHSIG), unless PROG is a resident link
//! that watches its parent by itself and has something to clean up.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use chain::Common;
use chain::failure::Kind as FailureKind;
use chain::sys;
use chain::wait::{Ended, Lifeline, Resident, caller_lifeline, hide_from_payload};
use chain::{Call as _, Context as _, Failure, Hint as _, Next, Result, message, print, print_error, refusal};
use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};
use nix::unistd::getppid;

use super::backend::Backend;
use crate::args::Claim;
use crate::look::holder::holder;
use crate::model::pool::{EXPORTS, Lease, Place, Template, Tenure, missing};
use crate::plan;
use crate::step::Step;

/// How often `--wait` looks again.
const PATIENCE: Duration = Duration::from_millis(20);

/// A claim on a pool, and how the caller wants to hear of it.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The options that all tools have.
    pub common: &'a Common,
    pub place: &'a Place,
    pub pool: &'a dyn Backend,
    /// What is claimed, and how patiently.
    pub claim: &'a Claim,
}

impl Order<'_> {
    /// `acquire`: claims a clone for the process `pid` (or the parent) and prints the lease's variables for a shell.
    pub fn acquire(self, pid: Option<u32>) -> Result<u8> {
        let steps = self.steps(false);
        if self.is_dry()? {
            return self.common.explain.map_or(Ok(()), |form| chain::step::print(form, &steps)).map(|()| 0);
        }
        let tenure = Tenure { holder: holder(pid.map_or_else(parent, Ok)?)?, resident: false };
        let lease = self.lease(&steps, &tenure, &[])?;
        if let Err(error) = print(&variables(&lease)) {
            // Nobody knows of this lease.
            self.pool.give_back(lease)?;
            return Err(error);
        }
        Ok(0)
    }

    /// `run`: claims a clone, runs the program, destroys the clone, ends as the program ended.
    pub fn run(self, lifeline: Option<RawFd>, prog: &[OsString]) -> Result<u8> {
        let steps = self.steps(true);
        let dry = self.is_dry()?;
        if let Some(form) = self.common.explain {
            return chain::explain(form, &steps, prog, &self.common.keep_fds);
        }
        let next = Next::resolve(prog)?;
        let lines = lines(lifeline)?;
        if dry {
            return Ok(0);
        }
        hide_from_payload()?;
        // Not yet resident: while it waits for a clone, every signal ends it as usual, and the lease with it.
        let tenure = Tenure { holder: holder(std::process::id())?, resident: true };
        let lease = self.lease(&steps, &tenure, &lines)?;
        let resident = Resident::begin(lines, &[]);
        let ended = resident.and_then(|resident| supervise(self.common, &resident, next, &lease));
        let name = lease.clone.to_string();
        if let Err(error) = self.pool.give_back(lease) {
            message::print_failure(&error);
            print_error(&format!("{name}: not destroyed; zfs-pool gc will try again"));
        }
        ended?.finish()
    }

    fn steps(self, resident: bool) -> Vec<Step> {
        plan::claim(self.claim, resident).into_iter().map(|action| Step { action, place: self.place.clone() }).collect()
    }

    /// Whether nothing is to be changed. Then, at least, the template must be there.
    fn is_dry(self) -> Result<bool> {
        let dry = self.common.check || self.common.explain.is_some();
        if dry {
            self.template()?;
        }
        Ok(dry)
    }

    /// Does the first step: the claim.
    fn lease(self, steps: &[Step], tenure: &Tenure, lines: &[Lifeline]) -> Result<Lease> {
        let claim = steps.first().ok_or_else(|| refusal!("no step claims a clone"))?;
        chain::step::done(self.common, claim, || self.patiently(tenure, lines))
    }

    /// Claims a clone: the first that is free, or one made for us, or the first that becomes free in time.
    fn patiently(self, tenure: &Tenure, lines: &[Lifeline]) -> Result<Lease> {
        let Claim { of, wait, create } = self.claim;
        let start = Instant::now();
        let mut known = of.version.is_none();
        loop {
            if let Some(lease) = self.pool.claim(of, tenure)? {
                return Ok(lease);
            }
            if !known {
                // Of a version that is not there, nothing ever becomes free.
                plan::version(&self.template()?, of.version)?;
                known = true;
            }
            if *create {
                self.create()?;
            } else if start.elapsed() >= *wait {
                return Err(none_free(self.claim).into());
            } else {
                pause(PATIENCE.min(wait.saturating_sub(start.elapsed())), lines)?;
            }
        }
    }

    /// Makes one clone. That somebody else takes it at once is possible; then another one is made.
    fn create(self) -> Result<()> {
        let of = &self.claim.of;
        let _guard = self.pool.guard(&of.template)?;
        let make = plan::clones(&self.template()?, of.version, 1)?;
        make.iter().try_for_each(|action| self.pool.act(action).with_context(|| action.to_string()))
    }

    fn template(self) -> Result<Template> {
        let name = &self.claim.of.template;
        self.pool.look(name)?.ok_or_else(|| missing(name))
    }
}

fn parent() -> Result<u32> {
    let none = || refusal!("the parent is outside this pid namespace").hint("say --pid PID");
    u32::try_from(getppid().as_raw()).ok().filter(|pid| *pid > 0).ok_or_else(none)
}

/// `NAME='value'` lines that a POSIX shell evaluates to the very bytes.
fn variables(lease: &Lease) -> Vec<u8> {
    let mut lines = vec![];
    for (name, value) in &lease.exports {
        lines.extend([name.as_bytes(), b"='"].concat());
        lines.extend(value.as_bytes().split(|byte| *byte == b'\'').collect::<Vec<_>>().join(b"'\\''".as_slice()));
        lines.extend(b"'\n");
    }
    lines
}

/// What the lease is bound to: the caller, and the connection that the user named.
fn lines(connection: Option<RawFd>) -> Result<Vec<Lifeline>> {
    let mut lines: Vec<Lifeline> = caller_lifeline()?.into_iter().collect();
    if let Some(fd) = connection {
        let shown = || format!("--lifeline {fd}");
        lines.extend(sys::borrowed(fd).call("fcntl").and_then(Lifeline::connection).with_context(shown)?);
    }
    Ok(lines)
}

/// A pause that ends in a failure where the process that waits for a clone is gone.
fn pause(time: Duration, lines: &[Lifeline]) -> Result<()> {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    match poll(&mut lines.iter().map(Lifeline::poll_fd).collect::<Vec<_>>(), time) {
        Ok(0) | Err(Errno::EINTR) => Ok(()),
        Ok(_) => Err(refusal!("whoever waited for a clone is gone")),
        Err(errno) => Err(Failure::call("poll", errno).into()),
    }
}

fn none_free(claim: &Claim) -> Failure {
    let refill = format!("zfs-pool refill {} N makes some; --wait SECONDS waits, --create makes one", claim.of);
    Failure::refusal(format!("no clone of {} is free", claim.of)).kind(FailureKind::TryAgain).hint(refill)
}

/// Starts the program and stays until it has ended.
fn supervise(common: &Common, resident: &Resident, mut next: Next, lease: &Lease) -> Result<Ended> {
    for name in EXPORTS {
        match lease.exports.iter().find(|export| export.0 == name) {
            Some((_, value)) => next.setenv(name, value)?,
            None => next.unsetenv(name)?,
        }
    }
    // The lock is close-on-exec: from there on the lease is the parent's alone.
    let child = resident.start(|| next.exec(&common.keep_fds))?;
    resident.run(&child).map(|reaped| Ended::from_raw(reaped.status)).inspect_err(|_| {
        // Killed by `run`; the clone must not be destroyed under it.
        chain::wait::collect(&child).map(drop).unwrap_or_default();
    })
}
