//! `chainbox`: all six tools in one file, for images where each kilobyte counts.
//!
//! The last component of `argv[0]` says which tool it is, so the file is installed once with a link to it for each
//! tool; `chainbox TOOL [ARGUMENT]...` works without links, and `chainbox --man NAME` and `chainbox --completion SHELL` print
//! what is installed beside it. A link finds the next one beside the path under which it was
//! executed, which is the link's; where there is none of that name, the file itself is the next one. It executes it, as
//! ever, where an exec means something, and goes on as the next one in the same process where it would mean nothing
//! ([`chain::in_process`]), which saves a quarter of the start of a chain.
//!
//! Further names are fronts: command lines of other programs, which become chains (docs/fronts.md).

mod confinement;
mod fronts;
mod own;

use std::ffi::OsString;
use std::path::Path;

use chain::Result;
use chain::in_process::{self, Foreseen};

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
    let tool_or_front = argv.iter().take(2).find_map(named);
    if tool_or_front.is_some_and(|(name, _)| TOOLS.iter().any(|(tool, _)| *tool == name)) {
        offer();
    }
    tool(argv).into()
}

/// A front does it when it starts a chain: to look at itself is a good part of what it costs to make a box.
fn offer() {
    in_process::offer(tool, foresee);
}

/// The tool or the front that `argv` names by its first word, or by its second.
#[must_use]
pub fn tool(mut argv: Vec<OsString>) -> u8 {
    let (name, run) = argv.first().and_then(named).unwrap_or_else(|| {
        let inner = argv.get(1).and_then(named);
        // Called by its own name: the words after it are a tool's command line.
        argv.drain(..inner.iter().len());
        inner.unwrap_or(("chainbox", own::run))
    });
    chain::start(name, argv, run)
}

/// What the tool that `words` begin will do; only the last gate does anything of that kind.
fn foresee(words: &[OsString]) -> Foreseen {
    match words.split_first() {
        Some((first, rest)) if named(first).is_some_and(|(tool, _)| tool == "seccomp-exec") => {
            seccomp_exec::foresee(rest)
        }
        _ => Foreseen::default(),
    }
}

fn named(word: &OsString) -> Option<Tool> {
    let name = Path::new(word).file_name()?;
    TOOLS.into_iter().chain(fronts::FRONTS).find(|(tool, _)| *tool == name)
}
