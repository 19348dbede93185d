//! The command line: limits, deadlines, and where the leaf and the report go.

use std::ffi::OsString;
use std::path::PathBuf;

use chain::values::number;
use chain::{Cli, Failure, Result, show};
use chain::{Common, Requested};

use crate::deadline::TimeLimits;
use crate::limit::{Write, is_limit_file};
use crate::report::{Format, Target};
use crate::table::Key;
use crate::units::{bytes, fixed, time};

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

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub mode: Mode,
    /// What is written into the leaf, in order; defaults first.
    pub writes: Vec<Write>,
    /// Limits of block devices.
    pub devices: Vec<DeviceLimit>,
    /// Time limits.
    pub times: TimeLimits,
    /// Where the report goes.
    pub report: Option<Target>,
    /// How it is written.
    pub format: Format,
    /// Say the verdict on standard error.
    pub status: bool,
    /// Keep running when the caller is gone.
    pub outlive: bool,
}

type Said = Requested<Key>;

/// What the options mean.
///
/// # Errors
/// A value that its option cannot have, and options that contradict each other.
pub fn request(cli: &Cli<Key>) -> Result<Request> {
    let said = |key: Key| cli.requested.iter().find(|given| given.key == key);
    let request = Request {
        mode: mode(&cli.requested)?,
        writes: writes(&cli.requested)?,
        devices: every(&cli.requested, Key::Io).map(device_limit).collect::<Result<_>>()?,
        times: times(&cli.requested)?,
        report: said(Key::Report).map(target),
        format: said(Key::ReportFormat).map(format).transpose()?.unwrap_or_default(),
        status: said(Key::Status).is_some() || cli.common.verbose,
        outlive: said(Key::NoDieWithParent).is_some(),
    };
    consistent(&request, cli)?;
    Ok(request)
}

fn every(given: &[Said], key: Key) -> impl Iterator<Item = &Said> {
    given.iter().filter(move |said| said.key == key)
}

fn text(said: &Said, n: usize) -> Option<&str> {
    said.value(n).to_str()
}

fn refused(option: &str, said: &Said, why: &str) -> anyhow::Error {
    Failure::refusal(format!("--{option} {}: {why}", show(said.value(0)))).into()
}

/// One value by a reader of its form; the option and the expected form are in the message.
fn value<T>(given: &[Said], key: Key, form: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(said) = every(given, key).next() else { return Ok(None) };
    text(said, 0).and_then(read).map(Some).ok_or_else(|| refused(key.option(), said, &format!("not {form}")))
}

fn mode(given: &[Said]) -> Result<Mode> {
    let parent = every(given, Key::Parent).next().map(|said| PathBuf::from(said.value(0)));
    let name = value(given, Key::Name, "a name ([A-Za-z0-9][A-Za-z0-9_.-]*, at most 64 bytes)", name)?;
    let has = |key| every(given, key).next().is_some();
    match (has(Key::Collect), has(Key::NoCgroup)) {
        (true, true) => Err(Failure::refusal("--gc and --no-cgroup exclude each other").into()),
        (true, false) => Ok(Mode::Collect { parent }),
        (false, true) => Ok(Mode::Tree),
        (false, false) => Ok(Mode::Leaf { parent, name }),
    }
}

/// Charset of every name that a user gives us (invariant 17). No file of a cgroup can have a name with a capital
/// letter or without a dot, but a child called memory.max would be in the way of the kernel's own file.
fn name(text: &str) -> Option<String> {
    let shaped = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !text.contains("..");
    shaped.then(|| text.to_owned())
}

fn times(given: &[Said]) -> Result<TimeLimits> {
    let form = "a time (seconds, or with ms, s, m, h; fractions allowed; more than 0)";
    let limit = |key| value(given, key, form, time);
    let times = TimeLimits { cpu: limit(Key::CpuTime)?, wall: limit(Key::WallTime)?, extra: limit(Key::ExtraTime)? };
    if times.extra.is_some() && times.cpu.is_none() {
        return Err(Failure::refusal("--extra-time means nothing without --cpu-time").into());
    }
    Ok(times)
}

/// All files of the leaf that are written: the two that come with --memory, then options in the order of the manual,
/// then --set.
fn writes(given: &[Said]) -> Result<Vec<Write>> {
    let size = "a size (bytes, or with K, M, G, T)";
    let size_or_max =
        |text: &str| if text == "max" { Some(text.to_owned()) } else { bytes(text).map(|n| n.to_string()) };
    let count = |text: &str| number(text.as_ref()).filter(|n| *n > 0).map(|n| n.to_string());
    let weight = |text: &str| count(text).filter(|_| number(text.as_ref()).is_some_and(|n| n <= 10_000));
    let memory = |text: &str| bytes(text).filter(|n| *n > 0).map(|n| n.to_string());
    let asked = [
        ("memory.max", value(given, Key::Memory, size, memory)?),
        ("memory.high", value(given, Key::MemoryHigh, size, memory)?),
        ("memory.swap.max", value(given, Key::Swap, "a size or max", size_or_max)?),
        ("pids.max", value(given, Key::Pids, "a number of processes", count)?),
        (
            "cpu.max",
            value(given, Key::Cpu, "a number of processors (0.01 or more, at most 5 digits behind the point)", quota)?,
        ),
        ("cpu.weight", value(given, Key::CpuWeight, "a weight from 1 to 10000", weight)?),
        ("cpuset.cpus", value(given, Key::Cpuset, "a list of processors (0-2,5)", processors)?),
    ];
    let mut writes: Vec<Write> =
        asked.into_iter().filter_map(|(file, value)| value.map(|value| Write::new(file, value))).collect();
    writes.extend(every(given, Key::Set).map(set).collect::<Result<Vec<_>>>()?);
    once(&writes)?;
    Ok([companions(&writes), writes].concat())
}

/// What comes with a memory limit unless it was said otherwise: no way out into swap, and when memory runs out all
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
            return Err(Failure::refusal(format!("{} is set twice", write.target().trim())).into());
        }
    }
    Ok(())
}

/// A number of processors as cpu.max has it: time per period.
fn quota(text: &str) -> Option<String> {
    fixed(text, PERIOD).filter(|quota| *quota >= LEAST_QUOTA).map(|quota| format!("{quota} {PERIOD}"))
}

fn processors(text: &str) -> Option<String> {
    let shaped = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte));
    shaped.then(|| text.to_owned())
}

fn set(said: &Said) -> Result<Write> {
    let whole = text(said, 0).ok_or_else(|| refused("set", said, "not text"))?;
    let (file, value) = whole.split_once('=').ok_or_else(|| refused("set", said, "not FILE=VALUE"))?;
    if !is_limit_file(file) {
        return Err(refused("set", said, "not a file with a limit (as memory.low, hugetlb.2MB.max, misc.max)"));
    }
    if value.is_empty() || value.len() > 1024 || value.chars().any(char::is_control) {
        return Err(refused("set", said, "the value is empty, too long, or more than one line"));
    }
    Ok(Write::new(file, value))
}

fn device_limit(said: &Said) -> Result<DeviceLimit> {
    let words = text(said, 1).unwrap_or("").split(',').map(io_word).collect::<Option<Vec<_>>>();
    let limits = words.ok_or_else(|| {
        let form = "rbps=N,wbps=N,riops=N,wiops=N; bytes with K, M, G, T; any of them";
        Failure::refusal(format!("--io {} {}: not {form}", show(said.value(0)), show(said.value(1))))
    })?;
    Ok(DeviceLimit { device: said.value(0).to_owned(), limits: limits.join(" ") })
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

fn target(said: &Said) -> Target {
    let descriptor = number(said.value(0)).and_then(|n| i32::try_from(n).ok());
    descriptor.map_or_else(|| Target::File(PathBuf::from(said.value(0))), Target::Descriptor)
}

fn format(said: &Said) -> Result<Format> {
    match text(said, 0) {
        Some("json") => Ok(Format::Json),
        Some("isolate") => Ok(Format::Isolate),
        _ => Err(refused("report-format", said, "json or isolate")),
    }
}

fn consistent(request: &Request, cli: &Cli<Key>) -> Result<()> {
    match request.mode {
        Mode::Leaf { .. } => {}
        Mode::Tree => only_with_cgroup(&cli.requested)?,
        Mode::Collect { .. } => nothing_else(cli)?,
    }
    report_is_not_the_payloads(request, &cli.common)
}

/// A limit that needs a cgroup is never dropped silently.
fn only_with_cgroup(given: &[Said]) -> Result<()> {
    let Some(said) = given.iter().find(|said| said.key.needs_cgroup()) else { return Ok(()) };
    let hint = match said.key {
        Key::Memory => "rlimit-exec --as limits the address space of each process",
        Key::Pids => "rlimit-exec --nproc limits the processes of a user; inside ns-unshare --user, those of the box",
        _ => "without a cgroup there are --cpu-time, --wall-time and the report",
    };
    Err(Failure::refusal(format!("--{} needs a cgroup and cannot be had with --no-cgroup", said.key.option()))
        .hint(hint)
        .into())
}

fn nothing_else(cli: &Cli<Key>) -> Result<()> {
    if let Some(said) = cli.requested.iter().find(|said| !matches!(said.key, Key::Collect | Key::Parent)) {
        return Err(Failure::refusal(format!("--gc goes with --parent only, not with --{}", said.key.option())).into());
    }
    if cli.prog.is_empty() { Ok(()) } else { Err(Failure::refusal("--gc runs no program").into()) }
}

fn report_is_not_the_payloads(request: &Request, common: &Common) -> Result<()> {
    match request.report {
        Some(Target::Descriptor(fd)) if common.keep_fds.contains(&fd) => {
            let text = format!("--keep-fd {fd} and --report {fd}: the program could write its own report");
            Err(Failure::refusal(text).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
