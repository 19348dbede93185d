//! Supervision: how a run ends, and that nothing of it is left. In the form that needs no cgroup.

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chainbox_tests::processes::{TRACED, children};
use chainbox_tests::{Chain, Folder, is_root, tool, until};
use common::{SCATTERED, cg_run, json, marked, marker, reported, scattered, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run whose processes are bounded, should none of what it is about work. Root is not bounded by a number: an ordinary user is.
fn bounded(words: &[&str]) -> Chain {
    cg_run(words).within("prlimit", &["--nproc=3000:3000"]).as_user()
}

#[test]
fn every_exit_code_is_passed_on() {
    let line = "for n in $(seq 0 255); do cg-run --no-cgroup -- sh -c \"exit $n\"; [ $? = $n ] || echo $n; done";
    assert_eq!(Chain::shell(line).run().ok(), "");
}

/// As in every container: the default profiles of its runtimes deny clone3 too.
#[test]
fn a_run_starts_behind_the_default_filter() {
    let gate = tool("seccomp-exec").display().to_string();
    for filter in ["default", "no-userns"] {
        let ran =
            cg_run(&["--report", "1", "--", "sh", "-c", "exit 3"]).within(&gate, &["--filter", filter, "--"]).run();
        assert_eq!((ran.code, &json(&ran.out)["verdict"]), (3, &"RE".into()), "{filter}: {ran:?}");
    }
}

#[test]
fn a_death_by_signal_is_passed_on_as_one() {
    for signal in [1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 24, 34, 64] {
        let ran = cg_run(&["--", "sh", "-c", &format!("kill -{signal} $$")]).run();
        assert_eq!(ran.signal, Some(signal), "{ran:?}");
    }
}

#[test]
fn a_kill_by_somebody_else_is_no_time_limit() {
    let (ran, report) = reported(&["--cpu-time", "100", "--wall-time", "100", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!((ran.signal, &report["verdict"], &report["killed"]), (Some(9), &"SG".into(), &false.into()));
}

/// Who traces it hears of its end first (ptrace(2)).
#[test]
fn who_is_traced_by_its_own_child_has_ended_when_it_ends() {
    let marker = marker(31);
    let (ran, report) = reported(&["--wall-time", "20", "--", "perl", "-e", TRACED, &marker]);
    assert_eq!((ran.code, &report["verdict"], &report["killed"]), (3, &"RE".into(), &false.into()), "{ran:?}");
    assert_eq!(marked(&marker), Vec::<u32>::new());
}

/// What the links have used is not the program's, also where something else wakes cg-run before it has heard of the start.
#[test]
fn a_start_that_was_not_heard_yet_is_heard_before_a_kill() {
    let folder = Folder::new("unheard", false);
    let binds: String = (0..12_000).map(|n| format!("/usr /tmp/{n} none bind,ro 0 0\n")).collect();
    fs::write(folder.join("plan"), format!("tmpfs /tmp tmpfs mode=1777 0 0\n{binds}")).unwrap();
    let line = "trap : USR1; : >/out/started; sleep 60 & wait; kill $!; exit 7";
    let chain =
        "ns-unshare --user --mount -- mount-plan --preset host-ro --dev /dev --plan plan --bind . /out -- sh -c";
    let chain = cg_run(&["--cpu-time", "0.25", "--report", "1", "--"]).args(chain.split(' ')).args([line]);
    let child = chain.at(folder.path()).command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let top = i32::try_from(child.id()).unwrap();
    let below = |pid| children(pid).into_iter();
    // As one file the links have no names of their own: they are known by their mount namespace.
    let mounts = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let ours = mounts(&top);
    let is_link = |pid: &i32| mounts(pid).is_some_and(|theirs| Some(theirs) != ours);
    // Whoever watches: the link's parent.
    let watcher = until("the link", || {
        let watchers: Vec<i32> = [top].into_iter().chain(below(top)).chain(below(top).flat_map(below)).collect();
        watchers.into_iter().find(|pid| below(*pid).any(|child| is_link(&child)))
    });
    let say = |signal| kill(Pid::from_raw(watcher), signal).unwrap();
    say(Signal::SIGSTOP);
    wait_for("the program", || folder.join("started").exists());
    say(Signal::SIGUSR1);
    say(Signal::SIGCONT);
    let output = child.wait_with_output().unwrap();
    let report = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((output.status.code(), &report["verdict"]), (Some(7), &"RE".into()), "{report}");
}

#[test]
fn the_wall_limit_kills_all_of_the_tree() {
    let marker = marker(1);
    // Killed only once all are there, so that "gone" cannot mean "never born".
    let line = format!("{}; exit 0", scattered(&marker));
    let mut child = cg_run(&["--wall-time", "10", "--report", "1", "--", "sh", "-c", &line]);
    let child = child.command().stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the whole tree", || marked(&marker).len() == SCATTERED);
    let output = child.wait_with_output().unwrap();
    assert_eq!(marked(&marker), [0; 0]);
    assert_eq!(output.status.signal(), Some(9));
    let report = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((&report["verdict"], &report["killed"]), (&"TO".into(), &true.into()));
    assert_eq!(report["message"], "Time limit exceeded (wall clock)");
    assert!(report["wall"].as_f64().unwrap() >= 10.0, "{report}");
}

#[test]
fn what_the_child_leaves_behind_ends_with_it() {
    let marker = marker(2);
    let line = format!("({}) & exit 5", scattered(&marker));
    assert_eq!(cg_run(&["--", "sh", "-c", &line]).run().code, 5);
    assert_eq!(marked(&marker), [0; 0]);
}

#[test]
fn what_shows_itself_as_dead_ends_too() {
    // Its first thread has ended: /proc says Z of it, and it works on.
    let line = format!("{} headless & sleep 0.3; exit 5", tool("syscall-probe").display());
    let ran = cg_run(&["--", "sh", "-c", &line]).run();
    assert_eq!((ran.code, ran.out.as_str()), (5, ""));
}

/// Each is another process at every moment: what is seen in /proc is gone when it is to be killed.
#[test]
fn who_forks_and_exits_all_the_time_is_killed() {
    let hop = tool("syscall-probe").display().to_string();
    for hoppers in [1, 8] {
        let line = format!("for n in $(seq {hoppers}); do {hop} hop 60 & done; sleep 100");
        let since = Instant::now();
        let ran = bounded(&["--wall-time", "1", "--report", "1", "--", "sh", "-c", &line]).run();
        let report = json(&ran.out);
        assert_eq!((ran.signal, &report["verdict"]), (Some(9), &"TO".into()), "{hoppers}: {ran:?}");
        assert!(since.elapsed() < Duration::from_secs(60), "{hoppers}: they went on until they wanted to end");
    }
}

/// The same for what a program leaves behind that has ended. They would hold the pipe that is read here.
#[test]
fn who_forks_and_exits_all_the_time_is_not_left_behind() {
    let line = format!("{} hop 60 & exit 5", tool("syscall-probe").display());
    let since = Instant::now();
    let ran = bounded(&["--", "sh", "-c", &line]).run();
    assert_eq!((ran.code, ran.err.as_str()), (5, ""), "{ran:?}");
    assert!(since.elapsed() < Duration::from_secs(60), "it went on until it wanted to end");
}

#[test]
fn cpu_time_counts_in_every_generation() {
    for work in [
        "while :; do :; done",
        "sh -c 'while :; do :; done'; true",
        "(setsid sh -c 'while :; do :; done' &) ; sleep 1000",
        // The dead count too: each of these works for a moment only.
        "while :; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done",
    ] {
        let (ran, report) = reported(&["--cpu-time", "0.3", "--wall-time", "60", "--", "sh", "-c", work]);
        assert_eq!((ran.signal, &report["message"]), (Some(9), &"Time limit exceeded".into()), "{work}: {report}");
        assert!(report["cpu"]["total"].as_f64().unwrap() > 0.3, "{report}");
    }
}

/// The kernel adds up nothing of what it collects with a pid namespace, and the program's memory is seen all the same.
#[test]
fn the_memory_of_what_was_killed_is_the_programs() {
    let hog = ["ns-unshare", "--user", "--pid", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=48M"];
    let (ran, report) = reported(&[&["--wall-time", "5", "--"], &hog[..]].concat());
    assert_eq!((ran.signal, &report["verdict"]), (Some(9), &"TO".into()), "{ran:?}");
    assert!((48 << 20..96 << 20).contains(&report["max_rss"].as_u64().unwrap()), "{report}");
}

#[test]
fn extra_time_delays_the_kill_and_not_the_verdict() {
    let work = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; exit 4";
    let (ran, report) = reported(&["--cpu-time", "0.02", "--extra-time", "100", "--", "sh", "-c", work]);
    assert_eq!((ran.code, &report["verdict"], &report["killed"]), (4, &"TO".into(), &false.into()), "{report}");
    assert_eq!(report["exit"], 4);
}

#[test]
fn a_file_size_limit_is_an_output_limit() {
    let folder = Folder::new("cg-ol", false);
    let file = format!("of={}", folder.join("f").display());
    let words = ["--", "rlimit-exec", "--fsize", "10", "--", "dd", "if=/dev/zero", "bs=100", "count=2", &file];
    let (ran, report) = reported(&words);
    assert_eq!((ran.signal, &report["verdict"]), (Some(25), &"OL".into()), "{ran:?}");
}

#[test]
fn signals_are_passed_on() {
    for (signal, code) in [(Signal::SIGTERM, 11), (Signal::SIGINT, 12), (Signal::SIGHUP, 13), (Signal::SIGUSR1, 14)] {
        let name = signal.as_str().trim_start_matches("SIG");
        // Who runs the tests in the background may ignore it, and a shell traps no signal that it was born to ignore.
        chain::sys::ignore_signal(signal as i32, false).unwrap();
        let line = format!("trap 'exit {code}' {name}; echo ready; while :; do sleep 0.01; done");
        let mut child = cg_run(&["--", "sh", "-c", &line]).command().stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
    }
}

/// Asked to end, a run ends, whatever its program thinks of it; and the report says that it was cut short.
#[test]
fn an_interrupted_run_ends_and_says_so() {
    let ends = "trap 'exit 0' TERM INT HUP QUIT; echo ready; while :; do sleep 0.01; done";
    let stays = "trap '' TERM INT HUP QUIT; (trap '' TERM; echo ready; sleep 100) & while :; do sleep 0.01; done";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        chain::sys::ignore_signal(signal as i32, false).unwrap();
        for (line, killed) in [(ends, false), (stays, true)] {
            let mut chain = cg_run(&["--report", "2", "--", "sh", "-c", line]);
            let mut child = chain.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let ran = child.wait_with_output().unwrap();
            let report = json(std::str::from_utf8(&ran.stderr).unwrap());
            assert_eq!((&report["verdict"], &report["message"]), (&"SG".into(), &"Interrupted".into()), "{signal}");
            assert_eq!(report["killed"], killed, "{signal}: {report}");
            let (code, by) = if killed { (None, Some(9)) } else { (Some(0), None) };
            assert_eq!((ran.status.code(), ran.status.signal()), (code, by), "{signal}");
        }
    }
}

/// It has a limit, and a report: whatever a program does to its whole group does not reach the clock. setsid(1) as in a judge's
/// service: a test has no terminal, or its own.
#[test]
fn a_program_that_stops_or_kills_its_group_is_judged() {
    let marker = marker(20);
    for (deed, verdict, why) in [
        ("kill -STOP 0; sleep 100", "TO", "Time limit exceeded (wall clock)"),
        ("kill -KILL 0", "SG", "Caught fatal signal 9"),
    ] {
        let folder = Folder::new("cg-group", true);
        let report = folder.join("report");
        let line = format!("setsid sleep {marker} & {deed}");
        let words = ["--wall-time", "1", "--report", report.to_str().unwrap(), "--", "sh", "-c", &line];
        // The shell is of the group too, and is not left stopped.
        let line = "setsid --wait sh -c '\"$@\"; echo goes on' x cg-run --no-cgroup \"$@\"";
        let ran = Chain::program("sh").args(["-c", line, "x"]).args(words).run();
        assert!(deed.contains("KILL") || ran.out == "goes on\n", "{deed}: {ran:?}");
        wait_for("the report", || fs::read_to_string(&report).is_ok_and(|text| !text.contains("had ended")));
        let said = json(&fs::read_to_string(&report).unwrap());
        assert_eq!((&said["verdict"], &said["message"]), (&verdict.into(), &why.into()), "{deed}: {said}");
        assert_eq!(marked(&marker), [0; 0]);
    }
}

#[test]
fn a_flood_of_signals_hides_neither_limit_nor_end() {
    let flood = "kill -USR1 $PPID; (while kill -USR1 $PPID; do :; done) 2>/dev/null & trap '' USR1; ";
    let (ran, report) =
        reported(&["--wall-time", "0.5", "--", "sh", "-c", &format!("trap '' USR1; {flood} sleep 1000")]);
    assert_eq!((ran.signal, &report["verdict"]), (Some(9), &"TO".into()), "{ran:?}");
    let (ran, report) = reported(&["--", "sh", "-c", &format!("trap '' USR1; {flood} exit 3")]);
    assert_eq!((ran.code, &report["verdict"]), (3, &"RE".into()), "{ran:?}");
}

#[test]
fn the_run_ends_with_its_caller_unless_told_otherwise() {
    for (option, survives) in [("--status", false), ("--no-die-with-parent", true)] {
        let marker = marker(if survives { 4 } else { 3 });
        let line = format!("cg-run --no-cgroup {option} -- sh -c \"$TREE\" & wait");
        let mut shell = Chain::shell(&line).env("TREE", scattered(&marker)).command().spawn().unwrap();
        wait_for("the whole tree", || marked(&marker).len() == SCATTERED);
        shell.kill().unwrap();
        shell.wait().unwrap();
        if survives {
            let supervisor = common::parent_of_tree(&marker);
            assert_eq!(marked(&marker).len(), SCATTERED);
            kill(Pid::from_raw(supervisor as i32), Signal::SIGTERM).unwrap();
        }
        wait_for("the end of the tree", || marked(&marker).is_empty());
    }
}

/// Whichever of its processes is killed, and stopped though the program may be.
#[test]
fn nothing_outlives_a_kill_of_what_the_caller_started() {
    let marker = marker(21);
    let line = format!("({}) & sleep 0.2; kill -STOP $$", scattered(&marker));
    let mut run = cg_run(&["--", "sh", "-c", &line]).command().spawn().unwrap();
    wait_for("the whole tree", || marked(&marker).len() == SCATTERED);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("the end of the tree", || marked(&marker).is_empty());
}

/// After a kill -9 there is nobody left who could kill, but the kernel, which must not have been told to forget it.
#[test]
fn a_kill_of_cg_run_ends_the_program_whoever_it_has_become() {
    let gates = if is_root() { vec!["", "seccomp-exec --user 1000:1000 --"] } else { vec![""] };
    for (n, gate) in (6..).zip(gates) {
        let marker = marker(n);
        let words = format!("--no-cgroup -- {gate} sleep {marker}");
        let mut run = Chain::new("cg-run").args(words.split_whitespace()).command().spawn().unwrap();
        wait_for("the program", || marked(&marker).len() == 1);
        run.kill().unwrap();
        run.wait().unwrap();
        wait_for("the end of the program", || marked(&marker).is_empty());
    }
}

/// A link may wait for somebody: that is not the program's time.
#[test]
fn a_program_is_charged_for_itself() {
    for outer in ["", "cg-run --no-cgroup --"] {
        let run = |limit: &str| {
            let chain = format!("{limit} --report 1 -- {outer} ns-unshare --user --pid --block-fd 0 -- true");
            json(&Chain::shell(&format!("sleep 3 | cg-run --no-cgroup {chain}")).run().out)
        };
        let report = run("");
        assert!(report["verdict"] == "OK" && report["wall"].as_f64().unwrap() < 3.0, "{report}");
        // Before there is a program, nothing is its fault.
        let report = run("--wall-time 0.5");
        let message = "The time limit was over before the program was executed";
        assert_eq!((&report["verdict"], &report["message"]), (&"XX".into(), &message.into()), "{report}");
    }
}

#[test]
fn children_that_were_there_before_are_left_alone() {
    let marker = marker(5);
    let line = format!(
        "sleep {marker} >/dev/null 2>&1 & exec cg-run --no-cgroup --no-die-with-parent --wall-time 0.3 -- sleep 100"
    );
    assert_eq!(Chain::shell(&line).run().signal, Some(9));
    let left = marked(&marker);
    assert_eq!(left.len(), 1, "the sleep of the shell that became cg-run");
    kill(Pid::from_raw(left[0] as i32), Signal::SIGKILL).unwrap();
}

#[test]
fn a_limit_that_needs_a_cgroup_is_not_dropped() {
    let ran = cg_run(&["--memory", "1M", "--", "true"]).run();
    ran.fails(125, "--memory needs a cgroup and cannot be had with --no-cgroup");
    assert!(ran.err.contains("\nhint: rlimit-exec --as"), "{ran:?}");
}

#[test]
fn names_and_arguments_are_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::new("cg-bytes", false);
    let report = folder.join(std::ffi::OsStr::from_bytes(b"r\xff"));
    let word = std::ffi::OsStr::from_bytes(b"a\xffb");
    let ran = cg_run(&["--report"])
        .args([report.as_os_str()])
        .args(["--", "sh", "-c", "printf %s \"$1\" | od -An -tx1", "x"])
        .args([word])
        .run();
    assert_eq!(ran.ok().trim(), "61 ff 62");
    assert_eq!(json(&fs::read_to_string(report).unwrap())["verdict"], "OK");
}

#[test]
fn explain_names_every_step_and_does_none() {
    let folder = Folder::new("cg-explain", false);
    let report = folder.join("r").display().to_string();
    let out = cg_run(&["--explain", "--wall-time", "1.5", "--report", &report, "--", "true"]).run().ok();
    let expected = format!(
        "cg-run: 1. open the report {report}  [openat2({report}, O_WRONLY|O_CREAT|O_TRUNC|O_NONBLOCK|O_CLOEXEC, RESOLVE_NO_SYMLINKS)]\n\
         cg-run: 2. adopt the orphans of the run  [prctl(PR_SET_CHILD_SUBREAPER, 1)]\n\
         cg-run: 3. start the child  [prctl(PR_SET_DUMPABLE, 0), clone(CLONE_PIDFD)]\n\
         cg-run: 4. wait for its end or for a limit: wall time 1.5 s  [poll(pidfd, signalfd, lifeline), wait4]\n\
         cg-run: 5. kill what is left of the process tree  [pidfd_send_signal(SIGKILL) to each descendant]\n\
         cg-run: 6. read what was used  [read cpu.stat, memory.events, memory.peak, pids.peak, io.stat, *.pressure]\n\
         cg-run: 7. if it was killed, give the caller's terminal back as it was  \
         [tcsetpgrp, tcsetattr, tcflow(TCOON), ioctl(TIOCNXCL), ioctl(TIOCSETD)]\n\
         payload: true\n"
    );
    assert_eq!(out, expected);
    assert!(!folder.join("r").exists());
    // What this machine lacks does not keep the plan from being shown.
    let ran = Chain::new("cg-run").args(["--explain", "--memory", "1M", "--parent", "/no/such", "--", "true"]).run();
    assert!(ran.err.contains("as things are here this would be refused: open /no/such"), "{ran:?}");
    assert!(ran.ok().contains("set memory.max to 1048576  [write memory.max 1048576]"));
}

#[test]
fn every_page_is_printed() {
    for page in ["--help", "--man", "--version"] {
        assert!(cg_run(&[page]).run().ok().replace("\\-", "-").contains("cg-run"), "{page}");
    }
    assert!(Chain::new("cg-run").args(["--features"]).run().ok().starts_with("cgroup2: "));
}

/// Whether memory can be limited here or not, the plan says what would be written.
#[test]
fn a_share_of_memory_is_explained_in_bytes() {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")).unwrap();
    let half = total.parse::<u64>().unwrap() * 512;
    let ran = Chain::new("cg-run").args(["--explain", "--memory", "50%", "--", "true"]).run();
    assert!(ran.clone().ok().contains(&format!("set memory.max to {half}  [")), "{ran:?}");
    for bad in ["0%", "101%", "-5%", "%"] {
        let ran = Chain::new("cg-run").args(["--memory", bad, "--", "true"]).run();
        ran.fails(125, &format!("--memory {bad}: not a size"));
    }
}

/// A child that the shell had before it executed cg-run is not of the run.
#[test]
fn what_the_caller_had_before_is_not_of_the_run() {
    let marker = marker(22);
    let line = format!("sleep {marker} >/dev/null 2>&1 & exec cg-run --no-cgroup -- sh -c 'sleep {marker} & exit 3'");
    assert_eq!(Chain::shell(&line).run().code, 3);
    let left = marked(&marker);
    left.iter().for_each(|pid| kill(Pid::from_raw(*pid as i32), Signal::SIGKILL).unwrap());
    assert_eq!(left.len(), 1);
}
