//! Leaves on a real cgroup v2: made, entered, limited, emptied, removed; and what is found after a kill -9.
use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::common::{Place, SCATTERED, json, kill_clock, marked, marker, scattered, wait_for, with_hugetlb};
use chain::process::Identity;
use chainbox_tests::{Chain, Folder, Tier, is_root, skip, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn none() -> Vec<String> {
    vec![]
}

/// The name of a leaf that the user did not name.
fn leaf(owner: &Identity) -> String {
    format!("chainbox-{owner}")
}

fn owner(leaf: &str) -> Option<Identity> {
    Identity::parse(leaf.strip_prefix("chainbox-")?)
}

#[test]
fn the_payload_is_in_a_leaf_that_is_gone_afterwards() {
    let Some(place) = Place::new("inside") else { return };
    let line = format!("grep ^0:: /proc/self/cgroup; ls -d {}/*/", place.text());
    let out = place.cg_run().args(["--", "sh", "-c", &line]).run().ok();
    let mut lines = out.lines();
    let (inside, there) = (lines.next().unwrap(), lines.next().unwrap());
    let name = inside.rsplit('/').next().unwrap();
    let owner = owner(name).unwrap();
    assert_eq!(owner.pid_namespace, Identity::of("self").unwrap().pid_namespace);
    assert_eq!(Path::new(there), place.path().join(name), "{out}");
    assert_eq!(place.children(), none());
}

#[test]
fn a_leaf_can_be_named_and_a_name_is_taken_once() {
    let Some(place) = Place::new("named") else { return };
    let line =
        format!("grep -o '[^/]*$' /proc/self/cgroup | tail -1; cg-run --parent {} --name box.1 -- true", place.text());
    let ran = place.cg_run().args(["--name", "box.1", "--", "sh", "-c", &line]).run();
    assert_eq!((ran.code, ran.out.as_str()), (125, "box.1\n"), "{ran:?}");
    assert!(
        ran.err.contains("make leaf") && ran.err.contains("mkdirat box.1: File exists (EEXIST)\nhint: "),
        "{ran:?}"
    );
    assert_eq!(place.children(), none());
}

#[test]
fn every_way_out_removes_the_leaf() {
    let Some(place) = Place::new("ways") else { return };
    let code = |words: &[&str]| place.cg_run().args(words).run().code;
    assert_eq!(code(&["--", "sh", "-c", "exit 7"]), 7);
    assert_eq!(code(&["--", "sh", "-c", "kill -9 $$"]), 137);
    assert_eq!(code(&["--wall-time", "0.1", "--", "sleep", "100"]), 137);
    assert_eq!(code(&["--report", "/no/such/x", "--", "true"]), 125);
    assert_eq!(code(&["--report", "/dev/full", "--", "true"]), 125);
    assert_eq!(code(&["--", "no-such-program"]), 127);
    assert_eq!(code(&["--set", "cgroup.max.depth=5", "--set", "cgroup.max.descendants=-5", "--", "true"]), 125);
    assert_eq!(place.children(), none());
    // A payload that makes cgroups of its own in its leaf.
    let line = format!("cd {}/box && mkdir -p a/b c && echo 0 >a/b/cgroup.procs", place.text());
    assert_eq!(code(&["--name", "box", "--", "sh", "-c", &line]), 0);
    assert_eq!(place.children(), none());
}

#[test]
fn limits_of_the_core_are_written_and_read_back() {
    let Some(place) = Place::new("core") else { return };
    let line = format!("cat {}/box/cgroup.max.descendants", place.text());
    let ran =
        place.cg_run().args(["--name", "box", "--set", "cgroup.max.descendants=3", "--", "sh", "-c", &line]).run();
    assert_eq!(ran.ok(), "3\n");
    let ran = place.cg_run().args(["--set", "cgroup.max.depth=x", "--", "true"]).run();
    ran.fails(125, "set cgroup.max.depth to x: write cgroup.max.depth: Invalid argument (EINVAL)");
}

#[test]
fn the_wall_limit_kills_everything_inside() {
    let Some(place) = Place::new("wall") else { return };
    let marker = marker(11);
    let line = format!("{}; exit 0", scattered(&marker));
    let mut child = place.cg_run().args(["--wall-time", "10", "--report", "1", "--", "sh", "-c", &line]);
    let child = child.command().stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the whole tree", || marked(&marker).len() == SCATTERED);
    let output = child.wait_with_output().unwrap();
    assert_eq!((marked(&marker), place.children()), (vec![], none()));
    assert_eq!(output.status.signal(), Some(9));
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap())["message"], "Time limit exceeded (wall clock)");
}

#[test]
fn the_memory_of_what_was_killed_is_the_programs() {
    let Some(place) = Place::new("resident") else { return };
    // Touched in less than the time limit, also on an emulated processor.
    let hog = "dd if=/dev/zero of=/dev/null bs=12M";
    for line in [format!("ns-unshare --user --pid -- {hog}"), format!("(setsid {hog} &); sleep 100")] {
        let words = ["--wall-time", "5", "--report", "1", "--", "sh", "-c", &line];
        let report = json(&place.cg_run().args(words).run().out);
        assert_eq!(report["verdict"], "TO", "{line}: {report}");
        assert!((12 << 20..60 << 20).contains(&report["max_rss"].as_u64().unwrap()), "{line}: {report}");
    }
}

#[test]
fn what_the_child_leaves_behind_ends_with_it() {
    let Some(place) = Place::new("left") else { return };
    let marker = marker(12);
    let line = format!("({}) & exit 5", scattered(&marker));
    assert_eq!(place.cg_run().args(["--", "sh", "-c", &line]).run().code, 5);
    assert_eq!((marked(&marker), place.children()), (vec![], none()));
}

#[test]
fn cpu_time_counts_everything_inside() {
    let Some(place) = Place::new("cpu") else { return };
    for work in [
        "while :; do :; done",
        "(setsid sh -c 'while :; do :; done' &) ; sleep 1000",
        // Nobody waits for these: resource usage would not see them.
        "trap '' CHLD; while :; do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); done",
    ] {
        let words = ["--cpu-time", "0.3", "--wall-time", "60", "--report", "1", "--", "sh", "-c", work];
        let ran = place.cg_run().args(words).run();
        let report = json(&ran.out);
        assert_eq!((ran.signal, &report["message"]), (Some(9), &"Time limit exceeded".into()), "{work}: {report}");
        assert!(report["cpu"]["total"].as_f64().unwrap() > 0.3, "{report}");
    }
}

#[test]
fn a_frozen_run_dies_too() {
    let Some(place) = Place::new("frozen") else { return };
    let line = format!("echo 1 >{}/box/cgroup.freeze; while :; do :; done", place.text());
    let words = ["--name", "box", "--wall-time", "0.5", "--report", "1", "--", "sh", "-c", &line];
    let ran = place.cg_run().args(words).run();
    assert_eq!((ran.signal, &json(&ran.out)["verdict"]), (Some(9), &"TO".into()), "{ran:?}");
    assert_eq!(place.children(), none());
}

/// Starts a scattered tree in a leaf and kills its cg-run with SIGKILL.
fn abandoned(place: &Place, marker: &str, words: &[&str]) {
    let mut chain = place.cg_run().args(words).args(["--", "sh", "-c", &scattered(marker)]);
    let mut child = chain.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the whole tree", || marked(marker).len() == SCATTERED);
    kill_clock(&child);
    child.wait().unwrap();
    assert_eq!(marked(marker).len(), SCATTERED, "nobody was there to kill it");
}

#[test]
fn gc_removes_what_the_dead_have_left_and_nothing_else() {
    let Some(place) = Place::new("gc") else { return };
    let (dead, named, alive) = (marker(13), marker(14), marker(15));
    // A run that goes on, under a name of its own and under a given one; and cgroups that are not ours.
    let mut run = place.cg_run().args(["--name", "alive", "--", "sleep", &alive]).command().spawn().unwrap();
    let mut other = place.cg_run().args(["--", "sleep", &alive]).command().spawn().unwrap();
    wait_for("both", || marked(&alive).len() == 2);
    place.child("foreign");
    place.child("chainbox-1");
    abandoned(&place, &named, &["--name", "named"]);
    abandoned(&place, &dead, &[]);
    assert_eq!(place.children().len(), 6);

    for looks in ["--check", "--explain"] {
        let out = place.cg_run().args(["--gc", looks]).run().ok();
        assert_eq!(out.lines().filter(|line| line.starts_with("would remove ")).count(), 2, "{looks}: {out}");
        assert_eq!((place.children().len(), marked(&dead).len()), (6, SCATTERED), "{looks} changes nothing");
    }
    let out = place.cg_run().args(["--gc"]).run().ok();
    assert_eq!(out.lines().filter(|line| line.starts_with("removed ")).count(), 2, "{out}");
    assert_eq!((marked(&dead), marked(&named), marked(&alive).len()), (vec![], vec![], 2));
    assert_eq!(place.children().len(), 4);
    assert_eq!(place.cg_run().args(["--gc"]).run().ok(), "", "a second time there is nothing to do");

    for child in [&mut run, &mut other] {
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }
    let mut left = place.children();
    left.sort();
    assert_eq!(left, ["chainbox-1", "foreign"]);
}

#[test]
fn a_run_removes_what_the_dead_have_left_and_nothing_else() {
    let Some(place) = Place::new("collected") else { return };
    let (dead, named, alive) = (marker(23), marker(24), marker(25));
    let me = Identity::of("self").unwrap();
    let elsewhere = leaf(&Identity { pid_namespace: me.pid_namespace + 1, ..me });
    for name in ["foreign", "chainbox-1", &elsewhere] {
        place.child(name);
    }
    let mut run = place.cg_run().args(["--", "sleep", &alive]).command().spawn().unwrap();
    wait_for("the one that goes on", || marked(&alive).len() == 1);
    abandoned(&place, &named, &["--name", "named"]);
    abandoned(&place, &dead, &[]);
    assert_eq!(place.children().len(), 6);
    let out = place.cg_run().args(["--explain", "--", "true"]).run().ok();
    assert!(out.contains("1. remove leaf chainbox-") && out.contains(", whose run was killed"), "{out}");
    assert_eq!((place.children().len(), marked(&dead).len()), (6, SCATTERED), "nothing was changed");
    // Those that take long to die are left to the next run.
    wait_for("the end of the dead", || {
        assert_eq!(place.cg_run().args(["--", "true"]).run().code, 0);
        place.children().len() == 5
    });
    assert_eq!((marked(&dead), marked(&named).len(), marked(&alive).len()), (vec![], SCATTERED, 1));
    // A given name is looked at where it is wanted, and is another's while that lives.
    let again = || place.cg_run().args(["--name", "named", "--", "sh", "-c", "cat /proc/self/cgroup"]);
    assert!(again().run().ok().ends_with("/named\n"));
    assert_eq!(marked(&named), [0; 0]);
    kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    run.wait().unwrap();
    let mut left = place.children();
    left.sort();
    assert_eq!(left, ["chainbox-1", &elsewhere, "foreign"]);
}

#[test]
fn gc_does_not_judge_what_it_cannot_see() {
    let Some(place) = Place::new("unseen") else { return };
    let me = Identity::of("self").unwrap();
    // A live owner of another pid namespace, and a leaf whose number belongs to somebody else now.
    place.child(&leaf(&Identity { pid_namespace: me.pid_namespace + 1, ..me }));
    place.child(&leaf(&Identity { start: me.start + 1, ..me }));
    let ran = place.cg_run().args(["--gc"]).run();
    assert!(ran.err.contains("kept: made in another pid or time namespace"), "{ran:?}");
    assert_eq!((ran.code, place.children()), (0, vec![leaf(&Identity { pid_namespace: me.pid_namespace + 1, ..me })]));
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_that_gc_does_not_find() {
    let Some(place) = Place::new("moments") else { return };
    let marker = marker(16);
    for round in 0..60_u64 {
        let mut chain = place.cg_run().args(["--", "sleep", &marker]);
        let mut child = chain.command().spawn().unwrap();
        // From before the first system call to well after the start.
        std::thread::sleep(std::time::Duration::from_micros(round * 100));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What is killed is the caller's process: the one that measures clears up.
    wait_for("the end of all", || marked(&marker).is_empty() && place.children().is_empty());
    assert_eq!(place.cg_run().args(["--gc"]).run().ok(), "");
}

#[test]
fn the_run_ends_with_its_caller() {
    let Some(place) = Place::new("caller") else { return };
    let marker = marker(17);
    let line = "cg-run --parent \"$PLACE\" -- sh -c \"$TREE\" & wait";
    let mut chain = Chain::shell(line).env("TREE", scattered(&marker)).env("PLACE", place.text());
    let mut shell = chain.command().spawn().unwrap();
    wait_for("the whole tree", || marked(&marker).len() == SCATTERED);
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_for("the end of the tree", || marked(&marker).is_empty());
    wait_for("the end of the leaf", || place.children().is_empty());
}

#[test]
fn signals_reach_the_child() {
    let Some(place) = Place::new("signals") else { return };
    let line = "trap 'exit 11' TERM; echo ready; while :; do sleep 0.01; done";
    let mut chain = place.cg_run().args(["--", "sh", "-c", line]);
    let mut child = chain.command().stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(11));
    assert_eq!(place.children(), none());
}

#[test]
fn controllers_that_are_missing_are_named_with_a_way_out() {
    let Some(place) = Place::new("missing") else { return };
    let there = place.read("cgroup.controllers");
    let missing: Vec<_> =
        [("memory", "--memory", "64M"), ("pids", "--pids", "9"), ("cpu", "--cpu", "1"), ("cpuset", "--cpuset", "0")]
            .into_iter()
            .filter(|(name, ..)| !there.split_whitespace().any(|known| known == *name))
            .collect();
    for (name, option, value) in &missing {
        for check in ["--check", "--status"] {
            let ran = place.cg_run().args([check, *option, *value, "--", "touch", "/no/such/file"]).run();
            ran.fails(125, &format!("controller {name} is not to be had in {}", place.text()));
            assert!(ran.err.contains("\nhint: ") && ran.err.contains("--no-cgroup"), "{ran:?}");
        }
    }
    assert_eq!(place.children(), none());
    if missing.is_empty() {
        // A place that was made below one that hands nothing down has no controllers at all.
        place.child("below");
        let below = place.path().join("below");
        let words = ["--parent", below.to_str().unwrap(), "--memory", "64M", "--", "true"];
        Chain::new("cg-run").args(words).run().fails(125, "controller memory is not to be had");
    }
}

#[test]
fn what_is_no_cgroup_v2_is_refused() {
    let parent = |path: &str| Chain::new("cg-run").args(["--parent", path, "--", "true"]).run();
    parent("/proc").fails(125, "/proc: not on a cgroup v2 file system");
    parent("/no/such").fails(125, "open /no/such: No such file or directory (ENOENT)");
    if Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
        parent("/sys/fs/cgroup/pids").fails(125, "/sys/fs/cgroup/pids: is cgroup v1, which is never touched");
    }
}

#[test]
fn check_says_what_is_to_be_had_and_changes_nothing() {
    let Some(place) = Place::new("check") else { return };
    let out = place.cg_run().args(["--check", "--", "true"]).run().ok();
    assert!(out.starts_with(&format!("parent: {}, yours to write\nmemory: ", place.text())), "{out}");
    assert_eq!(place.children(), none());
}

#[test]
fn an_ordinary_user_runs_in_a_delegated_cgroup() {
    if !is_root() {
        return skip(Tier::Root, "an_ordinary_user_runs_in_a_delegated_cgroup", "nobody to delegate");
    }
    let Some(place) = Place::new("user") else { return };
    place.delegate();
    let start = place.child("start");
    let as_user = |words: &str| {
        let line = format!(
            "echo $$ >{}/cgroup.procs && exec setpriv --reuid 1000 --regid 1000 --clear-groups cg-run {words}",
            start.display()
        );
        Chain::shell(&line).run()
    };
    let out = as_user(&format!("--parent {} --report 1 --wall-time 0.5 -- sleep 100", place.text()));
    assert_eq!(json(&out.out)["verdict"], "TO");
    let out = as_user(&format!("--parent {} -- sh -c 'id -u; grep ^0:: /proc/self/cgroup'", place.text())).ok();
    assert!(out.starts_with("1000\n0::") && out.contains("/chainbox-"), "{out}");
    assert_eq!(place.children(), ["start"]);
    // Its own cgroup is root's: nothing to make there, and the message knows the way out.
    let ran = as_user("-- true");
    ran.fails(125, "write access to");
    assert!(ran.err.contains("Permission denied (EACCES)\nhint: take a cgroup that is delegated to you"), "{ran:?}");
    // From outside of the delegated one nobody gets in.
    let outside = Chain::shell(&format!(
        "exec setpriv --reuid 1000 --regid 1000 --clear-groups cg-run --parent {} -- true",
        place.text()
    ));
    let ran = outside.run();
    ran.fails(125, "start the child inside the leaf: clone3: Permission denied (EACCES)");
    assert!(ran.err.contains("hint: to place a process"), "{ran:?}");
    assert_eq!(place.children(), ["start"]);
}

/// Where a filter denies clone3(2), as container runtimes do: the process goes into the leaf by itself, before PROG.
#[test]
fn a_leaf_is_entered_where_clone3_is_denied() {
    let Some(place) = Place::new("no-clone3") else { return };
    let folder = Folder::new("no-clone3", true);
    let filter = tool("seccomp-exec").display().to_string();
    for errno in ["ENOSYS", "EPERM"] {
        fs::write(folder.join("policy"), format!("default allow\nerrno {errno} clone3\n")).unwrap();
        let behind = |words: &[&str]| {
            let chain = place.cg_run().args(words).at(folder.path());
            chain.within(&filter, &["--keep-caps", "all", "--policy", "policy", "--"]).run()
        };
        let out = behind(&["--", "sh", "-c", "grep ^0:: /proc/self/cgroup"]).ok();
        assert!(owner(out.trim_end().rsplit('/').next().unwrap()).is_some(), "{errno}: {out}");
        let report = json(&behind(&["--report", "1", "--wall-time", "0.3", "--", "sleep", "100"]).out);
        assert_eq!(report["verdict"], "TO", "{errno}: {report}");
        assert_eq!(behind(&["--", "sh", "-c", "exit 7"]).code, 7);
        assert_eq!(behind(&["--", "no-such-program"]).code, 127);
        assert_eq!(place.children(), none());
    }
}

/// Whatever fails before there is a payload: the leaf is gone, and so are the controllers that were enabled for it.
#[test]
fn a_failure_leaves_leaves_and_controllers_as_they_were() {
    with_hugetlb("failures", |place| {
        let folder = Folder::new("failures", true);
        let gate = tool("seccomp-exec").display().to_string();
        let limited = |words: &[&str]| place.cg_run().args(["--set", "hugetlb.2MB.max=4M"]).args(words);
        let denied = |errno: &str| {
            fs::write(folder.join(errno), format!("default allow\nerrno {errno} clone3\n")).unwrap();
            let chain = limited(&["--", "true"]).at(folder.path());
            chain.within(&gate, &["--keep-caps", "all", "--policy", errno, "--"])
        };
        let unlimited = place.read("cgroup.subtree_control");
        let failing = |others: &[&str], controllers: &str| {
            for (chain, why) in [
                (denied("ENOMEM"), "start the child inside the leaf: clone3: Out of memory"),
                (denied("EBUSY"), "start the child inside the leaf: clone3: Device or resource busy"),
                (limited(&["--set", "hugetlb.3MB.max=4M", "--", "true"]), "set hugetlb.3MB.max"),
                (limited(&["--set", "cgroup.max.depth=x", "--", "true"]), "set cgroup.max.depth to x"),
                (limited(&["--name", &"x".repeat(65), "--", "true"]), "--name"),
                (
                    limited(&["--delegate", "4294967294:0", "--lend", "/no/such", "0:0", "0:0", "--", "true"]),
                    "lend /no/",
                ),
            ] {
                chain.run().fails(125, why);
                assert_eq!(
                    (place.children(), place.read("cgroup.subtree_control").trim()),
                    (others.iter().map(ToString::to_string).collect(), controllers),
                    "{why}"
                );
            }
        };
        failing(&[], unlimited.trim());
        // Somebody else may have begun to rely on them.
        place.child("other");
        assert!(denied("ENOMEM").run().code == 125 && place.read("cgroup.subtree_control") == "hugetlb\n");
        failing(&["other"], "hugetlb");
    });
}

/// The same where cg-run has to step aside for its own leaf.
#[test]
fn a_failure_brings_back_who_has_stepped_aside() {
    with_hugetlb("aside-failures", |place| {
        let folder = Folder::new("aside-failures", true);
        fs::write(folder.join("policy"), "default allow\nerrno ENOMEM clone3\n").unwrap();
        let gate = format!("seccomp-exec --keep-caps all --policy {}", folder.join("policy").display());
        for (gate, words, why) in [
            (gate.as_str(), "", "clone3: Out of memory"),
            ("exec", "--set hugetlb.3MB.max=0", "set hugetlb.3MB.max"),
            ("exec", "--name cgroup.procs", "mkdirat cgroup.procs: File exists"),
        ] {
            let line = format!(
                "echo $$ >{0}/cgroup.procs; {gate} cg-run --set hugetlb.2MB.max=0 {words} -- true; exit $?",
                place.text()
            );
            let line = if gate == "exec" { line } else { line.replace("; seccomp-exec", "; exec seccomp-exec") };
            Chain::shell(&line).run().fails(125, why);
            assert_eq!((place.children(), place.read("cgroup.subtree_control")), (none(), String::new()), "{why}");
        }
    });
}

/// Who has the leaf makes leaves in it, with limits, and can neither change its own nor leave it.
#[test]
fn a_leaf_is_given_to_a_user() {
    if !is_root() {
        return skip(Tier::Root, "a_leaf_is_given_to_a_user", "nobody to give it to");
    }
    with_hugetlb("given", |place| {
        let folder = Folder::new("given", true);
        let inside = "sed 's|.*/||' /proc/self/cgroup | tail -1";
        let script = format!(
            "cg-run --move-callers --name inner --set hugetlb.2MB.max=4M -- sh -c \"{inside}; cat {0}/box/inner/hugetlb.2MB.max\"
             for file in box/hugetlb.2MB.max cgroup.procs; do echo 0 >{0}/$file || echo kept; done 2>/dev/null",
            place.text()
        );
        fs::write(folder.join("script"), script).unwrap();
        let words = ["--name", "box", "--set", "hugetlb.2MB.max=8M", "--delegate", "1000:1000", "--"];
        let user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "sh"];
        let ran = place.cg_run().args(words).args(user).args([folder.join("script")]).run();
        assert_eq!((ran.out.as_str(), ran.code), ("inner\n4194304\nkept\nkept\n", 0), "{ran:?}");
        assert_eq!(place.children(), none());
    });
}

/// Who may not go there is told why, as where it is started there.
#[test]
fn a_leaf_that_may_not_be_entered_is_a_failure_where_clone3_is_denied() {
    let test = "a_leaf_that_may_not_be_entered";
    let Some(place) = Place::new("no-clone3-outside") else { return };
    if !is_root() {
        return skip(Tier::Root, test, "delegates to another user");
    }
    place.delegate();
    let folder = Folder::new("no-clone3-outside", true);
    fs::write(folder.join("policy"), "default allow\nerrno ENOSYS clone3\n").unwrap();
    let chain = place.cg_run().args(["--report", "1", "--", "echo", "outside"]).at(folder.path());
    let ran = chain.within(tool("seccomp-exec").to_str().unwrap(), &["--policy", "policy", "--"]).as_user().run();
    assert!(ran.code == 125 && !ran.out.contains("outside"), "{ran:?}");
    assert!(ran.err.contains("cgroup.procs: Permission denied (EACCES)\nhint: to place a process"), "{ran:?}");
    assert_eq!(json(&ran.out)["verdict"], "XX", "{ran:?}");
    assert_eq!(place.children(), none());
}

#[test]
fn a_controller_is_enabled_limited_and_read_back() {
    with_hugetlb("hugetlb", |place| {
        limits_are_rounded_and_read_back(place);
        a_parent_with_processes_is_refused(place);
        who_is_alone_steps_aside_and_comes_back(place);
    });
}

fn limits_are_rounded_and_read_back(place: &Place) {
    let line = format!("cat {}/box/hugetlb.2MB.max", place.text());
    let ran = place.cg_run().args(["--name", "box", "--set", "hugetlb.2MB.max=5M", "--", "sh", "-c", &line]).run();
    assert_eq!(ran.ok(), "4194304\n");
    assert_eq!(place.read("cgroup.subtree_control"), "hugetlb\n");
    let ran = place.cg_run().args(["--set", "hugetlb.3MB.max=5M", "--", "true"]).run();
    ran.fails(125, "set hugetlb.3MB.max to 5M: open hugetlb.3MB.max: No such file or directory (ENOENT)");
    assert_eq!(place.children(), none());
    place.write("cgroup.subtree_control", "-hugetlb").unwrap();
}

fn a_parent_with_processes_is_refused(place: &Place) {
    let line = format!("echo $$ >{0}/cgroup.procs; cg-run --set hugetlb.2MB.max=0 -- true; exit $?", place.text());
    let ran = Chain::shell(&line).run();
    ran.fails(125, "hugetlb cannot be enabled for the children of");
    assert!(ran.err.contains("other processes are in it (no-internal-process rule)\nhint: "), "{ran:?}");
    let named = format!(
        "echo $$ >{0}/cgroup.procs; cg-run --parent {0} --set hugetlb.2MB.max=0 -- true; exit $?",
        place.text()
    );
    Chain::shell(&named).run().fails(125, "(no-internal-process rule)");
    assert_eq!(place.children(), none());
}

fn who_is_alone_steps_aside_and_comes_back(place: &Place) {
    for (payload, code) in [("ls PLACE; exit 3", 3), ("kill -9 $$", 137)] {
        let payload = payload.replace("PLACE", place.text());
        let line =
            format!("echo $$ >{}/cgroup.procs; exec cg-run --set hugetlb.2MB.max=0 -- sh -c '{payload}'", place.text());
        let ran = Chain::shell(&line).run();
        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(code == 3, ran.out.lines().any(|line| line == "chainbox-callers"), "{ran:?}");
        assert_eq!((place.children(), place.read("cgroup.subtree_control")), (none(), String::new()));
    }
}

/// A limit that was taken away is none, also where it is there again at the end.
#[test]
fn a_limit_that_does_not_hold_to_the_end_is_the_sandboxs_failure() {
    const FILE: &str = "hugetlb.2MB.max";
    with_hugetlb("vanishing", |place| {
        let control = format!("{}/cgroup.subtree_control", place.text());
        let leaf = format!("{}/box/{FILE}", place.text());
        for (deed, why) in [
            (format!("echo -hugetlb >{control}"), "ENODEV"),
            (format!("echo -hugetlb >{control}; echo +hugetlb >{control}; echo 4M >{leaf}"), "ENODEV"),
            (format!("echo 6M >{leaf}"), "the kernel holds 6291456 instead"),
        ] {
            let set = format!("{FILE}=4M");
            for format in ["json", "isolate"] {
                let words = ["--name", "box", "--set", &set, "--report", "1", "--report-format", format, "--"];
                let ran = place.cg_run().args(words).args(["sh", "-c", &deed]).run();
                ran.fails(125, &format!("read the limits back once more: {FILE} did not hold to the end: "));
                assert!(ran.err.contains(why) && ran.out.contains("XX") && ran.out.contains(why), "{deed}: {ran:?}");
                assert_eq!(place.children(), none(), "{deed}");
            }
        }
    });
}

/// What is used outside of the leaf is neither limited nor counted.
#[test]
fn who_leaves_the_leaf_is_not_judged() {
    let Some(place) = Place::new("leaving") else { return };
    let elsewhere = place.child("elsewhere");
    let work = "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done";
    let line = format!("echo 0 >{}/cgroup.procs; {work}", elsewhere.display());
    let ran = place.cg_run().args(["--report", "1", "--", "sh", "-c", &line]).run();
    ran.fails(125, "processes have left the leaf");
    assert_eq!(json(&ran.out)["verdict"], "XX", "{ran:?}");
}
