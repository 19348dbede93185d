//! The table of a tool's options. It exists once and drives the parser, `--help`, the man page and completion
//! ([`crate::pages`]).
//!
//! The parser only validates the form: what was said, in order. What it means is the tool's `args` module, which
//! matches on the table's keys, so the compiler finds an option that nobody handles.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use lexopt::Arg;

use crate::failure::{Call as _, Failure};
use crate::{Result, pages, show, speech, sys};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Exactly these values, named for the manual; the first may also be joined by `=`.
    Values(&'static [&'static str]),
    /// A value only when joined by `=`.
    Optional(&'static str),
}

/// One option of a tool. `K` is the tool's own enum of options.
#[derive(Clone, Copy, Debug)]
pub struct Flag<K: 'static> {
    /// What `args` matches on.
    pub key: K,
    /// The long name, without dashes.
    pub long: &'static str,
    /// The short letter, only where util-linux has the same one.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// Whether it may be given more than once. Anything else given twice is an error.
    pub repeats: bool,
    /// One line for `--help`.
    pub help: &'static str,
    /// More for the man page: default, units, kernel version. May be empty.
    pub detail: &'static str,
}

impl<K: Copy> Flag<K> {
    /// An option that takes nothing and may be given once.
    #[must_use]
    pub const fn new(key: K, long: &'static str, help: &'static str) -> Self {
        Self { key, long, short: None, takes: Takes::Nothing, repeats: false, help, detail: "" }
    }

    /// With a short letter.
    #[must_use]
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With these values.
    #[must_use]
    pub const fn takes(mut self, values: &'static [&'static str]) -> Self {
        self.takes = Takes::Values(values);
        self
    }

    /// With a value only when joined by `=`.
    #[must_use]
    pub const fn optional(mut self, value: &'static str) -> Self {
        self.takes = Takes::Optional(value);
        self
    }

    /// May be given more than once.
    #[must_use]
    pub const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// With more text for the man page.
    #[must_use]
    pub const fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }
}

/// A tool: its options and the prose of its man page. The one source of everything that is printed about it.
#[derive(Debug)]
pub struct Table<K: 'static> {
    /// The tool's name.
    pub tool: &'static str,
    /// One line: what it is.
    pub summary: &'static str,
    /// The layer, in a paragraph.
    pub layer: &'static str,
    /// The tool's own options, in the order of the manual.
    pub flags: &'static [Flag<K>],
    /// Further sections of the man page: heading and paragraphs. `PROCESS MODEL`, `EQUIVALENT`, `EXAMPLES` and
    /// `SECURITY` are expected of every tool. A line that starts with four spaces is shown as code.
    pub sections: &'static [(&'static str, &'static str)],
    /// Prints what this kernel offers the layer, one finding a line, for `--features`.
    pub features: fn() -> String,
}

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
}

/// One option as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<K> {
    /// Which.
    pub key: K,
    /// Its values, as many as the table says (none or one for [`Takes::Optional`]).
    pub values: Vec<OsString>,
}

impl<K> Given<K> {
    /// The `n`th value; empty where the option has fewer.
    #[must_use]
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
    pub given: Vec<Given<K>>,
    /// The next program and its arguments; empty means a shell.
    pub prog: Vec<OsString>,
}

/// The options that every tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommonKey {
    Verbose,
    Explain,
    Check,
    KeepFd,
    Features,
    Help,
    Version,
    Man,
    Completion,
}

/// One table for the options that all six share, so that they are spelled and described once.
pub(crate) const COMMON: &[Flag<CommonKey>] = &[
    Flag::new(CommonKey::Verbose, "verbose", "say each step as it is done, with microseconds").short('v'),
    Flag::new(CommonKey::Explain, "explain", "print the steps, change nothing, ask the next tool the same")
        .optional("json")
        .detail(
            "With CHAIN_EXPLAIN=1 (or =json) in the environment every link of a chain does this, and the payload is \
             only named.",
        ),
    Flag::new(CommonKey::Check, "check", "parse and plan, change nothing, execute nothing"),
    Flag::new(CommonKey::KeepFd, "keep-fd", "leave descriptor N open for PROG; all but 0, 1, 2 are closed")
        .takes(&["N"])
        .repeats(),
    Flag::new(CommonKey::Features, "features", "print what this kernel offers the layer"),
    Flag::new(CommonKey::Help, "help", "print this help").short('h'),
    Flag::new(CommonKey::Version, "version", "print the version").short('V'),
    Flag::new(CommonKey::Man, "man", "print the manual page (TOOL --man | man -l -)"),
    Flag::new(CommonKey::Completion, "completion", "print completions for SHELL: bash, zsh or fish").takes(&["SHELL"]),
];

/// Reads a command line by the table. `None` where the answer was a page that has been printed (`--help` and such).
///
/// # Errors
/// An unknown or repeated option, a missing or superfluous value; exit code 125.
pub fn parse<K: Copy + PartialEq>(table: &Table<K>, argv: Vec<OsString>) -> Result<Option<Cli<K>>> {
    let mut words = lexopt::Parser::from_args(argv);
    let mut cli = Cli {
        common: Common { explain: explain_from_environment(), ..Common::default() },
        given: vec![],
        prog: vec![],
    };
    let mut said = vec![];
    while let Some(long) = next_option(&mut words, &mut cli.prog)? {
        if let Some(flag) = find(COMMON, &long) {
            let values = values(&mut words, flag, &long)?;
            once(&mut said, flag)?;
            if !common(table, &mut cli.common, flag.key, &values)? {
                return Ok(None);
            }
        } else if let Some(flag) = find(table.flags, &long) {
            let values = values(&mut words, flag, &long)?;
            once(&mut said, flag)?;
            cli.given.push(Given { key: flag.key, values });
        } else {
            return Err(unknown(table, &long));
        }
    }
    Ok(Some(cli))
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

fn values<K>(words: &mut lexopt::Parser, flag: &Flag<K>, name: &Name) -> Result<Vec<OsString>> {
    match flag.takes {
        // In `-Up` the rest of the word is further letters, not a value.
        Takes::Nothing if matches!(name, Name::Short(_)) => Ok(vec![]),
        Takes::Nothing => match words.optional_value() {
            None => Ok(vec![]),
            Some(value) => Err(Failure::refusal(format!("--{} takes no value, not {}", flag.long, show(value))).into()),
        },
        Takes::Optional(_) => Ok(words.optional_value().into_iter().collect()),
        Takes::Values(names) => names
            .iter()
            .map(|name| {
                words.value().map_err(|_| Failure::refusal(format!("--{}: {name} is missing", flag.long)).into())
            })
            .collect(),
    }
}

fn once<K>(said: &mut Vec<&'static str>, flag: &Flag<K>) -> Result<()> {
    if !flag.repeats && said.contains(&flag.long) {
        return Err(Failure::refusal(format!("--{} is given twice", flag.long)).into());
    }
    said.push(flag.long);
    Ok(())
}

/// Acts on an option that all tools share. False where the answer has been printed and nothing else is to be done.
fn common<K: Copy>(table: &Table<K>, common: &mut Common, key: CommonKey, values: &[OsString]) -> Result<bool> {
    let value = values.first().map(OsString::as_os_str);
    match key {
        CommonKey::Verbose => common.verbose = true,
        CommonKey::Explain => common.explain = Some(explain_form(value.unwrap_or(OsStr::new("")))?),
        CommonKey::Check => common.check = true,
        CommonKey::KeepFd => common.keep_fds.push(descriptor(value.unwrap_or_default())?),
        CommonKey::Features => return speech::out(&(table.features)()).map(|()| false),
        CommonKey::Help => return speech::out(&pages::help(table)).map(|()| false),
        CommonKey::Version => return speech::out(&format!("{} {}\n", table.tool, crate::VERSION)).map(|()| false),
        CommonKey::Man => return speech::out(&pages::man(table)).map(|()| false),
        CommonKey::Completion => {
            return speech::out(&pages::completion(table, value.unwrap_or_default())?).map(|()| false);
        }
    }
    Ok(true)
}

/// The form that `--explain[=WORD]` asks for; empty means words.
///
/// # Errors
/// A word that names no form.
pub fn explain_form(word: &OsStr) -> Result<Explain> {
    match word.to_str() {
        Some("" | "words") => Ok(Explain::Words),
        Some("json") => Ok(Explain::Json),
        _ => Err(Failure::refusal(format!("--explain={}: only json is understood", show(word))).into()),
    }
}

/// `CHAIN_EXPLAIN=json` asks for JSON, any other value but an empty one for words.
#[must_use]
pub fn explain_from_environment() -> Option<Explain> {
    match std::env::var_os("CHAIN_EXPLAIN")?.to_str() {
        Some("") => None,
        Some("json") => Some(Explain::Json),
        _ => Some(Explain::Words),
    }
}

/// The number of an open descriptor: decimal, nothing else (`+1`, `0x1` and ` 1` are somebody's mistake).
///
/// # Errors
/// Any other word; a descriptor that is not open.
pub fn descriptor(word: &OsStr) -> Result<RawFd> {
    let fd = number(word).and_then(|n| RawFd::try_from(n).ok());
    let fd = fd.ok_or_else(|| Failure::refusal(format!("--keep-fd {}: not a descriptor number", show(word))))?;
    sys::borrowed(fd).call(&format!("--keep-fd {fd}: fcntl")).map(|_| fd)
}

/// A plain decimal number without sign, space or prefix, as ids and descriptors are written (CVE-2016-3697 came of
/// guessing what a number is). `None` for anything else.
#[must_use]
pub fn number(word: &OsStr) -> Option<u64> {
    let text = word.to_str()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A number of bytes, with `K`, `M`, `G`, `T` as powers of 1024.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (digits, suffix) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match suffix {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    number(digits.as_ref())?.checked_mul(unit)
}

fn unknown<K>(table: &Table<K>, name: &Name) -> anyhow::Error {
    let said = match name {
        Name::Long(long) => format!("--{long}"),
        Name::Short(letter) => format!("-{letter}"),
    };
    Failure::refusal(format!("unknown option {}", show(said)))
        .hint(format!("{} --help lists the options", table.tool))
        .into()
}

fn form(error: lexopt::Error) -> anyhow::Error {
    Failure::refusal(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Key {
        Plain,
        Pair,
        Many,
    }

    const TABLE: Table<Key> = Table {
        tool: "tool",
        summary: "",
        layer: "",
        flags: &[
            Flag::new(Key::Plain, "plain", "").short('p'),
            Flag::new(Key::Pair, "pair", "").takes(&["A", "B"]),
            Flag::new(Key::Many, "many", "").takes(&["A"]).repeats().short('m'),
        ],
        sections: &[],
        features: String::new,
    };

    fn said(words: &[&str]) -> Result<Cli<Key>> {
        parse(&TABLE, words.iter().map(OsString::from).collect()).map(Option::unwrap)
    }

    fn refused(words: &[&str]) -> String {
        format!("{:#}", said(words).unwrap_err())
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let cli = said(&["-p", "--many", "x", "prog", "--many", "-p", "--", "z"]).unwrap();
        assert_eq!(cli.prog, ["prog", "--many", "-p", "--", "z"]);
        assert_eq!(cli.given.len(), 2);
        let cli = said(&["--", "--plain"]).unwrap();
        assert_eq!(cli.prog, ["--plain"]);
    }

    #[test]
    fn letters_can_share_a_dash() {
        let cli = said(&["-vp", "-mx", "prog"]).unwrap();
        assert!(cli.common.verbose);
        assert_eq!((cli.given[0].key, &cli.given[1].values[0]), (Key::Plain, &OsString::from("x")));
        assert_eq!(said(&["-pmx"]).unwrap().given.len(), 2);
        assert_eq!(refused(&["-p=x"]), "unexpected argument for option '-p': \"x\"");
        assert_eq!(refused(&["-pp"]), "--plain is given twice");
    }

    #[test]
    fn values_are_taken_as_they_are() {
        let cli = said(&["--pair", "--plain", "-x", "--many=a=b"]).unwrap();
        assert_eq!(cli.given[0].values, ["--plain", "-x"]);
        assert_eq!(cli.given[1].values, ["a=b"]);
        let raw = OsStr::from_bytes(b"\xff").to_owned();
        let cli = parse(&TABLE, vec!["--many".into(), raw.clone(), raw.clone()]).unwrap().unwrap();
        assert_eq!((&cli.given[0].values[0], &cli.prog[0]), (&raw, &raw));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(refused(&["--unknown"]), "unknown option --unknown");
        assert_eq!(refused(&["-x"]), "unknown option -x");
        assert_eq!(refused(&["--plai"]), "unknown option --plai");
        assert_eq!(refused(&["-p", "--plain"]), "--plain is given twice");
        assert_eq!(refused(&["--plain=x"]), "--plain takes no value, not x");
        assert_eq!(refused(&["--pair", "a"]), "--pair: B is missing");
        assert_eq!(refused(&["--check", "--check"]), "--check is given twice");
        assert_eq!(refused(&["--explain=yes"]), "--explain=yes: only json is understood");
    }

    #[test]
    fn only_plain_decimal_is_a_number() {
        assert_eq!(number(OsStr::new("4294967294")), Some(4_294_967_294));
        for bad in ["", "+1", "-1", "0x1", " 1", "1 ", "1:", "18446744073709551616", "\u{661}"] {
            assert_eq!(number(OsStr::new(bad)), None, "{bad:?}");
        }
    }
}
