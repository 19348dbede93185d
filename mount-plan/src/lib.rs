//! `mount-plan`: assembles a new root out of a plan of mounts, enters it, and executes the next program there.
//!
//! The layer is the mount namespace of its own process, which must be private to the chain (ns-unshare --mount). One
//! process, nothing stays:
//!
//! ```text
//! read the plan -> open every source (O_PATH) -> take hold of the next program
//!      -> assemble the root detached, by descriptors -> pivot_root -> detach the old root -> execute
//! ```
//!
//! An option and a line of a plan come to the same columns, columns to an entry, an entry with its sources open to a step.
//!
//! Invariants: no path is used twice; a target is never looked up outside the new root; nothing is made in a bound
//! tree; the old root is gone before anything untrusted runs.

mod apply;
mod args;
mod features;
mod hints;
mod look;
mod model;
mod plan;
mod step;
pub mod table;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use chain::{Common, Hint as _, Next, Result, message, payload, show};

use apply::Carried;
use apply::limit::Raised;
use apply::stage::{Stage, Umask};
use look::Facts;
use model::Root;

/// The tool: everything but the C `main`. Returns only where there was nothing to execute (`--help`, `--check`).
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli.requested)?;
    if !request.wipe.is_empty() {
        let alone = request.parts.is_empty() && cli.prog.is_empty();
        return apply::wipe::run(&cli.common, &request.wipe, alone).map(|()| 0);
    }
    let written = look::written(request.carry, request.parts, &cli.prog)?;
    look::refuse_two_uses(&written.entries, &cli.common.keep_fds)?;
    if let Some(form) = cli.common.explain {
        let steps = plan::steps(&written, request.root)?;
        let fds = apply::descriptor::stand_in(&written.entries)?;
        return chain::explain(form, &steps, &cli.prog, &[fds, cli.common.keep_fds].concat());
    }
    if !written.makes_a_root {
        return handed_over(&cli.common, written, request.root, &cli.prog);
    }
    look::refuse_directories(&cli.common.keep_fds)?;
    let ours = chain::next::is_our_tool(&cli.prog);
    let Some(mut stage) = assembled(&cli.common, written, request.root)? else { return Ok(0) };
    let moved = stage.moved.take().filter(|_| std::io::stderr().is_terminal());
    let next = next(stage, &cli.prog, ours)?;
    // For whoever has typed it, and wonders where the files are. A script's log is PROG's.
    if let Some(path) = moved {
        message::print_error(&format!("{} is not in the new root: PROG starts in /; --chdir says where", show(path)));
    }
    Err(next.exec(&cli.common.keep_fds))
}

/// All of a plan without a new root: its mounts are descriptors of the next program.
fn handed_over(common: &Common, written: Facts<PathBuf>, wanted: Root, prog: &[OsString]) -> Result<u8> {
    let next = Next::resolve(prog)?;
    let Some(mut stage) = assembled(common, written, wanted)? else { return Ok(0) };
    let trees = std::mem::take(&mut stage.left);
    drop(stage);
    let fds = apply::descriptor::hand_over(trees)?;
    Err(next.exec(&[fds.as_slice(), &common.keep_fds].concat()))
}

/// Everything between the plan and the next program. `None` where it was only to be checked.
fn assembled(common: &Common, written: Facts<PathBuf>, wanted: Root) -> Result<Option<Stage>> {
    let raised = Raised::raise(written.entries.iter().map(|entry| entry.most_files()).sum())?;
    let facts = look::opened(written)?;
    let steps = plan::steps(&facts, wanted)?;
    if common.check {
        return Ok(None);
    }
    look::namespace::refuse_shared_namespace()?;
    let remark = look::foreign::remark(&facts.entries);
    let mut stage = Stage::default();
    let umask = Umask::none();
    chain::perform(common, &steps, |step| apply::step(&mut stage, step)).hinted(&hints::MISSING_CALL)?;
    drop(umask);
    drop(facts);
    remark.iter().for_each(|remark| message::print_error(remark));
    raised.put_back()?;
    Ok(Some(stage))
}

/// The next program: the one that was carried, `ours` or not, or what the new root has under that name.
fn next(stage: Stage, prog: &[OsString], ours: bool) -> Result<Next> {
    match stage.carried {
        Some(Carried::File(file)) => return Next::opened(file, prog, ours),
        Some(Carried::Own) => return Next::own(prog),
        None => {}
    }
    let next = Next::resolve(prog).hint("PROG is looked up in the new root")?;
    next.path().map_or(Ok(()), payload::refuse_magic)?;
    Ok(next.untrusted())
}

#[cfg(test)]
mod fuzz;
