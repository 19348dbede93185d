//! Every line that a link prints: one place prefixes, one place writes; [`crate::text`] escapes.
//!
//! A chain can speak with one voice: `CHAIN_AS=NAME:STATUS` is for a program whose parts the links are, and whose callers know
//! its name and its exit status for whatever goes wrong. The next program gets the variable only if it is one of our tools.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::RwLock;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::write;

use crate::failure::{self, Call as _, Failure, Hint as _};
use crate::text::{printable, show};
use crate::{fault, refusal};

/// The variable that says who speaks.
pub(crate) const SPEAKER: &str = "CHAIN_AS";

static RUNNING: RwLock<Option<(&'static str, Instant)>> = RwLock::new(None);

/// Who speaks for the chain, and the exit status of each failure of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Speaker {
    name: String,
    status: u8,
}

static CHAIN: RwLock<Option<Speaker>> = RwLock::new(None);

/// Sets the name that prefixes each line and starts the clock of `-v`. Called by [`crate::start()`], once for each link
/// that begins in this process.
pub(crate) fn begin(tool: &'static str) {
    if let Ok(mut running) = RUNNING.write() {
        *running = Some((tool, Instant::now()));
    }
}

/// Takes the voice that `CHAIN_AS` names, if it names one.
/// Errors: a value that is not NAME:STATUS, or a status that says that all went well.
pub(crate) fn take_voice() -> crate::Result<()> {
    let voice = match env::var_os(SPEAKER) {
        None => None,
        Some(value) => Some(speaker(&value).ok_or_else(|| refusal!("{SPEAKER}={}: not NAME:STATUS", show(&value)))?),
    };
    if let Ok(mut chain) = CHAIN.write() {
        *chain = voice;
    }
    Ok(())
}

/// `NAME:STATUS`, the name up to the last colon.
fn speaker(value: &OsStr) -> Option<Speaker> {
    let colon = value.as_bytes().iter().rposition(|byte| *byte == b':').filter(|at| *at > 0)?;
    let (name, status) = value.as_bytes().split_at(colon);
    let status = std::str::from_utf8(status.get(1..)?).ok()?.parse().ok().filter(|status| *status > 0)?;
    Some(Speaker { name: show(OsStr::from_bytes(name)), status })
}

fn voice() -> Option<Speaker> {
    CHAIN.read().ok().and_then(|chain| chain.clone())
}

/// The name in front of each line.
fn name() -> String {
    voice().map_or_else(|| tool().to_owned(), |voice| voice.name)
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
    write_error(&format!("{}: {}\n", name(), printable(text)));
}

/// Prints one line on standard error as it is, where it is to be another program's.
pub fn print_bare(text: &str) {
    write_error(&format!("{}\n", printable(text)));
}

/// Prints one line of `-v`: the step, and how many microseconds after the start it was done.
pub fn print_step(text: &str) {
    let micros = running().map_or(0, |running| running.1.elapsed().as_micros());
    print_error(&format!("+{micros}us {text}"));
}

/// Prints what went wrong, then at most one hint, and returns the exit code that it means. Where the chain speaks with one
/// voice, it is one line.
pub fn print_failure(error: &anyhow::Error) -> u8 {
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref()).map(printable);
    let (voice, text) = (voice(), printable(&format!("{error:#}")));
    let hint = match (hint, &voice) {
        (None, _) => String::new(),
        (Some(hint), Some(_)) => format!(" ({hint})"),
        (Some(hint), None) => format!("\nhint: {hint}"),
    };
    write_error(&format!("{}: {text}{hint}\n", name()));
    fault::tell(&text);
    voice.map_or_else(|| failure::exit_code(error), |voice| voice.status)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_a_name_and_a_status() {
        let read = |value: &str| speaker(OsStr::new(value)).map(|voice| (voice.name, voice.status));
        assert_eq!(read("bwrap:1"), Some(("bwrap".into(), 1)));
        assert_eq!(read("<3>a:b:255"), Some(("<3>a:b".into(), 255)));
        for bad in ["", ":", ":1", "bwrap", "bwrap:", "bwrap:0", "bwrap:256", "bwrap:x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
