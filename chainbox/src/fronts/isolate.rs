//! `isolate`: the command line of the contest sandbox of that name, as a chain.
//!
//! ```text
//! words --args--> Request --look--> Facts --plan--> Chain
//! ```
//!
//! `--run` is the chain `cg-run`, `ns-unshare`, `rlimit-exec`, `mount-plan`, `seccomp-exec`, and the program. `--init` and
//! `--cleanup` make and remove folders, which `boxes` does. docs/fronts.md has what each option becomes, and where it differs
//! from isolate on purpose.

mod args;
mod boxes;
mod look;
mod plan;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;

use chain::completion::Syntax;
use chain::{Call as _, Failure, Hint as _, Result, VERSION, message, pages, print_error, refusal, show, sys};
use nix::libc;

use args::Request;
use boxes::{Held, Record};
use look::{Facts, Ids};
use table::{Switch, TABLE, Verb};

/// What failed is the sandbox: isolate's exit status for that.
const FAILED: u8 = 2;

/// Everything but the C `main`.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let meta = args::meta(&argv);
    Ok(go(argv).unwrap_or_else(|error| {
        let text = format!("{error:#}");
        let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
        print_error(&format!("{text}{}", hint.map_or(String::new(), |hint| format!(" ({hint})"))));
        if let Some(meta) = meta {
            cg_run::report_failure(&plan::report(&meta), &text)
                .unwrap_or_else(|lost| print_error(&format!("{lost:#}")));
        }
        FAILED
    }))
}

fn go(argv: Vec<OsString>) -> Result<u8> {
    let request = args::request(argv).hint("isolate --help lists the options")?;
    match request.verb {
        Verb::Help => message::print(&help()).map(|()| FAILED),
        Verb::Version => message::print(&version()).map(|()| 0),
        Verb::CheckConfig => check_config(&request),
        Verb::PrintCgRoot => print_cg_root(),
        Verb::Init | Verb::Run | Verb::Cleanup => in_box(&request),
    }
}

/// The manual page.
pub fn man() -> String {
    pages::man_foreign("chainbox-isolate", "[OPTION]... --init|--run|--cleanup [--] [PROGRAM [ARGUMENT]...]", &TABLE)
}

/// What completion knows.
pub fn syntax() -> Syntax {
    Syntax::foreign(&TABLE)
}

fn help() -> String {
    let usage = "isolate [OPTION]... --init|--run|--cleanup [--] [PROGRAM [ARGUMENT]...]";
    format!("Usage: {usage}\n\n{}", pages::options(&TABLE))
}

fn version() -> String {
    format!("The process isolator 2.6\nits command line, by chainbox {VERSION}\n")
}

fn check_config(request: &Request) -> Result<u8> {
    let (file, config) = look::config()?;
    if request.verbose > 1 {
        let file = file.map_or("no file".to_owned(), show);
        message::print(&format!("{file}\n{config:#?}\n"))?;
    }
    Ok(0)
}

fn print_cg_root() -> Result<u8> {
    let (_, config) = look::config()?;
    let root = look::cg_root(&config)?.map_or_else(cg_run::own_cgroup, Ok)?;
    message::print(&format!("{}\n", show(root))).map(|()| 0)
}

fn in_box(request: &Request) -> Result<u8> {
    let facts = look::facts(request)?;
    let owner = owner(request, &facts)?;
    let held = boxes::hold(&facts, request.number, owner, request.is(Switch::Wait))?;
    match request.verb {
        Verb::Init if facts.config.restricted_init && facts.caller.uid != 0 => {
            Err(refusal!("restricted_init: only root makes boxes"))
        }
        Verb::Init => {
            let record = Record { owner, cgroup: request.is(Switch::Cgroup) };
            let path = boxes::init(&facts, request.number, held, record)?;
            message::print(&format!("{}\n", path.display())).map(|()| 0)
        }
        Verb::Cleanup => boxes::cleanup(&facts, request.number, held).map(|()| 0),
        _ => start(request, &facts, &held),
    }
}

/// Whose the box is: the caller's, unless root acts for somebody else.
fn owner(request: &Request, facts: &Facts) -> Result<Ids> {
    match (request.as_uid, request.as_gid) {
        (Some(_), _) if facts.caller.uid != 0 => Err(refusal!("--as-uid: only root acts for others")),
        (Some(uid), Some(gid)) => Ok(Ids { uid, gid }),
        _ => Ok(facts.caller),
    }
}

fn start(request: &Request, facts: &Facts, held: &Held) -> Result<u8> {
    let Some(record) = held.record else {
        return Err(refusal!("box {} is not there: isolate --init makes it", request.number));
    };
    if record.cgroup != request.is(Switch::Cgroup) {
        return Err(refusal!("--cg: --init and --run of a box both have it, or none"));
    }
    let chain = plan::chain(request, facts, record)?;
    // Whatever the links do: nobody takes the report of an earlier run for this one's.
    let meta = request.meta.as_deref().map(plan::report).filter(|target| target != "1" && chain.is_to_run());
    meta.map_or(Ok(()), |meta| cg_run::report_failure(&meta, "the sandbox has not begun"))?;
    // Callers in Python have it ignored, and would hide from a program that it writes too much.
    sys::ignore_signal(libc::SIGXFSZ, false).call("sigaction(SIGXFSZ)")?;
    chain.go(&[&[held.file().as_raw_fd()], &*facts.open].concat())
}
