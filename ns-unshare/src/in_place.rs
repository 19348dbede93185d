//! Without a pid namespace: this process enters the new namespaces and executes the next program. Nothing stays.

use chain::Common;
use chain::sys::{self, AtEnd, Fork};
use chain::{Call as _, Result, wait};
use nix::unistd::Pid;

use crate::apply::{self, Proc};
use crate::join::{self, Program};
use crate::link::{Heard, Link};
use crate::plan::Plan;

/// Enters and executes. Returns only where the scribe failed, and said why.
///
/// # Errors
/// The step that failed, or why the next program could not be executed.
pub fn enter(common: &Common, plan: &Plan, program: Program) -> Result<u8> {
    join::enter(common, &plan.joins)?;
    let scribe = if plan.maps.is_empty() { None } else { Some(Scribe::start(common, plan)?) };
    let creation: Vec<_> = plan.creation().into_iter().collect();
    chain::perform(common, &creation, |step| apply::step(step, &Proc::Own))?;
    if let Some(scribe) = scribe
        && !scribe.write()?
    {
        return Ok(125);
    }
    chain::perform(common, &plan.inside, |step| apply::step(step, &Proc::Own))?;
    apply::verify(plan.ids)?;
    chain::perform(common, &plan.last, |step| apply::step(step, &Proc::Own))?;
    Err(program.resolve()?.exec(&common.keep_fds))
}

/// A child that stays in the old user namespace, where the right to map ids is, and writes the maps of its parent.
#[derive(Debug)]
struct Scribe {
    pid: Pid,
    link: Link,
}

impl Scribe {
    /// Forks it before anything has changed. It sends no SIGCHLD: one that is blocked would stay pending and be the
    /// next program's.
    fn start(common: &Common, plan: &Plan) -> Result<Self> {
        let proc = Proc::open("self")?;
        let (ours, theirs) = Link::pair()?;
        match sys::fork(0, AtEnd::Nothing).call("clone")? {
            Fork::Parent(child) => Ok(Self { pid: child.pid, link: ours }),
            Fork::Child => {
                drop(ours);
                wait::child_does(|| scribble(common, plan, &theirs, &proc))
            }
        }
    }

    /// Has the maps written. False where the scribe failed; it has said why.
    fn write(self) -> Result<bool> {
        self.link.say(0)?;
        let written = self.link.wait()? == Heard::Number(0);
        sys::reap(self.pid, true).call("wait4")?;
        Ok(written)
    }
}

fn scribble(common: &Common, plan: &Plan, link: &Link, proc: &Proc) -> anyhow::Error {
    let written = link.wait().and_then(|heard| {
        if heard == Heard::Gone {
            sys::exit_now(125);
        }
        chain::perform(common, &plan.maps, |step| apply::step(step, proc))?;
        link.say(0)
    });
    match written {
        Ok(()) => sys::exit_now(0),
        Err(error) => error,
    }
}
