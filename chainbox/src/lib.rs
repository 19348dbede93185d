//! `chainbox`: all six tools in one file, for images where each kilobyte counts.
//!
//! The last component of `argv[0]` says which tool it is, so the file is installed once with a link to it for each
//! tool; `chainbox TOOL [ARGUMENT]...` works without links. This is packaging and nothing else: a link still executes
//! the next one (an exec is an event with a meaning: capabilities, close-on-exec, signal handlers, security modules),
//! and finds it beside the path under which it was executed, which is the link's.

use std::ffi::OsString;

use chain::next::family_name;
use chain::{Failure, Result, sys};

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

/// The program, as the tool that `argv` names by its first word, or by its second.
#[must_use]
pub fn run(mut argv: Vec<OsString>) -> i32 {
    let (name, run) = argv.first().and_then(|word| named(word)).unwrap_or_else(|| {
        // Called by its own name: the words after it are a tool's command line.
        argv.drain(..argv.len().min(1));
        argv.first().and_then(|word| named(word)).unwrap_or(("chainbox", usage))
    });
    sys::start(name, argv, run)
}

fn named(word: &OsString) -> Option<Tool> {
    let name = family_name(word)?;
    TOOLS.into_iter().find(|(tool, _)| *tool == name)
}

/// Called by a name that is no tool's: says which ones there are.
fn usage(_arguments: Vec<OsString>) -> Result<u8> {
    let names = TOOLS.map(|(tool, _)| tool).join(", ");
    Err(Failure::refusal("this name is none of the tools in this file".to_owned())
        .hint(format!("usage: chainbox TOOL [ARGUMENT]..., or link the name of a tool to this file: {names}"))
        .into())
}
