//! Kept boxes: what was changed in them, bringing it back, and forgetting it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use chainbox_tests::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Place, everybody};

/// A tree with a box `k` in which something was added, changed, replaced and removed.
fn changed(place: &Place) {
    let tree =
        "mkdir -p d/sub gone re 'a b'; for f in f d/x d/y d/sub/z gone/g re/old 'a b/c' same; do echo 1 >\"$f\"; done";
    place.shell(tree);
    let line = "echo 2 >>f; rm d/x; chmod 700 d/sub; rm -r gone re; mkdir re new; echo w >re/w; echo n >new/n; \
                ln -s n new/link; ln -s /etc out; rm 'a b/c'; ln -s ../f 'a b/c'; touch d/y; touch \"$(printf '\\033c\\302\\233\\nd')\"";
    place.run(&["--keep", "k", "--", "sh", "-c", line]).ok();
}

#[test]
fn what_was_changed_in_a_kept_box_is_listed() {
    everybody("kept-diff", |place| {
        changed(place);
        let listed = place.run(&["--diff", "k"]).ok();
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        let expected =
            ["! a b/c", "! d/sub", "! f", "+ ?c??d", "+ new/", "+ out", "+ re/w", "- d/x", "- gone", "- re/old"];
        assert_eq!(lines, expected);
        let boxes = place.run(&["--list"]).ok();
        let words: Vec<&str> = boxes.split_whitespace().collect();
        assert_eq!((words[0], *words.last().unwrap()), ("k", place.work().to_str().unwrap()), "{boxes}");
        place.run(&["--diff", "none"]).fails(125, "--diff none: there is no such box");
        place.run(&["--diff", "../k"]).fails(125, "--diff ../k: a name is");
    });
}

#[test]
fn what_is_taken_from_a_kept_box_is_as_it_was_there() {
    everybody("kept-take", |place| {
        changed(place);
        assert_eq!(place.run(&["--take", "k", "f", "gone", "re", "new/n", "a b", "d"]).ok(), "");
        let at = |path: &str| place.work().join(path);
        assert_eq!(fs::read_to_string(at("f")).unwrap(), "1\n2\n");
        assert_eq!(fs::read_to_string(at("new/n")).unwrap(), "n\n");
        assert_eq!(fs::read_link(at("a b/c")).unwrap().to_str(), Some("../f"));
        assert_eq!(fs::metadata(at("d/sub")).unwrap().mode() & 0o777, 0o700);
        for gone in ["gone", "re/old", "d/x", "new/link", "out"] {
            assert!(at(gone).symlink_metadata().is_err(), "{gone}");
        }
        assert_eq!(fs::metadata(at("f")).unwrap().uid(), fs::metadata(place.work()).unwrap().uid());
        let left = place.run(&["--diff", "k"]).ok();
        let mut left: Vec<&str> = left.lines().collect();
        left.sort_unstable();
        assert_eq!(left, ["+ ?c??d", "+ new/link", "+ out"]);
    });
}

/// While files are taken, nobody starts the box, whose payload could exchange them.
#[test]
fn a_box_is_not_started_while_it_is_taken_from() {
    everybody("kept-lock", |place| {
        changed(place);
        place.run(&["--keep", "k", "--", "sh", "-c", "mkdir big; cd big; head -c 300000000 /dev/zero >zeros"]).ok();
        let mut take = place.sandbox(&["--take", "k", "big"]);
        let mut take = take.command().process_group(0).spawn().unwrap();
        let group = Pid::from_raw(-i32::try_from(take.id()).unwrap());
        let names =
            || fs::read_dir(place.work()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        wait_for("the copy to begin", || names().any(|name| name.starts_with(".take.") || name == "big"));
        kill(group, Signal::SIGSTOP).unwrap();
        assert!(!names().any(|name| name == "big"), "300 MB are copied in no time: the test needs more");
        place.run(&["--keep", "k", "--", "true"]).fails(125, "is in use by another run");
        kill(group, Signal::SIGCONT).unwrap();
        assert!(take.wait().unwrap().success());
        place.run(&["--keep", "k", "--", "true"]).ok();
    });
}

/// A payload leaves links where it thinks that somebody will look, and so may somebody else outside.
#[test]
fn nothing_is_taken_through_a_link() {
    everybody("kept-links", |place| {
        changed(place);
        place.run(&["--take", "k", "out/passwd"]).fails(125, "out is no directory in the box");
        place.run(&["--take", "k", "../home"]).fails(125, "a path below the directory");
        place.run(&["--take", "k", "/etc"]).fails(125, "a path below the directory");
        place.run(&["--take", "k", "none"]).fails(125, "there is nothing of this name");
        place.shell("rm -r d; ln -s ../home d");
        place.run(&["--take", "k", "d/y"]).fails(125, "d is no directory outside");
        assert!(!place.folder.join("home/y").exists());
        place.run(&["--take", "k", "out"]).ok();
        let (work, moved) = (place.work(), place.folder.join("moved"));
        fs::rename(&work, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &work).unwrap();
        place.run(&["--take", "k", "f"]).fails(125, "by a link in its path");
        fs::remove_file(&work).unwrap();
        fs::rename(&moved, &work).unwrap();
        assert_eq!(fs::read_link(place.work().join("out")).unwrap().to_str(), Some("/etc"));
    });
}

#[test]
fn a_kept_box_is_dropped_whole_and_not_while_it_is_used() {
    everybody("kept-drop", |place| {
        changed(place);
        let started = place.folder.join("home/started");
        let home = place.folder.join("home");
        let line = format!("echo >{}; sleep 1000", started.display());
        let words = ["--rw", home.to_str().unwrap(), "--keep", "k", "--", "sh", "-c", &line];
        let mut run = place.sandbox(&words);
        let mut run = run.command().stderr(Stdio::null()).spawn().unwrap();
        wait_for("the box to start", || started.exists());
        for use_of in [["--drop", "k"].as_slice(), &["--diff", "k"], &["--take", "k", "f"]] {
            place.run(use_of).fails(125, "is in use by another run");
        }
        run.kill().unwrap();
        run.wait().unwrap();
        wait_for("the box to end", || place.run(&["--drop", "k"]).code == 0);
        assert_eq!(fs::read_dir(place.folder.join("state/chainbox")).unwrap().count(), 0);
        assert_eq!(place.run(&["--list"]).ok(), "");
        assert_eq!(fs::read_to_string(place.work().join("f")).unwrap(), "1\n");
    });
}

impl Place {
    /// A line of shell in the folder, as who stands in it, outside of any box.
    fn shell(&self, line: &str) {
        let mut command = chainbox_tests::Chain::shell(line).at(self.work());
        if self.user {
            command = command.as_user();
        }
        command.run().ok();
    }
}
