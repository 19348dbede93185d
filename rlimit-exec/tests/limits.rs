//! Limits as a payload finds them, and refusals that change nothing.
#![allow(clippy::unwrap_used, reason = "tests: a test fails by panicking")]

use chainbox_tests::{Chain, is_root};

fn rlimit_exec(line: &str) -> Chain {
    Chain::new("rlimit-exec").args(line.split(' '))
}

#[test]
fn the_payload_has_the_limits() {
    let limits = rlimit_exec("--nofile 100:200 --core 0 --as 1G --cpu 2m:1h -- cat /proc/self/limits").run().ok();
    let row = |name: &str| {
        limits.lines().find(|line| line.starts_with(name)).map(|line| line[26..].split_whitespace().collect::<Vec<_>>())
    };
    assert_eq!(row("Max open files").unwrap()[..2], ["100", "200"]);
    assert_eq!(row("Max core file size").unwrap()[..2], ["0", "0"]);
    assert_eq!(row("Max address space").unwrap()[..2], ["1073741824", "1073741824"]);
    assert_eq!(row("Max cpu time").unwrap()[..2], ["120", "3600"]);
}

#[test]
fn one_side_can_be_kept() {
    let line = "ulimit -n 300; ulimit -Sn 250; rlimit-exec --nofile 50: -- sh -c 'ulimit -Sn; ulimit -Hn'; rlimit-exec --nofile keep:260 -- sh -c 'ulimit -Sn; ulimit -Hn'";
    assert_eq!(Chain::shell(line).run().ok(), "50\n300\n250\n260\n");
}

#[test]
fn the_hard_limit_in_the_way_is_named() {
    let ran = Chain::shell("ulimit -n 300; rlimit-exec --nofile 301 -- true").as_user().run();
    ran.fails(125, "rlimit-exec: limit nofile to 301:301: setrlimit(RLIMIT_NOFILE): Operation not permitted (EPERM)\n");
    assert!(ran.err.contains("hint: the hard limit is 300 here"), "{ran:?}");
    let ran = Chain::shell("ulimit -n 300; rlimit-exec --nofile 301: -- true").run();
    ran.fails(
        125,
        "--nofile: soft limit 301 is above hard limit 300\nhint: the hard limit is kept; --nofile 301 sets both",
    );
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
    let ran = rlimit_exec("--nofile 4294967295 -- true").run();
    ran.fails(125, &format!("hint: no process of this machine may have more than {} (sysctl fs.nr_open)", most.trim()));
}

#[test]
fn bad_input_is_refused_in_one_line() {
    rlimit_exec("--nofile 200:100 -- true").run().fails(125, "--nofile: soft limit 200 is above hard limit 100");
    rlimit_exec("--nofile 1k -- true").run().fails(125, "--nofile 1k: not a limit");
    rlimit_exec("--nofile 10 --nofile 10 -- true").run().fails(125, "--nofile is given twice");
    rlimit_exec("--nofiles 10 -- true").run().fails(125, "unknown option --nofiles");
    rlimit_exec("--nofile").run().fails(125, "--nofile: SOFT:HARD is missing");
    rlimit_exec("--core 0 -- no-such-program").run().fails(127, "no-such-program: not found in PATH");
    rlimit_exec("--core 0 -- /etc/passwd").run().fails(126, "/etc/passwd: execve: Permission denied (EACCES)");
}

#[test]
fn explain_changes_nothing_and_names_the_payload() {
    let out = rlimit_exec("--explain --nofile 10:20 -- true --flag").run().ok();
    assert_eq!(
        out,
        "rlimit-exec: 1. limit nofile to 10:20  [setrlimit(RLIMIT_NOFILE, {10, 20})]\npayload: true --flag\n"
    );
}

#[test]
fn explain_is_passed_on_to_the_next_tool() {
    let out = rlimit_exec("--explain --core 0 -- rlimit-exec --cpu 1 -- true").run().ok();
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(out.lines().nth(1).unwrap().contains("limit cpu to 1:1"), "{out}");
    let json = rlimit_exec("--core 0 -- rlimit-exec --cpu 1 -- true").env("CHAIN_EXPLAIN", "json").run().ok();
    assert!(json.lines().all(|line| line.starts_with('{')) && json.lines().count() == 3, "{json}");
}

#[test]
fn every_page_is_printed() {
    for page in ["--help", "--man", "--version", "--features"] {
        let out = rlimit_exec(page).run().ok();
        assert!(out.to_lowercase().contains("rlimit-exec") || page == "--features", "{page}: {out}");
    }
    assert_eq!(
        rlimit_exec("--features")
            .run()
            .ok()
            .lines()
            .filter(|line| line.starts_with("RLIMIT_") && line.contains(": yes"))
            .count(),
        16
    );
}

#[test]
fn verbose_says_each_step() {
    let ran = rlimit_exec("-v --core 0 -- true").run();
    assert!(ran.err.starts_with("rlimit-exec: +") && ran.err.contains("us limit core to 0:0"), "{ran:?}");
}

#[test]
fn root_without_the_capability_is_not_believed() {
    if !is_root() {
        return chainbox_tests::skip(
            chainbox_tests::Tier::Root,
            "root_without_the_capability_is_not_believed",
            "not root",
        );
    }
    let line = "ulimit -n 300; setpriv --bounding-set -sys_resource --inh-caps -sys_resource rlimit-exec --nofile 400 -- sh -c 'ulimit -n'";
    Chain::shell(line).run().fails(125, "setrlimit(RLIMIT_NOFILE): Operation not permitted (EPERM)");
}

#[test]
fn descriptors_are_closed_unless_kept_and_a_closed_one_cannot_be_kept() {
    let line =
        |keep: &str| format!("exec 7</dev/null; rlimit-exec {keep} -- sh -c 'ls /proc/$$/fd | tr \"\\n\" \" \"'");
    assert!(!Chain::shell(&line("")).run().ok().contains('7'));
    assert!(Chain::shell(&line("--keep-fd 7")).run().ok().contains('7'));
    Chain::shell(&line("--keep-fd 8")).run().fails(125, "rlimit-exec: --keep-fd 8: fcntl: Bad file number (EBADF)");
    Chain::shell(&line("--keep-fd +7")).run().fails(125, "--keep-fd +7: not a descriptor number");
}

#[test]
fn a_closed_standard_descriptor_stays_closed() {
    let line =
        "rlimit-exec --core 0 -- sh -c '[ -e /proc/$$/fd/0 ] || echo closed; [ -e /proc/$$/fd/1 ] && echo open' <&-";
    assert_eq!(Chain::shell(line).run().ok(), "closed\nopen\n");
}

#[test]
fn a_privileged_start_is_refused() {
    if !chainbox_tests::root_or_skip("a_privileged_start_is_refused") {
        return;
    }
    let folder = chainbox_tests::Folder::new("setuid", false);
    let copy = folder.join("rlimit-exec");
    std::fs::copy(chainbox_tests::tool("rlimit-exec"), &copy).unwrap();
    Chain::program("chmod").args([std::ffi::OsStr::new("4755"), copy.as_os_str()]).run().ok();
    Chain::program(&copy)
        .args(["--core", "0", "--", "id", "-u"])
        .as_user()
        .run()
        .fails(125, "started with more privilege than the caller");
}

#[test]
fn a_size_may_be_a_share_of_the_machines_memory() {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")).unwrap();
    let total = total.parse::<u64>().unwrap() * 1024;
    let line = "rlimit-exec --data 25%:50% -- grep 'Max data size' /proc/self/limits";
    let row = Chain::shell(line).run().ok();
    let values: Vec<&str> = row[26..].split_whitespace().collect();
    assert_eq!(values[..2], [(total / 4).to_string(), (total / 2).to_string()]);
    for bad in ["0%", "101%", "-5%", "%"] {
        rlimit_exec(&format!("--data {bad} -- true")).run().fails(125, &format!("--data {bad}: not a limit"));
    }
    rlimit_exec("--nproc 50% -- true").run().fails(125, "--nproc 50%: not a limit");
}

#[test]
fn what_is_stricter_already_stays() {
    let line = "ulimit -n 300; ulimit -Sn 250; \
                rlimit-exec --tighten --nofile 280:400 --core unlimited -- sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'";
    let limits = format!("ulimit -c 0; {line}");
    assert_eq!(Chain::shell(&limits).as_user().run().ok(), "250\n300\n0\n");
    // For root too, who could raise them.
    assert_eq!(Chain::shell(&limits).run().ok(), "250\n300\n0\n");
    let line = "rlimit-exec --oom-score-adj 600 --priority 19 -- rlimit-exec --tighten --oom-score-adj 500 --priority 5 -- \
                sh -c 'cat /proc/self/oom_score_adj; nice'";
    assert_eq!(Chain::shell(line).as_user().run().ok(), "600\n19\n");
    let line =
        "rlimit-exec --tighten --nofile 30 --oom-score-adj 700 -- sh -c 'ulimit -n; cat /proc/self/oom_score_adj'";
    assert_eq!(Chain::shell(line).as_user().run().ok(), "30\n700\n");
    let ran = rlimit_exec("--explain --tighten --nofile 9 -- true").run().ok();
    assert!(ran.starts_with("rlimit-exec: 1. limit nofile to 9:9"), "{ran}");
}
