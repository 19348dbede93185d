//! `scripts/vm` itself: what a caller is told when the guest works, fails, hangs or dies.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chainbox_tests::vm::{on_each_kernel, ready, vm};
use chainbox_tests::{Chain, Tier, checkout, is_root, skip};

#[test]
fn machine_output_and_exit_status_are_the_commands_own() {
    let line = "uname -r; cat /sys/fs/cgroup/cgroup.controllers; echo to stderr >&2; exit 3";
    on_each_kernel("machine_output_and_exit_status_are_the_commands_own", &[], line, |kernel, ran| {
        assert_eq!((ran.code, ran.err.as_str()), (3, "to stderr\n"), "{kernel}: {ran:#?}");
        let (release, controllers) = ran.out.split_once('\n').unwrap();
        assert!(kernel == "newest" || release.starts_with("6.1."), "{kernel}: {ran:#?}");
        for controller in ["cpu", "io", "memory", "pids"] {
            assert!(controllers.split_whitespace().any(|word| word == controller), "{kernel}: {ran:#?}");
        }
    });
}

#[test]
fn machine_words_are_bytes() {
    if ready("machine_words_are_bytes", "6.1", &[]) {
        let odd = [b"\xff'\"$x\\".as_slice(), b"", b"two\nlines\n"].map(OsStr::from_bytes);
        let words = [OsStr::new("--"), OsStr::new("printf"), OsStr::new("%s|")].into_iter().chain(odd);
        let output = vm(words.map(OsStr::to_owned).collect::<Vec<OsString>>()).command().output().unwrap();
        assert_eq!(output.stdout, b"\xff'\"$x\\||two\nlines\n|");
    }
}

/// What the next test runs in the machine: this one, told to fail.
#[test]
fn fails_if_told_to() {
    assert_eq!(std::env::var("CHAINBOX_FAIL"), Err(std::env::VarError::NotPresent), "told to fail");
}

#[test]
fn machine_a_failing_test_inside_is_a_failure_outside() {
    if !ready("machine_a_failing_test_inside_is_a_failure_outside", "6.1", &[]) {
        return;
    }
    let add = format!("{}:/program", std::env::current_exe().unwrap().display());
    let run = ["--add", &add, "--", "env"];
    let test = ["/program", "--exact", "fails_if_told_to"];
    let ran = vm([run.as_slice(), &["CHAINBOX_FAIL=1"], &test].concat()).run();
    assert_eq!(ran.code, 101, "{ran:#?}");
    assert!(ran.out.contains("test result: FAILED. 0 passed; 1 failed"), "{ran:#?}");
    let ran = vm([run.as_slice(), &test].concat()).run();
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.out.contains("test result: ok. 1 passed; 0 failed"), "{ran:#?}");
}

/// Where the test programs are that are running: in a copy of the checkout, all of them would be built first.
fn built() -> PathBuf {
    if is_root() { Path::new(env!("CARGO_MANIFEST_DIR")).join("..") } else { checkout() }
}

/// The same on this machine's files, and what scripts/test makes of it.
fn scripts_test(line: &str) -> Chain {
    Chain::program(built().join("scripts/test")).args(line.split(' ')).env_remove("CHAINBOX_SKIPS").at(built())
}

#[test]
fn machine_scripts_test_fails_where_a_test_in_a_machine_fails_or_the_machine_hangs() {
    let test = "machine_scripts_test_fails_where_a_test_in_a_machine_fails_or_the_machine_hangs";
    if !is_root() {
        return skip(Tier::Machine, test, "sharing the host's files needs root");
    }
    if !ready(test, "newest", &[]) {
        return;
    }
    let ran = scripts_test("--kernel newest vm").run();
    assert_eq!((ran.code, ran.out.lines().last()), (0, Some("3 passed, 0 failed, 0 skipped")), "{ran:#?}");
    let ran = scripts_test("--kernel newest vm").env("CHAINBOX_FAIL", "1").run();
    assert_eq!((ran.code, ran.out.lines().last()), (1, Some("2 passed, 1 failed, 0 skipped")), "{ran:#?}");
    assert!(ran.err.contains("told to fail"), "{ran:#?}");
    // Before its programs have run it is not done.
    let ran = scripts_test("--kernel newest vm").env("CHAINBOX_TIME_LIMIT", "1").run();
    assert_eq!((ran.code, ran.out.lines().last()), (1, Some("0 passed, 1 failed, 0 skipped")), "{ran:#?}");
    assert!(ran.err.contains("the machine hung: time limit of 1 seconds"), "{ran:#?}");
}

/// Before any machine. With the cargo that it finds, so not in one either.
#[test]
fn machine_tests_are_left_out_by_words_that_mean_one() {
    if !is_root() {
        return skip(Tier::Root, "machine_tests_are_left_out_by_words_that_mean_one", "the test programs are root's");
    }
    let line = ["--without", "boots", "--without", "on_saturdays", "newest", "vm"];
    let ran = Chain::program(built().join("scripts/test-kernel")).args(line).at(built()).run();
    ran.fails(125, "--without on_saturdays: no test of these has that in its name");
}

#[test]
fn scripts_test_refuses_what_it_does_not_know() {
    scripts_test("--quick").run().fails(125, "--quick: unknown option (see --help)");
    scripts_test("mount-plan").run().fails(125, "--zfs, --systemd and NAME go with --kernel");
    scripts_test("--kernel").run().fails(125, "--kernel: value missing");
    let help = scripts_test("--help").run().ok();
    assert!(help.starts_with("usage: scripts/test\n") && help.contains("N passed, N failed, N skipped"), "{help}");
}

#[test]
fn machine_a_hang_ends_at_the_time_limit() {
    if ready("machine_a_hang_ends_at_the_time_limit", "6.1", &[]) {
        let ran = vm(["--time-limit", "20", "--", "sleep", "1000"]).run();
        ran.fails(125, "the machine hung: time limit of 20 seconds; the end of its console:");
        assert!(ran.err.lines().count() > 1, "no end of the console: {ran:#?}");
    }
}

#[test]
fn machine_a_panic_is_the_machines_failure() {
    if ready("machine_a_panic_is_the_machines_failure", "6.1", &[]) {
        let ran = vm(["--", "sh", "-c", "echo before; echo c >/proc/sysrq-trigger; echo after"]).run();
        ran.fails(125, "the machine ended without an exit status");
        assert!(ran.err.contains("sysrq_handle_crash"), "no end of the console: {ran:#?}");
        assert_eq!(ran.out, "before\n");
    }
}

#[test]
fn bad_options_are_refused_before_anything_boots() {
    vm(["--kernels", "6.1", "--", "true"]).run().fails(125, "--kernels: unknown option");
    vm(["--kernel"]).run().fails(125, "--kernel: value missing");
    vm(["--memory", "1G", "--", "true"]).run().fails(125, "--time-limit and --memory take a whole number");
    vm(["--zfs"]).run().fails(125, "COMMAND missing");
    vm(["--kernel", "/boot/none", "--", "true"]).run().fails(125, "--kernel /boot/none: a file goes with --image");
    vm(["--image", "/none", "--", "true"]).run().fails(125, "--image /none: cannot be read");
    let line = ["--kernel", "/boot/none", "--image", "/proc/self/status", "--", "true"];
    vm(line).run().fails(125, "--kernel /boot/none: cannot be read");
    vm(["--check", "--kernel", "5.4"]).run().fails(125, "kernel 5.4 is not set up");
}

#[test]
fn machine_the_hosts_files_under_another_kernel() {
    let test = "machine_the_hosts_files_under_another_kernel";
    if !is_root() {
        return skip(Tier::Machine, test, "sharing the host's files needs root");
    }
    if ready(test, "newest", &[]) {
        // Not a copy of it: /tmp is another there.
        let here = built().canonicalize().unwrap();
        let line =
            "pwd; id -u; touch made-in-the-machine /usr/made && ls made-in-the-machine && [ -e Cargo.toml ] && exit 7";
        let ran = vm(["--kernel", "newest", "--host-root", "--", "sh", "-c", line]).at(&here).run();
        assert_eq!(ran.code, 7, "{ran:#?}");
        assert_eq!(ran.out, format!("{}\n0\nmade-in-the-machine\n", here.display()));
        assert!(!here.join("made-in-the-machine").exists() && !Path::new("/usr/made").exists());
    }
}
