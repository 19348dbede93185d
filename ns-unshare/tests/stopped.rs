//! A signal that asks to end ends a box that is stopped, too: natively a stopped process hears of it when it is continued,
//! and whoever has to pass the signal on has to continue as well.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;

use chainbox_tests::processes::children;
use chainbox_tests::screen::Screen;
use chainbox_tests::{Chain, Folder, is_root, until};
use nix::libc::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SYS_sendto};
use support::{Held, is_in, mark, pid, processes, signal, spawn, status};

/// The program of the box, a shell that has the mark as its last word.
fn program(mark: &str) -> Option<i32> {
    let is_it = |line: &str| line.starts_with("sh -c") && line.ends_with(&format!("{mark} "));
    processes(mark).into_iter().find(|(_, line)| is_it(line)).map(|(pid, _)| pid)
}

/// The same when it is stopped.
fn stopped(mark: &str) -> i32 {
    let has_stopped = |pid: &i32| status(*pid, "State").is_some_and(|state| state.starts_with('T'));
    until("it is stopped", || program(mark).filter(has_stopped))
}

#[test]
fn a_signal_that_ends_ends_a_stopped_program() {
    let links = [
        "ns-unshare -Up --",
        "ns-unshare -Up --as-pid1 --",
        "ns-unshare -Up --new-session --",
        "ns-unshare -Up --foreground --",
        "ns-unshare -U --wait-fd 0 --",
        "cg-run --no-cgroup --",
        "cg-run --no-cgroup -- ns-unshare -Up --",
    ];
    // The line that --wait-fd waits for.
    let folder = Folder::new("stopped", true);
    let go_on = folder.join("go-on");
    fs::write(&go_on, "\n").unwrap();
    for (n, link) in (10..).zip(links) {
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let mark = mark(n * 100 + u32::try_from(number).unwrap());
            let mut words = link.split(' ');
            let mut chain = Chain::program(chainbox_tests::tool(words.next().unwrap())).args(words).as_user();
            // It handles the signal, so that pid 1 of a namespace gets it too.
            let script = format!("sleep 1000 & trap 'kill -9 $!; exit 77' {number}; echo ready; wait; exit 1");
            chain = chain.args(["sh", "-c", &script, &mark]);
            chain.command().stdin(File::open(&go_on).unwrap());
            let (mut link_process, out) = spawn(chain);
            assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
            signal(program(&mark).unwrap(), SIGSTOP);
            stopped(&mark);
            signal(pid(&link_process), number);
            let ended = until("the link has ended", || link_process.try_wait().unwrap());
            assert_eq!(ended.code(), Some(77), "{link} {number}: {:?}", ended.signal());
        }
    }
}

/// timeout(1) from a script is in the background of the terminal, and so is what it starts: a program that reads from there
/// is stopped, and the job with it. Then TERM and CONT come once.
#[test]
fn timeout_ends_a_box_that_waits_for_the_terminal() {
    let links = [
        "ns-unshare -Up --foreground --",
        "cg-run --no-cgroup -- ns-unshare -Up --foreground --",
        "ns-unshare -Up --pty --",
        "cg-run --no-cgroup -- ns-unshare -Up --pty --",
    ];
    for round in 0..20 {
        for link in links {
            let line = format!("timeout 0.1 {link} sh -c 'read x'; echo ended $?");
            let mut screen = Screen::start(&Chain::shell(&line), round % 2 == 0);
            screen.expect("ended 124");
        }
    }
}

/// A box with a terminal of its own that is started in the background stops, goes on in the foreground, and ends when its
/// shell's kill ends the stopped job.
#[test]
fn a_box_with_a_pty_stops_in_the_background() {
    for user in [true, false].into_iter().filter(|user| *user || is_root()) {
        let mut screen = Screen::shell(user);
        let (modes, group) = (screen.modes(), screen.foreground());
        screen.say("ns-unshare -Up --pty -- sh -c 'read x; echo got $x' &", "outer> ");
        until("it is stopped", || screen.say("jobs", "outer> ").contains("Stopped").then_some(()));
        screen.say("bg", "outer> ");
        until("it is stopped again", || screen.say("jobs", "outer> ").contains("Stopped").then_some(()));
        screen.line("fg");
        until("its bridge has the terminal", || (screen.modes() != modes).then_some(()));
        screen.line("a line");
        screen.expect("got a line");
        screen.expect("outer> ");
        screen.say("ns-unshare -Up --pty -- sh -c 'read x' &", "outer> ");
        until("it is stopped", || screen.say("jobs", "outer> ").contains("Stopped").then_some(()));
        screen.say("kill %1", "outer> ");
        until("it has ended", || screen.say("jobs", "outer> ").is_empty().then_some(()));
        assert_eq!((screen.modes(), screen.foreground()), (modes, group));
    }
}

/// The same at its worst: the program is stopped again when ns-unshare is about to pass the signal on.
#[test]
fn a_box_that_is_stopped_again_meanwhile_ends() {
    if !is_root() {
        return chainbox_tests::skip(
            chainbox_tests::Tier::Root,
            "a_box_that_is_stopped_again_meanwhile_ends",
            "nobody else may trace ns-unshare",
        );
    }
    let mark = mark(5);
    // A group of its own in the background, as timeout(1) makes one.
    let group = "perl -e 'setpgrp; exec @ARGV' --";
    let line = format!("{group} ns-unshare -Up --foreground -- sh -c 'read x' {mark}; echo ended $?");
    let mut screen = Screen::start(&Chain::shell(&line), false);
    let main = stopped(&mark);
    let link = children(screen.pid())[0];
    until("the job has stopped", || status(link, "State")?.starts_with('T').then_some(()));
    // It continues the box by the first message, and passes the signal on by the second.
    let held = Held::at(link, "sendto", 2);
    signal(link, SIGTERM);
    signal(link, SIGCONT);
    until("it is about to pass it on, and the box is stopped", || {
        (is_in(link, SYS_sendto) && status(main, "State")?.starts_with('T')).then_some(())
    });
    drop(held);
    screen.expect("ended 143");
}
