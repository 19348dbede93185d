//! How a box ends: exact status, signals passed on once, nothing left behind, whoever is killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;

use chainbox_tests::processes::{TRACED, children};
use chainbox_tests::{Chain, Folder, is_root, root_or_skip, until};
use support::{in_box, mark, ns_unshare, pid, processes, signal, spawn, status};

const RESIDENT: [&str; 2] = ["-Up", "-Up --map-self --mount --net --ipc --uts"];

#[test]
fn every_exit_code_is_exact() {
    for code in 0..=255 {
        let ran = in_box("-Up", &format!("exit {code}")).run();
        assert_eq!((ran.code, ran.signal, ran.err.as_str()), (code, None, ""));
    }
    for options in ["-U", "-Up --as-pid1", "-Up --no-forward", "-Up --no-die-with-parent"] {
        assert_eq!(in_box(options, "exit 137").run().signal, None);
        assert_eq!(in_box(options, "exit 137").run().code, 137, "{options}");
    }
}

/// Every signal whose default action ends a process, by wait(2) and as a shell shows it.
#[test]
fn every_signal_is_exact() {
    let stops_or_ignored = [17, 18, 19, 20, 21, 22, 23, 28];
    let deadly: Vec<i32> = (1..=31).chain([34]).filter(|n| !stops_or_ignored.contains(n)).collect();
    assert_eq!(deadly.len(), 24);
    let folder = Folder::new("signals", true);
    for number in deadly {
        let script = format!("ulimit -c 0; kill -{number} $$");
        for options in RESIDENT {
            let ran = in_box(options, &script).at(folder.path()).as_user().run();
            assert_eq!((ran.signal, ran.out.as_str()), (Some(number), ""), "{options}: {ran:?}");
        }
        let line = format!("ns-unshare -Up -- sh -c '{script}'; echo $?");
        assert_eq!(Chain::shell(&line).at(folder.path()).run().out, format!("{}\n", 128 + number));
    }
}

/// The main process dumps core if it may; the link that ends in the same way does not write a second file over it.
#[test]
fn the_link_leaves_no_core_file() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with('|') || pattern.starts_with('/') {
        return chainbox_tests::skip(chainbox_tests::Tier::Root, "the_link_leaves_no_core_file", "cores go elsewhere");
    }
    let folder = Folder::new("core", false);
    let ran = in_box("-Up", "ulimit -c 0; kill -ABRT $$").at(folder.path()).run();
    assert_eq!(ran.signal, Some(6));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_program_that_cannot_start_is_told_apart() {
    let folder = Folder::new("noexec", true);
    let garbage = folder.join("garbage");
    std::fs::write(&garbage, [0x7f, 0x45, 0, 1, 2, 3]).unwrap();
    std::fs::set_permissions(&garbage, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for options in ["-U", "-Up", "-Up --as-pid1"] {
        let ran = ns_unshare(&format!("{options} -- {}", garbage.display())).run();
        ran.fails(126, "garbage: execve: Exec format error (ENOEXEC)");
        assert_eq!(ran.err.lines().count(), 2, "said once, with a hint: {ran:?}");
        ns_unshare(&format!("{options} -- no-such-program")).run().fails(127, "no-such-program: not found in PATH");
    }
}

/// Passed on once each, in the order of sending; USR2 ends the program.
#[test]
fn signals_reach_the_program_once() {
    let script = "for s in TERM INT HUP USR1 QUIT ALRM; do trap \"echo $s\" $s; done; trap 'exit 9' USR2; echo ready; \
                  while :; do sleep 0.02; done";
    for options in ["-Up", "-Up --as-pid1", "-Upmn -c"] {
        let (mut child, out) = spawn(in_box(options, script).as_user());
        let mut lines = BufReader::new(out).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "ready");
        for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10), ("QUIT", 3), ("ALRM", 14)] {
            signal(pid(&child), number);
            assert_eq!(lines.next().unwrap(), name, "{options}");
        }
        signal(pid(&child), 12);
        assert_eq!(lines.next(), None, "{options}: nothing came twice");
        assert_eq!(child.wait().unwrap().code(), Some(9), "{options}");
    }
}

/// A shell in the foreground starts the chain; TERM to the link ends a program that does not catch it, and the status
/// says so.
#[test]
fn an_uncaught_signal_ends_the_box_of_that_signal() {
    for number in [1, 2, 3, 10, 12, 14, 15] {
        let (mut child, out) = spawn(in_box("-Up", "ulimit -c 0; echo ready; exec sleep 1000"));
        assert!(BufReader::new(out).lines().next().is_some());
        signal(pid(&child), number);
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(number), "{ended:?}");
    }
}

#[test]
fn without_forwarding_a_signal_ends_the_link_and_the_box() {
    let mark = mark(1);
    let (mut child, _out) = spawn(in_box("-Up --no-forward", &format!("trap '' TERM; sleep {mark}; true")));
    // The init has no command line to be found by.
    until("the box runs", || (processes(&mark).len() == 3).then_some(()));
    signal(pid(&child), 15);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    until("the box has ended", || processes(&mark).is_empty().then_some(()));
}

/// Stop signals keep their default action in both processes that stay, so a shell's job control works.
#[test]
fn stop_signals_are_left_alone() {
    let mark = mark(2);
    let (mut child, _out) = spawn(in_box("-Up", &format!("sleep {mark}; true")));
    let link = pid(&child);
    let init = until("the init", || children(link).first().copied());
    until("the program", || children(init).first().copied());
    let mask = |pid, field| u64::from_str_radix(&status(pid, field).unwrap(), 16).unwrap();
    let stops = (20..=22).fold(0, |bits, number| bits | 1 << (number - 1));
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(mask(link, field) & stops, 0, "{field}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    until("the box has ended", || processes(&mark).is_empty().then_some(()));
}

/// Starts a box with orphans in it, has `kill` end something, and waits until nothing of it is left.
fn nothing_survives(number: u32, options: &str, user: bool, kill: impl Fn(i32)) {
    let mark = mark(number);
    let script = format!(
        "trap '' TERM HUP INT; (setsid sleep {mark} &); (sh -c 'sleep {mark}; true' &); echo ready; sleep {mark}; true"
    );
    let shell = format!("exec 2>/dev/null; ns-unshare {options} -- sh -c \"$0\"; true");
    let chain = Chain::program("sh").args(["-c", &shell, &script]);
    let (mut child, out) = spawn(if user { chain.as_user() } else { chain });
    assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
    until("everything runs", || (processes(&mark).len() >= 6).then_some(()));
    kill(pid(&child));
    until(&format!("{options}: {:?}", processes(&mark)), || processes(&mark).is_empty().then_some(()));
    child.kill().unwrap_or_default();
    child.wait().unwrap();
}

fn link_of(shell: i32) -> i32 {
    children(shell)[0]
}

#[test]
fn killing_the_link_ends_the_box() {
    for (n, options) in [(10, "-Up"), (11, "-Upm -c"), (12, "-Up --as-pid1"), (13, "-Up --no-die-with-parent")] {
        nothing_survives(n, options, true, |shell| signal(link_of(shell), 9));
        if is_root() {
            nothing_survives(n + 100, options, false, |shell| signal(link_of(shell), 9));
        }
    }
}

#[test]
fn killing_the_caller_ends_the_box() {
    for (n, options) in [(20, "-Up"), (21, "-Upmnui -c"), (22, "-Up --as-pid1"), (23, "-Up --no-forward")] {
        nothing_survives(n, options, true, |shell| signal(shell, 9));
    }
}

#[test]
fn killing_the_init_ends_the_box_and_the_link() {
    nothing_survives(30, "-Up", true, |shell| signal(children(link_of(shell))[0], 9));
    let mark = mark(31);
    let (mut child, _out) = spawn(in_box("-Up", &format!("sleep {mark}; true")));
    let init = until("the init", || children(pid(&child)).first().copied());
    signal(init, 9);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

/// A stopped init cannot notice that the link is cut; PR_SET_PDEATHSIG ends it all the same.
#[test]
fn killing_the_link_of_a_stopped_box_ends_it() {
    nothing_survives(40, "-Up", true, |shell| {
        let link = link_of(shell);
        let init = children(link)[0];
        signal(init, 19);
        until("the init is stopped", || status(init, "State")?.starts_with('T').then_some(()));
        signal(link, 9);
    });
}

/// As an ordinary process may: with another user id or with prctl(2) a program gets rid of PR_SET_PDEATHSIG. It is not
/// what a box hangs on.
#[test]
fn no_program_can_outlive_the_link() {
    for (n, options) in [(45, "-Up"), (46, "-Up --as-pid1"), (47, "-Upm --as-pid1 --keep-caps")] {
        let mark = mark(n);
        let script = format!("echo ready; setpriv --pdeathsig clear sleep {mark}; true");
        let script = format!("trap '' TERM HUP INT; (setsid sh -c '{script}'); true");
        let chain = ns_unshare(options).args(["--", "setpriv", "--pdeathsig", "clear", "sh", "-c", &script]);
        let (mut child, out) = spawn(chain.as_user());
        assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
        let init = children(pid(&child))[0];
        until("the program runs", || (!processes(&mark).is_empty()).then_some(()));
        signal(init, 19);
        child.kill().unwrap();
        child.wait().unwrap();
        until(&format!("{options}: the box has ended"), || processes(&mark).is_empty().then_some(()));
    }
}

#[test]
fn a_box_may_outlive_the_caller_where_that_was_said() {
    let mark = mark(50);
    let script = format!("sleep {mark}; true");
    let shell = "ns-unshare -Up --no-die-with-parent -- sh -c \"$0\" & echo $!; wait";
    let (mut child, out) = spawn(Chain::program("sh").args(["-c", shell, &script]));
    let link: i32 = BufReader::new(out).lines().next().unwrap().unwrap().parse().unwrap();
    until("everything runs", || (processes(&mark).len() == 4).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(processes(&mark).len(), 3, "{:?}", processes(&mark));
    signal(link, 15);
    until("TERM ends it", || processes(&mark).is_empty().then_some(()));
}

/// Twenty orphans end; none stays as a zombie.
#[test]
fn orphans_are_reaped() {
    let script = "while read k v; do [ $k = PPid: ] && init=$v; done </proc/self/status; \
                  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (true &); done; \
                  for try in $(seq 1000); do set -- $(cat /proc/$init/task/$init/children); [ $# = 1 ] && exit 0; done; \
                  echo left: \"$@\"; exit 1";
    for (who, ran) in support::as_each(|| in_box("-Up", script)) {
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{who}: {ran:?}");
    }
}

#[test]
fn background_processes_end_with_the_program() {
    let mark = mark(60);
    in_box("-Up", &format!("(setsid sleep {mark} >/dev/null 2>&1 &); exit 0")).run().ok();
    until("the orphan is gone", || processes(&mark).is_empty().then_some(()));
}

/// Who traces it hears of its end first (ptrace(2)): the box does not wait for that.
#[test]
fn a_box_ends_whose_program_is_traced_by_its_own_child() {
    let mark = mark(61);
    let ran = ns_unshare("-Up").args(["--", "perl", "-e", TRACED, &mark]).run();
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    until("the tracer is gone", || processes(&mark).is_empty().then_some(()));
}

/// Invariants 6 and 10: who stays is not dumpable (its files in /proc are root's) and holds nothing of the caller's.
#[test]
fn who_stays_is_hidden_and_holds_nothing() {
    if !root_or_skip("who_stays_is_hidden_and_holds_nothing") {
        return;
    }
    let owner =
        |pid: i32| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}/environ")).unwrap());
    let open = |pid: i32| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| std::fs::read_link(path).unwrap().display().to_string()).collect::<Vec<_>>()
    };
    // The second writes its maps from outside: in a user namespace where it has the capabilities, but is not root.
    for (n, outer) in [(70, ""), (71, "ns-unshare -U --map-self --keep-caps --")] {
        let mark = mark(n);
        let line = format!(
            "exec 7</etc/passwd; cd /usr; exec {outer} ns-unshare --keep-fd 7 -Up --map-self -- sh -c \"echo ready; sleep {mark}; true\""
        )
        .replace("ns-unshare -U ", "ns-unshare --keep-fd 7 -U ");
        let (mut child, out) = spawn(Chain::shell(&line).as_user());
        assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
        let link = pid(&child);
        let init = children(link)[0];
        let main = children(init)[0];
        assert!(open(main).iter().any(|file| file == "/etc/passwd"));
        for who in [link, init] {
            let files = until("the files are closed", || {
                let files = open(who);
                (!files.iter().any(|file| file == "/etc/passwd")).then_some(files)
            });
            assert!(files.len() <= 7, "{files:?}");
            assert_eq!(owner(who), 0);
        }
        assert_ne!(std::fs::read_link(format!("/proc/{init}/cwd")).unwrap().to_str(), Some("/usr"));
        assert_eq!(std::fs::read_link(format!("/proc/{main}/cwd")).unwrap().to_str(), Some("/usr"));
        assert_eq!(owner(main), 1000);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The same as the user himself finds it, whose program the payload is: to him who stays is shut.
#[test]
fn who_stays_is_shut_to_its_own_user() {
    let mark = mark(72);
    let line = format!("exec ns-unshare -Up --map-self -- sh -c \"echo ready; sleep {mark}; true\"");
    let (mut child, out) = spawn(Chain::shell(&line).as_user());
    assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
    let link = pid(&child);
    let init = children(link)[0];
    let main = children(init)[0];
    for (what, look) in
        [("fd", "ls -l"), ("environ", "cat"), ("exe", "readlink"), ("mem", "exec 5<>"), ("cwd", "readlink")]
    {
        let tried = |pid: i32| Chain::shell(&format!("{look} /proc/{pid}/{what}")).as_user().run().code;
        assert_eq!(tried(main), 0, "{what}");
        assert!(tried(link) != 0 && tried(init) != 0, "{what}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A pipe ends when the payload closes its end of it, not when the box does.
#[test]
fn standard_output_ends_with_the_payload_s_own() {
    let line = "ns-unshare --user --pid -- sh -c 'echo said; exec >&-; sleep 60' | { cat; echo read; }";
    let mut run = Chain::shell(line);
    let mut child = run.command().stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    for _ in 0..2 {
        std::io::BufRead::read_line(&mut out, &mut lines).unwrap();
    }
    assert_eq!(lines, "said\nread\n");
    assert!(child.try_wait().unwrap().is_none(), "the box still runs");
    child.kill().unwrap();
    child.wait().unwrap();
}
