//! `ns-unshare`: enters new namespaces and executes the next program in them.
//!
//! The layer is namespaces(7). What stays depends on one option:
//!
//! ```text
//! without --pid: one process, nothing stays
//!
//!     ns-unshare --unshare(2)--> the same process, in the new namespaces --exec--> next program
//!         └ scribe     only where several ids are mapped: stays in the old user namespace, writes the maps, ends
//!
//! with --pid: two processes stay
//!
//!     caller
//!      │ lifeline: a pidfd; cut when the caller ends
//!      ▼
//!     ns-unshare                       outside: writes the maps, sends signals in, ends as the main process ended
//!      │ link: a socket pair that no program of the chain ever has
//!      │   in:  "the maps are written", then the number of each signal to pass on
//!      │   out: the raw wait status of the main process
//!      │   cut when either end dies
//!      ▼ clone(2) with all namespaces at once
//!     init                             pid 1 of the box: sets the box up, reaps orphans, passes signals on;
//!      ▼ fork                          it ends when the link is cut, and the kernel ends the box with it
//!     main process --exec--> next program
//!
//! with --pid --as-pid1: the fork is a clone(2) too, so the main process is pid 1 of a pid namespace within the init's
//! ```
//!
//! The status travels by the link because the kernel does not let pid 1 of a namespace die of its own signals
//! (pid_namespaces(7)). Both processes that stay are not dumpable from before anything untrusted runs, and keep no
//! descriptor of the caller open but 0, 1 and 2.
//!
//! * [`table`]: the options; [`args`]: command line to [`args::Request`]; nothing is looked at
//! * [`look`]: read-only facts
//! * [`plan`]: pure; request and facts to steps, or a refusal
//! * [`step`]: the one name of each step
//! * [`apply`]: the effects, one by one; [`in_place`], [`outside`] and [`init`] say in which process they happen
//! * [`join`]: namespaces that exist already, entered or kept by a file
//! * [`foreground`] lends the caller's terminal to the box, [`bridge`] gives the box one of its own
//! * [`hint`]: why the kernel refused, read from its settings when it did

pub mod apply;
pub mod args;
pub mod bridge;
pub mod foreground;
pub mod handshake;
pub mod hint;
pub mod in_place;
pub mod init;
pub mod join;
pub mod link;
pub mod list;
pub mod look;
pub mod map;
pub mod namespace;
pub mod outside;
pub mod plan;
pub mod step;
pub mod stops;
pub mod subids;
pub mod table;

use std::ffi::OsString;

use chain::{Failure, Result};

use crate::join::Program;

/// Refused: a box that is joined gets hold of the program, and with it of the terminal, whatever filter the box has.
const LENT: &str = "what is in the box that is joined could type into this terminal (TIOCSTI)";

/// What to do about it.
const INSTEAD: &str = "give the program a terminal of its own by --pty, or none by --new-session; where no pid namespace is \
                       joined: setsid --wait ns-unshare";

/// The tool: everything but the C `main`. Returns where there was nothing to execute (`--help`, `--check`), or where
/// another process of this tool has said already what went wrong.
///
/// # Errors
/// Whatever kept the next program from being executed, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, look::features, argv)? else { return Ok(0) };
    let request = args::request(&cli.requested)?;
    if request.list {
        return chain::print(&list::list()?).map(|()| 0);
    }
    if request.tree {
        return chain::print(&list::tree()?).map(|()| 0);
    }
    let facts = look::facts(&request, &cli.prog)?;
    let plan = plan::plan(&request, &facts)?;
    if let Some(form) = cli.common.explain {
        return chain::explain(form, &plan.steps(), &cli.prog);
    }
    if plan.lends_terminal() && look::can_be_typed_into() {
        return Err(Failure::refusal(LENT).hint(INSTEAD).into());
    }
    let program = Program::find(&cli.prog, plan.joined(), request.keep_caps)?;
    let program = if plan.shares_files() { program.without_warning() } else { program };
    if cli.common.check {
        return Ok(0);
    }
    match plan.residence {
        plan::Residence::Nobody => in_place::enter(&cli.common, &plan, program),
        plan::Residence::Parent | plan::Residence::Init => outside::start(&cli.common, &plan, program),
    }
}
