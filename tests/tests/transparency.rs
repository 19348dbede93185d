//! Law 6: a payload finds what the caller gave it, plus the layer. A probe says all that it can see of itself, started
//! by a caller with unusual habits (`chainbox-odd-caller`), bare and behind the tools. The differences must be exactly
//! those that the tool promises, each with the value that it promises.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use chainbox_tests::{Chain, Folder, Ran, is_root, root_or_skip, tool};

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

/// Whoever supervises takes the program along when it is killed itself.
const BOUND: Promise = Is("parent death signal", "Ok(Some(SIGKILL))");

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
    let mut facts: Facts =
        ran.out.lines().map(|line| fact(line).unwrap_or_else(|| panic!("no fact: {line}"))).collect();
    normalise(&mut facts);
    facts
}

/// Numbers that are new in each run; and variables of a lease by their name and not by their place.
fn normalise(facts: &mut Facts) {
    let leased: Vec<String> =
        facts.iter().filter(|(_, value)| value.starts_with("ROOTFS")).map(|(name, _)| name.clone()).collect();
    for value in leased.iter().filter_map(|name| facts.remove(name)).collect::<Vec<_>>() {
        let (name, value) = value.split_once('=').unwrap_or((&value, ""));
        facts.insert(format!("env {name}"), value.to_owned());
    }
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
fn the_environment_is_what_was_named() {
    // The tools that wait need a namespace or a cgroup for it, and read their options by the same table.
    for tool in ["rlimit-exec", "seccomp-exec --filter default", "cg-run --no-cgroup", "ns-unshare --user"] {
        let line = format!("A=1 B=2 C=3 {tool} --env A --env C=x=y --env D= --env E --env 'F= g' -- /usr/bin/env");
        assert_eq!(Chain::shell(&line).run().ok(), "A=1\nC=x=y\nD=\nF= g\n", "{tool}");
    }
    Chain::shell("rlimit-exec --env PATH=/nowhere -- true").run().fails(127, "true: not found in PATH");
    for bad in ["''", "=x"] {
        Chain::shell(&format!("rlimit-exec --env {bad} -- true")).run().fails(125, "the name is missing");
    }
}

#[test]
fn a_payload_has_the_name_that_it_was_given() {
    let payload = "/bin/sh -c 'echo \"$0\"'";
    for tool in
        ["rlimit-exec", "seccomp-exec", "cg-run --no-cgroup", "ns-unshare --user --pid", "mount-plan --bind / /"]
    {
        let before = if tool.starts_with("mount-plan") { "ns-unshare --user --mount -- " } else { "" };
        let out = Chain::shell(&format!("{before}{tool} --argv0 another -- {payload}")).run().ok();
        assert_eq!(out, "another\n", "{tool}");
    }
    Chain::shell("rlimit-exec --argv0 x -- seccomp-exec -- true").run().fails(125, "--argv0 x: PROG is seccomp-exec");
}

/// Each link's failure, before and behind a fork and a change of the root, and what a payload makes of it.
#[test]
fn a_chain_can_speak_with_one_voice() {
    let enter = "ns-unshare --user --mount --";
    for (line, said) in [
        ("rlimit-exec --nofile x -- true".to_owned(), "said: --nofile "),
        ("ns-unshare --user --pid -- /no/such/program".to_owned(), "said: /no/such/program: execve: No such file"),
        ("cg-run --no-cgroup -- /etc/passwd".to_owned(), "said: /etc/passwd: execve: Permission denied (EACCES)"),
        (format!("{enter} mount-plan --bind /nope /x -- true"), "said: bind /nope on /x"),
        (format!("{enter} mount-plan --bind / / -- /nope"), "(PROG is looked up in the new root)\n"),
        (format!("{enter} mount-plan --bind / / -- seccomp-exec --bpf /nope -- true"), "said: "),
        ("cg-run --no-cgroup -- ns-unshare --user --pid -- seccomp-exec -- /nope".to_owned(), "said: /nope: "),
    ] {
        let ran = Chain::shell(&line).env("CHAIN_AS", "said:9").run();
        assert_eq!((ran.code, ran.err.lines().count()), (9, 1), "{line}: {ran:?}");
        assert!(ran.err.starts_with("said: ") && ran.err.contains(said), "{line}: {ran:?}");
    }
    // What a payload says is its own.
    let chain = "ns-unshare --user --mount --pid -- mount-plan --bind / / -- seccomp-exec -- ";
    let ran = Chain::shell(&format!("{chain} /bin/sh -c 'env; exit 125'")).env("CHAIN_AS", "said:9").run();
    assert_eq!((ran.code, ran.out.contains("CHAIN_AS")), (125, false), "{ran:?}");
    for bad in ["", "said", ":1", "said:0", "said:256"] {
        let ran = Chain::shell("rlimit-exec -- true").env("CHAIN_AS", bad).run();
        ran.fails(125, ": not NAME:STATUS");
    }
}

#[test]
fn rlimit_exec_sets_the_limit_alone() {
    everybody(
        &["rlimit-exec", "--core", "0", "--nofile", "64:128"],
        &[CLOSED, Is("limit Max core file size", "0 0 bytes"), Is("limit Max open files", "64 128 files")],
    );
}

/// What a payload has lost in a new user namespace that passes no capability on: everything.
const POWERLESS: [Promise; 3] = [Is("CapPrm", NO_CAPABILITY), Is("CapEff", NO_CAPABILITY), Is("CapBnd", NO_CAPABILITY)];

const NO_CAPABILITY: &str = "0000000000000000";

/// What root loses; an ordinary user has had only the bounding set.
fn powerless(user: bool) -> &'static [Promise] {
    if user { POWERLESS.split_at(2).1 } else { &POWERLESS }
}

#[test]
fn seccomp_exec_takes_privilege_and_nothing_else() {
    let filtered = [CLOSED, Is("NoNewPrivs", "1"), Is("Seccomp", "2"), Is("Seccomp_filters", "1")];
    let chain = &["seccomp-exec", "--filter", "default"];
    // Without CAP_SETPCAP the bounding set stays; under no_new_privs it is without effect.
    promises(chain, true, &filtered);
    if root_or_skip("seccomp_exec_takes_privilege_and_nothing_else") {
        promises(chain, false, &[filtered.as_slice(), &POWERLESS].concat());
    }
}

#[test]
fn a_user_namespace_changes_maps_and_capabilities() {
    let own = [CLOSED, Differs("ns user")];
    let chain = &["ns-unshare", "--user", "--map-self"];
    let user = [Is("uid_map", "1000 1000 1"), Is("gid_map", "1000 1000 1"), Is("setgroups", "deny")];
    if root_or_skip("a_user_namespace_changes_maps_and_capabilities") {
        promises(chain, true, &[own.as_slice(), &user, powerless(true)].concat());
        let root = [Is("uid_map", "0 0 1"), Is("gid_map", "0 0 1")];
        promises(chain, false, &[own.as_slice(), &root, powerless(false)].concat());
    }
}

#[test]
fn root_in_the_box_is_the_ordinary_user_outside() {
    if !root_or_skip("root_in_the_box_is_the_ordinary_user_outside") {
        return;
    }
    let changed = [
        CLOSED,
        Differs("ns user"),
        Is("Uid", "0\t0\t0\t0"),
        Is("Gid", "0\t0\t0\t0"),
        Is("uid_map", "0 1000 1"),
        Is("gid_map", "0 1000 1"),
        Is("setgroups", "deny"),
    ];
    promises(&["ns-unshare", "--user"], true, &[changed.as_slice(), powerless(true)].concat());
}

#[test]
fn each_namespace_is_its_own_flag() {
    if !root_or_skip("each_namespace_is_its_own_flag") {
        return;
    }
    for (flag, namespaces) in [
        ("--mount", ["ns mnt"].as_slice()),
        ("--pid", &["ns pid", "ns pid_for_children"]),
        ("--net", &["ns net"]),
        ("--ipc", &["ns ipc"]),
        ("--uts", &["ns uts"]),
        ("--time", &["ns time", "ns time_for_children"]),
    ] {
        let new: Vec<Promise> = namespaces.iter().map(|name| Differs(name)).collect();
        promises(&["ns-unshare", flag], false, &[[CLOSED].as_slice(), &new].concat());
    }
    let named = [CLOSED, Differs("ns uts"), Is("hostname", "box")];
    promises(&["ns-unshare", "--uts", "--hostname", "box"], false, &named);
}

#[test]
fn a_supervisor_without_a_cgroup_is_seen_by_its_bond_alone() {
    everybody(
        &["cg-run", "--no-cgroup", "--cpu-time", "9", "--wall-time", "60", "--report", "/dev/null"],
        &[CLOSED, BOUND],
    );
}

#[test]
fn a_lease_adds_its_variables() {
    let folder = Folder::new("transparency-pool", true);
    fs::create_dir(folder.join("tree")).unwrap();
    let pool = folder.join("pool");
    let pool = pool.to_str().unwrap();
    let tree = folder.join("tree");
    let init = ["--pool", pool, "init", "t", "--from", tree.to_str().unwrap()];
    assert_eq!(Chain::new("zfs-pool").args(init).as_user().run().err, "");
    let added = ["env ROOTFS_CLONE", "env ROOTFS_LOWER", "env ROOTFS_UPPER", "env ROOTFS_WORK"].map(Differs);
    let chain = ["zfs-pool", "--pool", pool, "run", "--create", "t"];
    promises(&chain, true, &[[CLOSED, BOUND].as_slice(), &added].concat());
}

/// The canonical line of README with a root in which the probe lies.
fn canonical() -> Vec<String> {
    let bin = chainbox_tests::bin();
    let bin = bin.to_str().unwrap();
    let line = format!(
        "cg-run --no-cgroup --cpu-time 10 --wall-time 60 --report /dev/null -- \
         ns-unshare --user --mount --pid --net --ipc --uts --hostname box -- \
         rlimit-exec --nofile 1024:4096 --core 0 -- \
         mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
         --tmpfs /tmp --proc /proc --dev /dev --ro-bind {bin} {bin} --chdir /tmp -- \
         seccomp-exec --filter default"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_whole_chain_changes_what_its_links_promise() {
    let line = canonical();
    let chain: Vec<&str> = line.iter().map(String::as_str).collect();
    let all = [
        CLOSED,
        Is("Uid", "0\t0\t0\t0"),
        Is("Gid", "0\t0\t0\t0"),
        Is("hostname", "box"),
        Is("limit Max open files", "1024 4096 files"),
        Is("limit Max core file size", "0 0 bytes"),
        Is("NoNewPrivs", "1"),
        Is("Seccomp", "2"),
        Is("Seccomp_filters", "1"),
        Is("cwd", "/tmp"),
        // The new /proc shows the box: the init is 1, and group and session are of outside.
        Is("pid", "2"),
        Is("process group", "0"),
        Is("session", "0"),
        Differs("ns user"),
        Differs("ns mnt"),
        Differs("ns pid"),
        Differs("ns pid_for_children"),
        Differs("ns net"),
        Differs("ns ipc"),
        Differs("ns uts"),
    ];
    let user = [Is("uid_map", "0 1000 1"), Is("gid_map", "0 1000 1"), Is("setgroups", "deny")];
    let root = [Is("uid_map", "0 0 1"), Is("gid_map", "0 0 1")];
    if root_or_skip("the_whole_chain_changes_what_its_links_promise") {
        promises(&chain, true, &[all.as_slice(), &user, powerless(true)].concat());
        promises(&chain, false, &[&all[..1], &all[3..], &root, powerless(false)].concat());
    }
}
