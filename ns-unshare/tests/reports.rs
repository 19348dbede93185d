//! What the process outside says of a box, waits for, and holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use chainbox_tests::{Chain, is_root};

/// What is said on descriptor 3, and how it ended.
fn said(line: &str) -> (String, i32) {
    let ran = Chain::shell(&format!("{{ {line}; code=$?; }} 3>&1 >&2; exit $code")).run();
    (ran.out, ran.code)
}

/// The number of each namespace that a probe in the box sees, under the name that reports have for it.
fn numbers(text: &str) -> Vec<(String, String)> {
    let words = text.split(['"', ':', ',', ' ', '\n', '{', '}']).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[test]
fn a_box_is_described_by_a_pid_and_the_numbers_of_its_namespaces() {
    let kinds = "--user --mount --pid --net --ipc --uts --cgroup";
    let look =
        "for kind in cgroup ipc mnt net pid uts; do stat -L -c \"$kind-namespace %i\" /proc/self/ns/$kind; done >&2";
    for option in ["--info-fd", "--status-fd"] {
        let line = format!("ns-unshare {kinds} {option} 3 -- sh -c '{look}; exit 7'");
        let ran = Chain::shell(&format!("{{ {line}; code=$?; }} 3>&1; exit $code")).run();
        let reported = numbers(&ran.out);
        assert_eq!((ran.code, reported[0].0.as_str()), (7, "child-pid"), "{ran:?}");
        let seen: Vec<(String, String)> = ran
            .err
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(kind, number)| (kind.to_owned(), number.to_owned()))
            .collect();
        assert_eq!(reported[1..7], seen, "{ran:?}");
        let ends = ran.out.ends_with("\n{ \"exit-code\": 7 }\n") && ran.out.lines().count() == 2;
        assert_eq!(ends, option == "--status-fd", "{ran:?}");
    }
    // None but what was made, and never the user namespace.
    let (out, _) = said("ns-unshare --user --uts --status-fd 3 -- true");
    let names: Vec<String> = numbers(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["child-pid", "uts-namespace", "exit-code"]);
}

#[test]
fn the_pid_is_that_of_the_box_as_the_caller_sees_it() {
    // Readable before the program starts, and gone when it has ended.
    let line = "mkfifo info go; ns-unshare --user --pid --info-fd 3 --block-fd 4 -- sleep 0 3>info 4<>go & \
                exec 5<info; read -r brace <&5; read -r name pid <&5; test -d /proc/${pid%,} && echo there; \
                echo >go; wait $!; test -d /proc/${pid%,} || echo gone";
    let folder = chainbox_tests::Folder::new("info-pid", true);
    assert_eq!(Chain::shell(line).at(folder.path()).run().ok(), "there\ngone\n");
}

/// What the variable names is closed before the program starts.
#[test]
fn no_standard_descriptor_is_taken_for_the_one_of_faults() {
    let line = "CHAIN_FAULT=1 ns-unshare --user --status-fd 3 -- sh -c 'echo hi' 3>/dev/null | cat";
    let ran = Chain::shell(line).run();
    assert_eq!((&*ran.out, &*ran.err), ("", "ns-unshare: CHAIN_FAULT=1: not the descriptor of a pipe\n"));
}

#[test]
fn an_exit_code_is_said_only_of_what_was_executed() {
    for (line, code, documents) in [
        ("ns-unshare --user --pid --status-fd 3 -- sh -c 'exit 125'", 125, 2),
        ("ns-unshare --user --pid --status-fd 3 -- sh -c 'kill -9 $$'", 137, 2),
        ("ns-unshare --user --mount --status-fd 3 -- mount-plan --bind / / -- sh -c 'exit 126'", 126, 2),
        ("ns-unshare --user --pid --status-fd 3 -- rlimit-exec -- /no/such/program", 127, 1),
        ("ns-unshare --user --mount --status-fd 3 -- mount-plan --bind / / -- /no/such/program", 127, 1),
        ("ns-unshare --user --mount --pid --status-fd 3 -- mount-plan --bind /nope / -- true", 125, 1),
        (
            "ns-unshare --user --mount --pid --status-fd 3 -- mount-plan --bind / / -- seccomp-exec --bpf /nope -- true",
            125,
            1,
        ),
    ] {
        let (out, ended) = said(line);
        assert_eq!((ended, out.lines().count()), (code, documents), "{line}: {out}");
        assert_eq!(out.ends_with(&format!("{{ \"exit-code\": {code} }}\n")), documents == 2, "{line}: {out}");
    }
    // Who asked may have gone: the program does not notice.
    let folder = chainbox_tests::Folder::new("status-gone", true);
    let line = "mkfifo s; (read -r line <s) & exec 3>s; ns-unshare --user --status-fd 3 -- sh -c 'sleep 0.3; exit 4'";
    assert_eq!(Chain::shell(line).at(folder.path()).run().code, 4);
}

#[test]
fn a_program_waits_for_a_byte_or_the_end() {
    for (from, _) in [("echo", 0), ("printf x", 0), (":", 0)] {
        let out =
            Chain::shell(&format!("{{ sleep 0.2; {from}; }} | ns-unshare --user --block-fd 0 -- echo began")).run();
        assert_eq!(out.ok(), "began\n", "{from}");
    }
    let line = "mkfifo go; { sleep 0.3; echo before; echo x; } | { ns-unshare --user --pid --block-fd 5 -- echo after 5<go & \
                sleep 0.2; read -r line; echo $line; echo >go; wait; }";
    let folder = chainbox_tests::Folder::new("block", true);
    assert_eq!(Chain::shell(line).at(folder.path()).run().ok(), "before\nafter\n");
    Chain::shell("ns-unshare --user --block-fd 9 -- true").run().fails(125, "9");
}

/// As `newuidmap` would by the pid: the maps are written before anything of the box goes on.
#[test]
fn the_caller_writes_the_maps() {
    let folder = chainbox_tests::Folder::new("maps-fd", true);
    let line = "mkfifo info go; ns-unshare --user --uts --hostname box --info-fd 3 --maps-fd 4 -- \
                sh -c 'cat /proc/self/uid_map; id -u; uname -n' 3>info 4<>go & \
                exec 5<info; read -r brace <&5; read -r name pid <&5; pid=${pid%,}; \
                echo deny >/proc/$pid/setgroups; echo \"7 $(id -u) 1\" >/proc/$pid/uid_map; \
                echo \"8 $(id -g) 1\" >/proc/$pid/gid_map; echo >go; wait";
    let out = Chain::shell(line).at(folder.path()).run().ok();
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!((words[0], words[2], words[3], words[4]), ("7", "1", "7", "box"), "{out}");
    // Who has written none cannot go on.
    let none = Chain::shell("ns-unshare --user --maps-fd 0 -- echo began").run();
    none.fails(125, "setresgid: Invalid argument (EINVAL)\nhint: neither the caller's own ids nor 0 are mapped there");
    let clash = "ns-unshare --user --map-self --maps-fd 0 -- true";
    Chain::shell(clash).run().fails(125, "--maps-fd and --map-self exclude each other");
    Chain::shell("ns-unshare --maps-fd 0 -- true").run().fails(125, "--maps-fd needs --user");
}

#[test]
fn a_held_descriptor_is_open_until_the_box_has_ended_and_never_inside() {
    // The pipe's reader sees its end when the box has ended: what runs in the background keeps no end of it.
    for kinds in ["--user", "--user --pid"] {
        let line = format!(
            "{{ ns-unshare {kinds} --hold-fd 7 -- sh -c 'ls /proc/self/fd >&2; test -e /proc/self/fd/7 && echo open; echo x >&7' \
             7>&1 >/dev/null; }} | cat"
        );
        let ran = Chain::shell(&line).run();
        assert!(ran.out.is_empty() && !ran.err.contains("\n7\n"), "{kinds}: {ran:?}");
    }
    let line = "mkfifo end; ns-unshare --user --pid --hold-fd 7 -- sh -c 'sleep 0.3; echo ended' 7>end & cat end; echo closed; wait";
    let folder = chainbox_tests::Folder::new("hold", true);
    assert_eq!(Chain::shell(line).at(folder.path()).run().ok(), "ended\nclosed\n");
}

#[test]
fn namespaces_if_supported_are_there_or_not() {
    let here = std::fs::read_link("/proc/self/ns/user").unwrap().display().to_string();
    let line = "ns-unshare --user-if-supported --map-self --cgroup-if-supported -- readlink /proc/self/ns/user /proc/self/ns/cgroup";
    let out = Chain::shell(line).run().ok();
    assert!(!out.contains(&here), "{out}");
    // Where none is allowed, it is the caller's, and -v says so.
    let none = "ns-unshare --user --disable-userns --keep-fd 2 --";
    let inner = format!(
        "{none} sh -c 'readlink /proc/self/ns/user; exec ns-unshare -v --user-if-supported --map-self -- readlink /proc/self/ns/user'"
    );
    let ran = Chain::shell(&inner).run();
    assert!(ran.err.contains("left out, not supported here: user"), "{ran:?}");
    let out = ran.ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], lines[1], "{out}");
}

#[test]
fn that_no_user_namespace_can_be_made_is_seen() {
    let line = "ns-unshare --user --disable-userns --assert-userns-disabled -- echo none";
    assert_eq!(Chain::shell(line).run().ok(), "none\n");
    let ran = Chain::shell("ns-unshare --user --assert-userns-disabled -- echo none").run();
    ran.fails(125, "a user namespace can be made in the box");
    assert_eq!(ran.out, "");
}

/// That there is no process to be had now says nothing about user namespaces.
#[test]
fn that_nothing_can_be_started_is_no_proof() {
    let line = "exec prlimit --nproc=1 ns-unshare --assert-userns-disabled -- echo none";
    let ran = Chain::shell(line).within("setpriv", &["--inh-caps=-all", "--bounding-set=-all"]).as_user().run();
    ran.fails(125, "clone: Try again (EAGAIN)");
    assert_eq!(ran.out, "");
}

/// What is plugged in by who reads the pid, as an ordinary user: before the program starts, and while it runs.
#[test]
fn who_is_told_the_pid_may_enter() {
    for kinds in ["--user --net --pid", "--user --net", "--user --map-self --mount --net --pid"] {
        let folder = chainbox_tests::Folder::new("enter", true);
        let line = format!(
            "mkfifo info go; ns-unshare {kinds} --info-fd 3 --block-fd 4 -- readlink /proc/self/ns/net 3>info 4<>go & \
             exec 5<info; read -r brace <&5; read -r name pid <&5; pid=${{pid%,}}; \
             nsenter --target $pid --user --preserve-credentials --net readlink /proc/self/ns/net; echo >go; wait"
        );
        let out = Chain::shell(&line).at(folder.path()).as_user().run().ok();
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() == 2 && lines[0] == lines[1], "{kinds}: {out}");
    }
    // Flatpak looks at the pid namespace of one that runs, and leaves it out where it may not.
    for kinds in ["--user --pid", "--user --mount --pid --as-pid1", "--user --pid --wait-fd 4", "--user"] {
        let folder = chainbox_tests::Folder::new("enter-later", true);
        let line = format!(
            "mkfifo info go began end; ns-unshare {kinds} --status-fd 3 -- \
             sh -c 'readlink /proc/self/ns/pid /proc/self/ns/user; echo >began; read -r word <end' 3>info 4<>go & \
             exec 5<info 6<>go; read -r brace name pid rest <&5; pid=${{pid%,}}; echo >&6; read -r line <began; \
             readlink /proc/$pid/ns/pid /proc/$pid/ns/user; grep -c began /proc/$pid/cmdline; echo >end; wait; echo $rest"
        );
        let out = Chain::shell(&line).at(folder.path()).as_user().run().ok();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((&lines[..2], lines[4]), (&lines[2..4], "1"), "{kinds}: {out}");
        let number = lines[0].trim_matches(|c: char| !c.is_ascii_digit());
        assert_eq!(lines[5].contains(number), kinds.contains("--pid"), "{kinds}: {out}");
    }
}

/// The box has nobody to wait for when the process that was named has been killed before it started.
#[test]
fn a_program_that_is_killed_before_it_starts_ends_the_box() {
    let folder = chainbox_tests::Folder::new("killed-early", true);
    let line = "mkfifo info go; ns-unshare --user --pid --info-fd 3 --block-fd 4 -- echo began 3>info 4<>go & \
                exec 5<info; read -r brace <&5; read -r name pid <&5; kill -9 ${pid%,}; wait $!; echo $?";
    assert_eq!(Chain::shell(line).at(folder.path()).run().ok(), "137\n");
}

/// A reader that is gone before it was told anything: the box does not start, and nobody dies of a signal.
#[test]
fn what_nobody_can_be_told_is_an_error() {
    for option in ["--info-fd", "--status-fd"] {
        for kinds in ["--user", "--user --pid"] {
            let folder = chainbox_tests::Folder::new("gone", true);
            let line = format!(
                "mkfifo f; exec 4<>f 3>f 4<&-; ns-unshare {kinds} {option} 3 -- echo began; echo $?; exec 3>/dev/full; \
                 ns-unshare {kinds} {option} 3 -- echo began"
            );
            let ran = Chain::shell(&line).at(folder.path()).run();
            assert_eq!(ran.out, "125\n", "{kinds} {option}: {ran:?}");
            ran.fails(125, "write: Broken pipe (EPIPE)");
            ran.fails(125, "write: No space left on device (ENOSPC)");
        }
    }
}

#[test]
fn one_descriptor_is_for_one_thing() {
    for options in ["--info-fd 3 --status-fd 3", "--hold-fd 3 --block-fd 3", "--hold-fd 3 --hold-fd 3"] {
        let ran = Chain::shell(&format!("ns-unshare --user {options} -- true 3<>/dev/null")).run();
        ran.fails(125, "descriptor 3 is given for two things");
    }
    let out = Chain::shell("ns-unshare --user --uts --info-fd 1 --status-fd 1 -- true").run().ok();
    assert_eq!(out.lines().count(), 6, "{out}");
}

#[test]
fn a_program_without_an_init_dies_with_the_caller() {
    let folder = chainbox_tests::Folder::new("dies", false);
    for option in ["", "--status-fd 2"] {
        // Who inherits it may take its time to collect it.
        let line = format!(
            "sh -c 'ns-unshare --user --die-with-parent {option} -- sh -c \"echo \\$\\$ >pid; exec sleep 100\" & \
             while ! test -s pid; do sleep 0.01; done; kill -9 $$'; pid=$(cat pid); rm pid; \
             for n in $(seq 500); do grep -s State: /proc/$pid/status | grep -qv Z || {{ echo gone; break; }}; sleep 0.01; done"
        );
        assert_eq!(Chain::shell(&line).at(folder.path()).run().out, "gone\n", "{option}");
    }
    let both = Chain::shell("ns-unshare --user --die-with-parent --no-die-with-parent -- true").run();
    both.fails(125, "--die-with-parent and --no-die-with-parent exclude each other");
}

#[test]
fn a_new_session_needs_no_pid_namespace() {
    let out = Chain::shell("ns-unshare --user --new-session -- sh -c 'cut -d\" \" -f1,6 /proc/self/stat; echo $$'")
        .run()
        .ok();
    let words: Vec<&str> = out.split_whitespace().collect();
    // Of the child `cut`: its session is the shell's pid.
    assert_eq!(words[1], words[2], "{out}");
    assert!(is_root() || !words.is_empty());
}
