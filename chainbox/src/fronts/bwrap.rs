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

use chain::completion::Syntax;
use chain::message::print_bare;
use chain::{Failure, Result, message, pages, print_error};

use args::{Line, Request};
use table::TABLE;

/// The version whose command line this is: callers ask.
const VERSION: &str = "bubblewrap 0.11.1\n";

/// Everything but the C `main`. Whatever is wrong is one line and 1, as callers know it.
pub fn run(argv: Vec<OsString>) -> Result<u8> {
    let mut levels = argv.iter().take_while(|word| *word != "--").any(|word| word == "--level-prefix");
    Ok(go(argv, &mut levels).unwrap_or_else(|error| {
        let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
        say(levels, 3, &format!("{error:#}{}", hint.map_or(String::new(), |hint| format!(" ({hint})"))));
        1
    }))
}

/// A line on standard error, of this level (syslog(3)), which is said where the caller wants that.
fn say(levels: bool, level: u8, text: &str) {
    if levels { print_bare(&format!("<{level}>bwrap: {text}")) } else { print_error(text) }
}

fn go(argv: Vec<OsString>, levels: &mut bool) -> Result<u8> {
    match args::line(argv, &mut look::taken)? {
        Line::Help => message::print(&help()).map(|()| 0),
        Line::Version => message::print(VERSION).map(|()| 0),
        Line::Box(request) => {
            *levels = request.level_prefix;
            start(&request)
        }
    }
}

fn start(request: &Request) -> Result<u8> {
    let facts = look::facts(request)?;
    let chain = plan::chain(request, &facts)?;
    request.warnings.iter().for_each(|warning| say(request.level_prefix, 4, warning));
    chain.go(&facts.open)
}

/// The manual page.
pub fn man() -> String {
    pages::man_foreign("chainbox-bwrap", "[OPTION]... [--] COMMAND [ARG]...", &TABLE)
}

/// What completion knows.
pub fn syntax() -> Syntax {
    Syntax::foreign(&TABLE)
}

fn help() -> String {
    format!("usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n\n{}", pages::options(&TABLE))
}
