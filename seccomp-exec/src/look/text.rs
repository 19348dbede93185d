//! Text policies: one rule a line, the first that holds decides. The grammar is in the manual, section POLICY.
//!
//! Pure but for the files that are included, which the caller reads.

pub mod line;

use std::collections::BTreeMap;
use std::fmt;

use chain::{Context as _, Hint as _, Result, refusal};

use crate::model::calls;
use crate::model::policy::{Clause, Policy, Rule, Test, Verdict};
use crate::model::presets;
use crate::model::widths;
use line::{Line, WrittenTest};

/// How deep files may include each other.
const DEEPEST: usize = 8;

/// Reads an included file: the name of the including file and the name that stands in it, to the new file's name and text.
pub type Reader<'r> = dyn FnMut(&str, &str) -> Result<(String, String)> + 'r;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: String,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is decided about one call so far.
#[derive(Default)]
struct OfCall {
    clauses: Vec<Clause>,
    last: Option<(Verdict, Place)>,
}

/// A policy in the making.
#[derive(Default)]
struct Draft {
    /// What has no call of its own.
    others: [Option<(Verdict, Place)>; 5],
    groups: BTreeMap<String, Vec<&'static str>>,
    calls: BTreeMap<u32, OfCall>,
}

/// Reads a policy. `file` is its name in messages. Refuses the first line that is wrong, as `FILE:LINE: words`.
pub fn policy(file: &str, text: &str, reader: &mut Reader<'_>) -> Result<Policy> {
    let mut draft = Draft::default();
    draft.file(file, text, reader, 0)?;
    draft.finished(file)
}

/// The text of a file's bytes. Refuses, by its line, the first byte that is not UTF-8.
pub fn decoded(file: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        refusal(&Place { file: file.to_owned(), line }, "not UTF-8")
    })
}

fn refusal(place: &Place, words: impl fmt::Display) -> anyhow::Error {
    refusal!("{place}: {words}")
}

/// Logical lines with their numbers: one that ends with a comma goes on in the next.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = vec![];
    let mut open = false;
    for (line, n) in text.lines().zip(1..) {
        let bare = line.split_once('#').map_or(line, |halves| halves.0).trim();
        match lines.last_mut() {
            Some((_, last)) if open => {
                last.push(' ');
                last.push_str(bare);
            }
            _ => lines.push((n, bare.to_owned())),
        }
        open = bare.ends_with(',') || (open && bare.is_empty());
    }
    lines
}

impl Draft {
    fn file(&mut self, file: &str, text: &str, reader: &mut Reader<'_>, depth: usize) -> Result<()> {
        for (line, text) in lines(text) {
            let place = Place { file: file.to_owned(), line };
            match line::parse(&text).map_err(|words| refusal(&place, words))? {
                None => {}
                Some(Line::Include(_)) if depth == DEEPEST => return Err(refusal(&place, "included too deep")),
                Some(Line::Include(name)) => match name.strip_prefix('@') {
                    Some(preset) => self.preset(preset, &place)?,
                    None => {
                        let (name, text) = reader(file, name).with_context(|| format!("{place}: include"))?;
                        self.file(&name, &text, reader, depth + 1)?;
                    }
                },
                Some(line) => self.line(line, &place)?,
            }
        }
        Ok(())
    }

    fn line(&mut self, line: Line<'_>, place: &Place) -> Result<()> {
        match line {
            Line::Other(other, verdict) => self.other(other, verdict, place),
            Line::Group(name, calls) => self.group(name, &calls, place),
            Line::Rule(verdict, calls, tests) => {
                let named = self.named(&calls, place)?;
                named.iter().try_for_each(|call| self.rule(call, verdict, &tests, place))
            }
            Line::Include(_) => Ok(()),
        }
    }

    fn other(&mut self, other: usize, verdict: Verdict, place: &Place) -> Result<()> {
        let Some(held) = self.others.get_mut(other) else { return Ok(()) };
        if let Some((_, before)) = held {
            return Err(refusal(place, format!("decided already in {before}")));
        }
        *held = Some((verdict, place.clone()));
        Ok(())
    }

    fn group(&mut self, name: &str, calls: &[&str], place: &Place) -> Result<()> {
        let calls = self.named(calls, place)?;
        match self.groups.insert(name.to_owned(), calls) {
            None => Ok(()),
            Some(_) => Err(refusal(place, format!("{name} is there already"))),
        }
    }

    /// The calls that a list names: a call, `?CALL` that need not exist, or a group.
    fn named(&self, names: &[&str], place: &Place) -> Result<Vec<&'static str>> {
        let mut calls = vec![];
        for name in names {
            let known = |name: &str| calls::number(name).and_then(calls::name);
            match (name.strip_prefix('?'), self.groups.get(*name), known(name)) {
                (Some(maybe), ..) => calls.extend(known(maybe)),
                (None, Some(group), _) => calls.extend(group),
                (None, None, Some(call)) => calls.push(call),
                (None, None, None) if name.starts_with('@') => return Err(refusal(place, format!("no group {name}"))),
                _ => return Err(unknown_call(name, place)),
            }
        }
        Ok(calls)
    }

    fn rule(&mut self, call: &str, verdict: Verdict, tests: &[WrittenTest], place: &Place) -> Result<()> {
        let tests = tests.iter().map(|written| test(call, written)).collect::<std::result::Result<Vec<_>, _>>();
        let tests = tests.map_err(|words| refusal(place, format!("{call}: {words}")))?;
        let Some(number) = calls::number(call) else { return Err(unknown_call(call, place)) };
        let held = self.calls.entry(number).or_default();
        match &held.last {
            // What an earlier file or a line before an include has decided, stays: that is how one overrides.
            Some((_, before)) if before.file == place.file => {
                return Err(refusal(place, format!("{call}: decided already in {before}")));
            }
            Some(_) => {}
            None if tests.is_empty() => held.last = Some((verdict, place.clone())),
            None => held.clauses.push(Clause { tests: tests.into(), verdict }),
        }
        Ok(())
    }

    /// The rules of a preset, behind what stands before it; its answer to everything else is not taken over.
    fn preset(&mut self, name: &str, place: &Place) -> Result<()> {
        let found = presets::find(name).ok_or_else(|| refusal(place, format!("no preset @{name}")))?;
        let from = Place { file: format!("@{name}"), line: 0 };
        for (number, rule) in (found.policy)().calls {
            let held = self.calls.entry(number).or_default();
            if held.last.is_none() {
                held.clauses.extend(rule.clauses.iter().cloned());
                held.last = Some((rule.otherwise, from.clone()));
            }
        }
        Ok(())
    }

    fn finished(self, file: &str) -> Result<Policy> {
        let [known, unknown, x32, i386, foreign] = self.others.map(|other| other.map(|other| other.0));
        let Some(known) = known else {
            return Err(refusal!("{file}: no default")
                .hint("one line must say what happens to all other calls: default allow, or default deny"));
        };
        let rule =
            |call: OfCall| Rule { clauses: call.clauses.into(), otherwise: call.last.map_or(known, |last| last.0) };
        let calls = self.calls.into_iter().map(|(number, call)| (number, rule(call))).collect();
        let plain = Policy::new(calls, known);
        Ok(Policy {
            unknown: unknown.unwrap_or(plain.unknown),
            x32: x32.unwrap_or(plain.x32),
            i386: i386.or(foreign).unwrap_or(plain.i386),
            foreign: foreign.unwrap_or(plain.foreign),
            ..plain
        })
    }
}

fn test(call: &str, written: &WrittenTest) -> std::result::Result<Test, String> {
    let width = written.width.or_else(|| widths::width(call, written.arg)).ok_or_else(|| {
        format!("how the kernel reads arg{0} is not known here: say u32(arg{0}) or u64(arg{0})", written.arg)
    })?;
    written.of(width)
}

fn unknown_call(name: &str, place: &Place) -> anyhow::Error {
    refusal!("{place}: {name} is no system call of x86_64")
        .hint(format!("?{name} names one that need not exist; groups begin with @"))
}

#[cfg(test)]
mod tests;
