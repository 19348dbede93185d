//! The columns of one entry, before they are given a meaning: the common form of a plan's line and of an option.

use std::ffi::OsString;

use chain::Result;

use crate::model::{Origin, Setting};

/// The columns that have a meaning here. Those of dump and pass have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub origin: Origin,
    pub source: OsString,
    pub target: OsString,
    pub fstype: OsString,
    pub options: Vec<Setting>,
}

/// Splits an options column at its commas. A comma within double quotes or behind a backslash belongs to a value, as
/// mount(8) and overlayfs have it.
pub fn settings(raw: &[u8], value: &dyn Fn(&[u8]) -> Result<OsString>) -> Result<Vec<Setting>> {
    option_words(raw)
        .iter()
        .filter(|word| !word.is_empty() && word.as_slice() != b"defaults" && word.as_slice() != b"-")
        .map(|word| {
            let mut halves = word.splitn(2, |byte| *byte == b'=');
            let key = value(halves.next().unwrap_or_default())?;
            let value = halves.next().map(value).transpose()?;
            Ok(Setting { key, value })
        })
        .collect()
}

fn option_words(raw: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![vec![]];
    let (mut quoted, mut escaped) = (false, false);
    for byte in raw {
        match byte {
            b',' if escaped => push(&mut words, b','),
            b',' if !quoted => words.push(vec![]),
            b'"' if !escaped => quoted = !quoted,
            b'\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ if escaped => {
                push(&mut words, b'\\');
                push(&mut words, *byte);
            }
            _ => push(&mut words, *byte),
        }
        escaped = false;
    }
    if escaped {
        push(&mut words, b'\\');
    }
    words
}

fn push(words: &mut [Vec<u8>], byte: u8) {
    if let Some(word) = words.last_mut() {
        word.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_split_at_bare_commas_only() {
        let words =
            |raw: &[u8]| option_words(raw).into_iter().map(|word| String::from_utf8(word).unwrap()).collect::<Vec<_>>();
        assert_eq!(words(b"a,b=c"), ["a", "b=c"]);
        assert_eq!(words(b"a=\"x,y\",b"), ["a=x,y", "b"]);
        assert_eq!(words(b"a=x\\,y,b"), ["a=x,y", "b"]);
        assert_eq!(words(b"a=x\\054y\\:z\\"), ["a=x\\054y\\:z\\"]);
    }
}
