//! `chainbox`: all six tools in one file, for images where each kilobyte counts.
//!
//! The last component of `argv[0]` says which tool it is, so the file is installed once with a link to it for each
//! tool; `chainbox TOOL [ARGUMENT]...` works without links. A link finds the next one beside the path under which it was
//! executed, which is the link's; where there is none of that name, the file itself is the next one. It executes it, as
//! ever, where an exec means something, and goes on as the next one in the same process where it would mean nothing
//! ([`chain::in_process`]), which saves a quarter of the start of a chain.
//!
//! Further names are fronts: command lines of other programs, which become chains (docs/fronts.md).

mod confinement;
mod fronts;

use std::ffi::OsString;
use std::path::Path;

use chain::{Hint as _, Result, in_process, refusal};

/// A tool's face: its name, and everything but the C `main`.
type Tool = (&'static str, fn(Vec<OsString>) -> Result<u8>);

/// The tools in this file.
pub const TOOLS: [Tool; 6] = [
    ("zfs-pool", zfs_pool::run),
    ("cg-run", cg_run::run),
    ("ns-unshare", ns_unshare::run),
    ("rlimit-exec", rlimit_exec::run),
    ("mount-plan", mount_plan::run),
    ("seccomp-exec", seccomp_exec::run),
];

/// The program, as it was executed.
#[must_use]
pub fn run(argv: Vec<OsString>) -> i32 {
    confinement::leave_as_root();
    in_process::offer(tool);
    tool(argv).into()
}

/// The tool or the front that `argv` names by its first word, or by its second.
#[must_use]
pub fn tool(mut argv: Vec<OsString>) -> u8 {
    let (name, run) = argv.first().and_then(|word| named(word)).unwrap_or_else(|| {
        // Called by its own name: the words after it are a tool's command line.
        argv.drain(..argv.len().min(1));
        argv.first().and_then(|word| named(word)).unwrap_or(("chainbox", usage))
    });
    chain::start(name, argv, run)
}

fn named(word: &OsString) -> Option<Tool> {
    let name = Path::new(word).file_name()?;
    TOOLS.into_iter().chain(fronts::FRONTS).find(|(tool, _)| *tool == name)
}

/// Called by a name that is no tool's: says which ones there are.
fn usage(_arguments: Vec<OsString>) -> Result<u8> {
    let names = TOOLS.map(|(tool, _)| tool).join(", ");
    Err(refusal!("this name is none of the tools in this file")
        .hint(format!("usage: chainbox TOOL [ARGUMENT]..., or link the name of a tool to this file: {names}")))
}
