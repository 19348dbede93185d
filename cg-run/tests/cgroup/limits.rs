//! Limits that hold, on a cgroup v2 with its controllers.

use chainbox_tests::{Chain, Tier, is_root, skip};

use crate::common::{Place, json};

/// Allocates and touches 100 MiB in one process, then goes on.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=100M count=1; echo survived";

#[test]
fn a_memory_limit_kills_the_run_and_says_so() {
    let Some(place) = Place::with("memory", &["memory"]) else { return };
    let run = |words: &[&str]| place.cg_run().args(["--memory", "32M"]).args(words).args(["--", "sh", "-c", HOG]).run();
    let ran = run(&["--report", "1"]);
    let report = json(&ran.out);
    assert_eq!((ran.signal, &report["verdict"]), (Some(9), &"ML".into()), "{ran:?}");
    assert_eq!(report["message"], "Memory limit exceeded");
    let peak = report["cgroup"]["memory_peak"].as_u64().unwrap();
    assert!((16 << 20..=32 << 20).contains(&peak), "{report}");
    assert!(report["cgroup"]["oom_kills"].as_u64().unwrap() >= 1 && report["killed"] == false, "{report}");

    let ran = run(&["--report", "1", "--report-format", "isolate"]);
    assert!(ran.out.contains("\ncg-oom-killed:1\nexitsig:9\nstatus:SG\nmessage:Caught fatal signal 9\n"), "{ran:?}");
    assert_eq!(run(&["--status"]).err.lines().last(), Some("cg-run: ML: Memory limit exceeded"));

    // One process at random instead of all of them: the shell goes on, and the verdict is the same.
    let ran = run(&["--set", "memory.oom.group=0", "--status"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "survived\n"), "{ran:?}");
    assert!(ran.err.contains("cg-run: ML: Memory limit exceeded"), "{ran:?}");
}

#[test]
fn memory_that_runs_out_elsewhere_is_told_apart() {
    let Some(place) = Place::with("above", &["memory"]) else { return };
    place.write("cgroup.subtree_control", "+memory").unwrap();
    place.write("memory.max", "32M").unwrap();
    place.write("memory.swap.max", "0").unwrap_or_default();
    let ran =
        place.cg_run().args(["--report", "1", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]).run();
    let report = json(&ran.out);
    assert_eq!((ran.signal, &report["verdict"]), (Some(9), &"ML".into()), "{ran:?}");
    assert_eq!(report["message"], "Out of memory outside the box");
}

#[test]
fn limits_are_in_the_leaf_before_the_child_is() {
    let Some(place) = Place::with("files", &["memory", "pids", "cpu", "cpuset"]) else { return };
    let files =
        "memory.max memory.high memory.swap.max memory.oom.group memory.low pids.max cpu.max cpu.weight cpuset.cpus";
    let line =
        format!("cd {}/box && for file in {files}; do [ ! -e $file ] || echo $file $(cat $file); done", place.text());
    let words = [
        "--name",
        "box",
        "--memory",
        "1000000000",
        "--memory-high",
        "512M",
        "--pids",
        "64",
        "--cpu",
        "1.5",
        "--cpu-weight",
        "50",
        "--cpuset",
        "0,1",
        "--set",
        "memory.low=1M",
        "--",
        "sh",
        "-c",
        &line,
    ];
    let out = place.cg_run().args(words).run().ok();
    let has_swap = out.contains("memory.swap.max");
    let expected = format!(
        "memory.max 999997440\nmemory.high 536870912\n{}memory.oom.group 1\nmemory.low 1048576\npids.max 64\n\
         cpu.max 150000 100000\ncpu.weight 50\ncpuset.cpus 0-1\n",
        if has_swap { "memory.swap.max 0\n" } else { "" }
    );
    assert_eq!(out, expected);
    assert_eq!(place.children(), Vec::<String>::new());
}

#[test]
fn forks_beyond_the_limit_fail_and_are_counted() {
    let Some(place) = Place::with("pids", &["pids"]) else { return };
    let line = "for n in 1 2 3 4 5 6 7 8; do sleep 100 & done";
    let ran = place.cg_run().args(["--pids", "5", "--report", "1", "--", "sh", "-c", line]).run();
    let report = json(&ran.out);
    assert_eq!(report["cgroup"]["pids_peak"], 5, "{report}");
    assert!(report["cgroup"]["pids_denied"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!((&report["verdict"], ran.code), (&"RE".into(), 2), "{ran:?}");
    // A bomb is over when its time is.
    let bomb = "b() { b | b & }; b; sleep 100";
    let ran = place.cg_run().args(["--pids", "30", "--wall-time", "2", "--report", "1", "--", "sh", "-c", bomb]).run();
    assert_eq!((ran.signal, &json(&ran.out)["verdict"]), (Some(9), &"TO".into()), "{ran:?}");
    assert_eq!(place.children(), Vec::<String>::new());
}

#[test]
fn a_share_of_a_processor_is_a_share() {
    let Some(place) = Place::with("share", &["cpu"]) else { return };
    let words = ["--cpu", "0.1", "--cpu-time", "0.3", "--report", "1", "--", "sh", "-c", "while :; do :; done"];
    let ran = place.cg_run().args(words).run();
    let report = json(&ran.out);
    assert_eq!((ran.signal, &report["message"]), (Some(9), &"Time limit exceeded".into()), "{ran:?}");
    let throttled = &report["cgroup"]["throttled"];
    assert!(throttled["throttled"].as_u64().unwrap() >= 1 && throttled["time"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["wall"].as_f64().unwrap() > 2.0 * report["cpu"]["total"].as_f64().unwrap(), "{report}");
}

#[test]
fn a_list_of_processors_is_kept() {
    let Some(place) = Place::with("cpuset", &["cpuset"]) else { return };
    let line = "grep Cpus_allowed_list /proc/self/status";
    let ran = place.cg_run().args(["--cpuset", "0", "--", "sh", "-c", line]).run();
    assert_eq!(ran.ok(), "Cpus_allowed_list:\t0\n");
    place.cg_run().args(["--cpuset", "5000", "--", "true"]).run().fails(125, "set cpuset.cpus to 5000: ");
    let ran = place.cg_run().args(["--cpuset", "999", "--", "true"]).run();
    ran.fails(125, "\nhint: there is no such processor here: /sys/devices/system/cpu/online has");
}

#[test]
fn a_list_of_memory_nodes_is_kept() {
    let Some(place) = Place::with("nodes", &["cpuset"]) else { return };
    let line = "grep Mems_allowed_list /proc/self/status; cat \"$0\"/box/cpuset.mems";
    let words = ["--name", "box", "--set", "cpuset.mems=0", "--", "sh", "-c", line, place.text()];
    assert_eq!(place.cg_run().args(words).run().ok(), "Mems_allowed_list:\t0\n0\n");
    let ran = place.cg_run().args(["--set", "cpuset.mems=63", "--", "true"]).run();
    ran.fails(125, "set cpuset.mems to 63: ");
    assert!(ran.err.contains("\nhint: there is no such memory node here: "), "{ran:?}");
}

#[test]
fn a_disk_is_limited_by_its_number_or_its_path() {
    let Some(place) = Place::with("io", &["io"]) else { return };
    let disks = std::fs::read_dir("/sys/block").unwrap().flatten();
    let mut devices = disks.filter_map(|disk| std::fs::read_to_string(disk.path().join("dev")).ok());
    let Some(device) = devices.next() else {
        return skip(Tier::Controllers, "a_disk_is_limited_by_its_number_or_its_path", "no disk");
    };
    let device = device.trim();
    let line = format!("cat {}/box/io.max", place.text());
    let words = ["--name", "box", "--io", device, "rbps=1M,wiops=5", "--", "sh", "-c", &line];
    assert_eq!(place.cg_run().args(words).run().ok(), format!("{device} rbps=1048576 wbps=max riops=max wiops=5\n"));
    place
        .cg_run()
        .args(["--io", "511:77", "rbps=1", "--", "true"])
        .run()
        .fails(125, "set io.max to '511:77 rbps=1': write io.max: ");
}

#[test]
fn an_ordinary_user_sets_limits_in_a_delegated_cgroup() {
    if !is_root() {
        return skip(Tier::Root, "an_ordinary_user_sets_limits_in_a_delegated_cgroup", "nobody to delegate");
    }
    let Some(place) = Place::with("delegated", &["memory", "pids"]) else { return };
    place.delegate();
    let start = place.child("start").join("cgroup.procs");
    let run = |words: &str| {
        let line =
            format!("echo $$ >{} && exec setpriv --reuid 1000 --regid 1000 --clear-groups {words}", start.display());
        Chain::shell(&line).run()
    };
    let run = |words: &str| run(&format!("cg-run --parent {} --memory 32M --pids 9 {words}", place.text()));
    let ran = run(&format!("--report 1 -- sh -c '{HOG}'"));
    assert_eq!((ran.signal, &json(&ran.out)["verdict"]), (Some(9), &"ML".into()), "{ran:?}");
    assert_eq!(run("-- id -u").ok(), "1000\n");
    assert_eq!(place.children(), ["start"]);
}
