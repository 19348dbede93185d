//! `seccomp-exec`: the last gate. Gives up ids, capabilities and the right to gain any, attaches filters of system
//! calls, and executes the payload.
//!
//! One process, nothing stays, unless it learns. It works with no /proc and no /dev, because a box need not have them when mount-plan
//! has carried it across. Beside the modules that every tool has:
//!
//! * [`ids`], [`capset`]: who the payload is, and what it keeps
//! * [`landlock`]: what it may reach, by the kernel's other sandbox
//! * [`filters`]: where filters come from
//! * [`policy`]: what a filter decides, as data, and its plain evaluation
//! * [`calls`]: the names and numbers of system calls
//! * [`text`]: policies that people write, with [`constants`] and [`widths`] of arguments
//! * [`oci`]: profiles of containers
//! * [`presets`]: the filters that have a name
//! * [`compile`]: policy to program
//! * [`bpf`]: instructions, the kernel's checks, and a machine that runs them
//! * [`notify`]: filters that ask another process, [`learn`] the one that writes a policy of what it is asked
//! * [`dump`]: what is printed instead of executing anything

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the tables of seccomp-exec are those of x86_64");

pub mod apply;
pub mod args;
pub mod bpf;
pub mod calls;
pub mod capset;
pub mod compile;
pub mod constants;
pub mod dump;
pub mod filters;
pub mod ids;
pub mod landlock;
pub mod learn;
pub mod look;
pub mod notify;
pub mod oci;
pub mod plan;
pub mod policy;
pub mod presets;
pub mod step;
pub mod table;
pub mod text;
pub mod widths;

use std::ffi::OsString;

use args::Request;
use chain::failure::errno_of;
use chain::{Hint as _, Next, Result};
use nix::errno::Errno;

/// The tool: everything but the C `main`. Returns only where there was nothing to execute (`--help`, `--check`).
///
/// # Errors
/// Whatever kept the next program from being executed, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, look::features, argv)? else { return Ok(0) };
    let mut request = args::request(&cli.requested)?;
    if let Some(instead) = &request.instead {
        return dump::print_instead(instead, &look::filters(&request)?, &cli.prog);
    }
    let line = request.learn.is_some().then(learn::Line::new).transpose()?;
    request.notify_fd = line.as_ref().map_or(request.notify_fd, |line| Some(line.for_the_gate()));
    let facts = look::facts(&request, cli.common.explain.is_some())?;
    let steps = plan::steps(&request, &facts)?;
    if let Some(form) = cli.common.explain {
        return chain::explain(form, &steps, &cli.prog);
    }
    // An exec is what Landlock and filters have rules about.
    let next = Next::resolve(&cli.prog)?.force_exec();
    let filters = plan::programs(&steps);
    // Behind a filter nothing more can be asked.
    let next = if filters.is_empty() { next } else { next.without_warning() };
    if cli.common.check {
        return Ok(0);
    }
    let step = |step: &step::Step| {
        if step.program().is_some_and(|program| filters.first().is_some_and(|first| std::ptr::eq(*first, program))) {
            chain::terminal::warn_of_typing(|push| plan::denies(&filters, push));
        }
        apply::step(step)
    };
    let gate = || match chain::perform(&cli.common, &steps, step) {
        // What it has now is what was planned, and was read back.
        Ok(()) => explained(next.keeping_capabilities().exec(&cli.common.keep_fds), &request),
        Err(error) => error,
    };
    match (line, &request.learn) {
        (Some(line), Some(path)) => learn::supervise(path, &cli.prog, line, gate),
        _ => Err(gate()),
    }
}

/// An exec that Landlock denied looks like any other.
fn explained(error: anyhow::Error, request: &Request) -> anyhow::Error {
    if request.landlock.paths.is_empty() || errno_of(&error) != Some(Errno::EACCES) {
        return error;
    }
    error.hint("Landlock lets nothing be executed but what --landlock-rx names: PROG, its loader or interpreter")
}
