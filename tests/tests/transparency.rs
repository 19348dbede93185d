//! Law 6: a payload finds what the caller gave it, plus the layer. A probe says all that it can see of itself, started
//! by a caller with unusual habits (`chainbox-odd-caller`), bare and behind the tools. The differences must be exactly
//! those that the tool promises, each with the value that it promises.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use chainbox_tests::{Chain, Ran, is_root, root_or_skip, tool};

/// What the probe said: facts by name.
type Facts = BTreeMap<String, String>;

/// A fact that a tool promises to change, and how.
#[derive(Clone, Copy, Debug)]
enum Promise {
    /// To this value.
    Is(&'static str, &'static str),
    /// To any other value (the number of a new namespace).
    Differs(&'static str),
    /// It is no more.
    Gone(&'static str),
}
use Promise::{Differs, Gone, Is};

impl Promise {
    fn name(self) -> &'static str {
        let (Is(name, _) | Differs(name) | Gone(name)) = self;
        name
    }

    fn holds(self, bare: Option<&String>, behind: Option<&String>) -> bool {
        match self {
            Is(_, value) => behind.is_some_and(|found| found == value),
            Differs(_) => behind.is_some() && behind != bare,
            Gone(_) => bare.is_some() && behind.is_none(),
        }
    }
}

/// Descriptor 7, which the caller left open, is closed by every tool.
const CLOSED: Promise = Gone("fd 7");

/// The probe behind `chain` (words up to and without `--`), with the caller's unusual habits.
fn run(chain: &[&str], user: bool) -> Ran {
    let mut words: Vec<&OsStr> = vec![];
    let (program, probe) = (chain.first().map(|name| tool(name)), tool("chainbox-probe"));
    if let Some(program) = &program {
        words.push(program.as_os_str());
        words.extend(chain.iter().skip(1).map(OsStr::new));
        words.push(OsStr::new("--"));
    }
    words.push(probe.as_os_str());
    words.extend([OsStr::from_bytes(b"raw \xff\xfe"), OsStr::new(""), OsStr::new("--help"), OsStr::new("a\nb")]);
    let run = Chain::new("chainbox-odd-caller").args(words).env("TWICE", "0");
    if user { run.as_user().run() } else { run.run() }
}

fn facts(chain: &[&str], user: bool) -> Facts {
    let ran = run(chain, user);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{chain:?}: {ran:#?}");
    let fact = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut facts: Facts = ran.out.lines().map(|line| fact(line).unwrap_or_else(|| panic!("no fact: {line}"))).collect();
    normalise(&mut facts);
    facts
}

/// Numbers that are new in each run.
fn normalise(facts: &mut Facts) {
    for (name, value) in facts.iter_mut() {
        if name.starts_with("fd ") && value.starts_with("pipe:[") {
            *value = format!("pipe {}", value.split_once(' ').map_or("", |halves| halves.1));
        }
        if name == "pid" && value.len() > 2 {
            *value = "of the host".to_owned();
        }
    }
}

/// Compares the probe bare and behind `chain`, as root (where the test is) or as an ordinary user.
#[track_caller]
fn promises(chain: &[&str], user: bool, promises: &[Promise]) {
    let (bare, behind) = (facts(&[], user), facts(chain, user));
    assert!(bare.len() > 80, "the probe says too little: {bare:#?}");
    let differ = |name: &&String| bare.get(*name) != behind.get(*name);
    let all: std::collections::BTreeSet<&String> = bare.keys().chain(behind.keys()).collect();
    let unpromised: Vec<String> = all
        .iter()
        .copied()
        .filter(differ)
        .filter(|name| !promises.iter().any(|promise| promise.name() == name.as_str()))
        .map(|name| format!("{name}: {:?} became {:?}", bare.get(name), behind.get(name)))
        .collect();
    let broken: Vec<String> = promises
        .iter()
        .filter(|promise| !promise.holds(bare.get(promise.name()), behind.get(promise.name())))
        .map(|promise| format!("{promise:?}: it is {:?}", behind.get(promise.name())))
        .collect();
    assert!(
        unpromised.is_empty() && broken.is_empty(),
        "{chain:?} (user: {user})\nchanged without a promise: {unpromised:#?}\npromised and not kept: {broken:#?}"
    );
}

/// As who runs the test and, where that is root, as an ordinary user too.
#[track_caller]
fn everybody(chain: &[&str], all: &[Promise]) {
    promises(chain, false, all);
    if is_root() {
        promises(chain, true, all);
    }
}

#[test]
fn the_bare_probe_finds_the_callers_habits() {
    let facts = facts(&[], false);
    let has = |name: &str, value: &str| assert_eq!(facts.get(name).map(String::as_str), Some(value), "{name}");
    assert!(!facts.contains_key("fd 0"), "closed by the caller");
    assert!(facts.contains_key("fd 7"));
    has("Umask", "0137");
    // Whoever runs the tests may ignore and block more.
    let set = |name: &str| u64::from_str_radix(&facts[name], 16).unwrap();
    assert_eq!((set("SigIgn") & 0x1001, set("SigBlk") & 0x200), (0x1001, 0x200), "SIGHUP and SIGPIPE; SIGUSR1");
    has("argv 1", "raw \\xff\\xfe");
    has("argv 2", "");
    let odd: Vec<&String> = facts.iter().filter(|(name, _)| name.starts_with("env ")).map(|(_, value)| value).collect();
    for entry in ["NO_EQUALS", "RAW\\xff=\\xfe\\x80", "=empty name", "TWICE=1", "TWICE=2", "NEWLINE=a\\nb"] {
        assert!(odd.iter().any(|found| *found == entry), "{entry}");
    }
}

#[test]
fn a_kept_descriptor_is_the_only_difference_that_a_tool_without_work_does_not_make() {
    everybody(&["rlimit-exec", "--keep-fd", "7"], &[]);
}

#[test]
fn rlimit_exec_sets_the_limit_alone() {
    everybody(
        &["rlimit-exec", "--core", "0", "--nofile", "64:128"],
        &[CLOSED, Is("limit Max core file size", "0 0 bytes"), Is("limit Max open files", "64 128 files")],
    );
}

#[test]
fn seccomp_exec_takes_privilege_and_nothing_else() {
    let user = &[CLOSED, Is("NoNewPrivs", "1"), Is("Seccomp", "2"), Is("Seccomp_filters", "1")];
    let root = [
        Is("CapPrm", "0000000000000000"),
        Is("CapEff", "0000000000000000"),
        Is("CapBnd", "0000000000000000"),
    ];
    let chain = &["seccomp-exec", "--filter", "default"];
    promises(chain, true, user);
    if root_or_skip("seccomp_exec_takes_privilege_and_nothing_else") {
        promises(chain, false, &[user, root.as_slice()].concat());
    }
}
