//! Supervision: how a run ends, what is said about it, and that nothing of it is left. In the form that needs no cgroup.

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use chainbox_tests::{Chain, Folder, Ran, is_root, tool};
use common::{SCATTERED, json, marked, marker, scattered, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn cg_run(words: &[&str]) -> Chain {
    Chain::new("cg-run").args(["--no-cgroup"]).args(words)
}

/// The report on standard output.
fn reported(words: &[&str]) -> (Ran, serde_json::Value) {
    let ran = cg_run(&["--report", "1"]).args(words).run();
    let report = json(&ran.out);
    (ran, report)
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
fn the_verdict_says_how_it_ended() {
    let (ran, ok) = reported(&["--", "true"]);
    assert_eq!((ran.code, &ok["verdict"], &ok["exit"], &ok["signal"]), (0, &"OK".into(), &0.into(), &().into()));
    let (ran, re) = reported(&["--", "sh", "-c", "exit 3"]);
    assert_eq!((ran.code, &re["verdict"], &re["exit"]), (3, &"RE".into(), &3.into()));
    assert_eq!(re["message"], "Exited with error status 3");
    let (ran, sg) = reported(&["--", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(
        (ran.signal, &sg["verdict"], &sg["signal"], &sg["exit"]),
        (Some(11), &"SG".into(), &11.into(), &().into())
    );
    assert_eq!(sg["message"], "Caught fatal signal 11");
}

#[test]
fn a_kill_by_somebody_else_is_no_time_limit() {
    let (ran, report) = reported(&["--cpu-time", "100", "--wall-time", "100", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!((ran.signal, &report["verdict"], &report["killed"]), (Some(9), &"SG".into(), &false.into()));
}

#[test]
fn what_was_used_is_measured() {
    // The grandchild's work counts, and so does memory that is really touched.
    let work =
        "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); head -c 30000000 /dev/zero | tail -c 30000000 >/dev/null";
    let (_, report) = reported(&["--", "sh", "-c", work]);
    let cpu = report["cpu"]["total"].as_f64().unwrap();
    assert!(cpu > 0.01 && report["wall"].as_f64().unwrap() >= 0.01, "{report}");
    let parts = report["cpu"]["user"].as_f64().unwrap() + report["cpu"]["system"].as_f64().unwrap();
    assert!((parts - cpu).abs() < 0.05, "{report}");
    assert!(report["max_rss"].as_u64().unwrap() > 30_000_000, "{report}");
    assert!(report["cgroup"]["memory_peak"].is_null(), "{report}");
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

#[test]
fn who_cannot_be_killed_by_number_is_waited_for() {
    // It is another process at every moment, for three seconds: a walk through /proc never shows it, the pipe that it holds
    // does. cg-run ends later, or it has caught it.
    let line = format!("{} hop & exit 5", tool("syscall-probe").display());
    let mut child = cg_run(&["--", "sh", "-c", &line]).command().stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let mut pipe = child.stdout.unwrap();
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "nobody holds the other end");
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
fn a_program_that_cannot_be_executed_is_the_sandboxs_failure() {
    let folder = Folder::new("cg-xx", false);
    let script = folder.join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (ran, report) = reported(&["--", script.to_str().unwrap()]);
    ran.fails(126, "execve: No such file or directory (ENOENT)");
    let why = format!("{}: execve: No such file or directory (ENOENT)", script.display());
    assert_eq!((&report["verdict"], &report["message"]), (&"XX".into(), &why.into()));
    // What is known before anything is started is no run at all.
    cg_run(&["--", "no-such-program"]).run().fails(127, "no-such-program: not found in PATH");
}

#[test]
fn the_isolate_report_is_key_by_key() {
    let keys = |words: &[&str]| -> Vec<String> {
        let out = cg_run(&["--report", "1", "--report-format", "isolate"]).args(words).run().out;
        assert!(out.lines().all(|line| line.contains(':')), "{out}");
        let time = out.lines().find_map(|line| line.strip_prefix("time-wall:")).unwrap();
        assert_eq!(time.split('.').next_back().unwrap().len(), 3, "{out}");
        out.lines()
            .map(|line| {
                if line.starts_with(['s', 'm', 'e', 'k']) && !line.starts_with("max") {
                    line.to_owned()
                } else {
                    line.split(':').next().unwrap().to_owned()
                }
            })
            .collect()
    };
    let numbers = ["time", "time-wall", "max-rss", "csw-voluntary", "csw-forced"];
    assert_eq!(keys(&["--", "true"]), [&numbers[..], &["exitcode:0"]].concat());
    assert_eq!(
        keys(&["--", "false"]),
        [&numbers[..], &["exitcode:1", "status:RE", "message:Exited with error status 1"]].concat()
    );
    assert_eq!(
        keys(&["--", "sh", "-c", "kill -11 $$"]),
        [&numbers[..], &["exitsig:11", "status:SG", "message:Caught fatal signal 11"]].concat()
    );
    assert_eq!(
        keys(&["--wall-time", "0.1", "--", "sleep", "100"]),
        [&["status:TO", "message:Time limit exceeded (wall clock)", "killed:1"], &numbers[..]].concat()
    );
}

#[test]
fn the_status_line_is_for_people() {
    let said = |words: &[&str]| cg_run(&["--status"]).args(words).run().err;
    let ok = said(&["--", "true"]);
    let times = ok.strip_prefix("cg-run: OK (").and_then(|rest| rest.strip_suffix(" sec wall)\n")).expect(&ok);
    let (real, wall) = times.split_once(" sec real, ").expect(&ok);
    // How long it took is the machine's affair; three digits after the point are ours.
    for time in [real, wall] {
        let (whole, rest) = time.split_once('.').expect(&ok);
        assert!(whole.parse::<u64>().is_ok() && rest.len() == 3 && rest.parse::<u64>().is_ok(), "{ok}");
    }
    assert_eq!(said(&["--", "sh", "-c", "exit 9"]), "cg-run: RE: Exited with error status 9\n");
    assert_eq!(said(&["--wall-time", "50ms", "--", "sleep", "9"]), "cg-run: TO: Time limit exceeded (wall clock)\n");
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
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
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
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
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
            kill(Pid::from_raw(supervisor.cast_signed()), Signal::SIGTERM).unwrap();
        }
        wait_for("the end of the tree", || marked(&marker).is_empty());
    }
}

/// An empty report, or that of the run before, is no statement.
#[test]
fn the_report_of_a_run_whose_clock_was_killed_says_so() {
    let folder = Folder::new("cg-clock", true);
    let report = folder.join("report");
    fs::write(&report, "the run before").unwrap();
    let ran =
        cg_run(&["--report", report.to_str().unwrap(), "--", "sh", "-c", "kill -KILL $PPID; exec sleep 100"]).run();
    assert_eq!(ran.signal, Some(9), "{ran:?}");
    let said = json(&fs::read_to_string(&report).unwrap());
    assert_eq!(
        (&said["verdict"], &said["message"]),
        (&"XX".into(), &"cg-run was killed before the run had ended".into())
    );
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

#[test]
fn a_report_that_cannot_be_opened_stops_everything() {
    let folder = Folder::new("cg-report", true);
    let file = folder.join("made");
    let made = file.to_str().unwrap();
    cg_run(&["--report", "/no/such/report", "--", "touch", made]).run().fails(
        125,
        "cg-run: open the report /no/such/report: openat2 /no/such/report: No such file or directory (ENOENT)",
    );
    cg_run(&["--report", "77", "--", "touch", made]).run().fails(125, "descriptor 77: fcntl: Bad file");
    Chain::shell(&format!("cg-run --no-cgroup --report 3 -- touch {made} 3</dev/null"))
        .run()
        .fails(125, "descriptor 3 is not open for writing");
    assert!(!file.exists());
    // Opened with the rights of the caller.
    let mine = folder.join("mine");
    fs::write(&mine, "old").unwrap();
    fs::set_permissions(&mine, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    if chainbox_tests::is_root() {
        cg_run(&["--report", mine.to_str().unwrap(), "--", "true"]).as_user().run().fails(125, "EACCES");
        assert_eq!(fs::read_to_string(&mine).unwrap(), "old");
    }
}

/// A report is of this run, or there is none: never that of the run before.
#[test]
fn a_run_that_could_not_begin_has_a_report_of_its_own() {
    let folder = Folder::new("cg-refused", true);
    let file = folder.join("report");
    let path = file.to_str().unwrap();
    let refused: [(&[&str], i32, &str); 3] = [
        (&["--no-cgroup", "--", "/no/such/program"], 127, "/no/such/program: "),
        (&["--no-cgroup", "--", "/etc/passwd"], 126, "/etc/passwd"),
        (&["--parent", "/no/such/cgroup", "--", "true"], 125, "/no/such/cgroup"),
    ];
    for (words, code, why) in refused {
        for format in ["json", "isolate"] {
            fs::write(&file, "the run before").unwrap();
            let format_option = format!("--report-format={format}");
            let ran = Chain::new("cg-run").args(["--report", path, &format_option]).args(words).run();
            assert_eq!(ran.code, code, "{ran:?}");
            let report = fs::read_to_string(&file).unwrap();
            let xx = if format == "json" { "\"verdict\":\"XX\"" } else { "status:XX\n" };
            assert!(report.contains(xx) && report.contains(why), "{words:?}: {report}");
        }
        // Only looked at: nothing is changed.
        fs::write(&file, "the run before").unwrap();
        let ran = Chain::new("cg-run").args(["--check", "--report", path]).args(words).run();
        assert_eq!((ran.code, fs::read_to_string(&file).unwrap().as_str()), (code, "the run before"), "{ran:?}");
    }
}

/// Whatever link fails, the report says that it was the sandbox, and what; a payload with the same exit status is itself.
#[test]
fn the_failure_of_any_link_is_the_sandboxs() {
    let box_of = "ns-unshare --user --mount --pid -- mount-plan --bind / / --proc /proc --";
    for (chain, why) in [
        ("rlimit-exec --nofile x -- true".to_owned(), "--nofile x"),
        ("ns-unshare --user --map-users 0:1:5 --map-groups 0:1:5 --pid -- true --user".to_owned(), ""),
        ("ns-unshare --user --pid -- /no/such/program".to_owned(), "/no/such/program: execve"),
        ("ns-unshare --user --mount --pid -- mount-plan --bind /nope /x -- true".to_owned(), "bind /nope on /x"),
        (format!("{box_of} /no/such/program"), "/no/such/program: execve"),
        (format!("{box_of} seccomp-exec --bpf /nope -- true"), "/nope"),
        ("cg-run --no-cgroup -- rlimit-exec -- /no/such/program".to_owned(), "/no/such/program: execve"),
    ] {
        let words: Vec<&str> = chain.split_whitespace().collect();
        if words.contains(&"0:1:5") && is_root() {
            continue;
        }
        let (ran, report) = reported(&[&["--"], &words[..]].concat());
        assert!(ran.code >= 125, "{chain}: {ran:?}");
        assert_eq!(report["verdict"], "XX", "{chain}: {report}");
        assert!(report["message"].as_str().unwrap().contains(why), "{chain}: {report}");
    }
    for code in [125, 126, 127] {
        let exit = format!("exit {code}");
        // It does not even know where it could say so.
        let say = format!("env | grep ^CHAIN_; for f in /proc/self/fd/*; do echo mine >&${{f##*/}}; done; {exit}");
        for payload in [&exit, &say] {
            let words: Vec<&str> =
                box_of.split_whitespace().chain(["seccomp-exec", "--", "bash", "-c", payload]).collect();
            let ran = Chain::new("cg-run").args(["--no-cgroup", "--status", "--"]).args(words).run();
            assert_eq!(ran.code, code, "{ran:?}");
            let status = format!("cg-run: RE: Exited with error status {code}\n");
            assert!(ran.err.ends_with(&status) && !ran.out.contains("CHAIN_"), "{ran:?}");
        }
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

/// Killed by the kernel, which tells nobody: no memory is left for the next link.
#[test]
fn a_link_that_is_killed_is_not_the_program() {
    let (ran, report) = reported(&["--", "rlimit-exec", "--as", "100K", "--", "rlimit-exec", "--", "true"]);
    assert!(ran.signal.is_some(), "{ran:?}");
    let message = "A link of the chain was killed before the program was executed";
    assert_eq!((&report["verdict"], &report["message"]), (&"XX".into(), &message.into()));
    let (ran, report) = reported(&["--", "rlimit-exec", "--as", "100K", "--", "sleep", "0"]);
    assert!(ran.signal.is_some() && report["verdict"] == "SG", "{ran:?} {report}");
}

#[test]
fn a_report_follows_no_link_and_waits_for_no_pipe() {
    let folder = Folder::new("cg-report-link", false);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("dir")).unwrap();
    symlink("dir", path("link")).unwrap();
    fs::write(path("old"), "old").unwrap();
    symlink("old", path("last")).unwrap();
    for (name, link) in [("link/new", "link"), ("last", "last")] {
        let ran = cg_run(&["--report", &path(name), "--", "touch", &path("made")]).run();
        ran.fails(125, &format!("openat2 {}: ", path(name)));
        let hint =
            format!("(ELOOP)\nhint: {} is a symbolic link, which is not followed: name what it leads to", path(link));
        assert!(ran.err.contains(&hint), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(path("old")).unwrap(), "old");
    for standard in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let ran = cg_run(&["--report", standard, "--", "touch", &path("made")]).run();
        ran.fails(125, "; an open descriptor is named by its number (standard output: 1)\n");
    }
    nix::unistd::mkfifo(path("pipe").as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let to_pipe = || cg_run(&["--report", &path("pipe"), "--", "touch", &path("made")]).run();
    to_pipe().fails(125, "(ENXIO)\nhint: nobody may ever read it: name a file");
    // With somebody who has it open and does not read.
    let reader = fs::File::options().read(true).write(true).open(path("pipe")).unwrap();
    to_pipe().fails(125, "/pipe: a pipe\nhint: nobody may ever read it: name a file");
    drop(reader);
    assert!(!Path::new(&path("made")).exists() && !Path::new(&path("dir/new")).exists());
    // An open one is the caller's affair.
    let line = format!("exec 3<>{}; cg-run --no-cgroup --report 3 -- true; head -n 1 <&3", path("pipe"));
    assert_eq!(json(&Chain::shell(&line).run().ok())["verdict"], "OK");
}

/// Another process exchanges the directory for a link to one that is not its own, all the time.
#[test]
fn a_report_is_never_written_behind_a_link() {
    let folder = Folder::new("cg-report-swap", false);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for name in ["shared", "shared/sub", "secret"] {
        fs::create_dir(path(name)).unwrap();
    }
    symlink(path("secret"), path("shared/evil")).unwrap();
    let (sub, evil, report) = (path("shared/sub"), path("shared/evil"), path("shared/sub/report"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut refused, mut written) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                renameat_with(CWD, &sub, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..200 {
            let ran = cg_run(&["--report", &report, "--", "true"]).run();
            if ran.code == 0 {
                written += 1;
            } else {
                ran.fails(125, "(ELOOP)\nhint: ");
                refused += 1;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(path("secret")).unwrap().count(), 0, "{written} written, {refused} refused");
    assert!(written > 0 && refused > 0, "both happened: {written} written, {refused} refused");
}

#[test]
fn a_report_that_is_lost_is_a_failure() {
    cg_run(&["--report", "/dev/full", "--", "true"])
        .run()
        .fails(125, "write the report: No space left on device (ENOSPC)");
}

#[test]
fn the_report_is_not_the_payloads() {
    let folder = Folder::new("cg-fd", false);
    let payload = "for n in $(seq 3 20); do [ -e /proc/self/fd/$n ] && echo $n; done; echo x >&3; echo y >&4";
    let line = format!(
        "exec 3>{0} 4>{0}.b; cg-run --no-cgroup --report 3 --keep-fd 4 -- sh -c \"$PAYLOAD\"",
        folder.join("r").display()
    );
    let ran = Chain::shell(&line).env("PAYLOAD", payload).run();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("4\n", "sh: 1: 3: Bad file descriptor\n"), "{ran:?}");
    assert_eq!(json(&fs::read_to_string(folder.join("r")).unwrap())["verdict"], "OK");
    assert_eq!(fs::read_to_string(folder.join("r.b")).unwrap(), "y\n");
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
    kill(Pid::from_raw(left[0].cast_signed()), Signal::SIGKILL).unwrap();
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
    left.iter().for_each(|pid| kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap());
    assert_eq!(left.len(), 1);
}
