//! As one file, a link goes on as the next one in the same process where an exec would change nothing (docs/adr/0016), and
//! only there. What was executed is read from strace(1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use chain::TOOLS;
use chainbox_tests::{Chain, Folder, USER, is_root, root_or_skip, tool};

/// A folder with the file and a link to it for each tool, and one in which each tool is a name of the file itself.
fn tools(test: &str) -> Folder {
    let folder = Folder::new(test, true);
    fs::create_dir(folder.join("names")).unwrap();
    folder.program(tool("chainbox"), "chainbox");
    for name in TOOLS {
        symlink("chainbox", folder.join(name)).unwrap();
        fs::hard_link(folder.join("chainbox"), folder.join("names").join(name)).unwrap();
    }
    folder
}

/// A line of shell with the tools of the folder first in PATH.
fn shell(folder: &Folder, line: &str) -> Chain {
    program(folder, "/bin/sh").args(["-c", line])
}

fn program(folder: &Folder, path: &str) -> Chain {
    let search = format!("{}:/usr/bin:/bin", folder.path().display());
    Chain::program(path).at(folder.path()).env("PATH", search).env("NAMES", folder.join("names"))
}

/// Asserts what a line executes, as an ordinary user or `as_root`, one after the other: the last component of each path,
/// `carried` for one without.
fn executes(folder: &Folder, as_root: bool, line: &str, expected: &str) {
    // A file for each process, so that no call is torn apart by another one's; the times put them in order. Whoever
    // traces must be root to see what a hidden process executes; as an ordinary user the test takes that as it should be.
    let mut words: Vec<_> = "-ff -qq -ttt -o trace -e trace=execve,execveat -e signal=none --".split(' ').collect();
    if is_root() && !as_root {
        words.extend("setpriv --reuid 1000 --regid 1000 --clear-groups".split(' '));
    }
    let ran = program(folder, "/usr/bin/strace").args(words).args(["/bin/sh", "-c", line]).run();
    assert_eq!(ran.code, 0, "{ran:#?}");
    let calls = traced(folder);
    let names: Vec<_> = calls.iter().filter_map(|call| name_of(call)).skip_while(|name| name != "sh").skip(1).collect();
    let expected: Vec<_> = expected.split(' ').collect();
    let same = |(name, expected): (&String, &&str)| name == expected || (name == "hidden" && !is_root());
    assert!(names.len() == expected.len() && names.iter().zip(&expected).all(same), "{line}: {names:?} {calls:#?}");
}

/// The calls of all processes that succeeded, in order.
fn traced(folder: &Folder) -> Vec<String> {
    let mut calls = vec![];
    for entry in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().unwrap().to_str().unwrap().starts_with("trace.") {
            calls.extend(fs::read_to_string(&entry).unwrap().lines().map(str::to_owned));
            fs::remove_file(&entry).unwrap();
        }
    }
    calls.retain(|call| call.ends_with(" = 0"));
    calls.sort_unstable();
    calls
}

fn name_of(call: &str) -> Option<String> {
    let (_, words) = call.split_once("execve")?;
    match words.split('"').nth(1) {
        _ if words.starts_with("at(") => Some("carried".to_owned()),
        Some(path) => Some(path.rsplit('/').next()?.to_owned()),
        None => Some("hidden".to_owned()),
    }
}

const BOX: &str = "--user --mount --pid --ipc --uts --net --hostname box";
const HOST: &str = "mount-plan --preset host-ro --proc /proc --dev /dev";

#[test]
fn an_exec_that_would_change_nothing_is_left_out() {
    let folder = tools("in_process-whole");
    let line = format!(
        "exec cg-run --no-cgroup -- ns-unshare {BOX} -- rlimit-exec --core 0 -- {HOST} -- seccomp-exec -- hostname"
    );
    let carried = "cg-run carried hostname";
    // The file is root's, or that of who runs the test.
    let expected = if is_root() { "cg-run hostname" } else { carried };
    executes(&folder, false, &line, expected);
    executes(&folder, false, &line.replace("--user", "--user --map-self"), expected);
    assert_eq!(shell(&folder, &line).as_user().run().ok(), "box\n");
    if is_root() {
        executes(&folder, true, &line, carried);
        let range = "--user --map-users 0:100000:9 --map-groups 0:100000:9";
        executes(&folder, true, &line.replace("--user", range), "cg-run hostname");
        // What somebody in the box could write to, or take the right to, does not run there.
        for (owner, group, mode) in [(USER, 0, 0o555), (0, USER, 0o775), (0, 0, 0o757)] {
            chown(folder.join("chainbox"), Some(owner), Some(group)).unwrap();
            fs::set_permissions(folder.join("chainbox"), Permissions::from_mode(mode)).unwrap();
            executes(&folder, false, &line, carried);
        }
    }
}

/// Root's box without a user namespace, whose program is an ordinary user, as judges have it: in a pid namespace of its own nobody
/// but the links sees the one that crosses, and who comes out of it cannot change the file.
#[test]
fn roots_box_goes_on_where_its_program_is_nobody_of_power() {
    if !root_or_skip("roots_box_goes_on_where_its_program_is_nobody_of_power") {
        return;
    }
    let folder = tools("in_process-root");
    let line = |namespaces: &str, options: &str| {
        format!("exec ns-unshare --mount {namespaces} -- {HOST} -- seccomp-exec {options} -- true")
    };
    let there = "ns-unshare true";
    let carried = "ns-unshare carried true";
    executes(&folder, true, &line("--pid", "--user 77:77"), there);
    executes(&folder, true, &line("--pid --as-pid1", "--filter default --user 77:77:5"), there);
    for options in ["", "--user 0:77", "--user 77:77 --keep-caps chown", "--user 77:77 --allow-new-privs"] {
        executes(&folder, true, &line("--pid", options), carried);
    }
    // Somebody else may be there.
    executes(&folder, true, &line("", "--user 77:77"), carried);
    let older = "exec unshare --pid --fork --mount ";
    let expected = "unshare mount-plan carried true";
    executes(&folder, true, &format!("{older}{HOST} -- seccomp-exec --user 77:77 -- true"), expected);
    // What the program could write to does not run there.
    for (owner, group, mode) in [(77, 0, 0o555), (0, 77, 0o775), (0, 0, 0o757)] {
        chown(folder.join("chainbox"), Some(owner), Some(group)).unwrap();
        fs::set_permissions(folder.join("chainbox"), Permissions::from_mode(mode)).unwrap();
        executes(&folder, true, &line("--pid", "--user 77:77"), carried);
    }
}

/// Landlock's probe is a copy of the last link that others of the user may look into: it has nothing of the links before.
#[test]
fn a_link_that_shows_itself_is_executed() {
    let folder = tools("in_process-shown");
    for option in ["--landlock-rx /", "--landlock-rx / --filter default"] {
        let gate = format!("seccomp-exec {option} -- true");
        executes(&folder, false, &format!("exec rlimit-exec --core 0 -- {gate}"), "rlimit-exec seccomp-exec true");
        let line = format!("exec ns-unshare --user --mount --pid -- {HOST} -- {gate}");
        executes(&folder, false, &line, "ns-unshare carried true");
    }
}

/// Links may lead to links, and the tools need no names of their own.
#[test]
fn the_file_goes_on_as_each_tool_without_their_names() {
    let folder = tools("in_process-alone");
    fs::create_dir(folder.join("alone")).unwrap();
    folder.program(tool("chainbox"), "alone/chainbox");
    for (text, link) in [("chainbox", "alone/bwrap"), ("bwrap", "alone/further"), ("alone/further", "bwrap")] {
        symlink(text, folder.join(link)).unwrap();
    }
    fs::create_dir(folder.join("links")).unwrap();
    symlink("../alone/further", folder.join("links/bwrap")).unwrap();
    let line = "--ro-bind / / --unshare-pid -- true";
    let end = if is_root() { "true" } else { "carried true" };
    executes(&folder, false, &format!("exec alone/chainbox bwrap {line}"), &format!("chainbox {end}"));
    executes(&folder, false, &format!("exec links/bwrap {line}"), &format!("bwrap {end}"));
    // Beside this one are the names of another file.
    executes(&folder, false, &format!("exec ./bwrap {line}"), &format!("bwrap ns-unshare {end}"));
}

/// Each of these is an exec with a meaning.
#[test]
fn an_exec_that_means_something_is_done() {
    let folder = tools("in_process-exec");
    for (line, expected) in [
        // Another name of the same file: a rule about one need not be a rule about the other.
        ("exec cg-run --no-cgroup -- $NAMES/rlimit-exec -- true", "cg-run rlimit-exec true"),
        ("exec $NAMES/cg-run --no-cgroup -- rlimit-exec -- true", "cg-run rlimit-exec true"),
        // Memory that this process has already counts.
        ("exec rlimit-exec --as 32M -- cg-run --no-cgroup -- true", "rlimit-exec cg-run true"),
        ("ulimit -s 256; exec cg-run --no-cgroup -- rlimit-exec -- true", "cg-run rlimit-exec true"),
        ("exec rlimit-exec --as 4G --data 1G -- cg-run --no-cgroup -- true", "rlimit-exec true"),
        // Filters and Landlock have rules about exec.
        ("exec seccomp-exec -- rlimit-exec -- true", "seccomp-exec rlimit-exec true"),
        // The environment changes.
        ("CHAIN_EXPLAIN=1 exec rlimit-exec -- rlimit-exec -- true", "rlimit-exec rlimit-exec"),
        // In a user namespace that was there before, its root may look at everything.
        (
            "exec unshare -Ur --mount mount-plan --preset host-ro -- rlimit-exec -- true",
            "unshare mount-plan carried true",
        ),
        (
            "exec ns-unshare --user --mount -- mount-plan --carry clone --preset host-ro -- rlimit-exec -- true",
            "ns-unshare carried true",
        ),
        (
            "exec ns-unshare --user --mount -- mount-plan --carry sealed --preset host-ro -- rlimit-exec -- true",
            "ns-unshare carried true",
        ),
        // Who is hidden cannot write to its own files in /proc, and only seccomp-exec never does.
        (
            "exec ns-unshare --user --mount -- mount-plan --preset host-ro -- rlimit-exec -- true",
            "ns-unshare carried true",
        ),
        // What was found in a new root is executed there, whatever it is.
        (
            "exec ns-unshare --user --mount -- mount-plan --carry no --preset host-ro --ro-bind $PWD $PWD -- \
             $PWD/rlimit-exec -- true",
            "ns-unshare rlimit-exec true",
        ),
    ] {
        executes(&folder, false, line, expected);
    }
}

/// Runs `test` with the number of a process that is in user and mount namespaces of its own, once `line` has been run there.
fn beside_a_box(folder: &Folder, line: &str, test: impl FnOnce(u32)) {
    let line = format!("{line}; exec sleep 60");
    let mut there = program(folder, "/usr/bin/unshare").args(["-Urm", "sh", "-c", &line]).as_user();
    let mut there = there.command().spawn().unwrap();
    while fs::read_to_string(format!("/proc/{}/comm", there.id())).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    test(there.id());
    there.kill().unwrap();
    there.wait().unwrap();
}

/// Who joins a box executes the next program: a link's memory is not for those who are in there.
#[test]
fn who_joins_executes() {
    let folder = tools("in_process-join");
    beside_a_box(&folder, ":", |pid| {
        let line = format!("exec ns-unshare --join user={pid} -- rlimit-exec -- true");
        executes(&folder, false, &line, "ns-unshare rlimit-exec true");
        let line = format!("exec ns-unshare --join-all {pid} -- $PWD/rlimit-exec -- true");
        executes(&folder, false, &line, "ns-unshare rlimit-exec true");
    });
}

/// The same path leads to another file in a tree that is joined, and that one is a stranger.
#[test]
fn a_box_that_is_joined_has_programs_of_its_own() {
    let folder = tools("in_process-joined-tree");
    let other = "#!/bin/sh\necho other\ngrep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u\n";
    fs::write(folder.join("other"), other).unwrap();
    fs::set_permissions(folder.join("other"), Permissions::from_mode(0o755)).unwrap();
    beside_a_box(&folder, "mount --bind other chainbox", |pid| {
        let line = format!("ns-unshare --join-all {pid} -- $PWD/rlimit-exec -- echo ours");
        assert_eq!(shell(&folder, &line).as_user().run().ok(), "other\n0000000000000000\n");
    });
}

/// A file that took the place of this one meanwhile is executed.
#[test]
fn a_file_that_was_replaced_is_executed() {
    let folder = tools("in_process-replaced");
    fs::write(folder.join("other"), "#!/bin/sh\necho other\n").unwrap();
    fs::set_permissions(folder.join("other"), Permissions::from_mode(0o755)).unwrap();
    // The word to start comes when the one file is another one.
    let line = "mkfifo ready start; exec 8<>ready 9<>start; \
                ns-unshare --user --mount --pid --ready-fd 8 --wait-fd 9 -- rlimit-exec -- echo ours & \
                read box <&8; mv other chainbox; echo >&9; wait $!";
    assert_eq!(shell(&folder, line).as_user().run().ok(), "other\n");
}

/// Who may execute a file but not read it is not dumpable (execve(2)), and is so again only by an exec.
#[test]
fn a_file_that_cannot_be_read_is_executed() {
    let folder = tools("in_process-unreadable");
    fs::set_permissions(folder.join("chainbox"), Permissions::from_mode(0o111)).unwrap();
    executes(&folder, false, "exec rlimit-exec -- cg-run --no-cgroup -- true", "rlimit-exec cg-run true");
}

/// Each link that goes on leaves its words in memory, so a chain of very many is executed now and then.
#[test]
fn a_chain_without_end_does_not_fill_the_memory() {
    let folder = tools("in_process-long");
    let line = |links| format!("exec {}true", "rlimit-exec -- ".repeat(links));
    executes(&folder, false, &line(35), "rlimit-exec rlimit-exec rlimit-exec true");
    shell(&folder, &line(2500)).as_user().run().ok();
}

/// An exec would take these capabilities away, or give them back.
#[test]
fn an_exec_that_changes_capabilities_is_done() {
    if !root_or_skip("an_exec_that_changes_capabilities_is_done") {
        return;
    }
    let folder = tools("in_process-capabilities");
    let line = "exec setpriv --securebits +noroot rlimit-exec -- rlimit-exec -- true";
    executes(&folder, true, line, "setpriv rlimit-exec rlimit-exec true");
    // Another effective id than the real one is refused before that.
    let line = "exec setpriv --ruid 1000 rlimit-exec -- rlimit-exec -- true";
    let ran = shell(&folder, line).run();
    ran.fails(125, "AT_SECURE");
}

/// Descriptors, names and dumpability after a link that was not executed are those after one that was.
#[test]
fn a_link_begins_as_if_it_had_been_executed() {
    let folder = tools("in_process-begins");
    let facts = "readlink /proc/self/fd/* | sed s/pipe:.*/pipe/; stat -c %u /proc/self/fd; cat /proc/$PPID/comm";
    let line = |path: &str| {
        format!(
            "exec 7</dev/null; {path}cg-run --no-cgroup --keep-fd 7 -- rlimit-exec --keep-fd 7 -- sh -c '{facts}' <&- | cat"
        )
    };
    let bare = shell(&folder, &line("$NAMES/")).as_user().run().ok();
    assert_eq!(shell(&folder, &line("")).as_user().run().ok(), bare);
    assert!(bare.ends_with("cg-run\n"), "{bare}");
    // The descriptor of the first link's choice ends with it, as an exec would end it.
    let kept = "exec 7</dev/null; rlimit-exec --keep-fd 7 -- rlimit-exec -- sh -c 'test ! -e /proc/self/fd/7'";
    shell(&folder, kept).as_user().run().ok();
    shell(&folder, "cg-run --no-cgroup -- rlimit-exec --nofile 2:1 -- true")
        .as_user()
        .run()
        .fails(125, "rlimit-exec: --nofile: soft limit 2 is above hard limit 1");
}

/// CVE-2019-5736: while a link runs that crossed in its process, /proc/self/exe is a file of the old root.
#[test]
fn a_payload_that_is_the_file_of_the_link_that_crossed_is_refused() {
    // The file of who runs the test does not run in his box, but is carried.
    if !root_or_skip("a_payload_that_is_the_file_of_the_link_that_crossed_is_refused") {
        return;
    }
    let folder = tools("in_process-magic");
    for (name, text) in
        [("script", "#!/proc/self/exe rlimit-exec\n"), ("twice", "#!/s/script\n"), ("through", "#!/s/link\n")]
    {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    symlink("/proc/self/exe", folder.join("link")).unwrap();
    fs::write(folder.join("loaded"), chainbox_tests::loaded_by("/proc/self/exe")).unwrap();
    fs::set_permissions(folder.join("loaded"), Permissions::from_mode(0o755)).unwrap();
    for payload in ["/s/script", "/s/twice", "/s/link", "/s/through", "/s/loaded", "/proc/self/exe"] {
        let line = format!(
            "exec ns-unshare --user --mount --pid -- {HOST} --ro-bind $PWD /s -- seccomp-exec -- {payload} --version"
        );
        let ran = shell(&folder, &line).as_user().run();
        ran.fails(126, "leads through a magic link of /proc");
        assert_eq!(ran.out, "");
        let line = line.replace("--user --mount", "--mount").replace("seccomp-exec", "seccomp-exec --user 77:77");
        let ran = shell(&folder, &line).run();
        ran.fails(126, "leads through a magic link of /proc");
        assert_eq!(ran.out, "");
    }
}

/// A link that stays in the box, and was not executed there, is hidden from who asks whose mount namespace this is.
#[test]
fn a_mount_namespace_that_a_resident_link_shares_is_refused() {
    let folder = tools("in_process-shared");
    let line = "ns-unshare --user --mount -- cg-run --no-cgroup -- mount-plan --preset host-ro -- true";
    shell(&folder, line).as_user().run().fails(125, "the process that started it shares it");
    shell(&folder, &line.replace("--mount", "--mount --pid")).as_user().run().fails(125, "shares it");
}

/// What a tool writes to its own files in /proc after the root change is written.
#[test]
fn a_link_that_has_crossed_has_its_files_in_proc() {
    let folder = tools("in_process-proc");
    fs::write(folder.join("plan"), "proc /proc proc rw\n").unwrap();
    let line =
        |last: &str| format!("ns-unshare --user --mount --pid -- mount-plan --preset host-ro --plan plan -- {last}");
    let score = "rlimit-exec --oom-score-adj 500 -- cat /proc/self/oom_score_adj";
    assert_eq!(shell(&folder, &line(score)).as_user().run().ok(), "500\n");
    let nested = "ns-unshare --user --pid -- cat /proc/self/uid_map";
    assert_eq!(
        shell(&folder, &line(nested)).as_user().run().ok().split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "1"]
    );
}

/// Holds the link that has crossed by its own -v, whose pipe is full (pipe(7)), and looks at it from outside: as the same
/// user, who may look into each of his processes that does not forbid it.
const LOOKER: &str = r#"
    mkfifo pipe; exec 9<>pipe; dd if=/dev/zero of=pipe bs=4096 oflag=nonblock 2>/dev/null
    ns-unshare --user --mount -- mount-plan $HOW --preset host-ro -- seccomp-exec -v -- true 2>&9 9>&- &
    link=$!
    for n in $(seq 500); do
        case $(cat /proc/$link/comm) in sh | ns-unshare | mount-plan) ;; *) grep -q ^State:.S /proc/$link/status && break ;; esac
        sleep 0.02
    done
    readlink /proc/$link/exe 2>&1 || echo "exe $?"
    (: </proc/$link/mem) 2>/dev/null || echo "mem $?"
    dd if=pipe of=/dev/null bs=4096 iflag=nonblock 2>/dev/null
    wait $link; echo "ended $?"
"#;

#[test]
fn nobody_looks_into_a_link_that_has_crossed() {
    if !root_or_skip("nobody_looks_into_a_link_that_has_crossed") {
        return;
    }
    let folder = tools("in_process-looker");
    let ran = shell(&folder, LOOKER).env("HOW", "").as_user().run();
    assert_eq!(ran.clone().ok(), "exe 1\nmem 2\nended 0\n", "{ran:#?}");
    // That one could look otherwise: at the clone that was executed.
    fs::remove_file(folder.join("pipe")).unwrap();
    let ran = shell(&folder, LOOKER).env("HOW", "--carry clone").as_user().run();
    assert_eq!(ran.clone().ok(), "/\nended 0\n", "{ran:#?}");
}
