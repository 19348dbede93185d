//! `rlimit-exec`: sets resource limits of its own process and executes the next program, which inherits them.
//!
//! The layer is setrlimit(2), and with it what else a process hands on through exec: priority, scheduling, processors,
//! umask, a few switches. One process, nothing stays: parse, look at the limits as they are, plan, set and read
//! back each limit, execute. The smallest tool, and the pattern for the others. From left to
//! right, each file imports only from those before it:
//!
//! * `model`: limits and settings, and how their values are written
//! * `table`: every option; beside it `manual.txt`, the prose of the man page
//! * `args`: command line to Request; nothing is looked at
//! * `step`: the one name of each step
//! * `look`: read-only facts; beside it `features`, what this kernel offers
//! * `plan`: pure; request and facts to steps, or a refusal
//! * `hints`: what stood in the way of a step
//! * `apply`: the only effects

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

use chain::{Next, Result};

/// The tool: everything but the C `main`. Returns only where there was nothing to execute (`--help`, `--check`).
///
/// # Errors
/// Whatever kept the next program from being executed, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let request = args::request(&cli.requested)?;
    if request.show {
        return chain::print(&look::shown()?).map(|()| 0);
    }
    let facts = look::facts(&request)?;
    let steps = plan::steps(&request, &facts)?;
    if let Some(form) = cli.common.explain {
        return chain::explain(form, &steps, &cli.prog, &cli.common.keep_fds);
    }
    let next = Next::resolve(&cli.prog)?;
    if cli.common.check {
        return Ok(0);
    }
    chain::perform(&cli.common, &steps, apply::step)?;
    Err(next.exec(&cli.common.keep_fds))
}
