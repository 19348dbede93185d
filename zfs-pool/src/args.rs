//! The command line: which pool, which subcommand, and what it is told.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use chain::{Call as _, Failure, Result, message, show, sys};
use chain::{Common, values};
use clap::ArgMatches;
use clap::error::{ContextKind, ErrorKind};
use rustix::fs::FileType;

use crate::name::{CloneName, Name, Wanted};
use crate::pool::Kind;
use crate::tree::command;
use crate::{look, pages};

/// Which pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Dir(PathBuf),
    /// A ZFS dataset.
    Zfs(String),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `--pool`; `None` for the default.
    pub pool: Option<Place>,
    /// The subcommand.
    pub verb: Verb,
}

/// How a clone is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which template, or which version of it.
    pub of: Wanted,
    /// How long to wait for a free one.
    pub wait: Duration,
    /// Whether to make one where none is free.
    pub create: bool,
}

/// The subcommands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Makes a template.
    Init {
        /// Its name.
        template: Name,
        /// The tree to take.
        from: Option<PathBuf>,
        /// How clones are made; `None` for the backend's default.
        kind: Option<Kind>,
        /// Whether the tree is used in place.
        reference: bool,
    },
    /// Freezes a new version.
    Snapshot {
        /// Of which template.
        template: Name,
    },
    /// Makes free clones up to a number.
    Refill {
        /// Of which template, or which version of it.
        of: Wanted,
        /// How many there are to be; `None` for as many as last time.
        count: Option<u32>,
        /// How many bytes each clone may write, 0 for no limit; `None` for what was said last.
        quota: Option<u64>,
    },
    /// Claims a clone for another process.
    Acquire {
        /// What, and how patiently.
        claim: Claim,
        /// For which process; `None` for the parent.
        pid: Option<u32>,
    },
    /// Gives a clone back.
    Release {
        /// Which.
        clone: CloneName,
    },
    /// Claims a clone, runs a program, gives the clone back.
    Run {
        /// What, and how patiently.
        claim: Claim,
        /// A connection; the program ends when its other end is closed.
        lifeline: Option<RawFd>,
        /// The program and its arguments; none means a shell.
        prog: Vec<OsString>,
    },
    /// Shows the pool.
    List {
        /// As JSON lines.
        json: bool,
    },
    /// Destroys what dead holders left.
    Gc,
    /// Replaces the free clones of older versions.
    Regenerate {
        /// Of which template.
        template: Name,
    },
}

/// Reads a command line. `None` where the answer was a page that has been printed.
///
/// # Errors
/// Anything that is not understood, or not allowed; exit code 125.
pub fn parse(argv: Vec<OsString>) -> Result<Option<(Common, Request)>> {
    let words = std::iter::once(OsString::from("zfs-pool")).chain(argv);
    let top = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return message::print(&error.render().to_string()).map(|()| None);
        }
        Err(error) => return Err(refused(&error)),
    };
    if let Some(page) = page(&top)? {
        return message::print(&page).map(|()| None);
    }
    let Some((name, sub)) = top.subcommand() else {
        return Err(Failure::refusal("a subcommand is missing").hint("zfs-pool --help lists them").into());
    };
    let pool = said_once(&top, sub, "pool")?.map(place).transpose()?;
    Ok(Some((common(&top, sub)?, Request { pool, verb: meaning(name, sub)? })))
}

/// clap's message in the message of the family: one line, and where to read more. Its own exit code would be PROG's.
fn refused(error: &clap::Error) -> anyhow::Error {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    let text = match error.get(ContextKind::InvalidArg) {
        Some(said) if error.kind() == ErrorKind::UnknownArgument => format!("unknown option or word {said}"),
        _ => line.strip_prefix("error: ").unwrap_or(line).trim_end_matches(':').to_owned(),
    };
    Failure::refusal(text).hint("zfs-pool --help lists the subcommands, zfs-pool SUBCOMMAND --help the options").into()
}

fn page(top: &ArgMatches) -> Result<Option<String>> {
    if let Some(shell) = value(top, "completion") {
        return pages::completion(shell).map(Some);
    }
    Ok(if top.get_flag("features") {
        Some(look::features())
    } else if top.get_flag("man") {
        Some(pages::man())
    } else if top.get_flag("version") {
        Some(format!("zfs-pool {}\n", chain::VERSION))
    } else {
        None
    })
}

fn value<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a OsString> {
    matches.get_one::<OsString>(name)
}

/// An option that may stand before or behind the subcommand, but not twice.
fn said_once<'a>(top: &'a ArgMatches, sub: &'a ArgMatches, name: &str) -> Result<Option<&'a OsString>> {
    match (value(top, name), value(sub, name)) {
        (Some(_), Some(_)) => Err(Failure::refusal(format!("--{name} is given twice")).into()),
        (before, behind) => Ok(before.or(behind)),
    }
}

fn common(top: &ArgMatches, sub: &ArgMatches) -> Result<Common> {
    let asked = said_once(top, sub, "explain")?.map(|word| chain::parse::explain_form(word)).transpose()?;
    Ok(Common {
        verbose: top.get_flag("verbose") || sub.get_flag("verbose"),
        explain: asked.or_else(chain::parse::explain_from_environment),
        check: top.get_flag("check") || sub.get_flag("check"),
        keep_fds: kept(sub)?,
    })
}

fn kept(sub: &ArgMatches) -> Result<Vec<RawFd>> {
    let words = sub.try_get_many::<OsString>("keep-fd").ok().flatten();
    words.into_iter().flatten().map(|word| values::open_descriptor("keep-fd", word)).collect()
}

/// `zfs:DATASET`, or a directory.
///
/// # Errors
/// A dataset name that ZFS would not have either.
pub fn place(word: &OsString) -> Result<Place> {
    let Some(dataset) = word.to_str().and_then(|text| text.strip_prefix("zfs:")) else {
        return Ok(Place::Dir(word.into()));
    };
    let part = |part: &str| Name::parse(part.as_ref()).is_ok();
    if dataset.split('/').all(part) {
        return Ok(Place::Zfs(dataset.to_owned()));
    }
    Err(Failure::refusal(format!("{}: not a dataset", show(dataset))).into())
}

fn meaning(name: &str, sub: &ArgMatches) -> Result<Verb> {
    let template = || Name::parse(word_of(sub, "template"));
    let of = || Wanted::parse(word_of(sub, "template"));
    Ok(match name {
        "init" => Verb::Init {
            template: template()?,
            from: value(sub, "from").map(PathBuf::from),
            kind: value(sub, "clone").map(kind).transpose()?,
            reference: sub.get_flag("reference"),
        },
        "snapshot" => Verb::Snapshot { template: template()? },
        "refill" => Verb::Refill {
            of: of()?,
            count: value(sub, "count").map(count).transpose()?,
            quota: value(sub, "quota").map(quota).transpose()?,
        },
        "acquire" => Verb::Acquire { claim: claim(sub, of()?)?, pid: value(sub, "pid").map(process).transpose()? },
        "release" => Verb::Release { clone: CloneName::parse(word_of(sub, "clone"))? },
        "run" => Verb::Run {
            claim: claim(sub, of()?)?,
            lifeline: value(sub, "lifeline").map(connection).transpose()?,
            prog: program(sub),
        },
        "list" => Verb::List { json: sub.get_flag("json") },
        "gc" => Verb::Gc,
        "regenerate" => Verb::Regenerate { template: template()? },
        other => return Err(Failure::refusal(format!("{}: not a subcommand", show(other))).into()),
    })
}

fn word_of<'a>(sub: &'a ArgMatches, name: &str) -> &'a std::ffi::OsStr {
    value(sub, name).map_or(std::ffi::OsStr::new(""), OsString::as_os_str)
}

fn program(sub: &ArgMatches) -> Vec<OsString> {
    sub.get_many::<OsString>("prog").into_iter().flatten().cloned().collect()
}

fn claim(sub: &ArgMatches, of: Wanted) -> Result<Claim> {
    let wait = value(sub, "wait").map(seconds).transpose()?.unwrap_or_default();
    Ok(Claim { of, wait, create: sub.get_flag("create") })
}

fn kind(word: &OsString) -> Result<Kind> {
    let known = word.to_str().and_then(Kind::parse).filter(|kind| *kind != Kind::Zfs);
    known.ok_or_else(|| Failure::refusal(format!("--clone {}: overlay or copy", show(word))).into())
}

/// The largest pool: a typing error should not fill a disk.
const MOST: u64 = 100_000;

fn count(word: &OsString) -> Result<u32> {
    let number = values::number(word).filter(|number| *number <= MOST).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Failure::refusal(format!("{}: not a number from 0 to {MOST}", show(word))).into())
}

/// Bytes; 0 for `none`, as ZFS itself has it.
fn quota(word: &OsString) -> Result<u64> {
    let known = if word == "none" { Some(0) } else { word.to_str().and_then(values::bytes).filter(|bytes| *bytes > 0) };
    let refused = || Failure::refusal(format!("--quota {}: not a size such as 512M, nor none", show(word)));
    known.ok_or_else(|| refused().into())
}

/// A descriptor whose other end can be closed; of anything else nobody would ever hear.
fn connection(word: &OsString) -> Result<RawFd> {
    let refused = |text: &str| Failure::refusal(format!("--lifeline {}: {text}", show(word)));
    let fd = values::number(word).and_then(|number| RawFd::try_from(number).ok());
    let fd = fd.ok_or_else(|| refused("not a descriptor number"))?;
    let open = sys::borrowed(fd).call(&format!("--lifeline {fd}: fcntl"))?;
    match FileType::from_raw_mode(rustix::fs::fstat(open).call("fstat")?.st_mode) {
        FileType::Socket | FileType::Fifo => Ok(fd),
        _ => Err(refused("neither a socket nor a pipe").into()),
    }
}

fn process(word: &OsString) -> Result<u32> {
    let number = values::number(word).filter(|number| *number > 0).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Failure::refusal(format!("--pid {}: not a process id", show(word))).into())
}

/// Seconds with at most nine decimals; nothing that a float parser would guess at (`inf`, `1e9`).
fn seconds(word: &OsString) -> Result<Duration> {
    let refused = || Failure::refusal(format!("--wait {}: not a number of seconds", show(word)));
    let text = word.to_str().ok_or_else(refused)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nanos = format!("{fraction:0<9}");
    let parts = (values::number(whole.as_ref()), values::number(nanos.as_ref()).filter(|_| nanos.len() == 9));
    match parts {
        (Some(whole), Some(nanos)) if whole <= u64::from(u32::MAX) && !fraction.is_empty() => {
            Ok(Duration::from_secs(whole) + Duration::from_nanos(nanos))
        }
        _ => Err(refused().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn parsed(line: &str) -> Request {
        parse(line.split(' ').map(OsString::from).collect()).unwrap().unwrap().1
    }

    fn refusal(line: &str) -> String {
        format!("{:#}", parse(line.split(' ').map(OsString::from).collect()).unwrap_err())
    }

    fn prog(line: &str) -> Vec<OsString> {
        match parsed(line).verb {
            Verb::Run { prog, .. } => prog,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn claps_own_checks_of_the_command_tree_hold() {
        command().debug_assert();
    }

    #[test]
    fn the_program_is_taken_as_it_is() {
        assert_eq!(prog("run t -- cg-run --pids 3 -- id -u"), ["cg-run", "--pids", "3", "--", "id", "-u"]);
        assert_eq!(prog("run t --create -- -x --wait 3"), ["-x", "--wait", "3"]);
        assert_eq!(prog("run t sh -c -- --check"), ["sh", "-c", "--", "--check"]);
        assert!(prog("run t").is_empty() && prog("run t --").is_empty());
        let raw = OsString::from_vec(b"a\xff".to_vec());
        let words = vec!["run".into(), "t".into(), "--".into(), raw.clone()];
        assert!(matches!(parse(words).unwrap().unwrap().1.verb, Verb::Run { prog, .. } if prog == [raw]));
    }

    #[test]
    fn a_pool_is_a_directory_or_a_dataset() {
        assert_eq!(parsed("--pool /x gc").pool, Some(Place::Dir("/x".into())));
        assert_eq!(parsed("gc --pool zfs:tank/pool").pool, Some(Place::Zfs("tank/pool".into())));
        for bad in ["zfs:", "zfs:/tank", "zfs:tank/", "zfs:tank@x", "zfs:-r", "zfs:tank/../x", "zfs:tank//x"] {
            assert!(refusal(&format!("gc --pool {bad}")).ends_with("not a dataset"), "{bad}");
        }
    }

    #[test]
    fn seconds_are_decimal() {
        assert_eq!(seconds(&"1.5".into()).unwrap(), Duration::from_millis(1500));
        assert_eq!(seconds(&"0.000000001".into()).unwrap(), Duration::from_nanos(1));
        for bad in ["", ".", "1.", ".5x", "-1", "1e9", "inf", "1.0000000001", "99999999999"] {
            assert!(seconds(&bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, words) in [
            ("--pool a gc --pool b", "--pool is given twice"),
            ("gc --pool a --pool b", "cannot be used multiple times"),
            ("run", "required arguments were not provided"),
            ("init ../x --from /", "../x: not a name"),
            ("run t@0", "t@0: not a version"),
            ("snapshot t@1", "t@1: not a name"),
            ("refill t -1", "unknown option or word -1"),
            ("refill t 100001", "100001: not a number from 0 to 100000"),
            ("refill t --quota 0", "--quota 0: not a size"),
            ("refill t --quota 1.5G", "--quota 1.5G: not a size"),
            ("release t", "t: not the name of a clone"),
            ("acquire t --pid 0", "--pid 0: not a process id"),
            ("init t --clone zfs", "--clone zfs: overlay or copy"),
            ("--frobnicate gc", "unknown option or word --frobnicate"),
            ("serve", "unrecognized subcommand 'serve'"),
            ("gc --explain=yes", "--explain=yes: only json is understood"),
        ] {
            assert!(refusal(line).contains(words), "{line}: {}", refusal(line));
        }
    }
}
