//! The command line: limits, deadlines, and where the leaf and the report go.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use chain::values::{bytes, duration, fixed, id, integer, is_name, number, percent, processors};
use chain::{Cli, Common, Hint as _, Result, refusal, show};

use crate::model::deadline::TimeLimits;
use crate::model::leaf::CALLERS;
use crate::model::limit::{Write, is_limit_file};
use crate::model::loan::{Ids, Loan};
use crate::model::report::{Format, Target};
use crate::table::Key;

/// Length of the period in which cpu.max counts, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// The least that the kernel takes as quota of a period (sched/core.c, min_cfs_quota_period).
const LEAST_QUOTA: u64 = 1000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Run inside a new leaf.
    Leaf {
        /// Under this cgroup; `None` is the one that cg-run is in.
        parent: Option<PathBuf>,
        /// With this name; `None` makes one that tells the owner.
        name: Option<String>,
    },
    /// Run without a cgroup: times only.
    Tree,
    /// Remove the leaves of runs that are gone.
    Collect {
        /// Under this cgroup; `None` is the one that cg-run is in.
        parent: Option<PathBuf>,
    },
}

/// A limit on a block device, whose number is looked up later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLimit {
    /// `MAJOR:MINOR`, or the path of a block device.
    pub device: OsString,
    /// As io.max has it: `rbps=1048576 wiops=100`.
    pub limits: String,
}

/// What is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub mode: Mode,
    /// What is written into the leaf, in order; defaults first.
    pub writes: Vec<Write>,
    pub devices: Vec<DeviceLimit>,
    pub times: TimeLimits,
    pub report: Option<Target>,
    pub format: Format,
    /// Say the verdict on standard error.
    pub status: bool,
    /// Say the verdict, and end, as isolate does.
    pub as_isolate: bool,
    /// A folder that belongs to somebody else while the run lasts.
    pub loan: Option<Loan>,
    /// To whom the leaf is given.
    pub delegate: Option<Ids>,
    /// Keep running when the caller is gone.
    pub outlive: bool,
    /// Move those aside that have started cg-run, where they are in the way.
    pub move_callers: bool,
    /// Without a cgroup where none can be had, and then with these words before the next program.
    pub if_possible: Option<Vec<OsString>>,
}

type Requested = chain::Requested<Key>;

/// What the options mean.
pub fn request(cli: &Cli<Key>) -> Result<Request> {
    let first = |key: Key| every(&cli.requested, key).next();
    let request = Request {
        mode: mode(&cli.requested)?,
        writes: writes(&cli.requested)?,
        devices: every(&cli.requested, Key::Io).map(device_limit).collect::<Result<_>>()?,
        times: times(&cli.requested)?,
        report: first(Key::Report).map(|option| target(option.value(0))),
        format: match (first(Key::ReportFormat).map(format).transpose()?, first(Key::AsIsolate)) {
            (Some(Format::Json), Some(_)) => {
                return Err(refusal!("--as-isolate and --report-format json exclude each other"));
            }
            (None, Some(_)) => Format::Isolate,
            (said, _) => said.unwrap_or_default(),
        },
        as_isolate: first(Key::AsIsolate).is_some(),
        loan: loan(&cli.requested)?,
        delegate: first(Key::Delegate).map(|option| ids(option, 0)).transpose()?,
        status: first(Key::Status).is_some() || cli.common.verbose,
        outlive: first(Key::NoDieWithParent).is_some(),
        move_callers: first(Key::MoveCallers).is_some(),
        if_possible: first(Key::IfPossible).map(link).transpose()?,
    };
    consistent(&request, cli)?;
    Ok(request)
}

fn every(requested: &[Requested], key: Key) -> impl Iterator<Item = &Requested> {
    requested.iter().filter(move |option| option.key == key)
}

fn text(option: &Requested, n: usize) -> Option<&str> {
    option.value(n).to_str()
}

fn refused(option: &Requested, why: &str) -> anyhow::Error {
    refusal!("--{} {}: {why}", option.key.option(), show(option.value(0)))
}

/// One value by a reader of its form; the option and the expected form are in the message.
fn value<T>(requested: &[Requested], key: Key, form: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(option) = every(requested, key).next() else { return Ok(None) };
    text(option, 0).and_then(read).map(Some).ok_or_else(|| refused(option, &format!("not {form}")))
}

fn mode(requested: &[Requested]) -> Result<Mode> {
    let parent = every(requested, Key::Parent).next().map(|option| PathBuf::from(option.value(0)));
    let name = value(
        requested,
        Key::Name,
        "a name ([A-Za-z0-9][A-Za-z0-9_.-]*, at most 64 bytes, not chainbox-callers)",
        |text| (is_name(text) && text != CALLERS).then(|| text.to_owned()),
    )?;
    let has = |key| every(requested, key).next().is_some();
    match (has(Key::Collect), has(Key::NoCgroup)) {
        (true, true) => Err(refusal!("--gc and --no-cgroup exclude each other")),
        (true, false) => Ok(Mode::Collect { parent }),
        (false, true) => Ok(Mode::Tree),
        (false, false) => Ok(Mode::Leaf { parent, name }),
    }
}

fn times(requested: &[Requested]) -> Result<TimeLimits> {
    let form = "a time (seconds, or with ms, s, m, h; fractions allowed; more than 0)";
    let limit = |key| value(requested, key, form, duration);
    let times = TimeLimits { cpu: limit(Key::CpuTime)?, wall: limit(Key::WallTime)?, extra: limit(Key::ExtraTime)? };
    if times.extra.is_some() && times.cpu.is_none() {
        return Err(refusal!("--extra-time means nothing without --cpu-time"));
    }
    Ok(times)
}

const SIZE: &str = "a size (bytes, or with K, M, G, T; or 1% to 100%)";

/// The options that are a file of the leaf: the file, the form of the value, and what is written for it.
type Limit = (Key, &'static str, &'static str, fn(&str) -> Option<String>);
const LIMITS: [Limit; 7] = [
    (Key::Memory, "memory.max", SIZE, size),
    (Key::MemoryHigh, "memory.high", SIZE, size),
    (Key::Swap, "memory.swap.max", "a size or max", swap),
    (Key::Pids, "pids.max", "a number of processes", count),
    (Key::Cpu, "cpu.max", "a number of processors (0.01 or more, at most 5 digits behind the point)", quota),
    (Key::CpuWeight, "cpu.weight", "a weight from 1 to 10000", weight),
    (Key::Cpuset, "cpuset.cpus", "a list of processors (0-2,5)", cpuset),
];

/// All files of the leaf that are written: the two that come with --memory, then options in the order of the manual,
/// then --set.
fn writes(requested: &[Requested]) -> Result<Vec<Write>> {
    let mut writes = vec![];
    for (key, file, form, read) in LIMITS {
        writes.extend(value(requested, key, form, read)?.map(|value| Write::new(file, value)));
    }
    for option in every(requested, Key::Set) {
        writes.push(set(option)?);
    }
    once(&writes)?;
    Ok([companions(&writes), writes].concat())
}

fn size(text: &str) -> Option<String> {
    swap(text).filter(|size| !["0", "max"].contains(&size.as_str()))
}

/// A share of the machine's memory stays one until that is known.
fn swap(text: &str) -> Option<String> {
    if text == "max" || percent(text).is_some() {
        return Some(text.to_owned());
    }
    bytes(text).map(|size| size.to_string())
}

fn count(text: &str) -> Option<String> {
    number(text.as_ref()).filter(|count| *count > 0).map(|count| count.to_string())
}

fn weight(text: &str) -> Option<String> {
    number(text.as_ref()).filter(|weight| (1..=10_000).contains(weight)).map(|weight| weight.to_string())
}

/// A number of processors as cpu.max has it: time per period.
fn quota(text: &str) -> Option<String> {
    fixed(text, PERIOD).filter(|quota| *quota >= LEAST_QUOTA).map(|quota| format!("{quota} {PERIOD}"))
}

/// The kernel takes a list as it is written, but for strides.
fn cpuset(text: &str) -> Option<String> {
    processors(text).filter(|_| !text.contains(':')).map(|_| text.to_owned())
}

/// What comes with a memory limit unless --swap or --set says otherwise: no way out into swap, and when memory runs out all
/// of the run is killed, not one process of it at random.
fn companions(writes: &[Write]) -> Vec<Write> {
    let has = |file: &str| writes.iter().any(|write| write.file == file);
    if !has("memory.max") {
        return vec![];
    }
    let no_swap = Write { only_with_swap: true, ..Write::new("memory.swap.max", "0") };
    let together = Write::new("memory.oom.group", "1");
    [no_swap, together].into_iter().filter(|write| !has(&write.file)).collect()
}

fn once(writes: &[Write]) -> Result<()> {
    for (n, write) in writes.iter().enumerate() {
        if writes.iter().take(n).any(|earlier| earlier.target() == write.target()) {
            return Err(refusal!("{} is set twice", write.target().trim()));
        }
    }
    Ok(())
}

fn set(option: &Requested) -> Result<Write> {
    let whole = text(option, 0).ok_or_else(|| refused(option, "not text"))?;
    let (file, value) = whole.split_once('=').ok_or_else(|| refused(option, "not FILE=VALUE"))?;
    if !is_limit_file(file) {
        return Err(refused(option, "not a file with a limit (as memory.low, hugetlb.2MB.max, misc.max)"));
    }
    if value.is_empty() || value.len() > 1024 || value.chars().any(char::is_control) {
        return Err(refused(option, "the value is empty, too long, or more than one line"));
    }
    Ok(Write::new(file, value))
}

fn device_limit(option: &Requested) -> Result<DeviceLimit> {
    let words = text(option, 1).unwrap_or("").split(',').map(io_word).collect::<Option<Vec<_>>>();
    let limits = words.ok_or_else(|| {
        let form = "rbps=N,wbps=N,riops=N,wiops=N; bytes with K, M, G, T; any of them";
        refusal!("--io {} {}: not {form}", show(option.value(0)), show(option.value(1)))
    })?;
    Ok(DeviceLimit { device: option.value(0).to_owned(), limits: limits.join(" ") })
}

fn io_word(word: &str) -> Option<String> {
    let (key, value) = word.split_once('=')?;
    let value = match key {
        "rbps" | "wbps" => bytes(value)?,
        "riops" | "wiops" => number(value.as_ref())?,
        _ => return None,
    };
    (value > 0).then(|| format!("{key}={value}"))
}

/// A number is a descriptor.
pub fn target(word: &OsStr) -> Target {
    integer(word).map_or_else(|| Target::File(PathBuf::from(word)), Target::Descriptor)
}

/// The words of a link, with the end of its options; none is none.
fn link(option: &Requested) -> Result<Vec<OsString>> {
    let text = text(option, 0).ok_or_else(|| refused(option, "not text"))?;
    let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
    Ok(if words.is_empty() { words } else { [words, vec!["--".into()]].concat() })
}

/// The folder, to whom it is lent, and whose it is.
fn loan(requested: &[Requested]) -> Result<Option<Loan>> {
    let special = every(requested, Key::SpecialFiles).next().is_some();
    let Some(option) = every(requested, Key::Lend).next() else {
        return if special { Err(refusal!("--special-files means nothing without --lend")) } else { Ok(None) };
    };
    Ok(Some(Loan { folder: option.value(0).into(), user: ids(option, 1)?, owner: ids(option, 2)?, special }))
}

fn ids(option: &Requested, n: usize) -> Result<Ids> {
    let pair = text(option, n).and_then(|text| text.split_once(':'));
    let ids = pair.and_then(|(uid, gid)| Some(Ids { uid: id(uid.as_ref())?, gid: id(gid.as_ref())? }));
    ids.ok_or_else(|| refusal!("--{}: {} is not UID:GID", option.key.option(), show(option.value(n))))
}

fn format(option: &Requested) -> Result<Format> {
    match text(option, 0) {
        Some("json") => Ok(Format::Json),
        Some("isolate") => Ok(Format::Isolate),
        _ => Err(refused(option, "json or isolate")),
    }
}

fn consistent(request: &Request, cli: &Cli<Key>) -> Result<()> {
    match request.mode {
        Mode::Leaf { .. } => {}
        Mode::Tree if request.if_possible.is_some() => {
            return Err(refusal!("--no-cgroup and --if-possible exclude each other"));
        }
        Mode::Tree => only_with_cgroup(&cli.requested)?,
        Mode::Collect { .. } => nothing_else(cli)?,
    }
    report_is_not_the_payloads(request, &cli.common)
}

/// A limit that needs a cgroup is never dropped silently.
fn only_with_cgroup(requested: &[Requested]) -> Result<()> {
    let Some(option) = requested.iter().find(|option| option.key.needs_cgroup()) else { return Ok(()) };
    let hint = match option.key {
        Key::Memory => "rlimit-exec --as limits the address space of each process",
        Key::Pids => "rlimit-exec --nproc limits the processes of a user; inside ns-unshare --user, those of the box",
        _ => "without a cgroup there are --cpu-time, --wall-time and the report",
    };
    Err(refusal!("--{} needs a cgroup and cannot be had with --no-cgroup", option.key.option()).hint(hint))
}

fn nothing_else(cli: &Cli<Key>) -> Result<()> {
    if let Some(option) = cli.requested.iter().find(|option| !matches!(option.key, Key::Collect | Key::Parent)) {
        return Err(refusal!("--gc goes with --parent only, not with --{}", option.key.option()));
    }
    if cli.prog.is_empty() { Ok(()) } else { Err(refusal!("--gc runs no program")) }
}

fn report_is_not_the_payloads(request: &Request, common: &Common) -> Result<()> {
    match request.report {
        Some(Target::Descriptor(fd)) if common.keep_fds.contains(&fd) => {
            Err(refusal!("--keep-fd {fd} and --report {fd}: the program could write its own report"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
