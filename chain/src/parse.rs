//! The parser that a tool's table drives.
//!
//! It only validates the form: what was requested, in order. What it means is the tool's `args` module, which matches on
//! the table's keys, so the compiler finds an option that nobody handles.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;

use lexopt::Arg;

use crate::table::{COMMON, CommonKey, Flag, Table, Takes};
use crate::text::meant;
use crate::values::open_descriptor;
use crate::{Hint as _, Result, refusal, show};

/// The form of `--explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// For people.
    Words,
    /// One JSON object a line.
    Json,
}

/// What every tool understands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// Say each step as it is done.
    pub verbose: bool,
    /// Print the steps, change nothing, and pass the request on.
    pub explain: Option<Explain>,
    /// Parse and plan, then stop.
    pub check: bool,
    /// Descriptors besides 0, 1 and 2 that the next program keeps.
    pub keep_fds: Vec<RawFd>,
    /// The only variables of the next program's environment, each `NAME` or `NAME=VALUE`; none: all that there are.
    pub env: Vec<OsString>,
    /// The first word of the next program's command line, if another one than its name.
    pub argv0: Option<OsString>,
}

/// One option as it was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested<K> {
    /// Which.
    pub key: K,
    /// Its values, as many as the table says (none or one for [`Takes::Optional`]).
    pub values: Vec<OsString>,
}

impl<K> Requested<K> {
    /// The `n`th value; empty where the option has fewer.
    pub fn value(&self, n: usize) -> &OsStr {
        self.values.get(n).map_or(OsStr::new(""), OsString::as_os_str)
    }
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cli<K> {
    /// What every tool understands.
    pub common: Common,
    /// The tool's own options, in the order given: order on the command line is order of effect.
    pub requested: Vec<Requested<K>>,
    /// The next program and its arguments; empty means a shell.
    pub prog: Vec<OsString>,
}

/// A page that a tool prints instead of doing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// What this kernel offers the layer.
    Features,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// The manual page.
    Man,
    /// Completions for this shell.
    Completion(OsString),
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<K> {
    /// To act.
    Cli(Cli<K>),
    /// To print a page. What follows it on the line is not looked at.
    Page(Page),
}

impl<K> Parsed<K> {
    /// The command line, unless a page was asked for.
    pub fn cli(self) -> Option<Cli<K>> {
        match self {
            Self::Cli(cli) => Some(cli),
            Self::Page(_) => None,
        }
    }
}

/// Reads a command line by the table, and by that of the options that all tools share.
pub fn parse<K: Copy>(table: &Table<K>, argv: Vec<OsString>) -> Result<Parsed<K>> {
    read(table, COMMON, argv)
}

/// Reads a command line by the table alone, as other programs have theirs.
pub fn parse_foreign<K: Copy>(table: &Table<K>, argv: Vec<OsString>) -> Result<Cli<K>> {
    match read(table, &[], argv)? {
        Parsed::Cli(cli) => Ok(cli),
        Parsed::Page(_) => Err(refusal!("a page that {} does not have", table.tool)),
    }
}

fn read<K: Copy>(table: &Table<K>, shared: &'static [Flag<CommonKey>], argv: Vec<OsString>) -> Result<Parsed<K>> {
    let mut words = lexopt::Parser::from_args(argv);
    let mut cli = Cli {
        common: Common { explain: explain_from_environment(), ..Common::default() },
        requested: vec![],
        prog: vec![],
    };
    let mut seen = vec![];
    while let Some(name) = next_option(&mut words, &mut cli.prog)? {
        if let Some(flag) = find(shared, &name) {
            let values = values(&mut words, flag, &name, true)?;
            once(&mut seen, flag)?;
            if let Some(page) = common(&mut cli.common, flag.key, values)? {
                return Ok(Parsed::Page(page));
            }
        } else if let Some(flag) = find(table.flags, &name) {
            let values = values(&mut words, flag, &name, !shared.is_empty())?;
            once(&mut seen, flag)?;
            cli.requested.push(Requested { key: flag.key, values });
        } else {
            return Err(unknown(table, shared, &name));
        }
    }
    Ok(Parsed::Cli(cli))
}

/// An option as it stands on the command line.
enum Name {
    Long(String),
    Short(char),
}

/// The next option, or `None` after the last; then the rest of the line is in `prog`. The first word that is no
/// option ends the options: what follows belongs to PROG.
fn next_option(words: &mut lexopt::Parser, prog: &mut Vec<OsString>) -> Result<Option<Name>> {
    match words.next().map_err(form)? {
        None => Ok(None),
        Some(Arg::Long(name)) => Ok(Some(Name::Long(name.to_owned()))),
        Some(Arg::Short(letter)) => Ok(Some(Name::Short(letter))),
        Some(Arg::Value(first)) => {
            prog.push(first);
            prog.extend(words.raw_args().map_err(form)?);
            Ok(None)
        }
    }
}

fn find<K>(flags: &'static [Flag<K>], name: &Name) -> Option<&'static Flag<K>> {
    flags.iter().find(|flag| match name {
        Name::Long(long) => flag.long == long,
        Name::Short(letter) => flag.short == Some(*letter),
    })
}

/// The values of an option. Where `ends` is set, `--` is none unless it is joined by `=`: what is behind it is PROG.
fn values<K>(words: &mut lexopt::Parser, flag: &Flag<K>, name: &Name, ends: bool) -> Result<Vec<OsString>> {
    let apart = matches!(flag.takes, Takes::Words(_));
    if let Some(value) = apart.then(|| words.optional_value()).flatten() {
        return Err(refusal!("--{} takes no value by =, not {}", flag.long, show(value)));
    }
    match flag.takes {
        // In `-Up` the rest of the word is further letters, not a value.
        Takes::Nothing if matches!(name, Name::Short(_)) => Ok(vec![]),
        Takes::Nothing => match words.optional_value() {
            None => Ok(vec![]),
            Some(value) => Err(refusal!("--{} takes no value, not {}", flag.long, show(value))),
        },
        Takes::Optional(_) => Ok(words.optional_value().into_iter().collect()),
        Takes::Values(names) | Takes::Words(names) => {
            let joined = words.optional_value();
            let apart = names.iter().skip(joined.iter().len()).map(|name| match words.value() {
                Ok(value) if !ends || value != "--" => Ok(value),
                _ => Err(missing(flag, names, name)),
            });
            let apart = apart.collect::<Result<Vec<_>>>()?;
            Ok(joined.into_iter().chain(apart).collect())
        }
    }
}

fn missing<K>(flag: &Flag<K>, names: &[&str], name: &str) -> anyhow::Error {
    refusal!("--{}: {name} is missing", flag.long).hint(format!("usage: --{} {}", flag.long, names.join(" ")))
}

fn once<K>(seen: &mut Vec<&'static str>, flag: &Flag<K>) -> Result<()> {
    if !flag.repeats && seen.contains(&flag.long) {
        return Err(refusal!("--{} is given twice", flag.long));
    }
    seen.push(flag.long);
    Ok(())
}

/// Reads an option that all tools share; the page that it asks for, if it is one that does.
fn common(common: &mut Common, key: CommonKey, values: Vec<OsString>) -> Result<Option<Page>> {
    let value = values.into_iter().next().unwrap_or_default();
    match key {
        CommonKey::Verbose => common.verbose = true,
        CommonKey::Explain => common.explain = Some(explain_form(&value)?),
        CommonKey::Check => common.check = true,
        CommonKey::KeepFd => common.keep_fds.push(open_descriptor("keep-fd", &value)?),
        CommonKey::Env => common.env.push(variable(value)?),
        CommonKey::Argv0 => common.argv0 = Some(value),
        CommonKey::Features => return Ok(Some(Page::Features)),
        CommonKey::Help => return Ok(Some(Page::Help)),
        CommonKey::Version => return Ok(Some(Page::Version)),
        CommonKey::Man => return Ok(Some(Page::Man)),
        CommonKey::Completion => return Ok(Some(Page::Completion(value))),
    }
    Ok(None)
}

/// `NAME` or `NAME=VALUE`.
fn variable(word: OsString) -> Result<OsString> {
    match word.as_bytes().first() {
        None | Some(b'=') => Err(refusal!("--env {}: the name is missing", show(word))),
        _ => Ok(word),
    }
}

/// The form that `--explain[=WORD]` asks for; empty means words.
pub fn explain_form(word: &OsStr) -> Result<Explain> {
    match word.to_str() {
        Some("" | "words") => Ok(Explain::Words),
        Some("json") => Ok(Explain::Json),
        _ => Err(refusal!("--explain={}: only json is understood", show(word))),
    }
}

/// The variable that asks every link of a chain to explain itself.
pub(crate) const EXPLAIN: &str = "CHAIN_EXPLAIN";

/// `CHAIN_EXPLAIN=json` asks for JSON, any other value but an empty one for words.
pub fn explain_from_environment() -> Option<Explain> {
    match std::env::var_os(EXPLAIN)?.to_str() {
        Some("") => None,
        Some("json") => Some(Explain::Json),
        _ => Some(Explain::Words),
    }
}

fn names<K>(flags: &'static [Flag<K>]) -> impl Iterator<Item = &'static str> {
    flags.iter().map(|flag| flag.long)
}

fn unknown<K>(table: &Table<K>, shared: &'static [Flag<CommonKey>], name: &Name) -> anyhow::Error {
    let option = match name {
        Name::Long(long) => format!("--{long}"),
        Name::Short(letter) => format!("-{letter}"),
    };
    let longs: Vec<String> = names(table.flags).chain(names(shared)).map(|long| format!("--{long}")).collect();
    let help = format!("{} --help lists the options", table.tool);
    refusal!("unknown option {}", show(&option)).hint(meant(&option, longs.iter().map(String::as_str), &help))
}

fn form(error: lexopt::Error) -> anyhow::Error {
    refusal!("{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Key {
        Plain,
        Pair,
        Many,
    }

    const TABLE: Table<Key> = Table {
        tool: "tool",
        summary: "",
        manual: "",
        flags: &[
            Flag::new(Key::Plain, "plain", "").short('p'),
            Flag::new(Key::Pair, "pair", "").takes(&["A", "B"]),
            Flag::new(Key::Many, "many", "").takes(&["A"]).repeats().short('m'),
        ],
    };

    fn parsed(words: &[&str]) -> Result<Cli<Key>> {
        parse(&TABLE, words.iter().map(OsString::from).collect()).map(|parsed| parsed.cli().unwrap())
    }

    fn refused(words: &[&str]) -> String {
        format!("{:#}", parsed(words).unwrap_err())
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let cli = parsed(&["-p", "--many", "x", "prog", "--many", "-p", "--", "z"]).unwrap();
        assert_eq!(cli.prog, ["prog", "--many", "-p", "--", "z"]);
        assert_eq!(cli.requested.len(), 2);
        let cli = parsed(&["--", "--plain"]).unwrap();
        assert_eq!(cli.prog, ["--plain"]);
    }

    #[test]
    fn letters_can_share_a_dash() {
        let cli = parsed(&["-vp", "-mx", "prog"]).unwrap();
        assert!(cli.common.verbose);
        assert_eq!((cli.requested[0].key, &cli.requested[1].values[0]), (Key::Plain, &OsString::from("x")));
        assert_eq!(parsed(&["-pmx"]).unwrap().requested.len(), 2);
        assert_eq!(refused(&["-p=x"]), "unexpected argument for option '-p': \"x\"");
        assert_eq!(refused(&["-pp"]), "--plain is given twice");
    }

    #[test]
    fn values_are_taken_as_they_are() {
        let cli = parsed(&["--pair", "--plain", "-x", "--many=a=b"]).unwrap();
        assert_eq!(cli.requested[0].values, ["--plain", "-x"]);
        assert_eq!(cli.requested[1].values, ["a=b"]);
        let raw = OsStr::from_bytes(b"\xff").to_owned();
        let cli = parse(&TABLE, vec!["--many".into(), raw.clone(), raw.clone()]).unwrap().cli().unwrap();
        assert_eq!((&cli.requested[0].values[0], &cli.prog[0]), (&raw, &raw));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(refused(&["--unknown"]), "unknown option --unknown");
        assert_eq!(refused(&["-x"]), "unknown option -x");
        assert_eq!(refused(&["--plai"]), "unknown option --plai");
        assert_eq!(refused(&["-p", "--plain"]), "--plain is given twice");
        assert_eq!(refused(&["--plain=x"]), "--plain takes no value, not x");
        assert_eq!(refused(&["--pair", "a"]), "--pair: B is missing");
        assert_eq!(refused(&["--pair", "a", "--", "prog"]), "--pair: B is missing");
        assert_eq!(parsed(&["--many=--", "prog"]).unwrap().requested[0].values, ["--"]);
        let foreign = parse_foreign(&TABLE, ["--pair", "--", "b"].map(OsString::from).to_vec());
        assert_eq!(foreign.unwrap().requested[0].values, ["--", "b"]);
        assert_eq!(refused(&["--check", "--check"]), "--check is given twice");
        assert_eq!(refused(&["--explain=yes"]), "--explain=yes: only json is understood");
    }
}
