//! Limits that are taken where they can be had: what is said where they cannot, and that they are not dropped where they can.
use std::fs;

use chainbox_tests::{Chain, Folder, root_or_skip};

use crate::common::{Place, json, with_hugetlb};

/// A cg-run that says each time what it lacks, and so leaves no file behind that remembers it.
fn cg_run(words: &[&str]) -> Chain {
    Chain::new("cg-run").args(["-v", "--if-possible"]).args(words)
}

#[test]
fn where_there_is_no_cgroup_the_run_goes_on_and_says_so() {
    let words = ["--parent", "/proc", "--memory", "50%", "--pids", "9", "--report", "1", "--", "sh", "-c", "exit 3"];
    let ran = cg_run(&words).run();
    let report = json(&ran.out);
    assert_eq!((ran.code, &report["verdict"]), (3, &"RE".into()), "{ran:?}");
    assert_eq!(report["without_cgroup"], "/proc: not on a cgroup v2 file system");
    assert_eq!(ran.err.matches("cg-run: no limits by a cgroup: /proc: not on a cgroup v2 file system\n").count(), 1);
    // The supervision is that of --no-cgroup: whole.
    let ran = cg_run(&["--parent", "/proc", "--pids", "9", "--wall-time", "0.3", "--report", "1", "--", "sleep", "99"]);
    assert_eq!(json(&ran.run().out)["verdict"], "TO");
    // Without the option nothing is dropped.
    let ran = Chain::new("cg-run").args(["--parent", "/proc", "--pids", "9", "--", "echo", "ran"]).run();
    assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{ran:?}");
    let out = cg_run(&["--parent", "/proc", "--check", "--", "true"]).run().ok();
    assert_eq!(out, "no limits by a cgroup: /proc: not on a cgroup v2 file system\n");
    let ran = cg_run(&["--parent", "/proc", "--explain", "--", "true"]).run();
    assert!(ran.err.contains("no limits by a cgroup") && ran.ok().contains("adopt the orphans of the run"));
}

#[test]
fn a_controller_that_is_missing_is_the_reason() {
    let Some(place) = Place::new("if-missing") else { return };
    // Below one that hands nothing down there are no controllers.
    let below = place.child("below");
    let words = ["--parent", below.to_str().unwrap(), "--pids", "9", "--report", "1", "--report-format", "isolate"];
    let ran = cg_run(&words).args(["--", "true"]).run();
    let why = format!("controller pids is not to be had in {}", below.display());
    assert!(ran.err.contains(&format!("cg-run: no limits by a cgroup: {why}\n")), "{ran:?}");
    assert!(ran.ok().contains(&format!("\nwithout-cgroup:{why}\n")));
    assert_eq!(place.children(), ["below"]);
}

#[test]
fn what_can_be_had_is_taken() {
    let Some(place) = Place::new("if-taken") else { return };
    let line = format!("cat {}/box/cgroup.max.descendants", place.text());
    let words = ["--name", "box", "--set", "cgroup.max.descendants=3", "--report", "1", "--", "sh", "-c", &line];
    let ran = place.cg_run().args(["--if-possible"]).args(words).run();
    let (limit, report) = ran.out.split_once('\n').unwrap();
    assert_eq!((limit, ran.err.as_str()), ("3", ""), "{ran:?}");
    assert_eq!(json(report)["without_cgroup"], serde_json::Value::Null);
    // A value that the kernel refuses is not a missing cgroup.
    let ran = place.cg_run().args(["--if-possible", "--set", "cgroup.max.depth=x", "--", "true"]).run();
    ran.fails(125, "set cgroup.max.depth to x: write cgroup.max.depth: Invalid argument (EINVAL)");
    assert_eq!(place.children(), Vec::<String>::new());
}

#[test]
fn a_cgroup_of_somebody_else_is_none() {
    let Some(place) = Place::new("if-foreign") else { return };
    let ran = cg_run(&["--parent", place.text(), "--report", "1", "--", "id", "-u"]).as_user().run();
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = json(ran.out.lines().last().unwrap());
    let why = report["without_cgroup"].as_str().unwrap();
    assert!(why.starts_with("write access to") && why.ends_with("Permission denied (EACCES)"), "{why}");
}

/// One that may be written to but for its controllers: nothing is done before that is known.
#[test]
fn a_cgroup_whose_controllers_are_somebody_elses_is_none() {
    if !root_or_skip("a_cgroup_whose_controllers_are_somebody_elses_is_none") {
        return;
    }
    with_hugetlb("if-controllers", |place| {
        place.delegate();
        std::os::unix::fs::chown(place.path().join("cgroup.subtree_control"), Some(0), Some(0)).unwrap();
        let line = format!(
            "echo $$ >{}/cgroup.procs; exec setpriv --reuid 1000 --regid 1000 --clear-groups \
             cg-run -v --if-possible --set hugetlb.2MB.max=0 -- true",
            place.text()
        );
        let ran = Chain::shell(&line).run();
        assert!(ran.err.contains("no limits by a cgroup: write access to") && ran.code == 0, "{ran:?}");
        assert_eq!(place.children(), Vec::<String>::new());
    });
}

#[test]
fn a_link_is_put_before_the_program_only_where_there_is_no_cgroup() {
    let limit = ["--if-possible=rlimit-exec --tighten --nofile 77", "--pids", "9"];
    let program = ["--", "sh", "-c", "ulimit -n"];
    let chain = |parent: &[&str]| Chain::new("cg-run").args(["-v"]).args(limit).args(parent).args(program);
    assert_eq!(chain(&["--parent", "/proc"]).run().ok(), "77\n");
    let out = chain(&["--parent", "/proc"]).env("CHAIN_EXPLAIN", "1").run().ok();
    assert!(
        out.contains("rlimit-exec: 1. limit nofile to 77:77  ") && out.ends_with("payload: sh -c 'ulimit -n'\n"),
        "{out}"
    );
    // Without a program it is the shell that every link starts.
    let shell = Chain::new("cg-run").args(["-v", limit[0], "--parent", "/proc"]).env("SHELL", "/bin/pwd").at("/usr");
    assert_eq!(shell.run().ok(), "/usr\n");
    let Some(place) = Place::new("if-link") else { return };
    let out = place.cg_run().args(&limit[..1]).args(program).run().ok();
    assert_ne!(out, "77\n");
}

/// In a mount namespace with a /run of its own, so that no file of the machine is made.
fn in_own_run(line: &str) -> String {
    let line = format!("set -e; mount -t tmpfs tmpfs /run; {line}");
    let ran = Chain::program("unshare").args(["--mount", "sh", "-c", &line]).run();
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.err
}

#[test]
fn it_is_said_once_to_each_user() {
    if !root_or_skip("it_is_said_once_to_each_user") {
        return;
    }
    let run = "cg-run --if-possible --parent /proc --pids 9 -- true";
    let user = "setpriv --reuid 1000 --regid 1000 --clear-groups";
    let times = |line: &str| in_own_run(line).matches("no limits by a cgroup").count();
    assert_eq!(times(&format!("{run}; {run}; {run}")), 1);
    assert_eq!(times(&format!("{run}; {run} -v 2>/dev/null; cg-run -v --if-possible --parent /proc -- true")), 2);
    // Not by a look that changes nothing.
    assert_eq!(times(&format!("cg-run --check --if-possible --parent /proc -- true; {run}")), 1);
    // Each user; one without a folder each time.
    let folder = "mkdir -p /run/user/1000; chown 1000 /run/user/1000";
    assert_eq!(times(&format!("{run}; {folder}; {user} {run}; {user} {run}")), 2);
    assert_eq!(times(&format!("{user} {run}; {user} {run}")), 2);
    assert_eq!(times(&format!("mount -o remount,ro /run; {run}; {run}")), 2);
    // A link in its place is not followed, and nothing is written through it.
    let folder = Folder::new("if-link", false);
    let target = folder.join("target");
    let link = format!("ln -s {} /run/chainbox-no-cgroup", target.display());
    assert_eq!(times(&format!("{link}; {run}")), 0);
    fs::metadata(&target).unwrap_err();
}
