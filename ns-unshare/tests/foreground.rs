//! --foreground: a process group of its own, job control in the box and of the box, a terminal that is as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use chainbox_tests::processes::children;
use chainbox_tests::screen::Screen;
use chainbox_tests::{Chain, is_root, until};
use support::{Held, mark, processes, signal, status};

/// Runs as an ordinary user and, where the test is root's, as root.
fn users() -> impl Iterator<Item = bool> {
    [true, false].into_iter().filter(|user| *user || is_root())
}

/// A line run by a shell that is the caller of it, in a process group and session of its own.
fn called(line: &str) -> Chain {
    Chain::program("setsid").args(["--wait", "sh", "-c", line])
}

/// Without it, both reach the caller too: what the test would show if it proved nothing.
#[test]
fn what_a_program_does_to_its_group_reaches_only_the_box() {
    let line = |options: &str, act: &str| {
        let chain = format!("cg-run --no-cgroup --wall-time 20 -- ns-unshare -Up {options} -- sh -c '{act}; exit 9'");
        called(&format!("trap 'echo caller got it' USR1; {chain}; echo $? nice $(nice)"))
    };
    let own: i32 = Chain::program("nice").run().ok().trim().parse().unwrap();
    let (more, renice) = (own + 2, format!("renice -n {} -g 0 >/dev/null 2>&1", own + 2));
    for user in users() {
        let ran = |options: &str, act: &str| {
            let chain = line(options, act);
            if user { chain.as_user() } else { chain }.run()
        };
        assert_eq!(ran("--foreground", "kill -KILL 0").out, format!("137 nice {own}\n"));
        assert_eq!(ran("", "kill -KILL 0").signal, Some(9));
        let out = ran("--foreground", "trap : USR1; kill -USR1 0").out;
        assert_eq!(out, format!("9 nice {own}\n"));
        assert!(ran("", "trap : USR1; kill -USR1 0").out.contains("caller got it"));
        let out = ran("--foreground", &format!("{renice}; test $(nice) = {more}")).out;
        assert_eq!(out, format!("9 nice {own}\n"));
        // Root's other processes have capabilities, and so only those may change them that have them too.
        let nice = if user { more } else { own };
        assert_eq!(ran("", &renice).out, format!("9 nice {nice}\n"));
    }
}

/// A program that stops its group does not stop the clock outside.
#[test]
fn a_program_that_stops_its_group_is_still_timed() {
    for options in ["-Up --foreground", "-Up --as-pid1 --foreground"] {
        let line = format!(
            "cg-run --no-cgroup --wall-time 1 --status -- ns-unshare {options} -- sh -c 'sh -c \"kill -STOP 0\"; sleep 1000'"
        );
        let ran = called(&format!("{line}; echo $?")).as_user().run();
        assert_eq!(ran.out, "137\n");
        assert!(ran.err.contains("TO: Time limit exceeded (wall clock)"), "{ran:?}");
    }
}

#[test]
fn signals_to_the_caller_s_group_reach_the_program_once() {
    let script = "trap 'echo got it' USR1; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; exit 3";
    let reader = "{ trap : USR1; read x; kill -USR1 0; cat; }";
    let line = format!("trap : USR1; ns-unshare -Up --foreground -- sh -c \"{script}\" | {reader}");
    assert_eq!(called(&line).as_user().run().out, "got it\n");
}

#[test]
fn it_needs_an_init_that_passes_signals_on() {
    support::ns_unshare("-U --foreground -- true").run().fails(125, "--foreground needs --pid");
    let ran = support::ns_unshare("-Up --foreground --no-forward -- true").run();
    ran.fails(125, "--foreground and --no-forward exclude each other");
}

const INNER: &str = "env PS1='inner> ' bash --norc --noprofile -i";

/// fg, bg, jobs, ctrl-C and ctrl-Z in a shell that runs in a box; the window; then the outer shell's terminal.
#[test]
fn a_shell_in_a_box_has_job_control() {
    for user in users() {
        for options in ["-Up --foreground", "-Upmniu --as-pid1 --foreground"] {
            let (mark, mut screen) = (mark(2), Screen::shell(user));
            let (modes, group) = (screen.modes(), screen.foreground());
            screen.say(&format!("ns-unshare {options} -- {INNER}"), "inner> ");
            assert_ne!(screen.foreground(), group);
            screen.line(&format!("sleep {mark}"));
            until("sleep has the terminal", || (states(&mark) == "S").then_some(()));
            screen.keys("\x1a");
            screen.expect("Stopped");
            screen.expect("inner> ");
            assert!(screen.say("jobs", "inner> ").contains("Stopped"));
            assert!(screen.say("bg", "inner> ").contains(&format!("sleep {mark} &")));
            screen.line("fg");
            until("sleep has it again", || (sleeping(&mark) == [screen.foreground()]).then_some(()));
            screen.keys("\x03");
            screen.expect("inner> ");
            assert_eq!(screen.say("jobs; stty size", "inner> "), "24 80\n");
            screen.resize(50, 132);
            assert_eq!(screen.say("stty size", "inner> "), "50 132\n");
            screen.say("exit 7", "outer> ");
            assert_eq!(screen.say("echo $?", "outer> "), "7\n");
            assert_eq!((screen.modes(), screen.foreground()), (modes, group));
        }
    }
}

/// The processes of the box that sleep.
fn sleeping(mark: &str) -> Vec<i32> {
    processes(mark).into_iter().filter(|(_, line)| line.starts_with("sleep")).map(|(pid, _)| pid).collect()
}

/// The state of each of them: one letter.
fn states(mark: &str) -> String {
    sleeping(mark).iter().filter_map(|pid| status(*pid, "State")).map(|text| text[..1].to_owned()).collect()
}

/// What ctrl-Z does to a box: all of it stops, what is in sessions of its own too, and the terminal is the caller's.
#[test]
fn ctrl_z_stops_the_whole_box() {
    for user in users() {
        let mark = mark(1);
        let mut screen = Screen::shell(user);
        let (modes, group) = (screen.modes(), screen.foreground());
        let script =
            format!("stty -echo -icanon; setsid sleep {mark} & sleep {mark} & sleep {mark}; echo ended $((3 + 4))");
        screen.line(&format!("cg-run --no-cgroup -- ns-unshare -Up --foreground -- sh -c '{script}'"));
        until("three run", || (states(&mark) == "SSS").then_some(()));
        let raw = screen.modes();
        assert_ne!(raw, modes);
        screen.keys("\x1a");
        screen.expect("Stopped");
        screen.expect("outer> ");
        until("all are stopped", || (states(&mark) == "TTT").then_some(()));
        assert_eq!(screen.foreground(), group);
        let job = screen.say("stty -a | grep -o -e '-*icanon' -e '-*echo '; jobs", "outer> ");
        assert!(job.contains("\necho") && job.contains("Stopped"), "{job}");
        screen.say("bg", "outer> ");
        until("they run again", || (states(&mark) == "SSS").then_some(()));
        assert_eq!(screen.foreground(), group);
        screen.line("fg");
        until("the job has the terminal", || (screen.foreground() != group).then_some(()));
        screen.keys("\x1a");
        screen.expect("Stopped");
        screen.line("fg");
        until("it has the terminal again", || (screen.foreground() != group).then_some(()));
        sleeping(&mark).iter().for_each(|pid| signal(*pid, 15));
        screen.expect("ended 7");
        screen.expect("outer> ");
        assert_eq!((screen.modes(), screen.foreground()), (modes, group));
    }
}

/// A link above stops by the same ctrl-Z, so the shell prompts before ns-unshare has stopped too. What is typed then, and
/// continues the job, must not be forgotten, however late ns-unshare is.
#[test]
fn a_job_that_is_continued_while_it_stops_is_continued() {
    if !is_root() {
        return chainbox_tests::skip(
            chainbox_tests::Tier::Root,
            "a_job_that_is_continued",
            "nobody else may trace ns-unshare",
        );
    }
    let (mark, mut screen) = (mark(3), Screen::shell(false));
    screen.line(&format!(
        "cg-run --no-cgroup -- ns-unshare -Up --foreground -- sh -c 'sleep {mark}; echo ended $((3 + 4))'"
    ));
    until("it runs", || (states(&mark) == "S").then_some(()));
    // Below the two processes of cg-run.
    let link = children(children(children(screen.pid())[0])[0])[0];
    screen.keys("\x1a");
    screen.expect("Stopped");
    screen.expect("outer> ");
    screen.say("bg", "outer> ");
    until("it runs without the terminal", || (states(&mark) == "S").then_some(()));
    // Now the terminal is the job's own, not yet the box's, and ctrl-Z stops cg-run at once.
    screen.line("fg");
    until("the job has the terminal", || (screen.foreground() == children(screen.pid())[0]).then_some(()));
    let held = Held::at_next_mask(link);
    screen.keys("\x1a");
    screen.expect("Stopped");
    screen.expect("outer> ");
    until("the box has stopped, and ns-unshare is about to", || {
        (states(&mark) == "T" && held.is_there()).then_some(())
    });
    screen.line("fg");
    until("it is continued", || status(link, "ShdPnd")?.ends_with("20000").then_some(()));
    drop(held);
    until("the box runs", || (states(&mark) == "S").then_some(()));
    sleeping(&mark).iter().for_each(|pid| signal(*pid, 15));
    screen.expect("ended 7");
    screen.expect("outer> ");
}

/// A box that was started in the background and wants to read; a program that sets the terminal and is killed.
#[test]
fn the_background_and_the_end() {
    let mut screen = Screen::shell(true);
    let (modes, group) = (screen.modes(), screen.foreground());
    screen
        .say("ns-unshare -Up --foreground -- sh -c 'read x; echo got $x; stty -echo -icanon; kill -9 $$' &", "outer> ");
    until("it is stopped", || screen.say("jobs", "outer> ").contains("Stopped").then_some(()));
    assert_eq!(screen.foreground(), group);
    screen.line("fg");
    screen.expect("kill -9");
    screen.line("a line");
    screen.expect("got a line");
    screen.expect("Killed");
    screen.expect("outer> ");
    assert_eq!((screen.modes(), screen.foreground()), (modes, group));
}

/// Output stopped by TCOOFF, exclusive use, a line discipline that knows nothing (N_NULL, where the kernel has it).
#[test]
fn a_terminal_that_the_box_has_blocked_is_usable_again() {
    let acts = ["0x540a, 0", "0x540c, 0", "0x5423, pack('i', 27)"];
    for (user, act) in users().flat_map(|user| acts.map(|act| (user, act))) {
        for end in ["true", "kill -STOP $$"] {
            let mut screen = Screen::shell(user);
            let modes = screen.modes();
            let script = format!("perl -e \"ioctl(STDIN, {act})\"; {end}");
            screen.line(&format!("ns-unshare -Up --foreground -- sh -c '{}'", script.replace('\'', "'\\''")));
            screen.expect(if end == "true" { "outer> " } else { "Stopped" });
            screen.line("sh -c 'read x </dev/tty; echo got $((x + 2))'");
            screen.line("40");
            screen.expect("got 42");
            screen.expect("outer> ");
            assert_eq!(screen.modes(), modes);
        }
    }
}

/// The link is killed: nobody is left who could set the terminal, and a shell with job control does it itself.
#[test]
fn a_shell_takes_the_terminal_back_from_a_killed_link() {
    for user in users() {
        let mut screen = Screen::shell(user);
        let (modes, group) = (screen.modes(), screen.foreground());
        screen.line("ns-unshare -Up --foreground -- sh -c 'stty -echo -icanon; echo rea$((1))dy; sleep 1000'");
        screen.expect("rea1dy");
        signal(children(screen.pid())[0], 9);
        screen.expect("Killed");
        screen.expect("outer> ");
        assert_eq!(screen.say("echo it is $((1 + 1))", "outer> "), "it is 2\n");
        assert_eq!(screen.foreground(), group);
        assert_eq!(screen.modes(), modes);
    }
}

/// Nobody could continue a job whose shell is not there: it is not stopped.
#[test]
fn a_box_that_nobody_could_continue_is_not_stopped() {
    // Not by sh: where that is dash, it can be caught between vfork(2) and exec, where no signal stops it.
    let script = "echo rea$((1))dy; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; echo $((6 * 7))";
    let chain = support::ns_unshare("-Up --foreground -- bash -c").args([script]);
    let mut screen = Screen::start(&chain, true);
    screen.expect("rea1dy");
    screen.keys("\x1a");
    screen.expect("42");
    assert!(screen.end().success());
}

/// The box types a command for the caller's shell, and leaves it unread.
#[test]
fn what_the_box_typed_is_not_the_shell_s() {
    let kernel = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").unwrap_or("1".to_owned());
    if kernel.trim() != "1" {
        return chainbox_tests::skip(chainbox_tests::Tier::Root, "what_the_box_typed", "this kernel has no TIOCSTI");
    }
    let inject =
        |end: &str| format!("perl -e 'ioctl(STDIN, 0x5412, $x = $_) or die for split //, qq(expr 40 + 2\\n)'; {end}");
    for user in users() {
        let mut screen = Screen::shell(user);
        screen.line(&inject("true"));
        screen.expect("\r\n42\r\n");
        screen.expect("outer> ");
        // Filters that do not mind, one that only looks as if it did, and a program that talks of one.
        for (link, words) in [
            ("", ""),
            ("seccomp-exec --filter no-setuid --", ""),
            ("seccomp-exec --log --filter default --", ""),
            ("", "seccomp-exec --filter default -- x"),
        ] {
            let typed = inject("echo type$((1))d").replace('\'', "'\\''");
            screen.line(&format!("ns-unshare -Up --foreground -- {link} sh -c '{typed}' {words}"));
            screen.expect("type1d");
            screen.expect("outer> ");
            assert!(!screen.rest().contains("42"), "{link}, {words}");
        }
        let typed = inject("echo type$((1))d; kill -STOP $$").replace('\'', "'\\''");
        screen.line(&format!("ns-unshare -Up --foreground -- sh -c '{typed}'"));
        screen.expect("type1d");
        screen.expect("Stopped");
        assert!(!screen.rest().contains("42"));
    }
}
