//! `scripts/check-host`: what it finds here, and what it says where something is missing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use chainbox_tests::{Chain, Folder, bin, checkout, is_root};

fn check_host(words: &[&str]) -> Chain {
    Chain::program(checkout().join("scripts/check-host")).args(words).env("CHAINBOX_BIN", bin())
}

/// The lines that begin with this status.
fn found<'a>(out: &'a str, status: &str) -> Vec<&'a str> {
    out.lines().filter(|line| line.starts_with(&format!("  {status} "))).collect()
}

#[test]
fn a_machine_that_makes_boxes_has_nothing_to_mend() {
    let user = if is_root() { check_host(&[]).as_user().run() } else { check_host(&[]).run() };
    for ran in [check_host(&[]).run(), user] {
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:#?}");
        assert!(found(&ran.out, "NO").is_empty() && found(&ran.out, "ok").len() >= 15, "{ran:#?}");
        let less = found(&ran.out, "less").len();
        assert_eq!(ran.out.matches("\n        mend: ").count(), less, "each finding has its remedy: {ran:#?}");
    }
}

/// In a user namespace in which no further one may be made (user_namespaces(7)), boxes cannot be made.
#[test]
fn what_keeps_boxes_from_being_made_is_named_with_the_command_that_mends_it() {
    let line = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\"";
    let ran = Chain::new("ns-unshare")
        .args(["--user", "--keep-caps", "--", "sh", "-c", line])
        .args([checkout().join("scripts/check-host")])
        .env("CHAINBOX_BIN", bin())
        .as_user()
        .run();
    assert_eq!(ran.code, 1, "{ran:#?}");
    let mend = "  NO    user.max_user_namespaces is 0\n        mend: sysctl -w user.max_user_namespaces=15000\n";
    assert!(ran.out.contains(mend), "{ran:#?}");
    // What was tried for real says what the tool said.
    let tried = found(&ran.out, "NO").into_iter().find(|line| line.contains("makes all namespaces")).unwrap();
    assert!(tried.contains("ns-unshare: ") && tried.contains("(ENOSPC)"), "{ran:#?}");
}

/// Ubuntu's setting, which its own kernels alone have, is laid over /proc/sys. Namespaces are to be had here all the same, as
/// they are there with the profile; with a limit of none they are not.
#[test]
fn ubuntus_restriction_is_mended_by_the_profile() {
    let run = |limit: u32| {
        let line = format!(
            "echo {limit} >/proc/sys/user/max_user_namespaces && mount -t tmpfs none /proc/sys/kernel && \
             echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns && exec \"$0\""
        );
        let chain = Chain::new("ns-unshare").args(["--user", "--mount", "--keep-caps", "--", "sh", "-c", &line]);
        chain.args([checkout().join("scripts/check-host")]).env("CHAINBOX_BIN", bin()).as_user().run().out
    };
    let what = "AppArmor lets users make user namespaces\n";
    let (with, without) = (run(100), run(0));
    assert!(with.contains(&format!("  ok    {what}")), "{with}");
    let mend =
        "        mend: install the tools and packaging/apparmor.d/chainbox (packaging/README.md); or: sysctl -w ";
    assert!(without.contains(&format!("  NO    {what}{mend}")), "{without}");
}

/// What the kernel would show on such a machine, bound over its files in a namespace of our own.
#[test]
fn what_disturbs_measurements_is_named_with_its_cure() {
    let shown = [
        ("/proc/swaps", "Filename Type\n/dev/sdz1 partition\n", "no swap: ", "swapoff -a"),
        (
            "/proc/sys/kernel/core_pattern",
            "|/usr/bin/handler %p\n",
            "a core dump starts",
            "sysctl -w kernel.core_pattern=core",
        ),
        ("/proc/sys/kernel/randomize_va_space", "2\n", "addresses are the same", "rlimit-exec --no-aslr"),
        (
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never\n",
            "huge pages only",
            "echo madvise >",
        ),
        ("/sys/devices/system/cpu/smt/active", "1\n", "processors share no core", "echo off >"),
    ];
    let quiet = ["Filename Type\n", "core\n", "0\n", "always madvise [never]\n", "0\n"];
    let run = |contents: &[&str]| {
        let folder = Folder::new("check-host", true);
        let mut line = String::new();
        for (n, ((file, ..), content)) in shown.iter().zip(contents).enumerate() {
            std::fs::write(folder.join(n.to_string()), content).unwrap();
            line += &format!("mount --bind {} {file} && ", folder.join(n.to_string()).display());
        }
        let box_of_ours = ["--user", "--mount", "--keep-caps", "--", "sh", "-c", &format!("{line} exec \"$0\"")];
        let chain = Chain::new("ns-unshare").args(box_of_ours).args([checkout().join("scripts/check-host")]);
        chain.env("CHAINBOX_BIN", bin()).as_user().run().out
    };
    let (noisy, silent) = (run(&shown.map(|(_, content, ..)| content)), run(&quiet));
    for (file, _, what, cure) in shown {
        let said = noisy.split_once(&format!("  less  {what}")).unwrap_or_else(|| panic!("{file}: {noisy}")).1;
        assert!(
            said.lines().nth(1).is_some_and(|mend| mend.starts_with(&format!("        mend: {cure}"))),
            "{file}: {noisy}"
        );
        assert!(silent.contains(&format!("  ok    {what}")), "{file}: {silent}");
    }
}

#[test]
fn features_are_those_of_every_tool() {
    let out = check_host(&["--features"]).run().ok();
    for tool in chain::TOOLS {
        assert!(out.contains(&format!("\n{tool}: ")), "{tool}: {out}");
    }
    check_host(&["--nonsense"]).run().fails(125, "usage: scripts/check-host [--features]");
}

/// In a checkout in which nothing has been built.
#[test]
fn nothing_is_built_to_look_at_the_machine() {
    let folder = Folder::new("unbuilt", true);
    let copy = "cp -R \"$0/scripts\" \"$0/Cargo.toml\" .";
    Chain::shell(copy).args([checkout()]).at(folder.path()).as_user().run().ok();
    let ran = Chain::program(folder.join("scripts/check-host")).env_remove("CHAINBOX_BIN").as_user().run();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:#?}");
    assert!(ran.out.contains("the tools are not built yet"), "{ran:#?}");
    assert!(ran.out.contains("  ok    an ordinary user makes all namespaces of a box\n"), "{ran:#?}");
    assert!(!folder.join("target").exists());
}
