//! Text that is safe for a terminal: names come from hostile places (paths, argv), so nothing unprintable reaches it
//! (CVE-2023-28101 is the incident of this kind).

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// An argument or path as it may be shown: as it is if it is one plain word, otherwise in single quotes, with
/// everything unprintable and every byte that is not UTF-8 as `\xNN`.
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
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|c| push_printable(&mut safe, c));
    safe
}

/// The one of these names that a mistyped word may have meant: no more than every third letter is another, missing, in
/// excess, or exchanged with its neighbour.
pub fn nearest<'a>(word: impl AsRef<OsStr>, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.as_ref().to_str()?;
    let far = |name: &str| (strsim::osa_distance(word, name), name.len().max(word.len()) / 3);
    let near = names.into_iter().map(|name| (far(name), name)).filter(|((far, most), _)| far <= most);
    near.min_by_key(|((far, _), _)| *far).map(|(_, name)| name)
}

/// A hint for a word that is none of these names: the one that may be meant, then the `rest`.
pub fn meant<'a>(word: impl AsRef<OsStr>, names: impl IntoIterator<Item = &'a str>, rest: &str) -> String {
    nearest(word, names).map_or(rest.to_owned(), |name| format!("did you mean {name}? {rest}"))
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
    fn the_nearest_name_is_near() {
        let names = ["--user", "--uts", "--map-users", "--user-if-supported"];
        for (word, name) in
            [("--usr", "--user"), ("--suer", "--user"), ("--uds", "--uts"), ("--map-user", "--map-users")]
        {
            assert_eq!(nearest(word, names), Some(name), "{word}");
        }
        assert_eq!((nearest("--frobnicate", names), nearest("", names), nearest("-x", names)), (None, None, None));
        assert_eq!(nearest(OsStr::from_bytes(b"--\xffser"), names), None);
        assert_eq!(meant("--utss", names, "or not"), "did you mean --uts? or not");
    }

    #[test]
    fn nothing_unprintable_gets_through() {
        assert_eq!(show(OsStr::from_bytes(b"a\xffb")), "'a\\xffb'");
        assert_eq!(show("\u{1b}]0;title\u{7}"), "'\\x1b]0;title\\x07'");
        assert_eq!(show("a\u{202e}b"), "'a\\x202eb'");
        assert_eq!(printable("a\nb\u{9b}c"), "a\\x0ab\\x9bc");
    }
}
