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
use chain::in_process::Foreseen;
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

/// What this command line will do, for the link before. What cannot be read does nothing, and fails when it begins.
#[must_use]
pub fn foresee(argv: &[OsString]) -> Foreseen {
    let cli = chain::parse(&table::TABLE, argv.to_vec()).ok().and_then(|parsed| parsed.cli());
    let Some(request) = cli.and_then(|cli| args::request(&cli.requested).ok()) else { return Foreseen::default() };
    // In another user namespace the number is another user's.
    let confined = request.keep == Keep::default() && !request.allow_new_privs && request.userns_fd.is_none();
    Foreseen {
        user: request.user.filter(|_| confined).map(|ids| ids.uid),
        // Landlock's probe is a copy of this process that shows itself to everybody of that user.
        is_shown: request.landlock.is_anything(),
    }
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
    fn what_the_link_before_has_to_know_is_foreseen() {
        let of = |line: &str| foresee(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        let nothing = Foreseen::default();
        let user = Foreseen { user: Some(7), ..nothing };
        assert_eq!(of("--user 7:8 --filter default -- prog --keep-caps all --landlock-rx /"), user);
        for more in ["--keep-caps chown", "--allow-new-privs", "--help", "--no-such-option"] {
            assert_eq!(of(&format!("--user 7:8 {more} -- prog")), nothing, "{more}");
        }
        for more in ["--landlock-rx /", "--landlock-scope signal"] {
            assert_eq!(of(&format!("--user 7:8 {more} -- prog")), Foreseen { is_shown: true, ..user }, "{more}");
        }
        assert_eq!(of("-- prog"), nothing);
    }
}
