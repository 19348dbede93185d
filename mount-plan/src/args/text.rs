//! The text of a plan: fstab(5) lines, with `${VAR}` and `include FILE`.
//!
//! ```text
//! # SOURCE   TARGET   FSTYPE   OPTIONS              (dump and pass are read and mean nothing)
//! /usr       /usr     none     rbind,ro
//! usr/bin    /bin     symlink
//! tmpfs      /tmp     tmpfs    size=64M,mode=1777
//! include    common.plan
//! ```
//!
//! Bytes in, bytes out: a column is split off before anything in it is expanded, so neither a space nor a `#` in a
//! variable can change the meaning of a line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::rc::Rc;

use chain::{Hint as _, Result, refusal, show};

use super::columns::{Columns, settings};
use super::dialect::without_lxc_key;
use crate::model::Origin;

/// What stands on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// An entry.
    Entry(Columns),
    /// `include FILE`: the lines of another file stand here.
    Include(Origin, OsString),
}

/// Reads the text of a plan. `name` is what messages call it, `variable` looks up `${NAME}`.
/// Errors: the first line that is none, with its number.
pub fn statements(name: &OsStr, text: &[u8], variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Result<Vec<Statement>> {
    let name: Rc<str> = show(name).into();
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .map(|(line, number)| (columns(line), Origin(Some((Rc::clone(&name), number)))))
        .filter(|(columns, _)| columns.first().is_some_and(|first| !first.starts_with(b"#")))
        .map(|(columns, origin)| statement(&columns, origin.clone(), variable).map_err(|error| origin.name(error)))
        .collect()
}

fn columns(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|column| !column.is_empty()).collect()
}

fn statement(columns: &[&[u8]], origin: Origin, variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Result<Statement> {
    let value = |raw: &[u8]| expanded(raw, variable);
    match without_lxc_key(columns).as_slice() {
        [b"include", file] => Ok(Statement::Include(origin, value(file)?)),
        [source, target, fstype, rest @ ..] if rest.len() <= 3 => {
            let (options, numbers) = rest.split_first().map_or((None, rest), |(first, numbers)| (Some(first), numbers));
            numbers.iter().try_for_each(|number| refuse_no_number(number))?;
            let options = options.map_or(Ok(vec![]), |raw| settings(raw, &value))?;
            Ok(Statement::Entry(Columns {
                origin,
                source: value(source)?,
                target: value(target)?,
                fstype: value(fstype)?,
                options,
            }))
        }
        _ => Err(refusal!("{} columns are no entry", columns.len())
            .hint("SOURCE TARGET FSTYPE [OPTIONS [dump pass]], a space within a column as \\040")),
    }
}

fn refuse_no_number(column: &[u8]) -> Result<()> {
    let word = OsStr::from_bytes(column);
    chain::values::number(word).map(drop).ok_or_else(|| refusal!("{}: columns five and six are numbers", show(word)))
}

/// A column with its `\040` and `${NAME}` replaced. What a variable holds is taken as it is.
fn expanded(raw: &[u8], variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Result<OsString> {
    let mut bytes = vec![];
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        if let Some((byte, after)) = octal(rest) {
            bytes.push(byte);
            rest = after;
        } else if let Some(named) = rest.strip_prefix(b"${") {
            let (name, after) = variable_name(named)?;
            let value = variable(name).ok_or_else(|| refusal!("${{{}}} is not set", show(name)))?;
            bytes.extend_from_slice(value.as_bytes());
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    if bytes.contains(&0) {
        return Err(refusal!("a NUL byte cannot be part of a column"));
    }
    Ok(OsString::from_vec(bytes))
}

/// `\ooo`, as fstab(5) writes spaces, tabs, newlines and backslashes: three octal digits, nothing else.
fn octal(raw: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', a, b, c, rest @ ..] = raw else { return None };
    let digit = |byte: &u8| (b'0'..=b'7').contains(byte).then(|| u32::from(byte - b'0'));
    let value = digit(a)? * 64 + digit(b)? * 8 + digit(c)?;
    Some((u8::try_from(value).ok()?, rest))
}

fn variable_name(raw: &[u8]) -> Result<(&OsStr, &[u8])> {
    let end = raw.iter().position(|byte| *byte == b'}');
    let parts = end.and_then(|end| Some((raw.get(..end)?, raw.get(end + 1..)?)));
    match parts {
        Some((name, rest)) if is_name(name) => Ok((OsStr::from_bytes(name), rest)),
        _ => Err(refusal!("${{ begins a variable: ${{NAME}}").hint("a plain ${ is written \\044{")),
    }
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Statement>> {
        statements(OsStr::new("p"), text, &|name| match name.as_bytes() {
            b"HOME" => Some("/home/a b#".into()),
            b"RAW" => Some(OsString::from_vec(b"\xff".to_vec())),
            _ => None,
        })
    }

    fn line(text: &[u8]) -> Columns {
        match read(text).unwrap().pop().unwrap() {
            Statement::Entry(line) => line,
            Statement::Include(..) => panic!("an include"),
        }
    }

    fn refused(text: &[u8]) -> String {
        format!("{:#}", read(text).unwrap_err())
    }

    #[test]
    fn columns_are_split_before_they_are_expanded() {
        let line = line(b"${HOME} /x\\040y\t none  rbind,ro 0 0\n");
        assert_eq!((line.source, line.target), ("/home/a b#".into(), "/x y".into()));
        assert_eq!(line.options.len(), 2);
    }

    #[test]
    fn bytes_stay_bytes() {
        let line = line(b"/a\xfe /${RAW} none bind");
        assert_eq!(line.source.as_bytes(), b"/a\xfe");
        assert_eq!(line.target.as_bytes(), b"/\xff");
    }

    #[test]
    fn comments_and_empty_lines_are_no_entries_but_count() {
        assert!(read(b"\n# a b c d\n   \t\n").unwrap().is_empty());
        assert_eq!(refused(b"# x\n\na b\n"), "p:3: 2 columns are no entry");
    }

    #[test]
    fn an_include_is_kept_in_its_place() {
        let got = read(b"include a\\040b\n").unwrap();
        assert!(matches!(&got[..], [Statement::Include(_, file)] if file == "a b"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(refused(b"a b c d 0 x"), "p:1: x: columns five and six are numbers");
        assert_eq!(refused(b"a b c d 0 0 0"), "p:1: 7 columns are no entry");
        assert_eq!(refused(b"${NO} b c"), "p:1: ${NO} is not set");
        assert_eq!(refused(b"${ b c"), "p:1: ${ begins a variable: ${NAME}");
        assert_eq!(refused(b"${1} b c"), "p:1: ${ begins a variable: ${NAME}");
        assert_eq!(refused(b"a\\000 b c"), "p:1: a NUL byte cannot be part of a column");
    }
}
