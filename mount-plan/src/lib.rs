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
//! * [`args`], [`read`], [`grammar`], [`mod@line`], [`dialect`], [`preset`]: command line and plans to [`entry::Entry`]s
//! * [`look`]: read-only facts: the sources, opened; [`owner`]: whose namespace this is
//! * [`plan`]: pure; entries and facts to steps, or a refusal
//! * [`step`]: the one name of each step
//! * [`apply`]: the only effects, with [`stage`] (the root in the making), [`walk`] (targets), [`mod@tree`] (clones),
//!   [`idmap`], [`fs`] (new filesystems), [`image`], [`mod@dev`], [`overlay`], [`files`], [`carry`] and [`enter`]
//! * [`wipe`]: the one thing that is no plan
//!
//! Invariants: no path is used twice; a target is never looked up outside the new root; nothing is made in a bound
//! tree; the old root is gone before anything untrusted runs.

pub mod apply;
pub mod args;
pub mod carry;
pub mod dev;
pub mod dialect;
pub mod elf;
pub mod enter;
pub mod entry;
pub mod features;
pub mod files;
pub mod fs;
pub mod grammar;
pub mod hints;
pub mod idmap;
pub mod image;
pub mod line;
pub mod look;
pub mod overlay;
pub mod owner;
pub mod plan;
pub mod preset;
pub mod prose;
pub mod read;
pub mod stage;
pub mod step;
pub mod tree;
pub mod walk;
pub mod wipe;

use std::ffi::OsString;

use chain::Common;
use chain::{Hint as _, Next, Result, payload};

use crate::carry::{Carried, Chosen};
use crate::entry::Entry;
use crate::look::Room;
use crate::stage::{Stage, Umask};

/// The tool: everything but the C `main`. Returns only where there was nothing to execute (`--help`, `--check`).
///
/// # Errors
/// Whatever kept the next program from being executed, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&args::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli.requested)?;
    if !request.wipe.is_empty() {
        let alone = request.parts.is_empty() && cli.prog.is_empty();
        return wipe::run(&cli.common, &request.wipe, alone).map(|()| 0);
    }
    let carried = carry::choose(request.carry, &cli.prog)?;
    let entries = read::entries(request.parts)?;
    if let Some(form) = cli.common.explain {
        let facts = look::no_facts(&entries);
        let steps = plan::steps(&entries, &facts, carried.as_ref(), request.rw_root)?;
        return chain::explain(form, &steps, &cli.prog);
    }
    look::refuse_directories(&cli.common.keep_fds)?;
    let ours = chain::next::is_our_tool(&cli.prog);
    let stage = assembled(&cli.common, &entries, carried.as_ref(), request.rw_root)?;
    let Some(stage) = stage else { return Ok(0) };
    Err(next(stage, &cli.prog, ours)?.exec(&cli.common.keep_fds))
}

/// Everything between the plan and the next program. `None` where it was only to be checked.
fn assembled(common: &Common, entries: &[Entry], carried: Option<&Chosen>, rw_root: bool) -> Result<Option<Stage>> {
    let room = Room::make(entries.iter().map(|entry| entry.sources().len()).sum())?;
    let facts = look::facts(entries)?;
    let steps = plan::steps(entries, &facts, carried, rw_root)?;
    if common.check {
        return Ok(None);
    }
    owner::refuse_shared_namespace()?;
    let mut stage = Stage::default();
    let umask = Umask::none();
    chain::perform(common, &steps, |step| apply::step(&mut stage, step)).map_err(hints::missing_call)?;
    drop(umask);
    drop(facts);
    room.give_back()?;
    Ok(Some(stage))
}

/// The next program: the one that was carried, `ours` or not, or what the new root has under that name.
fn next(stage: Stage, prog: &[OsString], ours: bool) -> Result<Next> {
    match stage.carried {
        Some(Carried::File(file)) => return Next::opened(file, prog, ours),
        Some(Carried::Own) => return Next::own(prog),
        None => {}
    }
    let next = Next::resolve(prog).map_err(|error| error.hint("PROG is looked up in the new root"))?;
    next.path().map_or(Ok(()), payload::refuse_magic)?;
    Ok(next.untrusted())
}
