//! The capabilities of a new user namespace are for the links. A program that is not one of our tools gets none of them,
//! whichever link executes it, unless somebody said so (docs/adr/0007).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;

use chain::TOOLS;
use chainbox_tests::{Chain, Folder, is_root, root_or_skip};

const NONE: &str = "0000000000000000";
const SETS: &str = "sed -n 's/^Cap...:.//p' /proc/self/status | sort -u";

/// The differing capability sets of a shell behind `chain`.
fn sets(chain: &str, user: bool) -> Vec<String> {
    let run = Chain::new("ns-unshare").args(chain.split_whitespace()).args(["--", "sh", "-c", SETS]);
    let out = if user { run.as_user().run().ok() } else { run.run().ok() };
    out.lines().map(str::to_owned).collect()
}

const LAST_LINKS: [&str; 5] = [
    "--user",
    "--user --pid",
    "--user --map-self -- rlimit-exec --core 0",
    "--user --map-self --mount --pid -- mount-plan --preset host-ro --proc /proc",
    "--user -- cg-run --no-cgroup -- ns-unshare --uts",
];

#[test]
fn a_stranger_gets_no_capability_whichever_link_is_the_last() {
    for user in [false, true] {
        for chain in LAST_LINKS {
            assert_eq!(sets(chain, user), [NONE], "{chain}, user: {user}");
        }
    }
}

/// Whoever hands a program in may choose its file name.
#[test]
fn a_stranger_with_the_name_of_a_tool_is_a_stranger() {
    let folder = Folder::new("named-as-a-tool", false);
    let script = format!("#!/bin/sh\n{SETS}\n");
    for (user, name) in [false, true].into_iter().flat_map(|user| TOOLS.map(|name| (user, name))) {
        let path = folder.join(name);
        std::fs::write(&path, &script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for chain in LAST_LINKS {
            let bind = if chain.contains("mount-plan") { "--ro-bind" } else { "" };
            let paths = if bind.is_empty() { vec![] } else { vec![folder.path(); 2] };
            let chain = Chain::new("ns-unshare").args(chain.split_whitespace().chain(bind.split_whitespace()));
            let chain = chain.args(paths).args(["--"]).args([&path]);
            let run = if user { chain.as_user().run() } else { chain.run() };
            assert_eq!(run.ok(), format!("{NONE}\n"), "{name}, user: {user}");
        }
        let run = Chain::new("rlimit-exec").args(["--explain", "--core", "0", "--"]).args([&path]).run().ok();
        assert!(run.ends_with(&format!("payload: {}\n", path.display())), "--explain executes no stranger: {run}");
    }
}

/// The trap: what was bound read-only is writable again for who may remount it.
#[test]
fn a_read_only_bind_stays_so_without_seccomp_exec() {
    let script = "mount -o remount,bind,rw / 2>&- && echo writable; umount /proc 2>&- && echo unmounted; :";
    for user in [false, true] {
        for (last, said) in [("", ""), ("seccomp-exec --keep-caps all --", "writable\nunmounted\n")] {
            let chain = format!("--user --mount --pid -- mount-plan --preset host-ro --proc /proc -- {last}");
            let run = Chain::new("ns-unshare").args(chain.split_whitespace()).args(["sh", "-c", script]);
            assert_eq!(if user { run.as_user().run().ok() } else { run.run().ok() }, said, "{chain}, user: {user}");
        }
    }
}

#[test]
fn what_was_said_to_be_kept_is_kept() {
    for user in [false, true] {
        for chain in ["--user --keep-caps", "--user -- seccomp-exec --keep-caps all --allow-new-privs"] {
            let kept = sets(chain, user);
            assert!(kept.len() == 1 && kept != [NONE], "{chain}: {kept:?}");
        }
    }
}

/// The order that cannot take them away fails closed, and says what can.
#[test]
fn a_link_that_cannot_take_them_back_says_why() {
    for user in [false, true] {
        let run = |keep: &str| {
            let chain = format!("--user -- seccomp-exec --keep-caps {keep} -- rlimit-exec --core 0 -- sh -c");
            let run = Chain::new("ns-unshare").args(chain.split_whitespace()).args([SETS]);
            if user { run.as_user().run() } else { run.run() }
        };
        run("sys_admin")
            .fails(125, "prctl(PR_CAPBSET_DROP): Operation not permitted (EPERM)\nhint: a link before this one");
        assert_eq!(run("sys_admin,setpcap").ok(), format!("{NONE}\n"));
    }
}

/// A stranger between two links has them no more, nor has the link behind it.
#[test]
fn behind_a_stranger_a_link_says_where_they_are() {
    for user in [false, true] {
        let run = |chain: &str| {
            let run = Chain::new("ns-unshare").args(chain.split_whitespace());
            if user { run.as_user().run() } else { run.run() }
        };
        run("--user -- env X=1 seccomp-exec --keep-caps chown -- true")
            .fails(125, "no chown to keep\nhint: nothing is left");
        let bits = "--user -- env X=1 seccomp-exec --securebits noroot -- true";
        run(bits).fails(125, "prctl(PR_SET_SECUREBITS): Operation not permitted (EPERM)\nhint: nothing is left");
        run("--user -- seccomp-exec --keep-caps chown --securebits noroot -- env X=1 true").ok();
    }
}

/// Capabilities that did not come from `ns-unshare` are not the chain's to take.
#[test]
fn what_the_caller_gave_stays() {
    if !root_or_skip("what_the_caller_gave_stays") {
        return;
    }
    assert!(is_root());
    let script = "grep -E 'CapEff|CapAmb' /proc/self/status | sort -u";
    let caps = [
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--clear-groups",
        "--inh-caps",
        "+net_raw",
        "--ambient-caps",
        "+net_raw",
    ];
    let given = Chain::program("setpriv").args(caps).args(["sh", "-c", script]).run().ok();
    let behind =
        Chain::program("setpriv").args(caps).args(["rlimit-exec", "--core", "0", "--", "sh", "-c", script]).run().ok();
    assert_eq!(given, behind);
    assert!(given.contains("0000000000002000"), "{given}");
    let bare = Chain::program("sh").args(["-c", SETS]).run().ok();
    assert_eq!(Chain::new("rlimit-exec").args(["--core", "0", "--", "sh", "-c", SETS]).run().ok(), bare);
}

/// What the caller gave has the very form of what ns-unshare hands on: one capability, several, all of them.
#[test]
fn what_the_caller_gave_stays_whatever_its_form() {
    if !root_or_skip("what_the_caller_gave_stays_whatever_its_form") {
        return;
    }
    let all = &*all_there_are();
    let given = ["-all,+sys_admin", "-all,+sys_admin,+setpcap,+net_raw", all];
    for (user, given) in ["4321", "0"].into_iter().flat_map(|user| given.map(|given| (user, given))) {
        let words = ["--reuid", user, "--regid", user, "--clear-groups", "--inh-caps", given, "--ambient-caps", given];
        let behind = |chain: &Chain| chain.within("setpriv", &words).run().ok();
        let bare = behind(&Chain::program("grep").args(["^Cap", "/proc/self/status"]));
        for link in LINKS {
            let mut chain = link.split_whitespace();
            let chain = Chain::new(chain.next().unwrap()).args(chain).args(["--", "grep", "^Cap", "/proc/self/status"]);
            assert_eq!(behind(&chain), bare, "{link}, user {user}, {given}");
        }
    }
}

/// The full set, as setpriv(1) takes it: a container's has not all that the kernel knows.
fn all_there_are() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
    let there = (0..64).filter(|n| bounding >> n & 1 == 1);
    there.fold("-all".to_owned(), |words, n| format!("{words},+cap_{n}"))
}

const LINKS: [&str; 6] = [
    "rlimit-exec --core 0",
    "cg-run --no-cgroup",
    "ns-unshare --uts",
    "ns-unshare --mount --pid -- rlimit-exec --core 0",
    "rlimit-exec --core 0 -- cg-run --no-cgroup -- rlimit-exec --nofile 64",
    "ns-unshare --mount -- mount-plan --bind / / --proc /proc",
];

/// The mark of what ns-unshare hands on ends with the last link, and is nobody's variable afterwards.
#[test]
fn the_mark_is_not_seen_by_the_program() {
    let seen = |chain: &str, user: bool| {
        let run = Chain::new("ns-unshare").args(chain.split_whitespace()).args(["--", "env"]);
        let run = run.env("CHAIN_CAPABILITIES", "of somebody");
        let run = if user { run.as_user().run() } else { run.run() };
        run.ok().lines().any(|line| line.starts_with("CHAIN_"))
    };
    for user in [false, true] {
        for chain in
            LAST_LINKS.into_iter().chain(["--user --keep-caps", "--user -- seccomp-exec --keep-caps all", "--uts"])
        {
            // Without a user namespace only root makes one of the others.
            assert!((chain == "--uts" && (user || !is_root())) || !seen(chain, user), "{chain}, user: {user}");
        }
    }
}

/// Whoever sets the mark has a program executed with less than it would have, not with more.
#[test]
fn a_forged_mark_takes() {
    if !root_or_skip("a_forged_mark_takes") {
        return;
    }
    let all = &all_there_are();
    let caps = ["--inh-caps", all, "--ambient-caps", all];
    let chain = Chain::new("rlimit-exec").args(["--core", "0", "--", "sh", "-c", SETS]);
    assert_eq!(chain.env("CHAIN_CAPABILITIES", "x").within("setpriv", &caps).run().ok(), format!("{NONE}\n"));
}
