//! How a run ends: status, meta file, exit code, and the sandbox's own failures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use chainbox_tests::wait_for;

use crate::{Judge, everybody, value};

#[test]
fn the_meta_file_the_status_line_and_the_exit_code_say_how_it_ended() {
    everybody("report", |judge| {
        judge.init();
        for (options, line, status, message, code) in [
            ("", "exit 0", None, None, 0),
            ("", "exit 3", Some("RE"), Some("Exited with error status 3"), 1),
            ("", "exit 125", Some("RE"), Some("Exited with error status 125"), 1),
            ("", "kill -SEGV $$", Some("SG"), Some("Caught fatal signal 11"), 1),
            ("-f 4", "exec cat /dev/zero >f", Some("SG"), Some("Caught fatal signal 25"), 1),
            ("-t 1 -w 60", "while :; do :; done", Some("TO"), Some("Time limit exceeded"), 1),
            ("-t 1 -x 0.4 -w 60", "while :; do :; done", Some("TO"), Some("Time limit exceeded"), 1),
            ("-w 2", "sleep 60", Some("TO"), Some("Time limit exceeded (wall clock)"), 1),
        ] {
            let (meta, ran) = judge.meta(options, line);
            assert_eq!((value(&meta, "status"), value(&meta, "message")), (status, message), "{line}: {meta}");
            assert_eq!(ran.code, code, "{ran:?}");
            let said = ran.err.lines().last().unwrap();
            match message {
                Some(message) => assert_eq!(said, message),
                None => assert!(said.starts_with("OK (0.") && said.ends_with(" sec wall)"), "{said}"),
            }
            let ended = [value(&meta, "exitcode"), value(&meta, "exitsig")];
            let own = [line.strip_prefix("exit "), message.and_then(|text| text.strip_prefix("Caught fatal signal "))];
            assert_eq!(ended, own, "{line}: {meta}");
            assert_eq!(value(&meta, "killed"), (status == Some("TO")).then_some("1"), "{line}: {meta}");
            for key in ["time", "time-wall"] {
                let (whole, fraction) = value(&meta, key).unwrap().split_once('.').unwrap();
                assert!(whole.parse::<u32>().is_ok() && fraction.len() == 3, "{meta}");
            }
            for key in ["max-rss", "csw-voluntary", "csw-forced"] {
                assert!(value(&meta, key).unwrap().parse::<u64>().is_ok(), "{meta}");
            }
        }
        let (meta, _) = judge.meta("-t 0.2 -x 0.5", "while :; do :; done");
        assert!(value(&meta, "time").unwrap().parse::<f64>().unwrap() >= 0.5, "{meta}");
    });
}

#[test]
fn who_asks_for_silence_gets_it_and_who_asks_for_more_too() {
    everybody("silent", |judge| {
        judge.init();
        assert_eq!(judge.shell("--silent", "exit 3").err, "");
        assert!(judge.shell("", "exit 0").err.starts_with("OK (0."));
        assert!(judge.shell("-v", "exit 0").err.contains("wait for its end"));
        let most = judge.shell("-vv", "exit 0").err;
        assert!(most.contains("bind /usr on /usr") && most.contains("attach filter no-covert"), "{most}");
        let printed = judge.shell("--meta=-", "echo out").out;
        assert!(printed.starts_with("out\ntime:0.") && printed.ends_with("exitcode:0\n"), "{printed}");
    });
}

/// Whatever the caller ignores, as Python does: who writes too much hears of it.
#[test]
fn a_limit_of_file_size_ends_the_program() {
    everybody("fsize", |judge| {
        judge.init();
        let isolate = judge.folder.join("isolate").display().to_string();
        let line =
            format!("trap '' XFSZ; exec {isolate} -f 4 -M meta --run -- /bin/dd if=/dev/zero of=f bs=10000 count=1");
        let chain = chainbox_tests::Chain::program("/bin/sh").args(["-c", &line]).at(judge.folder.path());
        let chain = chain.env("ISOLATE_CONFIG", judge.folder.join("conf"));
        let ran = if judge.user { chain.as_user().run() } else { chain.run() };
        assert!(ran.code == 1 && ran.err.ends_with("Caught fatal signal 25\n"), "{ran:?}");
    });
}

/// A program that cannot be executed has failed itself.
#[test]
fn what_is_not_found_is_the_programs_own_fault() {
    everybody("missing", |judge| {
        let inner = judge.init();
        fs::write(inner.join("text"), "no program\n").unwrap();
        for (program, why) in [
            ("nowhere", "No such file or directory"),
            ("/nowhere", "No such file or directory"),
            ("true", "No such file or directory"),
            ("text", "Permission denied"),
            ("/usr", "Permission denied"),
        ] {
            let ran = judge.run(&format!("-M meta --stderr=err --run -- {program}"));
            assert_eq!((ran.code, ran.err.as_str()), (1, "Exited with error status 127\n"), "{program}");
            let meta = fs::read_to_string(judge.folder.join("meta")).unwrap();
            assert_eq!((value(&meta, "status"), value(&meta, "exitcode")), (Some("RE"), Some("127")), "{meta}");
            assert_eq!(fs::read_to_string(inner.join("err")).unwrap(), format!("execve(\"{program}\"): {why}\n"));
        }
        fs::copy("/bin/true", inner.join("true")).unwrap();
        judge.run("--run true").ok();
        judge.run("--run ./true").ok();
    });
}

/// Whatever link fails, before or behind the one that watches: it is not the program.
#[test]
fn the_sandboxs_failure_is_xx_and_2() {
    everybody("failures", |judge| {
        judge.init();
        fs::write(judge.folder.join("locks/1"), "rubbish").unwrap();
        fs::set_permissions(judge.folder.join("locks/1"), fs::Permissions::from_mode(0o666)).unwrap();
        for (options, said) in [
            ("--box-id=1", "not the lock of a box"),
            ("--box-id=70000", "not a number from 0 to"),
            ("--dir=/nowhere", "No such file or directory"),
            ("--dir=/usr/nowhere=/bin", "/usr/nowhere"),
            ("--stdin=nowhere", "standard input: openat2 /box/nowhere: No such file or directory (ENOENT)"),
            ("--stdout=/usr/nowhere", "Read-only file system (EROFS)"),
            ("--chdir=/nowhere", "/nowhere"),
            ("--cg", "both have it, or none"),
            ("--time=nonsense", "not a time in seconds"),
            ("--no-such-option", "unknown option"),
        ] {
            judge.meta("", "exit 0");
            let (meta, ran) = judge.meta(options, "exit 0");
            assert_eq!((ran.code, value(&meta, "status")), (2, Some("XX")), "{options}: {ran:?}: {meta}");
            assert!(meta.contains(said) && ran.err.contains(said), "{options}: {ran:?}: {meta}");
            assert_eq!(value(&meta, "exitcode"), None, "{options}: {meta}");
        }
    });
}

#[test]
fn who_asks_the_run_to_end_ends_it() {
    everybody("signals", |judge| {
        let inner = judge.init();
        for signal in ["TERM", "INT", "HUP", "QUIT"] {
            let words = ["-M", "meta", "-p", "--run", "--", "/bin/sh", "-c", "echo >started; exec sleep 60"];
            let mut run = judge.isolate(words);
            let child = run.command().stderr(Stdio::piped()).spawn().unwrap();
            wait_for("the program to be there", || inner.join("started").exists());
            let pid = child.id().to_string();
            std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
            let output = child.wait_with_output().unwrap();
            let meta = fs::read_to_string(judge.folder.join("meta")).unwrap();
            assert_eq!(
                (value(&meta, "status"), value(&meta, "message")),
                (Some("SG"), Some("Interrupted")),
                "{signal}: {meta}"
            );
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            fs::remove_file(inner.join("started")).unwrap();
        }
    });
}

/// A killed run frees the box, and nothing of it goes on.
#[test]
fn a_run_that_is_killed_leaves_the_box_to_the_next() {
    everybody("killed", |judge: &Judge| {
        let inner = judge.init();
        let mut run = judge.isolate(["-p", "--run", "--", "/bin/sh", "-c", "echo >started; exec sleep 60"]);
        let mut child = run.command().stderr(Stdio::null()).spawn().unwrap();
        wait_for("the program to be there", || inner.join("started").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("the box to be free", || judge.shell("", "rm started").code == 0);
        judge.run("--cleanup").ok();
    });
}

/// A run can leave a link where the next report is to be written, or a pipe that nobody reads.
#[test]
fn the_report_follows_no_link_of_the_boxs_and_waits_for_no_reader() {
    everybody("link", |judge| {
        let (inner, outside) = (judge.init(), judge.folder.join("outside"));
        fs::write(&outside, "stays").unwrap();
        judge.shell("--special-files", &format!("ln -s {} meta; mkfifo pipe", outside.display())).ok();
        let ran = judge.run(&format!("--special-files --meta={} --run /bin/true", inner.join("meta").display()));
        ran.fails(2, "is a symbolic link, which is not followed: name what it leads to");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "stays");
        let ran = judge.run(&format!("--special-files --meta={} --run /bin/true", inner.join("pipe").display()));
        ran.fails(2, "nobody may ever read it: name a file");
    });
}

#[test]
fn pages_and_bad_words() {
    everybody("words", |judge| {
        assert!(judge.run("--version").ok().starts_with("The process isolator "));
        let help = judge.run("--help");
        assert!(help.code == 2 && help.out.starts_with("Usage: isolate ") && help.out.contains("--stderr-to-stdout"));
        for (line, said) in [
            ("", "--init, --run or --cleanup?"),
            ("--init --cleanup", "one of --init, --run and --cleanup"),
            ("--run", "--run: which program?"),
            ("--box-id=-1 --init", "not a number"),
            ("--as-uid=5 --init", "--as-uid and --as-gid need each other"),
            ("--no-such --run /bin/true", "unknown option --no-such"),
        ] {
            let ran = judge.run(line);
            ran.fails(2, said);
            assert!(ran.err.starts_with("isolate: ") && ran.err.lines().count() == 1, "{ran:?}");
        }
        if judge.user {
            judge.run("--as-uid=5 --as-gid=5 --init").fails(2, "only root acts for others");
        }
    });
}
