//! What is said of a run: verdict, numbers, and where the report goes. In the form that needs no cgroup.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use chainbox_tests::{Chain, Folder, is_root};
use common::{cg_run, json, reported};

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
