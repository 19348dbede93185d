//! What a payload has left behind the gate: ids, groups, the five capability sets, securebits, no_new_privs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;

use chainbox_tests::{Chain, Folder, Tier, root_or_skip, skip, tool};

const CAPS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
const NONE: &str = "0000000000000000";
const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

fn gate(line: &str) -> Chain {
    Chain::new("seccomp-exec").args(line.split_whitespace())
}

/// One field of /proc/PID/status.
fn field(status: &str, name: &str) -> String {
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn caps(status: &str) -> [String; 5] {
    CAPS.map(|name| field(status, name))
}

fn user_namespace_or_skip(test: &str) -> bool {
    let made = Chain::program("unshare").args(["-Ur", "true"]).as_user().run();
    if made.code != 0 {
        skip(Tier::UserNamespace, test, made.err.trim());
    }
    made.code == 0
}

#[test]
fn root_keeps_nothing_but_its_name() {
    if !root_or_skip("root_keeps_nothing_but_its_name") {
        return;
    }
    let status = gate("--").args(STATUS).run().ok();
    assert_eq!(caps(&status), [NONE; 5]);
    assert_eq!(field(&status, "Uid"), "0 0 0 0");
    assert_eq!((field(&status, "NoNewPrivs").as_str(), field(&status, "Seccomp").as_str()), ("1", "0"));
}

#[test]
fn an_ordinary_user_has_nothing_that_counts() {
    let bare = Chain::program("cat").args(["/proc/self/status"]).as_user().run().ok();
    let status = gate("--filter default --").args(STATUS).as_user().run().ok();
    let [inheritable, permitted, effective, bounding, ambient] = caps(&status);
    assert_eq!([inheritable, permitted, effective, ambient], [NONE; 4]);
    assert_eq!(bounding, field(&bare, "CapBnd"), "without CAP_SETPCAP it must stay");
    assert_eq!((field(&status, "NoNewPrivs").as_str(), field(&status, "Seccomp").as_str()), ("1", "2"));
}

#[test]
fn root_of_a_user_namespace_keeps_nothing() {
    if !user_namespace_or_skip("root_of_a_user_namespace_keeps_nothing") {
        return;
    }
    let line = "unshare -Ur seccomp-exec --filter default --user 0:0 -- cat /proc/self/status";
    let status = Chain::shell(line).as_user().run().ok();
    assert_eq!(caps(&status), [NONE; 5]);
    assert_eq!((field(&status, "Uid"), field(&status, "Groups")), ("0 0 0 0".into(), String::new()));
}

#[test]
fn a_setuid_program_gives_nothing_back() {
    if !root_or_skip("a_setuid_program_gives_nothing_back") {
        return;
    }
    let folder = Folder::new("setuid", false);
    let id = folder.program("/usr/bin/id", "id");
    std::fs::set_permissions(&id, PermissionsExt::from_mode(0o4755)).unwrap();
    let bare = Chain::program(&id).as_user().run().ok();
    if !bare.contains("euid=0") {
        return skip(Tier::Root, "a_setuid_program_gives_nothing_back", "the temporary folder is mounted nosuid");
    }
    let behind = Chain::new("seccomp-exec").args(["--".as_ref(), id.as_os_str()]).as_user().run().ok();
    assert!(behind.starts_with("uid=1000") && !behind.contains("euid"), "{behind}");
    let open = gate("--user 1000:1000 --allow-new-privs --").args([&id]).run().ok();
    assert!(open.contains("euid=0"), "it was asked for: {open}");
    let refused = gate("--allow-new-privs -- true").as_user().run();
    refused.fails(125, "--allow-new-privs: the bounding set cannot be dropped without CAP_SETPCAP");
}

#[test]
fn ids_are_exactly_those_that_were_named() {
    if !root_or_skip("ids_are_exactly_those_that_were_named") {
        return;
    }
    let ids = |line: &str| {
        let status = Chain::shell(&format!("{line} -- cat /proc/self/status")).run().ok();
        ["Uid", "Gid", "Groups"].map(|name| field(&status, name))
    };
    let callers = "setpriv --groups 5,6 seccomp-exec";
    assert_eq!(ids(&format!("{callers} --user 1000:1001")), ["1000 1000 1000 1000", "1001 1001 1001 1001", ""]);
    assert_eq!(ids(&format!("{callers} --user 7:8:20,9")), ["7 7 7 7", "8 8 8 8", "9 20"]);
    assert_eq!(ids(callers), ["0 0 0 0", "0 0 0 0", "5 6"], "without --user they stay");
    let last = "4294967294 4294967294 4294967294 4294967294";
    assert_eq!(ids(&format!("{callers} --user 4294967294:4294967294")), [last, last, ""]);
}

#[test]
fn groups_that_cannot_be_dropped_are_a_failure() {
    if !root_or_skip("groups_that_cannot_be_dropped_are_a_failure") {
        return;
    }
    let line = "setpriv --reuid 1000 --regid 1000 --groups 4,5 unshare -Ur seccomp-exec --user 0:0 -- echo not reached";
    let ran = Chain::shell(line).run();
    ran.fails(125, "drop the supplementary groups: setgroups: Operation not permitted (EPERM)\nhint: ");
    assert_eq!(ran.out, "");
}

#[test]
fn ids_that_cannot_be_had_are_a_failure() {
    if !user_namespace_or_skip("ids_that_cannot_be_had_are_a_failure") {
        return;
    }
    let ran = Chain::shell("unshare -Ur seccomp-exec --user 1:0 -- true").as_user().run();
    ran.fails(125, "become user 1: setresuid: Invalid argument (EINVAL)\nhint: the id is not mapped");
    let ran = gate("--user 1001:1000 -- true").as_user().run();
    ran.fails(125, "become user 1001: setresuid: Operation not permitted (EPERM)\nhint: CAP_SETUID");
}

#[test]
fn capabilities_that_are_kept_survive_exec() {
    if !root_or_skip("capabilities_that_are_kept_survive_exec") {
        return;
    }
    for user in ["", "--user 1000:1000", "--user 0:0"] {
        let status = gate(&format!("--keep-caps net_raw,CAP_CHOWN {user} --")).args(STATUS).run().ok();
        assert_eq!(caps(&status), ["0000000000002001"; 5], "{user}");
        assert_eq!(field(&status, "NoNewPrivs"), "1");
    }
    let bare = Chain::program("cat").args(["/proc/self/status"]).run().ok();
    let (held, bounding) = (field(&bare, "CapPrm"), field(&bare, "CapBnd"));
    let all = gate("--keep-caps all --user 1000:1000 --").args(STATUS).run().ok();
    assert_eq!(caps(&all), [&held, &held, &held, &bounding, &held].map(String::as_str));
    let less = |set: &str| format!("{:016x}", u64::from_str_radix(set, 16).unwrap() & !0b10_0001);
    let all = gate("--keep-caps all,-chown,-CAP_KILL --user 1000:1000 --").args(STATUS).run().ok();
    let (held, bounding) = (less(&held), less(&bounding));
    assert_eq!(caps(&all), [&held, &held, &held, &bounding, &held].map(String::as_str));
}

#[test]
fn root_keeps_capabilities_that_nobody_else_inherits() {
    if !root_or_skip("root_keeps_capabilities_that_nobody_else_inherits") {
        return;
    }
    let set = |list: &str, user: &str| {
        let status = gate(&format!("--keep-caps {list} {user} --")).args(STATUS).run().ok();
        assert_eq!(field(&status, "NoNewPrivs"), "1");
        caps(&status)
    };
    let bare = Chain::program("cat").args(["/proc/self/status"]).run().ok();
    let (held, bounding) = (field(&bare, "CapPrm"), field(&bare, "CapBnd"));
    let none = "0000000000000000";
    assert_eq!(set("root", ""), [none, &held, &held, &bounding, none]);
    assert_eq!(set("root", "--user 1000:1000"), [none, none, none, &bounding, none]);
    let [_, permitted, effective, bounding, ambient] = set("root,-kill", "");
    let without = u64::from_str_radix(&held, 16).unwrap() & !0b10_0000;
    assert_eq!([permitted, effective, bounding], [0; 3].map(|_| format!("{without:016x}")));
    assert_eq!(ambient, none);
}

#[test]
fn a_user_namespace_can_keep_capabilities_too() {
    if !user_namespace_or_skip("a_user_namespace_can_keep_capabilities_too") {
        return;
    }
    let line = "unshare -Ur seccomp-exec --keep-caps net_raw -- cat /proc/self/status";
    assert_eq!(caps(&Chain::shell(line).as_user().run().ok()), ["0000000000002000"; 5]);
    gate("--keep-caps net_raw -- true").as_user().run().fails(125, "--keep-caps: this process has no net_raw to keep");
}

#[test]
fn the_gate_can_be_in_a_user_namespace_below() {
    if !user_namespace_or_skip("the_gate_can_be_in_a_user_namespace_below") {
        return;
    }
    let line = "unshare -U --map-user=5 --map-group=6 sleep 60 & trap 'kill $!' EXIT
        until [ \"$(cat /proc/$!/comm)\" = sleep ]; do sleep 0.01; done
        exec 7</proc/$!/ns/user; readlink /proc/$!/ns/user
        seccomp-exec --userns-fd 7 $WORDS -- sh -c 'readlink /proc/self/ns/user; id -u; id -g; ls -l /proc/self/fd; cat /proc/self/status'";
    let run = |words: &str| {
        Chain::program("unshare").args(["-Ur", "sh", "-c", line]).env("WORDS", words).as_user().run().ok()
    };
    for (words, held) in [("", "0000000000000000"), ("--keep-caps chown", "0000000000000001")] {
        let out = run(words);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines[0], &lines[2..4]), (lines[1], &["5", "6"][..]), "{out}");
        assert_eq!(out.matches("user:[").count(), 2, "no descriptor is left: {out}");
        assert_eq!(caps(&out), [held; 5], "{words}");
    }
    let line = "seccomp-exec --userns-fd 7 -- true 7</proc/self/ns/user";
    Chain::shell(line)
        .as_user()
        .run()
        .fails(125, "enter the user namespace on descriptor 7: setns: Invalid argument (EINVAL)");
    Chain::shell("seccomp-exec --userns-fd 7 -- true 7<&-")
        .run()
        .fails(125, "--userns-fd 7: fcntl: Bad file number (EBADF)");
}

#[test]
fn securebits_are_set_while_they_can_be() {
    if !root_or_skip("securebits_are_set_while_they_can_be") {
        return;
    }
    let list = "noroot,noroot_locked,no_cap_ambient_raise";
    let dump = gate(&format!("--securebits {list} --keep-caps chown -- setpriv --dump")).run().ok();
    let line = dump.lines().find(|line| line.starts_with("Securebits")).unwrap();
    assert!(line.contains("noroot,noroot_locked"), "{dump}");
    assert!(dump.contains("Ambient capabilities: chown"), "raised before raising was forbidden: {dump}");
    let ran = gate("--securebits noroot -- true").as_user().run();
    ran.fails(125, "set the securebits noroot: prctl(PR_SET_SECUREBITS): Operation not permitted (EPERM)");
}

/// Calls that only seem to be made, by a filter that answers 0 in their place: whatever the gate did not get it must see.
#[test]
fn what_was_not_done_is_refused() {
    if !root_or_skip("what_was_not_done_is_refused") {
        return;
    }
    let around = "--allow-new-privs --keep-caps all --policy-fd 7";
    let gate = |call: &str, options: &str| {
        let line = format!(
            "setpriv --groups 5,6 seccomp-exec {around} -- seccomp-exec {options} -- echo reached 7<<E\ndefault allow\nerrno 0 {call}\nE\n"
        );
        Chain::shell(&line).run()
    };
    assert_eq!(gate("getpid", "--user 1:1:9").ok(), "reached\n");
    for (call, options, words) in [
        ("setgroups", "--user 1:1:9", "set the supplementary groups to 9: the list of supplementary groups is [5, 6]"),
        ("setresgid", "--user 1:1", "become group 1: the group is [0, 0, 0] afterwards, not [1, 1, 1]"),
        ("setresuid", "--user 1:1", "become user 1: the user is [0, 0, 0] afterwards, not [1, 1, 1]"),
        ("capset", "", "pass on to PROG, inheritable and ambient: none: the capability state is "),
        ("capset", "--keep-caps chown", "the capability state is "),
        ("prctl if arg0 == 24", "", "leave in the bounding set: none: the rest of the bounding set is "),
        ("prctl if arg0 == 47 && arg1 == 2", "--keep-caps chown", "the ambient set is CapabilitySet(0x0) afterwards"),
        (
            "prctl if arg0 == 28",
            "--securebits noroot",
            "set the securebits noroot: the set of securebits is 0 afterwards",
        ),
        ("prctl if arg0 == PR_SET_NO_NEW_PRIVS", "", "the no_new_privs bit is false afterwards, not true"),
        ("keyctl if u32(arg0) == 1", "--new-keyring", "replace the session keyring by an empty one: "),
    ] {
        let ran = gate(call, options);
        ran.fails(125, words);
        assert_eq!(ran.out, "", "{call} {options}");
    }
}

#[test]
fn a_bare_root_with_no_proc_and_no_dev_is_enough() {
    if !user_namespace_or_skip("a_bare_root_with_no_proc_and_no_dev_is_enough") {
        return;
    }
    let folder = Folder::new("bare-root", true);
    for name in ["seccomp-exec", "syscall-probe"] {
        folder.program(tool(name), name);
    }
    let path = folder.path().display();
    let line = format!(
        "unshare -Ur chroot {path} /seccomp-exec --filter default --filter tty-guard --user 0:0 -- /syscall-probe call 102"
    );
    assert_eq!(Chain::shell(&line).as_user().run().ok(), "ret 0\n");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    for (line, words) in [
        ("--user 1000", "--user 1000: not UID:GID"),
        ("--user 4294967295:0", "--user 4294967295:0: not UID:GID"),
        ("--user root:root", "--user root:root: not UID:GID"),
        ("--user 1:1 --user 1:1", "--user is given twice"),
        ("--keep-caps net-raw", "--keep-caps: net-raw is no capability"),
        ("--keep-caps all,chown", "--keep-caps all,chown: behind all and root only -NAME"),
        ("--keep-caps root,", "--keep-caps root,: behind all and root only -NAME"),
        ("--keep-caps all,-", "--keep-caps: '' is no capability"),
        ("--securebits root", "--securebits root: not a list of securebits"),
        ("--filter docker", "--filter docker: no filter of that name"),
        ("--dump pfc", "no filter is given"),
        ("--filter default --dump pdf", "--dump pdf: pfc, json, policy or bpf"),
        ("--filter default --filter default --dump bpf", "bytes of one filter at a time"),
        ("--no-such-option", "unknown option --no-such-option"),
    ] {
        let ran = gate(line).args(["--", "echo", "reached"]).run();
        ran.fails(125, &format!("seccomp-exec: {words}"));
        let lines: Vec<_> = ran.err.lines().collect();
        assert!(lines.len() == 1 || lines.len() == 2 && lines[1].starts_with("hint: "), "{ran:?}");
        assert_eq!(ran.out, "", "{line}");
    }
    gate("--keep-caps").run().fails(125, "--keep-caps: LIST is missing");
    gate("-- no-such-program").run().fails(127, "no-such-program: not found in PATH");
    gate("-- /etc/passwd").run().fails(126, "/etc/passwd: execve: Permission denied (EACCES)");
}

#[test]
fn bytes_that_are_no_text_are_bytes() {
    let raw = OsStr::from_bytes(b"a\xffb");
    for option in ["--filter", "--user", "--keep-caps", "--securebits", "--dump"] {
        let ran = Chain::new("seccomp-exec").args([option.as_ref(), raw]).run();
        ran.fails(125, "a\\xffb");
    }
    let line =
        [OsStr::new("--"), OsStr::new("sh"), OsStr::new("-c"), OsStr::new("printf %s \"$0\" | od -An -tx1"), raw];
    assert_eq!(Chain::new("seccomp-exec").args(line).run().ok(), " 61 ff 62\n");
}

#[test]
fn explain_changes_nothing_and_names_every_step() {
    let line = "--explain --user 1000:1000:4 --keep-caps chown --securebits noroot --filter tty-guard -- true";
    for chain in [gate(line), gate(line).as_user()] {
        let out = chain.run().ok();
        assert_eq!(out.lines().count(), 10, "{out}");
        for words in [
            "1. set the supplementary groups to 4  [setgroups(1, [4])]",
            "3. become user 1000  [prctl(PR_SET_KEEPCAPS, 1), setresuid(1000, 1000, 1000)]",
            "4. leave in the bounding set: chown",
            "8. gain no privilege by exec from now on  [prctl(PR_SET_NO_NEW_PRIVS, 1)]",
            "9. attach filter tty-guard, ",
            "payload: true",
        ] {
            assert!(out.contains(words), "{words:?} in {out}");
        }
    }
}

#[test]
fn every_page_is_printed() {
    for page in ["--help", "--man", "--version", "--features"] {
        let out = gate(page).run().ok();
        assert!(out.to_lowercase().contains("seccomp") || page == "--features", "{page}: {out}");
    }
    assert!(gate("--features").run().ok().lines().filter(|line| line.contains(": yes, ")).count() >= 5);
    assert_eq!(gate("--check --filter default -- true").run().ok(), "");
}
