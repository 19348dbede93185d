//! `scripts/bench`: every row has its name and its numbers. What they are is not judged.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use chainbox_tests::{Chain, Tier, bin, checkout, is_root, skip};

/// Runs it; `None`, and a recorded skip, where its rival is not there and may not be installed.
fn bench(test: &str, words: &[&str]) -> Option<String> {
    let installed = Chain::shell("command -v bwrap").run().code == 0;
    if !installed && !is_root() {
        skip(Tier::Root, test, "no bubblewrap");
        return None;
    }
    let bench = Chain::program(checkout().join("scripts/bench")).args(words).env("CHAINBOX_BIN", bin());
    // Not at real-time priority here, where other tests run beside it.
    Some(if is_root() { bench.within("setpriv", &["--bounding-set", "-sys_nice"]) } else { bench }.run().ok())
}

/// The line that begins so, and the numbers behind its name.
#[track_caller]
fn row<'a>(out: &'a str, name: &str) -> (&'a str, Vec<f64>) {
    let line = out.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no row {name:?} in:\n{out}"));
    let rest = line.get(name.len()..).unwrap_or_default();
    (line, rest.split_whitespace().filter_map(|word| word.trim_end_matches(';').parse().ok()).collect())
}

/// A row has so many numbers. A time is more than nothing; a ratio is rounded.
#[track_caller]
fn has_numbers(out: &str, name: &str, times: usize, ratios: usize) {
    let (line, numbers) = row(out, name);
    assert_eq!(numbers.len(), times + ratios, "{line}");
    assert!(numbers.iter().take(times).all(|time| *time > 0.0) && numbers.iter().all(|ratio| *ratio >= 0.0), "{line}");
}

const TOOLS: [&str; 16] = [
    "bare spawn",
    "bubblewrap",
    "timeout, prlimit, bwrap --seccomp",
    "whole chain, one file",
    "whole chain, six files",
    "same layers, one file",
    "same layers, six files",
    "cg-run --no-cgroup",
    "ns-unshare (6 namespaces)",
    "ns-unshare --user --mount",
    " the same + mount-plan",
    "rlimit-exec",
    "seccomp-exec without a filter",
    "seccomp-exec --filter default",
    " the same as text (--policy)",
    " the same compiled before (--bpf)",
];

#[test]
fn every_row_is_printed_with_its_numbers() {
    let Some(out) = bench("every_row_is_printed", &["1"]) else { return };
    for name in ["size of the six tools", "size of them as one file"] {
        has_numbers(&out, name, 1, 0);
    }
    // The median, and the ratios to two others.
    for name in TOOLS {
        has_numbers(&out, &format!("{name} "), 1, 2);
    }
    if is_root() {
        let (_, judged) = out.split_once("isolate, the front:\n").expect("the front");
        for name in ["three bare spawns ", "init, cleanup ", "init, run, cleanup "] {
            has_numbers(judged, name, 1, 2);
        }
    }
    let (_, binds) = out.split_once("2,000 binds:\n").expect("the binds");
    for name in ["the bare system calls ", "bubblewrap ", "mount-plan "] {
        has_numbers(binds, name, 1, 2);
    }
    let (_, killed) = out.split_once("killed, after the CPU limit:\n").expect("the limits");
    for name in ["no cgroup ", "no cgroup, beside two loops "] {
        has_numbers(killed, name, 2, 0);
    }
    let (_, charged) = out.split_once("charged for true, CPU time:\n").expect("the charges");
    for name in ["cg-run --no-cgroup ", "whole chain, six files ", "whole chain, one file "] {
        has_numbers(charged, name, 4, 0);
    }
    let (_, calls) = out.split_once("a system call:\n").expect("the calls");
    if !bin().join("examples/bench-calls").exists() {
        return skip(
            Tier::Machine,
            "every_row_is_printed",
            "bench-calls is not built (cargo build --release --examples)",
        );
    }
    // Instructions, and four times.
    for name in ["no filter", "ours", "libseccomp, linear", "libseccomp, tree"] {
        let (line, numbers) = row(calls, name);
        assert!(numbers.len() == 5 && numbers.iter().skip(1).all(|time| *time > 0.0), "{line}");
    }
}

#[test]
fn boxes_that_are_alive_at_once_are_counted() {
    let Some(out) = bench("boxes_that_are_alive", &["alive", "3"]) else { return };
    for name in ["bubblewrap, round 1", "same layers, round 1", "bubblewrap, round 2", "same layers, round 2"] {
        let (line, _) = row(&out, name);
        let words: Vec<&str> = line.get(name.len()..).unwrap_or_default().split_whitespace().collect();
        let ["3", "alive", "after", up, "ms,", "ended", "after", down, "ms,", memory, "KiB", "each"] = words.as_slice()
        else {
            panic!("{line:?}")
        };
        // Memory that others use comes and goes meanwhile.
        assert!(up.parse::<u32>().is_ok() && down.parse::<u32>().is_ok() && memory.parse::<i64>().is_ok(), "{line}");
    }
}
