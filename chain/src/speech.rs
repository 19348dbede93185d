//! Every line that a link says: one place escapes, one place prefixes, one place writes.
//!
//! Names shown to the user come from hostile places (paths, argv), so nothing unprintable reaches the terminal
//! (CVE-2023-28101 is the incident of this kind).

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::RwLock;
use std::time::Instant;

use crate::failure::{self, Call as _, Failure};

static SPEAKER: RwLock<Option<(&'static str, Instant)>> = RwLock::new(None);

/// Sets the name that prefixes each line and starts the clock of `-v`. Called by [`crate::sys::start`], once for each link
/// that begins in this process.
pub(crate) fn begin(tool: &'static str) {
    if let Ok(mut speaker) = SPEAKER.write() {
        *speaker = Some((tool, Instant::now()));
    }
}

fn speaker() -> Option<(&'static str, Instant)> {
    SPEAKER.read().ok().and_then(|speaker| *speaker)
}

/// The name of the running tool.
#[must_use]
pub fn tool() -> &'static str {
    speaker().map_or("chain", |speaker| speaker.0)
}

/// An argument or path as it may be shown: as it is if it is one plain word, otherwise in single quotes, with
/// everything unprintable and every byte that is not UTF-8 as `\xNN`.
#[must_use]
pub fn show(bytes: impl AsRef<OsStr>) -> String {
    let bytes = bytes.as_ref().as_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_printable(&mut text, c));
        chunk.invalid().iter().for_each(|byte| push_hex(&mut text, u32::from(*byte)));
    }
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"\\".contains(c));
    if plain { text } else { format!("'{text}'") }
}

/// Whether a terminal shows `c` as itself and does nothing else because of it. Refuses control characters and the
/// invisible and direction-changing ones that can disguise a name.
fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
}

fn push_printable(text: &mut String, c: char) {
    if is_printable(c) { text.push(c) } else { push_hex(text, u32::from(c)) }
}

fn push_hex(text: &mut String, value: u32) {
    // Writing to a String cannot fail.
    write!(text, "\\x{value:02x}").unwrap_or_default();
}

/// A whole line made safe for a terminal: what [`show`] missed because it came from elsewhere is escaped here.
fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|c| push_printable(&mut safe, c));
    safe
}

/// Says one line on standard error, prefixed with the tool's name.
pub fn say(text: &str) {
    whisper(&format!("{}: {}\n", tool(), line(text)));
}

/// Says one line of `-v`: the step, and how many microseconds after the start it was done.
pub fn narrate(text: &str) {
    let micros = speaker().map_or(0, |speaker| speaker.1.elapsed().as_micros());
    say(&format!("+{micros}us {text}"));
}

/// Says what went wrong, then at most one hint, and returns the exit code that it means.
pub fn fail(error: &anyhow::Error) -> u8 {
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref());
    let mut text = format!("{}: {}\n", tool(), line(&format!("{error:#}")));
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {}\n", line(hint)));
    }
    whisper(&text);
    failure::exit_code(error)
}

/// One write(2), so that lines of several links do not interleave. A closed standard error is the user's choice.
fn whisper(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

/// Writes to standard output at once: links end by exec or `_exit`, which flush nothing.
///
/// # Errors
/// What write(2) says, for example ENOSPC; a tool that was asked to print and could not has failed.
pub fn out(text: &str) -> crate::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).call("write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_shown_bare_and_others_quoted() {
        assert_eq!(show("/usr/bin/id"), "/usr/bin/id");
        assert_eq!(show("a b"), "'a b'");
        assert_eq!(show(""), "''");
    }

    #[test]
    fn nothing_unprintable_gets_through() {
        assert_eq!(show(OsStr::from_bytes(b"a\xffb")), "'a\\xffb'");
        assert_eq!(show("\u{1b}]0;title\u{7}"), "'\\x1b]0;title\\x07'");
        assert_eq!(show("a\u{202e}b"), "'a\\x202eb'");
        assert_eq!(line("a\nb\u{9b}c"), "a\\x0ab\\x9bc");
    }
}
