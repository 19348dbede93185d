//! --pty and --new-session: a terminal of the box's own, or none; and what a box types never reaches the caller's shell.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use chainbox_tests::processes::children;
use chainbox_tests::screen::Screen;
use chainbox_tests::{Chain, Tier, is_root, skip, until};
use support::{Held, in_box, is_in, mark, ns_unshare, processes, signal, status};

fn users() -> impl Iterator<Item = bool> {
    [true, false].into_iter().filter(|user| *user || is_root())
}

const INNER: &str = "env PS1='inner> ' bash --norc --noprofile -i";

/// fg, bg, jobs, ctrl-C, ctrl-Z and the window in a shell on a terminal of its own.
#[test]
fn a_shell_on_its_own_terminal_has_job_control() {
    for user in users() {
        for options in ["-Up --pty", "-Upmniu --as-pid1 --pty"] {
            let (mark, mut screen) = (mark(1), Screen::shell(user));
            let modes = screen.modes();
            screen.say("tty", "outer> ");
            let outer = screen.say("tty", "outer> ");
            screen.say(&format!("cg-run --no-cgroup -- ns-unshare {options} -- {INNER}"), "inner> ");
            assert_ne!(screen.modes(), modes, "it is raw");
            assert_ne!(screen.say("tty", "inner> "), outer);
            let sleeps = || {
                let all = processes(&mark);
                let sleep = all.iter().find(|(_, line)| line.starts_with("sleep"))?.0;
                status(*sleep, "State").map(|text| text[..1].to_owned())
            };
            screen.line(&format!("sleep {mark}"));
            until("sleep runs", || (sleeps()? == "S").then_some(()));
            screen.keys("\x1a");
            screen.expect("Stopped");
            screen.expect("inner> ");
            assert_eq!(sleeps().unwrap(), "T");
            assert!(screen.say("bg; jobs", "inner> ").contains("Running"));
            screen.say("kill %1; wait", "inner> ");
            screen.line(&format!("sh -c 'trap \"echo go$((1))t it; exit 5\" INT; sleep {mark} & wait'"));
            until("sleep runs", || (sleeps()? == "S").then_some(()));
            screen.keys("\x03");
            screen.expect("go1t it");
            screen.expect("inner> ");
            assert_eq!(screen.say("stty size", "inner> "), "24 80\n");
            screen.resize(50, 132);
            until("it follows", || (screen.say("stty size", "inner> ") == "50 132\n").then_some(()));
            screen.say("exit 7", "outer> ");
            assert_eq!(screen.say("echo $?", "outer> "), "7\n");
            assert_eq!(screen.modes(), modes);
        }
    }
}

/// The job is stopped by a signal, and continued before the bridge has stopped too.
#[test]
fn a_bridge_that_is_continued_before_it_stops_goes_on() {
    if !is_root() {
        return skip(Tier::Root, "a_bridge_that_is_continued", "nobody else may trace ns-unshare");
    }
    let mut screen = Screen::shell(false);
    let script = "echo rea$((1))dy; read x; echo got $x";
    screen.line(&format!("cg-run --no-cgroup -- ns-unshare -Up --pty -- sh -c '{script}'"));
    screen.expect("rea1dy");
    let job = children(screen.pid())[0];
    // Below the two processes of cg-run and the process outside.
    let bridge = children(children(children(job)[0])[0])[0];
    let held = Held::at_next_mask(bridge);
    signal(-job, 20);
    screen.expect("Stopped");
    screen.expect("outer> ");
    until("the bridge is about to stop", || held.is_there().then_some(()));
    screen.line("fg");
    screen.expect("cg-run");
    until("the job is continued", || status(job, "State")?.starts_with('S').then_some(()));
    drop(held);
    // What is typed until then is dropped, as at every stop.
    until("the bridge carries again", || is_in(bridge, nix::libc::SYS_poll).then_some(()));
    screen.line("a line");
    screen.expect("got a line");
    screen.expect("outer> ");
}

/// Nobody could continue it.
#[test]
fn a_bridge_without_a_shell_is_not_stopped() {
    let chain = ns_unshare("-Up --pty -- sh -c").args(["echo rea$((1))dy; read x; echo got $x"]);
    let mut screen = Screen::start(&chain, true);
    screen.expect("rea1dy");
    let bridge = children(screen.pid())[0];
    signal(bridge, 20);
    // What was typed until then is dropped.
    until("it has dealt with it", || (status(bridge, "ShdPnd")? == "0".repeat(16)).then_some(()));
    screen.line("a line");
    screen.expect("got a line");
    assert!(screen.end().success());
}

#[test]
fn only_terminals_are_replaced_and_nothing_is_lost() {
    let mut screen = Screen::shell(true);
    let modes = screen.modes();
    assert_eq!(screen.say("echo hi | ns-unshare -Up --pty -- cat", "outer> "), "hi\n");
    assert_eq!(screen.say("ns-unshare -Up --pty -- seq 1 30000 | tail -1", "outer> "), "30000\n");
    let lines = screen.say("ns-unshare -Up --pty -- seq 1 30000", "outer> ");
    assert_eq!(lines.lines().count(), 30000);
    assert!(lines.ends_with("\n30000\n"));
    assert_eq!(screen.say("ns-unshare -Up --pty -- sh -c 'kill -9 $$'; echo $?", "outer> "), "Killed\n137\n");
    assert_eq!(screen.modes(), modes);
}

/// Keys that nobody reads do not keep output back, and the other way round.
#[test]
fn keys_and_output_do_not_wait_for_each_other() {
    let mut screen = Screen::shell(true);
    screen.line(
        "ns-unshare -Up --pty -- sh -c 'stty raw -echo; echo rea$((1))dy; sleep 2; seq 1 20000; head -c 20000 | wc -c'",
    );
    screen.expect("rea1dy");
    (0..20).for_each(|_| screen.keys(&"x".repeat(1000)));
    screen.expect("\n20000");
    screen.expect("20000");
    screen.expect("outer> ");
}

/// With a page at address 0 (personality(2), which root may have) the byte that is asked for would be there, and typed.
#[test]
fn who_asks_whether_one_can_type_types_nothing() {
    if !is_root() {
        return skip(Tier::Root, "who_asks_whether_one_can_type", "the page at address 0 is for root");
    }
    let mut screen = Screen::shell(false);
    for chain in [
        "ns-unshare -Upm",
        "ns-unshare -pm -- rlimit-exec --core 0",
        "ns-unshare -pm -- seccomp-exec --filter no-setuid",
    ] {
        let said = screen.say(&format!("setarch -Z {chain} -- true; timeout 0.2 cat -v"), "outer> ");
        assert_eq!(said.matches("warning: the program can type").count(), 1, "{chain}: {said:?}");
        assert!(!said.contains("^@"), "{chain}: {said:?}");
    }
}

/// Whoever of the two is killed, the other sets the terminal as it was.
#[test]
fn the_terminal_is_set_back_also_after_a_kill() {
    for user in users() {
        for (which, number) in [("link", 9), ("link", 15), ("bridge", 9)] {
            let mark = mark(2);
            // A caller without job control, which sets no terminal itself.
            let script = format!(
                "echo go; read go; ns-unshare -Up --pty -- sh -c \"echo ready; exec sleep {mark}\"; echo status $?; sleep 1000"
            );
            let mut screen = Screen::start(&Chain::shell(&script), user);
            screen.expect("go");
            let modes = screen.modes();
            screen.keys("\r");
            screen.expect("ready");
            assert_ne!(screen.modes(), modes);
            let link = children(screen.pid())[0];
            // The bridge was started before the box.
            let bridge = children(link)[0];
            signal(if which == "link" { link } else { bridge }, number);
            let code = if which == "bridge" { 1 } else { number };
            screen.expect(&format!("status {}", 128 + code));
            until(&format!("{which} {number}"), || (screen.modes() == modes).then_some(()));
            until("the box has ended", || {
                processes(&format!("sleep {mark}")).keys().all(|pid| *pid == screen.pid()).then_some(())
            });
        }
    }
}

#[test]
fn without_a_terminal_there_is_none_to_bridge() {
    let ran = Chain::program("setsid").args(["--wait", "ns-unshare", "-Up", "--pty", "--", "true"]).run();
    ran.fails(125, "ns-unshare: --pty: the caller has no terminal");
    let ran = Chain::program("setsid").args(["--wait", "ns-unshare", "-Up", "--new-session", "--", "true"]).run();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    ns_unshare("-Up --pty --new-session -- true").run().fails(125, "--pty and --new-session exclude each other");
}

/// ctrl-C and the window's size come by the process outside, to all of the program's group.
#[test]
fn a_session_without_a_terminal_hears_of_it() {
    for user in users() {
        let mut screen = Screen::shell(user);
        let script =
            "trap \"echo win$((1))dow\" WINCH; ps -o sid= -p $$; echo rea$((1))dy; while sleep 0.1; do :; done";
        screen
            .line(&format!("ns-unshare -Upm --new-session -- mount-plan --bind / / --proc /proc -- sh -c '{script}'"));
        assert!(screen.expect("rea1dy").trim().ends_with('2'));
        screen.resize(30, 90);
        screen.expect("win1dow");
        screen.keys("\x03");
        screen.expect("outer> ");
        assert_eq!(screen.say("echo $?", "outer> "), "130\n");
    }
}

/// A command line whose program types a command into whatever terminal it can, and leaves it there.
fn typing(chain: &str) -> String {
    // Each letter by TIOCSTI, on each descriptor and on the controlling terminal.
    let perl = "perl -e \"open T, q(+<), q(/dev/tty); for \\$f (*STDIN, *STDOUT, *STDERR, *T) { ioctl(\\$f, 0x5412, \\$x = \\$_) \
                for split //, qq(expr 40 + 2\\\\n) }\"";
    format!("{chain} -- sh -c '{perl} 2>/dev/null; echo type$((1))d'")
}

/// CVE-2017-5226 and its kind, for each way of having a terminal. The first is what happens without a guard, and is
/// said.
#[test]
fn what_a_box_types_stays_in_it() {
    let kernel = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").unwrap_or("1".to_owned());
    if kernel.trim() != "1" {
        return skip(Tier::Root, "what_a_box_types_stays_in_it", "dev.tty.legacy_tiocsti is 0");
    }
    for user in users() {
        let mut screen = Screen::shell(user);
        screen.line(&typing("ns-unshare -Upm"));
        assert!(screen.expect("type1d").contains("warning: the program can type into this terminal (TIOCSTI)"));
        screen.expect("\r\n42\r\n");
        for chain in [
            "ns-unshare -Upm --foreground",
            "ns-unshare -Upm --new-session",
            "ns-unshare -Upm --pty",
            "ns-unshare -Upm -- seccomp-exec --filter tty-guard",
            "ns-unshare -Upm --foreground -- seccomp-exec --filter default",
            "ns-unshare -Upm --foreground -- seccomp-exec --log --filter default",
            "ns-unshare -Upm --foreground -- rlimit-exec --core 0 -- seccomp-exec --filter no-setuid",
            "ns-unshare -Upm --foreground -- seccomp-exec --filter no-setuid -- rlimit-exec --core 0",
            "ns-unshare -Upm --foreground -- seccomp-exec",
            "ns-unshare -Upm --foreground -- mount-plan --preset host-ro --dev /dev",
            "ns-unshare -Upm --foreground -- rlimit-exec --core 0 -- seccomp-exec --filter no-setuid --filter tty-guard",
            "ns-unshare -Upm --foreground --as-pid1 -- mount-plan --preset host-ro --dev /dev -- seccomp-exec --filter judge",
            "ns-unshare -Upm --pty -- seccomp-exec --filter default",
        ] {
            let mut screen = Screen::shell(user);
            screen.line(&typing(chain));
            let said = screen.expect("type1d");
            let open = chain.contains("--foreground")
                && !["default", "tty-guard", "judge"]
                    .iter()
                    .any(|guard| chain.ends_with(guard) && !chain.contains("--log"));
            assert_eq!(said.matches("warning: the program can type").count(), usize::from(open), "{chain}: {said}");
            screen.expect("outer> ");
            let rest = screen.rest();
            assert!(!rest.contains("42"), "{chain}: {rest:?}");
        }
    }
}

#[test]
fn who_shares_more_than_the_terminal_is_not_warned() {
    let mut screen = Screen::shell(true);
    for chain in [
        "ns-unshare -Um",
        "ns-unshare -Up",
        "ns-unshare -n -U",
        "seccomp-exec --filter tty-guard -- ns-unshare -Upm -c",
    ] {
        let said = screen.say(&format!("{chain} -- echo don$((1))e"), "outer> ");
        assert_eq!(said, "don1e\n", "{chain}");
    }
    let none = in_box("-Upm", "echo none").within("setsid", &["--wait"]).run();
    assert_eq!((none.out.as_str(), none.err.as_str()), ("none\n", ""));
}

/// Makes each other process that it sees type a line into the terminal on its standard input (ptrace(2) on x86_64: registers
/// as in sys/user.h, and the system call instruction that the process stands behind is executed once more).
const THIEF: &str = r"perl -e '
    sub ptrace { syscall 101, @_ }
    for (;;) {
        for $pid (grep { $_ > 1 && $_ != $$ } map { m{/proc/(\d+)$} } glob q(/proc/[0-9]*)) {
            next if ptrace(16, $pid, 0, 0);
            waitpid $pid, 0x40000000;
            ptrace(12, $pid, 0, $registers = q( ) x 216);
            @was = unpack q(Q27), $registers;
            for (split //, qq(echo \$((40+2))typed\n)) {
                ptrace(4, $pid, $was[19] - 512, ord);
                @now = @was;
                @now[10, 14, 13, 12, 15, 16] = (16, 0, 0x5412, $was[19] - 512, -1, $was[16] - 2);
                ptrace(13, $pid, 0, pack q(Q27), @now);
                ptrace(9, $pid, 0, 0);
                waitpid $pid, 0x40000000;
            }
            ptrace(17, $pid, 0, 9);
        }
        select undef, undef, undef, 0.02
    }'";

/// No filter of the box binds who joins it, and the box can make him do what he may: type into his terminal.
#[test]
fn who_joins_a_hostile_box_has_no_terminal_for_it() {
    let zero =
        |file: &str| std::fs::read_to_string(format!("/proc/sys/{file}")).map_or(None, |text| Some(text.trim() == "0"));
    if zero("dev/tty/legacy_tiocsti") == Some(true) || zero("kernel/yama/ptrace_scope") == Some(false) {
        let reason = "this kernel lets nobody type (dev.tty.legacy_tiocsti), or trace (kernel.yama.ptrace_scope)";
        return skip(Tier::Kernel, "who_joins_a_hostile_box_has_no_terminal_for_it", reason);
    }
    for user in users() {
        let (mark, mut screen) = (mark(9), Screen::shell(user));
        let thief = ns_unshare(
            "-Upm --new-session -- mount-plan --preset host-ro --dev /dev --proc /proc -o ro -- seccomp-exec --filter default -- sh -c",
        );
        let thief = thief.args([&format!("exec {THIEF} {mark}")]);
        let mut thief = if user { thief.as_user() } else { thief };
        let mut thief = thief.command().spawn().unwrap();
        let main = until("it waits", || processes(&mark).into_iter().find(|(_, line)| line.starts_with("perl"))).0;
        let mut join = |option: &str| {
            screen.line(&format!("ns-unshare {option} --join-all {main} -- sleep 2; echo e$((1))d"));
            screen.expect("e1d") + &screen.rest()
        };
        // What is typed into a terminal of its own is shown, or he is killed before that: the box had him.
        let had = ["40+2", "Killed"];
        for (option, words) in
            [("", ["could type into this terminal"].as_slice()), ("--pty", &had), ("--new-session", &[""])]
        {
            let seen = join(option);
            assert!(!seen.contains("42typed"), "{option}: {seen}");
            assert!(words.iter().any(|words| seen.contains(words)), "{option}: {seen}");
        }
        thief.kill().unwrap();
        thief.wait().unwrap();
    }
}
