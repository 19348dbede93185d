//! Without a pid namespace: this process enters the new namespaces and executes the next program. Nothing stays.

use chain::Common;
use chain::sys::{self, AtEnd, Fork};
use chain::{Call as _, Result, wait};
use nix::unistd::Pid;

use super::channel::{Channel, Received};
use super::proc::Proc;
use super::{first_root, join, steps};
use crate::hints;
use crate::look::program::Program;
use crate::plan::Plan;

/// Enters and executes. Returns only where the map writer failed, and has printed why.
pub fn enter(common: &Common, plan: &Plan, program: Program) -> Result<u8> {
    join::enter(common, &plan.joins)?;
    first_root::cover(common, plan)?;
    let writer = if plan.maps.is_empty() { None } else { Some(MapWriter::start(common, plan)?) };
    let creation: Vec<_> = plan.creation().into_iter().collect();
    chain::perform(common, &creation, |step| steps::step(step, &Proc::Own))?;
    if !writer.map_or(Ok(true), MapWriter::write)? {
        return Ok(125);
    }
    chain::perform(common, &plan.inside, |step| steps::step(step, &Proc::Own))?;
    steps::verify(plan.ids)?;
    chain::perform(common, &plan.last, |step| steps::step(step, &Proc::Own))?;
    Err(program.resolve()?.exec(&common.keep_fds))
}

/// A child that stays in the old user namespace, where the right to map ids is, and writes the maps of its parent.
struct MapWriter {
    pid: Pid,
    channel: Channel,
}

impl MapWriter {
    /// Forks it before anything has changed. It sends no SIGCHLD: a blocked one would stay pending for the next
    /// program.
    fn start(common: &Common, plan: &Plan) -> Result<Self> {
        let proc = Proc::open("self").map_err(hints::finding)?;
        let (ours, theirs) = Channel::pair()?;
        match sys::fork(0, AtEnd::Nothing).call("clone").map_err(hints::forking)? {
            Fork::Parent(child) => Ok(Self { pid: child.pid, channel: ours }),
            Fork::Child => {
                drop(ours);
                wait::child_does(|| write_maps(common, plan, &theirs, &proc))
            }
        }
    }

    /// Has the maps written. False where that failed; the writer has printed why.
    fn write(self) -> Result<bool> {
        self.channel.send(0)?;
        let written = self.channel.receive()? == Received::Number(0);
        sys::reap(self.pid, true).call("wait4")?;
        Ok(written)
    }
}

fn write_maps(common: &Common, plan: &Plan, channel: &Channel, proc: &Proc) -> anyhow::Error {
    let written = channel.receive().and_then(|received| {
        if received == Received::Gone {
            sys::exit_now(125);
        }
        chain::perform(common, &plan.maps, |step| steps::step(step, proc))?;
        channel.send(0)
    });
    match written {
        Ok(()) => sys::exit_now(0),
        Err(error) => error,
    }
}
