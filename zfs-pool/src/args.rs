//! The command line: which pool, which subcommand, and what it is told.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use chain::completion::Syntax;
use chain::text::meant;
use chain::values::{self, fixed, integer};
use chain::{Call as _, Common, Hint as _, Result, refusal, show, sys};
use clap::ArgMatches;
use clap::error::{ContextKind, ErrorKind};
use rustix::fs::FileType;

use crate::model::name::{CloneName, Name, Requested};
use crate::model::pool::{Kind, Place};
use crate::table::{command, pages};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `--pool`; `None` for the default.
    pub pool: Option<Place>,
    pub verb: Verb,
}

/// How a clone is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which template, or which version of it.
    pub of: Requested,
    /// How long to wait for a free one.
    pub wait: Duration,
    /// Whether to make one where none is free.
    pub create: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Init {
        template: Name,
        from: Option<PathBuf>,
        /// How clones are made; `None` for the backend's default.
        kind: Option<Kind>,
        /// Whether the tree is used in place.
        reference: bool,
    },
    Snapshot(Name),
    /// Makes free clones up to a number.
    Refill {
        /// Of which template, or which version of it.
        of: Requested,
        /// How many there are to be; `None` for as many as last time.
        count: Option<u32>,
        /// How many bytes each clone may write, 0 for no limit; `None` for what holds already.
        quota: Option<u64>,
    },
    /// Claims a clone for another process.
    Acquire {
        claim: Claim,
        /// For which process; `None` for the parent.
        pid: Option<u32>,
    },
    Release(CloneName),
    /// Claims a clone, runs a program, gives the clone back.
    Run {
        claim: Claim,
        /// A connection; the program ends when its other end is closed.
        lifeline: Option<RawFd>,
        /// The program and its arguments; none means a shell.
        prog: Vec<OsString>,
    },
    List {
        json: bool,
    },
    /// Destroys what dead holders left.
    Gc,
    /// Replaces the free clones of older versions.
    Regenerate(Name),
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    Request(Common, Request),
    /// To print this.
    Page(String),
    /// To print what this machine offers.
    Features,
}

/// Reads a command line.
pub fn parse(argv: Vec<OsString>) -> Result<Parsed> {
    let words = std::iter::once(OsString::from("zfs-pool")).chain(argv);
    let top = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Ok(Parsed::Page(error.render().to_string())),
        Err(error) => return Err(not_understood(&error)),
    };
    if let Some(shell) = value(&top, "completion") {
        return chain::completion::script(shell, &["zfs-pool"], &pages::syntaxes()).map(Parsed::Page);
    }
    if top.get_flag("features") {
        return Ok(Parsed::Features);
    }
    if top.get_flag("man") {
        return Ok(Parsed::Page(pages::man()));
    }
    if top.get_flag("version") {
        return Ok(Parsed::Page(format!("zfs-pool {}\n", chain::VERSION)));
    }
    let Some((name, sub)) = top.subcommand() else {
        return Err(refusal!("a subcommand is missing").hint("zfs-pool --help lists them"));
    };
    let pool = given_once(&top, sub, "pool")?.map(place).transpose()?;
    Ok(Parsed::Request(common(&top, sub)?, Request { pool, verb: verb(name, sub)? }))
}

/// clap's message as our tools print one: one line, and where to read more. Its own exit code would be PROG's.
fn not_understood(error: &clap::Error) -> anyhow::Error {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    let text = match error.get(ContextKind::InvalidArg) {
        Some(word) if error.kind() == ErrorKind::UnknownArgument => format!("unknown option or word {word}"),
        Some(word) if error.kind() == ErrorKind::MissingRequiredArgument => format!("{word} is missing"),
        _ => line.strip_prefix("error: ").unwrap_or(line).trim_end_matches(':').to_owned(),
    };
    let rest = "zfs-pool --help lists the subcommands, zfs-pool SUBCOMMAND --help the options";
    let word = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand].into_iter().find_map(|kind| error.get(kind));
    let names: Vec<String> = pages::syntaxes().iter().flat_map(Syntax::words).collect();
    refusal!("{text}").hint(meant(
        word.map_or(String::new(), ToString::to_string),
        names.iter().map(String::as_str),
        rest,
    ))
}

fn value<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a OsString> {
    matches.get_one::<OsString>(name)
}

/// An option that may stand before or behind the subcommand, but not twice.
fn given_once<'a>(top: &'a ArgMatches, sub: &'a ArgMatches, name: &str) -> Result<Option<&'a OsString>> {
    match (value(top, name), value(sub, name)) {
        (Some(_), Some(_)) => Err(refusal!("--{name} is given twice")),
        (before, behind) => Ok(before.or(behind)),
    }
}

fn common(top: &ArgMatches, sub: &ArgMatches) -> Result<Common> {
    let form = given_once(top, sub, "explain")?.map(|word| chain::parse::explain_form(word)).transpose()?;
    Ok(Common {
        verbose: top.get_flag("verbose") || sub.get_flag("verbose"),
        explain: form.or_else(chain::parse::explain_from_environment),
        check: top.get_flag("check") || sub.get_flag("check"),
        keep_fds: kept(sub)?,
        env: vec![],
        argv0: None,
    })
}

fn kept(sub: &ArgMatches) -> Result<Vec<RawFd>> {
    let words = sub.try_get_many::<OsString>("keep-fd").ok().flatten();
    words.into_iter().flatten().map(|word| values::open_descriptor("keep-fd", word)).collect()
}

/// `zfs:DATASET`, or a directory.
pub fn place(word: &OsString) -> Result<Place> {
    let Some(dataset) = word.to_str().and_then(|text| text.strip_prefix("zfs:")) else {
        return Ok(Place::Dir(word.into()));
    };
    let part = |part: &str| Name::parse(part.as_ref()).is_ok();
    if dataset.split('/').all(part) {
        return Ok(Place::Zfs(dataset.to_owned()));
    }
    Err(refusal!("{}: not a dataset", show(dataset)))
}

fn verb(name: &str, sub: &ArgMatches) -> Result<Verb> {
    let template = || Name::parse(word_of(sub, "template"));
    let of = || Requested::parse(word_of(sub, "template"));
    Ok(match name {
        "init" => Verb::Init {
            template: template()?,
            from: value(sub, "from").map(PathBuf::from),
            kind: value(sub, "clone").map(kind).transpose()?,
            reference: sub.get_flag("reference"),
        },
        "snapshot" => Verb::Snapshot(template()?),
        "refill" => Verb::Refill {
            of: of()?,
            count: value(sub, "count").map(count).transpose()?,
            quota: value(sub, "quota").map(quota).transpose()?,
        },
        "acquire" => Verb::Acquire { claim: claim(sub, of()?)?, pid: value(sub, "pid").map(process).transpose()? },
        "release" => Verb::Release(CloneName::parse(word_of(sub, "clone"))?),
        "run" => Verb::Run {
            claim: claim(sub, of()?)?,
            lifeline: value(sub, "lifeline").map(connection).transpose()?,
            prog: program(sub),
        },
        "list" => Verb::List { json: sub.get_flag("json") },
        "gc" => Verb::Gc,
        "regenerate" => Verb::Regenerate(template()?),
        other => return Err(refusal!("{}: not a subcommand", show(other))),
    })
}

fn word_of<'a>(sub: &'a ArgMatches, name: &str) -> &'a std::ffi::OsStr {
    value(sub, name).map_or(std::ffi::OsStr::new(""), OsString::as_os_str)
}

fn program(sub: &ArgMatches) -> Vec<OsString> {
    sub.get_many::<OsString>("prog").into_iter().flatten().cloned().collect()
}

fn claim(sub: &ArgMatches, of: Requested) -> Result<Claim> {
    let wait = value(sub, "wait").map(seconds).transpose()?.unwrap_or_default();
    Ok(Claim { of, wait, create: sub.get_flag("create") })
}

fn kind(word: &OsString) -> Result<Kind> {
    Kind::parse(word).filter(|kind| *kind != Kind::Zfs).ok_or_else(|| refused("--clone", word, "overlay or copy"))
}

/// The largest pool: a typing error should not fill a disk.
const MOST: u32 = 100_000;

fn count(word: &OsString) -> Result<u32> {
    let known = integer(word).filter(|number| *number <= MOST);
    known.ok_or_else(|| refusal!("{}: not a number from 0 to {MOST}", show(word)))
}

/// Bytes; 0 for `none`, as ZFS itself has it.
fn quota(word: &OsString) -> Result<u64> {
    let known = if word == "none" { Some(0) } else { word.to_str().and_then(values::bytes).filter(|bytes| *bytes > 0) };
    known.ok_or_else(|| refused("--quota", word, "not a size such as 512M, nor none"))
}

/// A descriptor whose other end can be closed; of anything else nobody would ever hear.
fn connection(word: &OsString) -> Result<RawFd> {
    let fd = values::open_descriptor("lifeline", word)?;
    let open = sys::borrowed(fd).call("fcntl")?;
    match FileType::from_raw_mode(rustix::fs::fstat(open).call("fstat")?.st_mode) {
        FileType::Socket | FileType::Fifo => Ok(fd),
        _ => Err(refused("--lifeline", word, "neither a socket nor a pipe")),
    }
}

fn process(word: &OsString) -> Result<u32> {
    integer(word).filter(|pid| *pid > 0).ok_or_else(|| refused("--pid", word, "not a process id"))
}

/// Seconds with at most nine decimals; nothing that a float parser would guess at (`inf`, `1e9`).
fn seconds(word: &OsString) -> Result<Duration> {
    let most = 1_000_000_000 * u64::from(u32::MAX);
    let nanos = word.to_str().and_then(|text| fixed(text, 1_000_000_000)).filter(|nanos| *nanos <= most);
    nanos.map(Duration::from_nanos).ok_or_else(|| refused("--wait", word, "not a number of seconds"))
}

fn refused(option: &str, word: &OsString, text: &str) -> anyhow::Error {
    refusal!("{option} {}: {text}", show(word))
}

#[cfg(test)]
mod tests;
