//! `seccomp-exec`: the last gate. Gives up ids, capabilities and the right to gain any, attaches filters of system
//! calls, and executes the payload.
//!
//! One process, nothing stays, unless it learns. It works with no /proc and no /dev, because a box need not have them when
//! mount-plan has carried it across. From left to right, each file imports only from those before it:
//!
//! * `model`: calls, policies, BPF programs and the machine that runs them, presets, Landlock's rights, ids, capabilities
//! * `table`: every option; beside it `manual.txt`, the prose of the man page
//! * `args`: command line to Request
//! * `step`: the one name of each step
//! * `look`: who this process is (`caller`), and the filters that it is given, read: `text`, `oci`, `raw`; beside it `features`
//! * `plan`: request and facts to steps; `compile`: policy to program; `filters`: which, in which order; `listener`: filters
//!   that ask another process; `learned`: what `--learn` makes of what was called
//! * `hints`: why a step failed
//! * `apply`: the gate itself; `landlock`; `learn`: the process that is asked; `print`: what is printed instead of executing
//!   anything

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the tables of seccomp-exec are those of x86_64");

mod apply;
mod args;
mod features;
mod hints;
// Public for tests/ and examples/, which hold filters against libseccomp's and against the kernel.
#[doc(hidden)]
pub mod look;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod plan;
mod step;
pub mod table;

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use apply::{learn, print};
use args::Keep;
use chain::failure::exit_code;
use chain::{Call as _, Next, Result};

/// The tool: everything but the C `main`. Returns only where there was nothing to execute (`--help`, `--check`).
///
/// # Errors
/// Whatever kept the next program from being executed, with its exit code.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let Some(cli) = chain::begin(&table::TABLE, features::features, argv)? else { return Ok(0) };
    let mut request = args::request(&cli.requested)?;
    if let Some(instead) = &request.instead {
        let filters = look::filters::read(&request)?;
        return print::instead(instead, &plan::filters::requested(&request, &filters)?, &cli.prog);
    }
    let channel = request.learn.is_some().then(UnixStream::pair).transpose().call("socketpair")?;
    request.notify_fd = channel.as_ref().map_or(request.notify_fd, |(_, gate)| Some(gate.as_raw_fd()));
    let facts = look::facts(&request, cli.common.explain.is_some())?;
    let steps = plan::steps(&request, &facts)?;
    if let Some(form) = cli.common.explain {
        return chain::explain(form, &steps, &cli.prog, &cli.common.keep_fds);
    }
    // An exec is what Landlock and filters have rules about.
    let next = match Next::resolve(&cli.prog) {
        // It is PROG that says so, where it would have said it.
        Err(error) if !cli.common.check && request.not_executed.is_some() && is_of_prog(&error) => Err(error),
        found => Ok(found?.force_exec()),
    };
    let next =
        next.map(|next| if steps.iter().any(|step| step.program().is_some()) { next.without_warning() } else { next });
    if cli.common.check {
        return Ok(0);
    }
    let keep = &cli.common.keep_fds;
    let next = match next {
        Ok(next) => Ok(next.descriptors_marked(keep)?),
        missing => missing,
    };
    let gate = || match apply::steps(&cli.common, &steps, || announce(next.as_ref())) {
        // What it has now is what was planned, and was read back.
        Ok(()) => {
            let error = next.map_or_else(|error| error, |next| next.keeping_capabilities().exec(keep));
            let error = hints::of_exec(error, &request);
            match request.not_executed.filter(|_| is_of_prog(&error)) {
                Some(status) => print::fails_as_prog(&cli, &error, status),
                None => error,
            }
        }
        Err(error) => error,
    };
    match (channel, &request.learn) {
        (Some(channel), Some(path)) => learn::supervise(path, &cli.prog, channel, gate),
        _ => Err(gate()),
    }
}

/// Whom this command line makes of PROG, where PROG gets no capability, and no way to any: what is asked before this link
/// begins. None with Landlock, whose probe is a copy of this process that shows itself to everybody of that user: it is to have
/// nothing of the links before.
#[must_use]
pub fn becomes(argv: &[OsString]) -> Option<u32> {
    let cli = chain::parse(&table::TABLE, argv.to_vec()).ok()?.cli()?;
    let request = args::request(&cli.requested).ok()?;
    // In another user namespace the number is another user's.
    let confined = request.keep == Keep::default() && !request.allow_new_privs && request.userns_fd.is_none();
    request.user.filter(|_| confined && !request.landlock.is_anything()).map(|ids| ids.uid)
}

/// PROG's own failure is a run of it.
fn announce(next: std::result::Result<&Next, &anyhow::Error>) {
    next.map_or_else(|_| chain::fault::announce(), Next::announce);
}

/// Whether PROG itself is missing, or is nothing that can be executed.
fn is_of_prog(error: &anyhow::Error) -> bool {
    matches!(exit_code(error), 126 | 127)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_line_makes_of_prog_is_told_where_it_gives_nothing_else_away() {
        let of = |line: &str| becomes(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("--user 7:8 --filter default -- prog --keep-caps all"), Some(7));
        for more in ["--keep-caps chown", "--allow-new-privs", "--landlock-rx /", "--landlock-scope signal", "--help"] {
            assert_eq!(of(&format!("--user 7:8 {more} -- prog")), None, "{more}");
        }
        assert_eq!(of("-- prog"), None);
    }
}
