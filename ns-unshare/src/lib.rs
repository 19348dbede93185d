//! `ns-unshare`: enters new namespaces and executes the next program in them.
//!
//! The layer is namespaces(7). What stays depends on one option:
//!
//! ```text
//! without --pid: one process, nothing stays
//!
//!     ns-unshare --unshare(2)--> the same process, in the new namespaces --exec--> next program
//!         └ map writer   only where several ids are mapped: stays in the old user namespace, writes the maps, ends
//!
//! with --pid: two processes stay
//!
//!     caller
//!      │ lifeline: a pidfd; cut when the caller ends
//!      ▼
//!     ns-unshare                       outside: writes the maps, sends signals in, ends as the main process ended
//!      │ channel: a socket pair that no program of the chain ever has
//!      │   in:  "the maps are written", then the number of each signal to pass on
//!      │   out: the raw wait status of the main process
//!      │   closed when either end dies
//!      ▼ clone(2) with all namespaces at once
//!     init                             pid 1 of the box: sets the box up, reaps orphans, passes signals on;
//!      ▼ fork                          it ends when the channel is closed, and the kernel ends the box with it
//!     main process --exec--> next program
//!
//! with --pid --as-pid1: the fork is a clone(2) too, so the main process is pid 1 of a pid namespace within the init's
//! ```
//!
//! The status travels by the channel because the kernel does not let pid 1 of a namespace die of its own signals
//! (pid_namespaces(7)). Both processes that stay are not dumpable from before anything untrusted runs, and keep no
//! descriptor of the caller open but 0, 1 and 2.
//!
//! From left to right, each room imports only from those before it:
//!
//! * `model`: namespaces, id maps, what is joined, pinned and set up
//! * `table`: every option; beside it `manual.txt`, the prose of the man page
//! * `args`: command line to Request; nothing is looked at
//! * `step`: the one name of each step
//! * `look`: read-only facts, the next program, `--list`; beside it `features`, what this kernel offers
//! * `plan`: pure; request and facts to steps, or a refusal
//! * `hints`: why the kernel refused, read from its settings when it did
//! * `apply`: the effects; `in_place`, `outside` and `init` say in which process they happen, `foreground` lends the
//!   caller's terminal to the box, `bridge` gives the box one of its own

mod apply;
mod args;
mod features;
#[cfg(test)]
mod fuzz;
mod hints;
mod look;
mod model;
mod plan;
mod step;
pub mod table;

use std::ffi::OsString;

use chain::Result;

pub use crate::model::placeholder::is_placeholder;

use crate::look::{list, program::Program};
use crate::model::namespace::Set;

/// The tool: everything but the C `main`. Returns where there was nothing to execute (`--help`, `--check`), or where
/// another process of this tool has printed already what went wrong.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let mut request = args::request(&cli.requested)?;
    if request.list {
        return chain::print(&list::list()?).map(|()| 0);
    }
    if request.tree {
        return chain::print(&list::tree()?).map(|()| 0);
    }
    let supported = look::supported(request.if_supported);
    let lost = supported.iter().fold(request.if_supported, Set::without);
    if !lost.is_empty() {
        chain::step::print_done(&cli.common, &format!("left out, not supported here: {}", lost.words()));
    }
    request.new = supported.iter().fold(request.new, Set::with);
    let facts = look::facts(&request, &cli.prog)?;
    let plan = plan::plan(&request, &facts)?;
    if let Some(form) = cli.common.explain {
        return chain::explain(form, &plan.steps(), &cli.prog, &cli.common.keep_fds);
    }
    plan.guard_terminal(look::can_be_typed_into)?;
    let program = Program::find(&cli.prog, plan.joined(), request.keep_caps)?;
    let program = if plan.shares_files() { program.without_warning() } else { program };
    if cli.common.check {
        return Ok(0);
    }
    apply::start(&cli.common, &plan, program)
}
