//! Every line that a link prints: one place prefixes, one place writes; [`crate::text`] escapes.

use std::io::{self, Write as _};
use std::sync::RwLock;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::write;

use crate::failure::{self, Call as _, Failure, Hint as _};
use crate::text::printable;

static RUNNING: RwLock<Option<(&'static str, Instant)>> = RwLock::new(None);

/// Sets the name that prefixes each line and starts the clock of `-v`. Called by [`crate::start()`], once for each link
/// that begins in this process.
pub(crate) fn begin(tool: &'static str) {
    if let Ok(mut running) = RUNNING.write() {
        *running = Some((tool, Instant::now()));
    }
}

fn running() -> Option<(&'static str, Instant)> {
    RUNNING.read().ok().and_then(|running| *running)
}

/// The name of the running tool.
pub fn tool() -> &'static str {
    running().map_or("chain", |running| running.0)
}

/// Prints one line on standard error, prefixed with the tool's name.
pub fn print_error(text: &str) {
    write_error(&format!("{}: {}\n", tool(), printable(text)));
}

/// Prints one line of `-v`: the step, and how many microseconds after the start it was done.
pub fn print_step(text: &str) {
    let micros = running().map_or(0, |running| running.1.elapsed().as_micros());
    print_error(&format!("+{micros}us {text}"));
}

/// Prints what went wrong, then at most one hint, and returns the exit code that it means.
pub fn print_failure(error: &anyhow::Error) -> u8 {
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref());
    let mut text = format!("{}: {}\n", tool(), printable(&format!("{error:#}")));
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {}\n", printable(hint)));
    }
    write_error(&text);
    failure::exit_code(error)
}

/// One write(2), so that lines of several links do not interleave. A closed standard error is the user's choice.
fn write_error(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

/// Writes to standard output at once: links end by exec or `_exit`, which flush nothing. Not by Rust's, which is silent
/// where it is closed.
/// Errors: what write(2) says, for example ENOSPC; a tool that was asked to print and could not has failed.
pub fn print(text: &(impl AsRef<[u8]> + ?Sized)) -> crate::Result<()> {
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        match write(io::stdout(), rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => {
                let closed = [(Errno::EBADF, "standard output is closed")];
                return Err(errno).call("write to standard output").hinted(&closed);
            }
        }
    }
    Ok(())
}
