//! `scripts/contest` in a short form: every submission gets the verdict that it deserves, and nothing is left.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use chainbox_tests::{Chain, Folder, bin, checkout, is_root, machine};

#[test]
fn each_submission_gets_its_verdict() {
    let _alone = machine::alone();
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let groups = is_root() && ["cpu", "memory", "pids"].iter().all(|name| controllers.contains(name));
    let folder = Folder::new("contest", true);
    for user in if is_root() { [false, true].as_slice() } else { &[true] } {
        // Where there are controllers, the machine may be emulated, and slow.
        let options =
            if groups { ["--rounds", "1", "--time", "6", "c"] } else { ["--rounds", "1", "--time", "2", "c"] };
        let cg: &[&str] = if groups && !user { &["--cg"] } else { &[] };
        let chain = Chain::program(checkout().join("scripts/contest"))
            .args(cg)
            .args(options)
            .env("CHAINBOX_BIN", bin())
            .env("XDG_STATE_HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path());
        let ran = if *user { chain.as_user() } else { chain }.run();
        assert_eq!(ran.out, "15 runs of 15 submissions, 0 differences\n", "{options:?}, user {user}: {ran:?}");
    }
    for words in [["--rounds", "x"], ["--rounds", ""], ["c", "cobol"]] {
        let ran = Chain::program(checkout().join("scripts/contest")).args(words).env("CHAINBOX_BIN", bin()).run();
        assert!(ran.code == 125 && ran.err.lines().count() == 1, "{words:?}: {ran:?}");
    }
}
