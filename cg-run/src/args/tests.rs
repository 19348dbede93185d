//! The grammar of the command line, as data.

use super::*;
use crate::table::TABLE;
use std::time::Duration;

fn requested(line: &str) -> Result<Request> {
    request(&chain::parse(&TABLE, line.split(' ').map(OsString::from).collect())?.cli().unwrap())
}

fn refusal(line: &str) -> String {
    format!("{:#}", requested(line).unwrap_err())
}

fn files(line: &str) -> Vec<String> {
    requested(line).unwrap().writes.into_iter().map(|write| format!("{}={}", write.file, write.value)).collect()
}

#[test]
fn limits_are_files_of_the_leaf() {
    assert_eq!(files("--pids 64 --cpu 1.5"), ["pids.max=64", "cpu.max=150000 100000"]);
    assert_eq!(
        files("--memory-high 1G --cpu-weight 10000 --cpuset 0-1"),
        ["memory.high=1073741824", "cpu.weight=10000", "cpuset.cpus=0-1"]
    );
    assert_eq!(files("--set hugetlb.2MB.max=0 --set memory.low=1M"), ["hugetlb.2MB.max=0", "memory.low=1M"]);
}

#[test]
fn a_memory_limit_brings_its_companions_unless_said_otherwise() {
    assert_eq!(files("--memory 512M"), ["memory.swap.max=0", "memory.oom.group=1", "memory.max=536870912"]);
    assert_eq!(
        files("--memory 1M --swap max --set memory.oom.group=0"),
        ["memory.max=1048576", "memory.swap.max=max", "memory.oom.group=0"]
    );
}

#[test]
fn times_and_places() {
    let request =
        requested("--cpu-time 10 --wall-time 0.5 --extra-time 12 --name box.1 --parent /x --report 3").unwrap();
    assert_eq!(request.times.wall, Some(Duration::from_millis(500)));
    assert_eq!(request.mode, Mode::Leaf { parent: Some("/x".into()), name: Some("box.1".into()) });
    assert_eq!(request.report, Some(Target::Descriptor(3)));
    assert_eq!(requested("--report ./3").unwrap().report, Some(Target::File("./3".into())));
    assert_eq!(
        requested("--io 8:0 rbps=1M,wiops=5").unwrap().devices,
        [DeviceLimit { device: "8:0".into(), limits: "rbps=1048576 wiops=5".into() }]
    );
}

#[test]
fn isolates_form_is_its_reports_too() {
    let request = requested("--as-isolate --lend /b 7:8 0:0 --special-files").unwrap();
    assert_eq!((request.as_isolate, request.format, request.status), (true, Format::Isolate, false));
    let (user, owner) = (Ids { uid: 7, gid: 8 }, Ids { uid: 0, gid: 0 });
    assert_eq!(request.loan, Some(Loan { folder: "/b".into(), user, owner, special: true }));
    assert_eq!(requested("--delegate 7:8").unwrap().delegate, Some(user));
    assert_eq!(refusal("--delegate 7"), "--delegate: 7 is not UID:GID");
    assert!(refusal("--no-cgroup --delegate 7:8").starts_with("--delegate needs a cgroup"));
    assert_eq!(requested("--as-isolate --report-format isolate").unwrap().format, Format::Isolate);
}

#[test]
fn a_link_for_where_there_is_no_cgroup_is_words() {
    let line = ["--if-possible=rlimit-exec  --data 50%", "--", "true"].map(OsString::from).to_vec();
    let request = request(&chain::parse(&TABLE, line).unwrap().cli().unwrap()).unwrap();
    let words = ["rlimit-exec", "--data", "50%", "--"].map(OsString::from).to_vec();
    assert_eq!(request.if_possible, Some(words));
    assert_eq!(requested("--if-possible true").unwrap().if_possible, Some(vec![]));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (line, words) in [
        ("--memory 0", "--memory 0: not a size"),
        ("--memory 1.5G", "--memory 1.5G: not a size"),
        ("--memory 0%", "--memory 0%: not a size"),
        ("--memory 101%", "--memory 101%: not a size"),
        ("--memory -5%", "--memory -5%: not a size"),
        ("--memory-high %", "--memory-high %: not a size"),
        ("--memory max", "--memory max: not a size"),
        ("--swap 0%", "--swap 0%: not a size"),
        ("--pids 50%", "--pids 50%: not a number"),
        ("--pids 0", "--pids 0: not a number"),
        ("--cpu 0.001", "--cpu 0.001: not a number of processors"),
        ("--cpu-weight 10001", "not a weight"),
        ("--cpuset a", "not a list"),
        ("--wall-time 0", "not a time"),
        ("--wall-time -1", "not a time"),
        ("--extra-time 5", "--extra-time means nothing without --cpu-time"),
        ("--name ../x", "not a name"),
        ("--name .x", "not a name"),
        ("--name chainbox-callers", "not a name"),
        ("--name a..b", "not a name"),
        ("--set cgroup.procs=1", "not a file with a limit"),
        ("--set ../x/memory.max=1", "not a file with a limit"),
        ("--set memory.max", "not FILE=VALUE"),
        ("--set memory.max=", "the value is empty"),
        ("--set memory.max=1\n2", "more than one line"),
        ("--memory 1M --set memory.max=2M", "memory.max is set twice"),
        ("--set io.max=8:0 --set io.max=8:0", "io.max 8:0 is set twice"),
        ("--io 8:0 rbps=0", "--io 8:0 rbps=0: not rbps=N"),
        ("--io 8:0 foo=1", "not rbps=N"),
        ("--report-format xml", "json or isolate"),
        ("--if-possible --no-cgroup", "exclude each other"),
        ("--as-isolate --report-format json", "exclude each other"),
        ("--special-files", "means nothing without --lend"),
        ("--lend /x 0 0:0", "--lend: 0 is not UID:GID"),
        ("--lend /x 0:0 root:root", "--lend: root:root is not UID:GID"),
        ("--lend /x 0:0 0:4294967295", "--lend: 0:4294967295 is not UID:GID"),
        ("--gc --if-possible", "not with --if-possible"),
        ("--gc --no-cgroup", "exclude each other"),
        ("--gc --pids 1", "not with --pids"),
        ("--gc true", "--gc runs no program"),
        ("--report 1 --keep-fd 1", "could write its own report"),
    ] {
        assert!(refusal(line).contains(words), "{line}: {}", refusal(line));
    }
}

#[test]
fn every_limit_that_needs_a_cgroup_is_refused_without_one() {
    let needing = TABLE.flags.iter().filter(|flag| flag.key.needs_cgroup()).count();
    let lines = [
        "--memory 1M",
        "--memory-high 1M",
        "--swap 0",
        "--pids 1",
        "--cpu 1",
        "--cpu-weight 1",
        "--cpuset 0",
        "--io 8:0 rbps=1",
        "--set pids.max=1",
        "--delegate 7:8",
        "--parent /x",
        "--name x",
        "--move-callers",
    ];
    assert_eq!(needing, lines.len());
    for line in lines {
        assert!(refusal(&format!("--no-cgroup {line}")).contains("needs a cgroup"), "{line}");
    }
    assert!(requested("--no-cgroup --cpu-time 1 --wall-time 1 --report 3 --status").is_ok());
}

#[test]
fn each_option_knows_its_own_name() {
    for flag in TABLE.flags {
        assert_eq!(flag.key.option(), flag.long);
    }
}
