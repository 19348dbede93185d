//! Namespaces that exist: entered, kept by a file, ended. The moment between a box and its program.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;

use chainbox_tests::processes::children;
use chainbox_tests::{Chain, Folder, USER, is_root, root_or_skip, tool, until};
use support::{as_each, in_box, mark, ns_unshare, pid, processes, signal, spawn, status};

/// Begin, run many, end: no process is left in between, and the namespaces are the same ones.
const SESSION: &str = "
    ns-unshare --net --ipc --uts --hostname lab --pin net=n --pin ipc=i --pin uts=./u -- sh -c 'readlink /proc/self/ns/net >first'
    for run in 1 2 3; do
        ns-unshare --join net=n --join ipc=i --join uts=u -- sh -c '
            hostname; readlink /proc/self/ns/net | cmp - first && tail -n +3 /proc/self/net/dev | cut -d: -f1
            ipcmk -Q >/dev/null; ipcs -q | grep -c 0x'
    done
    umount n i u
    ns-unshare --join net=n -- true";

#[test]
fn a_session_without_a_process() {
    let said = "lab\n    lo\n1\nlab\n    lo\n2\nlab\n    lo\n3\n";
    if is_root() {
        let folder = Folder::new("session", false);
        let ran = Chain::shell(SESSION).at(folder.path()).run();
        assert_eq!(ran.out, said);
        ran.fails(
            125,
            "enter namespaces of n: net: setns: Invalid argument (EINVAL)\nhint: not a namespace of this type",
        );
    }
    // An ordinary user may mount in a mount namespace of its own.
    let folder = Folder::new("session-user", true);
    let ran = in_box("-Um --keep-caps", SESSION).at(folder.path()).as_user().run();
    assert_eq!((ran.out.as_str(), ran.code), (said, 125), "{ran:?}");
}

#[test]
fn a_mount_namespace_is_kept_with_its_tree() {
    // On one processor: on several, Linux 6.18 takes a new mount namespace for an old one now and then.
    let session = "ns-unshare --mount --pin mount=m -- \
                   mount-plan --bind / / --tmpfs /mnt -- sh -c 'echo kept >/mnt/file' && \
                   test ! -e /mnt/file && setsid --wait ns-unshare --join mount=m -- cat /mnt/file && umount m";
    for (user, options) in [(true, "-Um --keep-caps"), (false, "--mount")] {
        if user || is_root() {
            let folder = Folder::new(&format!("kept-{user}"), user);
            let chain = in_box(options, session).at(folder.path()).within("taskset", &["-c", "0"]);
            assert_eq!(if user { chain.as_user() } else { chain }.run().ok(), "kept\n");
        }
    }
}

/// The cheap start: one network namespace for many boxes.
#[test]
fn a_kept_network_is_every_boxs() {
    let script = "ns-unshare --net --pin net=n -- true; for run in 1 2; do \
                  ns-unshare --join net=n --mount --pid --ipc --uts -- sh -c 'echo $$; tail -n +3 /proc/self/net/dev | wc -l'; done; umount n";
    let folder = Folder::new("cheap", true);
    assert_eq!(in_box("-Um --keep-caps", script).at(folder.path()).as_user().run().ok(), "2\n1\n2\n1\n");
    if is_root() {
        let with_user = script.replace("--mount --pid", "--user --mount --pid");
        assert_eq!(Chain::shell(&with_user).at(folder.path()).run().ok(), "2\n1\n2\n1\n");
    }
}

/// A box that waits: the number of its program.
fn waiting(options: &str, mark: &str, user: bool) -> (std::process::Child, i32) {
    let chain = in_box(options, &format!("echo ready; exec sleep {mark}"));
    let (child, out) = spawn(if user { chain.as_user() } else { chain });
    assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
    let main = until("it sleeps", || processes(mark).into_iter().find(|(_, line)| line.starts_with("sleep")));
    (child, main.0)
}

/// Without the terminal of whoever runs the tests, which no box is lent that is joined.
fn joining(line: &str) -> Chain {
    ns_unshare(line).within("setsid", &["--wait"])
}

fn end(mut child: std::process::Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn all_namespaces_of_a_process() {
    let mark = mark(1);
    let (child, main) = waiting("--all --hostname inside", &mark, true);
    let namespaces = |pid: &str| -> Vec<String> {
        let files = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];
        let link = |file| std::fs::read_link(format!("/proc/{pid}/ns/{file}"));
        files.iter().map(|file| link(file).unwrap().display().to_string()).collect()
    };
    let script = "hostname; for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; done; exit 7";
    let line = format!("--join-all {main} -- sh -c");
    let mut lines = vec!["inside".to_owned()];
    lines.extend(namespaces(&main.to_string()));
    for (who, ran) in as_each(|| joining(&line).args([script])) {
        assert_eq!(ran.code, 7, "{who}: {ran:?}");
        assert_eq!(ran.out.lines().collect::<Vec<_>>(), lines, "{who}");
    }
    // One by one, in the order that does not work if it is taken literally.
    let each = "--join time=P --join net=P --join mount=P --join uts=P --join pid=P --join cgroup=P --join ipc=P --join user=P";
    for (who, ran) in as_each(|| joining(&each.replace('P', &main.to_string())).args(["--", "sh", "-c", script])) {
        assert_eq!(ran.out.lines().collect::<Vec<_>>(), lines, "{who}: {ran:?}");
    }
    // Open already.
    let line = format!(
        "exec 5</proc/{main}/ns/user 6</proc/{main}/ns/uts; ns-unshare --join uts=fd:6 --join user=fd:5 -- sh -c 'hostname; ls /proc/self/fd'"
    );
    assert_eq!(Chain::shell(&line).as_user().run().ok(), "inside\n0\n1\n2\n3\n");
    end(child);
}

/// Another pid namespace on top of one that is joined has an init, and ends with its program.
#[test]
fn a_new_namespace_within_one_that_is_joined() {
    let (one, two) = (mark(2), mark(3));
    let (child, main) = waiting("-Up", &one, true);
    ns_unshare(&format!("--join pid={main} --pid -- true"))
        .run()
        .fails(125, "a pid namespace that is joined, and a new");
    let line =
        format!("--join user={main} --join pid={main} --keep-caps -- {} -p -- sh -c", tool("ns-unshare").display());
    let ran = joining(&line).args([&format!("echo $$; setsid sleep {two} & exit 3")]).as_user().run();
    assert_eq!((ran.out.as_str(), ran.code), ("2\n", 3), "{ran:?}");
    until("what it left has ended", || processes(&two).is_empty().then_some(()));
    end(child);
}

/// By bubblewrap's --userns and --pidns: the process outside may not look at what it has started, and says all the same
/// which box it is, by the number that the caller's /proc has for it.
#[test]
fn a_box_in_joined_namespaces_is_described() {
    let (child, main) = waiting("-Up", &mark(8), true);
    let join = "ns-unshare --join user=fd:5 --join pid=fd:6";
    let two = tool("ns-unshare").display().to_string();
    let look = "-- sh -c 'echo $(stat -L -c %i /proc/self/ns/mnt) $$'";
    for (options, ends) in [
        (format!("{join} --mount --status-fd 1 {look}"), false),
        (format!("{join} -- {two} --mount --pid --status-fd 1 {look}"), true),
    ] {
        let line = format!("exec 5</proc/{main}/ns/user 6</proc/{main}/ns/pid; exec setsid --wait {options}");
        for (who, ran) in as_each(|| Chain::shell(&line)) {
            let lines: Vec<&str> = ran.out.lines().collect();
            let number = |name: &str| -> u64 {
                let (_, rest) = lines[0].split_once(&format!("\"{name}\": ")).unwrap();
                rest.split([',', ' ']).next().unwrap().parse().unwrap()
            };
            assert_eq!(lines.len(), 3, "{who}: {ran:?}");
            let (mount, pid) = lines[1].split_once(' ').unwrap();
            assert_eq!(number("mnt-namespace").to_string(), mount, "{who}: {ran:?}");
            assert_eq!((lines[0].contains("\"pid-namespace\""), pid == "2"), (ends, ends), "{who}: {ran:?}");
            // Numbers in there are small.
            assert!(number("child-pid") > u64::try_from(main).unwrap() / 2, "{who}: {ran:?}");
            assert_eq!(lines[2..], ["{ \"exit-code\": 0 }"], "{who}: {ran:?}");
        }
    }
    end(child);
}

/// As one file the second link is the first one's process, whose files in /proc are its own as long as it is not hidden.
#[test]
fn a_namespace_is_kept_by_a_link_behind_the_one_that_gave_the_right() {
    for options in ["-Um", "-Um --map-self", "-Ump"] {
        let folder = Folder::new("behind", true);
        let line = format!("{options} --keep-caps -- ns-unshare --net --pin net=n -- stat -f -c %T n");
        for (who, ran) in as_each(|| ns_unshare(&line).at(folder.path())) {
            assert_eq!((ran.code, ran.out.as_str()), (0, "nsfs\n"), "{options} as {who}: {ran:?}");
        }
    }
}

/// Who joins as root is not root of the host in there, has no groups of the host, and the capabilities of a program of
/// the box only if it asks for them.
#[test]
fn root_in_the_box_of_a_user_is_that_user() {
    if !root_or_skip("root_in_the_box_of_a_user_is_that_user") {
        return;
    }
    let (one, two) = (mark(4), mark(5));
    let (child, main) = waiting("-Upm", &one, true);
    let line = format!("--join-all {main} -- sh -c");
    let chain = ns_unshare(&line)
        .args([format!("id -u; grep -E 'Cap|Groups' /proc/self/status; echo ready; exec sleep {two}")]);
    let mut chain = chain.within("setpriv", &["--clear-groups"]).within("setsid", &[]);
    let (joiner, out) = {
        let mut child = chain.command().stdout(std::process::Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        (child, out)
    };
    let lines: Vec<_> = BufReader::new(out).lines().map(Result::unwrap).take_while(|line| line != "ready").collect();
    assert_eq!(lines[0], "0");
    assert_eq!(lines[1].trim_end(), "Groups:");
    assert!(lines[2..].iter().all(|line| line.ends_with("\t0000000000000000")), "{lines:?}");
    let sleeper = until("it sleeps", || processes(&two).into_iter().find(|(_, line)| line.starts_with("sleep"))).0;
    let ids = status(sleeper, "Uid").unwrap();
    assert!(ids.split_whitespace().all(|id| id == USER.to_string()), "{ids}");
    end(joiner);
    until("it died with ns-unshare", || processes(&two).is_empty().then_some(()));
    end(child);
    // With groups that cannot be left there it is refused. The processes of the first box may be ending still.
    let (child, main) = waiting("-Up", &mark(7), true);
    let chain = joining(&format!("--join-all {main} -- true")).within("setpriv", &["--groups", "4,24"]);
    chain_fails(chain, "setgroups: Operation not permitted (EPERM)\nhint: setgroups is denied there");
    end(child);
    // Nor can it become root where there is none; as the user who is there it can go in.
    let (child, main) = waiting("-Up --map-self", &mark(9), true);
    let join = format!("--join user={main} -- id -u");
    chain_fails(
        joining(&join),
        "setresgid: Invalid argument (EINVAL)\nhint: neither the caller's own ids nor 0 are mapped",
    );
    let words = ["--reuid", "1000", "--regid", "1000", "--clear-groups"];
    assert_eq!(ns_unshare(&join).within("setpriv", &words).run().ok(), "1000\n");
    end(child);
}

#[track_caller]
fn chain_fails(chain: Chain, words: &str) {
    chain.run().fails(125, words);
}

/// The tree of a box is hostile: nothing is read of it but the program that was named, and no tool of ours by name.
#[test]
fn a_joined_tree_is_not_trusted() {
    let folder = Folder::new("tree", true);
    let one = mark(6);
    // Whoever reads /proc or /dev there waits for ever.
    let plan = "-Um --map-self -- mount-plan --bind / / --tmpfs /proc --tmpfs /tmp --tmpfs /opt -- sh -c";
    let script = format!(
        "mkfifo /proc/fifo; ln -s fifo /proc/self; ln -s fifo /proc/sys; printf '#!/bin/sh\\necho hostile\\n' >/opt/seccomp-exec; \
                          chmod +x /opt/seccomp-exec; cp /opt/seccomp-exec /opt/odd; echo ready; exec sleep {one}"
    );
    let (child, out) = spawn(ns_unshare(plan).args([script]).as_user().at(folder.path()));
    assert_eq!(BufReader::new(out).lines().next().unwrap().unwrap(), "ready");
    let main = until("it sleeps", || processes(&one).into_iter().find(|(_, line)| line.starts_with("sleep"))).0;
    let joined = |words: &str| {
        joining(&format!("--join-all {main} -- {words}")).env("PATH", "/opt:/usr/bin:/bin").as_user().run()
    };
    assert_eq!(joined("odd").ok(), "hostile\n");
    assert_eq!(joined("/opt/seccomp-exec").ok(), "hostile\n");
    joined("seccomp-exec -- id").fails(125, "one of our tools is not looked up by name in the tree that is joined");
    joined("no-such-program").fails(127, "no-such-program: not found in PATH");
    end(child);
}

#[test]
fn bad_joins_are_refused() {
    let folder = Folder::new("bad", true);
    std::fs::write(folder.join("file"), "").unwrap();
    let gone = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    for (line, words) in [
        ("--join net", "--join net: TYPE=... with TYPE one of user, mount, pid"),
        ("--join net=", "--join net=: TYPE=..."),
        ("--join mnt=1", "--join mnt=1: TYPE=..."),
        ("--join net=0", "--join 0: not a pid"),
        ("--join net=99999999999", "--join 99999999999: not a pid"),
        ("--join net=fd:x", "--join net=fd:x: not a descriptor"),
        ("--join net=fd:77", "enter namespaces of descriptor 77: net: --join fd:77: fcntl: Bad file number (EBADF)"),
        ("--join net=none", "enter namespaces of none: net: open none: No such file or directory (ENOENT)"),
        ("--join net=file", "setns: Invalid argument (EINVAL)\nhint: not a namespace of this type"),
        ("--join net=/proc/self/ns/uts", "setns: Invalid argument (EINVAL)\nhint: not a namespace of this type"),
        ("--join user=/proc/self/ns/user", "hint: not a user namespace; or it is the caller's own already"),
        ("--join net=1 --join net=2", "--join net is given twice"),
        ("--join-all 0", "--join-all 0: not a pid"),
        ("--join-all 1x", "--join-all 1x: not a pid"),
        ("--join-all 1 --join net=1", "--join and --join-all exclude each other"),
        ("--join user=1 --user", "--join user and --user exclude each other"),
        ("--join mount=1 --info-fd 1", "--info-fd would use /proc of the mount namespace that is joined"),
        ("--join mount=1 --user", "--user would use /proc of the mount namespace that is joined"),
        ("--pin net=x", "--pin net needs --net"),
        ("--pid --pin pid=x", "--pin pid: a pid namespace ends with its init"),
        ("--ready-fd 77", "--ready-fd 77: fcntl: Bad file number (EBADF)"),
        ("--wait-fd +1", "--wait-fd +1: not a descriptor number"),
    ] {
        let ran = ns_unshare(line).args(["--", "true"]).at(folder.path()).run();
        ran.fails(125, words);
    }
    ns_unshare(&format!("--join net={gone} -- true")).run().fails(125, "No such process (ESRCH)");
    ns_unshare(&format!("--join-all {gone} -- true")).run().fails(125, "No such process (ESRCH)");
    let ran = ns_unshare("--join net=/proc/self/ns/net -- true").as_user().run();
    ran.fails(125, "Operation not permitted (EPERM)\nhint: it needs CAP_SYS_ADMIN in the user namespace that owns it");
    let ran = ns_unshare("-Un --pin net=kept -- true").at(folder.path()).as_user().run();
    ran.fails(125, "keep namespace net by kept: mount: Operation not permitted (EPERM)");
}

/// A script plugs something in before the program starts; the descriptors are not the program's.
#[test]
fn a_box_waits_for_what_is_plugged_in() {
    let folder = Folder::new("ready", true);
    let script = "mkfifo ready go; exec 3<>ready 4<>go
        ns-unshare -Un OPTIONS --ready-fd 3 --wait-fd 4 -- sh -c 'test -e plugged && echo started; echo /proc/self/fd/*' &
        read pid <&3
        test $(readlink /proc/$pid/ns/net) != $(readlink /proc/self/ns/net) && echo ready
        sleep 0.3; >plugged; echo >&4; wait; rm ready go plugged";
    for options in ["", "--pid", "-pmiu --as-pid1", "--map-self"] {
        for (who, ran) in as_each(|| Chain::shell(&script.replace("OPTIONS", options)).at(folder.path())) {
            let fds = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3";
            assert_eq!(ran.out, format!("ready\nstarted\n{fds}\n"), "{options} as {who}: {ran:?}");
        }
    }
}

/// Whoever plugs something in and fails says why, or is gone without a word: the program does not start. What follows the
/// line is the program's.
#[test]
fn a_box_does_not_start_where_nothing_was_plugged_in() {
    for (said, text) in
        [("", "wait for descriptor 0: read: its end, and no line before it"), ("no cable\\n", "'no cable'")]
    {
        for options in ["", "--pid"] {
            let script = format!("printf '{said}' | ns-unshare -Un {options} --wait-fd 0 -- echo started");
            for (who, ran) in as_each(|| Chain::shell(&script)) {
                assert_eq!((ran.code, &*ran.out), (125, ""), "{options} as {who}: {ran:?}");
                assert!(ran.err.contains(text) && ran.err.lines().count() == 1, "{options} as {who}: {ran:?}");
            }
        }
    }
    assert_eq!(Chain::shell("printf '\\nrest' | ns-unshare -Un --wait-fd 0 -- cat").run().out, "rest");
}

#[test]
fn a_box_that_waits_can_be_ended() {
    for options in ["-Un", "-Unp"] {
        for number in [15, 9] {
            let line = format!("exec ns-unshare {options} --ready-fd 1 --wait-fd 5 -- true 5<>fifo");
            let folder = Folder::new("give-up", true);
            let chain = Chain::shell(&format!("mkfifo fifo; {line}")).at(folder.path()).as_user();
            let (mut child, out) = spawn(chain);
            let inside: i32 = BufReader::new(out).lines().next().unwrap().unwrap().parse().unwrap();
            assert_eq!(children(pid(&child)), [inside]);
            signal(pid(&child), number);
            assert_eq!(child.wait().unwrap().signal(), Some(number), "{options}");
            until("the box has ended", || {
                status(inside, "State").is_none_or(|state| state.starts_with('Z')).then_some(())
            });
        }
    }
}
