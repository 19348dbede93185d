//! `chainbox-probe`: a payload that says everything it can see of itself, one fact a line: `name: value`.
//!
//! Started without Rust's runtime and without chain's guards, so that nothing is changed before it is seen. The
//! transparency test compares what it says bare with what it says behind the tools.
#![no_main]

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};

chain::bare_entry!(probe);

/// One fact: its name and its value, as text that stays on one line.
type Fact = (String, String);

fn probe(argv: Vec<OsString>) -> u8 {
    let mut facts = descriptors();
    facts.extend(words("argv", argv.iter().map(|word| word.as_bytes())));
    facts.extend(environment());
    facts.extend(table("/proc/self/status", STATUS));
    facts.extend(limits());
    facts.extend(stat());
    facts.extend(FILES.iter().map(|name| ((*name).to_owned(), read(&format!("/proc/self/{name}")))));
    facts.extend(NAMESPACES.iter().map(|name| (format!("ns {name}"), link(&format!("/proc/self/ns/{name}")))));
    facts.extend(calls());
    let lines: String = facts.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    u8::from(std::io::stdout().write_all(lines.as_bytes()).is_err())
}

/// Rows of /proc/self/status that belong to the process and not to what it does just now.
const STATUS: &[&str] = &[
    "Name",
    "Umask",
    "TracerPid",
    "Uid",
    "Gid",
    "Groups",
    "Kthread",
    "Threads",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Speculation_Store_Bypass",
    "SpeculationIndirectBranch",
    "Cpus_allowed",
    "Mems_allowed",
    "THP_enabled",
];

const FILES: &[&str] = &[
    "oom_score_adj",
    "personality",
    "timerslack_ns",
    "coredump_filter",
    "loginuid",
    "cgroup",
    "uid_map",
    "gid_map",
    "setgroups",
    "timers",
];

const NAMESPACES: &[&str] =
    &["user", "mnt", "pid", "pid_for_children", "net", "ipc", "uts", "cgroup", "time", "time_for_children"];

fn words<'a>(name: &str, words: impl Iterator<Item = &'a [u8]>) -> Vec<Fact> {
    words.enumerate().map(|(n, word)| (format!("{name} {n}"), word.escape_ascii().to_string())).collect()
}

/// The environment as the kernel put it on the stack: order, duplicates, and entries that have no `=`.
fn environment() -> Vec<Fact> {
    let bytes = fs::read("/proc/self/environ").unwrap_or_default();
    words("env", bytes.strip_suffix(b"\0").unwrap_or(&bytes).split(|byte| *byte == 0))
}

/// Every open descriptor but the one that lists them, with what it is open on and its flags (open(2), octal).
fn descriptors() -> Vec<Fact> {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else { return vec![("fd".into(), "/proc is missing".into())] };
    let mut numbers: Vec<u32> =
        folder.flatten().filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    numbers.sort_unstable();
    // The folder is closed by now, so its own number has no target any more.
    numbers.iter().filter_map(|number| descriptor(*number)).collect()
}

fn descriptor(number: u32) -> Option<Fact> {
    let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    let info = read(&format!("/proc/self/fdinfo/{number}"));
    let row = |name: &str| info.split(" | ").find(|row| row.starts_with(name)).unwrap_or_default().to_owned();
    Some((format!("fd {number}"), format!("{} {} {}", chain::show(target), row("flags:"), row("pos:"))))
}

fn table(path: &str, rows: &[&str]) -> Vec<Fact> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    rows.iter().map(|name| ((*name).to_owned(), value(name).unwrap_or("absent").trim().to_owned())).collect()
}

fn limits() -> Vec<Fact> {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let fact = |line: &str| {
        let (name, value) = line.split_at_checked(26)?;
        Some((format!("limit {}", name.trim()), value.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    text.lines().skip(1).filter_map(fact).collect()
}

/// Of /proc/self/stat (proc_pid_stat(5)): job control and scheduling. Group and session as they relate to this
/// process, because their numbers differ in a pid namespace.
fn stat() -> Vec<Fact> {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit_once(") ").map_or("", |halves| halves.1);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // The state is field 3 of the manual page, and the first after the name.
    let field = |n: usize| n.checked_sub(3).and_then(|n| fields.get(n)).copied().unwrap_or("absent").to_owned();
    let pid = text.split(' ').next().unwrap_or_default().to_owned();
    let relation = |value: String| if value == pid { "own".to_owned() } else { value };
    vec![
        ("pid".into(), pid.clone()),
        ("process group".into(), relation(field(5))),
        ("session".into(), relation(field(6))),
        ("terminal".into(), field(7)),
        ("nice".into(), field(19)),
        ("real-time priority".into(), field(40)),
        ("scheduling policy".into(), field(41)),
    ]
}

/// What only system calls say.
fn calls() -> Vec<Fact> {
    let children = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(Errno::ECHILD) => "none".to_owned(),
        other => format!("{other:?}"),
    };
    vec![
        ("cwd".into(), std::env::current_dir().map_or_else(|error| error.to_string(), chain::show)),
        ("children".into(), children),
        ("alarm".into(), format!("{:?}", nix::unistd::alarm::cancel())),
        ("dumpable".into(), format!("{:?}", nix::sys::prctl::get_dumpable())),
        ("parent death signal".into(), format!("{:?}", nix::sys::prctl::get_pdeathsig())),
        ("child subreaper".into(), format!("{:?}", nix::sys::prctl::get_child_subreaper())),
        ("keep capabilities".into(), format!("{:?}", nix::sys::prctl::get_keepcaps())),
        ("securebits".into(), format!("{:?}", rustix::thread::capabilities_secure_bits())),
        ("hostname".into(), nix::unistd::gethostname().map_or_else(|errno| errno.to_string(), chain::show)),
        ("privileged start".into(), privileged_start()),
    ]
}

/// AT_SECURE of the auxiliary vector (getauxval(3)): pairs of words, ended by a zero pair.
fn privileged_start() -> String {
    let bytes = fs::read("/proc/self/auxv").unwrap_or_default();
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).ok();
    let mut pairs = bytes.chunks_exact(16).filter_map(|pair| Some((word(pair.get(..8)?)?, word(pair.get(8..)?)?)));
    pairs.find(|pair| pair.0 == nix::libc::AT_SECURE).map_or("absent".into(), |pair| pair.1.to_string())
}

/// A small file on one line.
fn read(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| error.to_string().into_bytes());
    let text = OsString::from_vec(bytes).to_string_lossy().into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" | ")
}

fn link(path: &str) -> String {
    fs::read_link(path).map_or_else(|error| error.to_string(), chain::show)
}
