//! `bwrap`: the command line of bubblewrap, as a chain.
//!
//! ```text
//! words --args--> Request --look--> Facts --plan--> Chain
//! ```
//!
//! The chain is `ns-unshare`, `mount-plan`, `seccomp-exec`, and the payload. docs/fronts.md has what each option becomes, and
//! where it differs from bubblewrap on purpose.

mod args;
mod look;
mod plan;
mod table;
#[cfg(test)]
pub(in crate::fronts) mod tests;

use std::ffi::OsString;

use chain::{Failure, Result, message, pages, print_error};

use args::{Line, Request};
use table::TABLE;

/// The version whose command line this is: callers ask.
const VERSION: &str = "bubblewrap 0.11.1\n";

/// Everything but the C `main`. Whatever is wrong is one line and 1, as callers know it.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    Ok(go(argv).unwrap_or_else(|error| {
        let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
        print_error(&format!("{error:#}{}", hint.map_or(String::new(), |hint| format!(" ({hint})"))));
        1
    }))
}

fn go(argv: Vec<OsString>) -> Result<u8> {
    match args::line(argv, &mut look::taken)? {
        Line::Help => message::print(&help()).map(|()| 0),
        Line::Version => message::print(VERSION).map(|()| 0),
        Line::Box(request) => start(&request),
    }
}

fn start(request: &Request) -> Result<u8> {
    let facts = look::facts(request)?;
    let chain = plan::chain(request, &facts)?;
    request.warnings.iter().for_each(|warning| print_error(warning));
    chain.go(&facts.open)
}

fn help() -> String {
    format!("usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n\n{}", pages::options(&TABLE))
}
