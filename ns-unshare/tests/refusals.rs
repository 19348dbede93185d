//! Bad input is refused in one line and changes nothing; a kernel that says no is explained; the pages are printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs;

use chainbox_tests::{Chain, Folder, is_root, tool};
use support::{in_box, ns_unshare};

#[test]
fn bad_input_is_refused_before_anything_happens() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (line, code, words) in [
        ("--users", 125, "unknown option --users"),
        ("-U --user", 125, "--user is given twice"),
        ("-U -r -c", 125, "--map-root and --map-self exclude each other"),
        ("-r", 125, "--map-root needs --user"),
        ("-u --hostname", 125, "--hostname: NAME is missing"),
        ("--hostname x", 125, "--hostname needs --uts"),
        ("-u --hostname=", 125, "--hostname '': 1 to 64 bytes"),
        ("-U --map-users 0:0 --map-groups 0:0:1", 125, "--map-users 0:0: not an id range"),
        ("-U --map-users 0:0:5 --map-users 4:9:1 --map-groups 0:0:1", 125, "--map-users: 0:0:5 and 4:9:1 overlap"),
        ("-U --map-users 0:0:1", 125, "--map-users and --map-groups need each other"),
        ("-T --boottime 1.5", 125, "--boottime 1.5: whole seconds"),
        ("-m --propagation public", 125, "--propagation public: private, slave, shared or unchanged"),
        ("-U --setgroups no", 125, "--setgroups no: allow or deny"),
        ("-U --as-pid1", 125, "--as-pid1 needs --pid"),
        ("-u --hostname evil --keep-fd 77 -- true", 125, "--keep-fd 77"),
        ("-u --hostname evil -- /no/such", 127, "/no/such"),
        ("-u --hostname evil -- /etc/passwd", 126, "/etc/passwd"),
    ] {
        let ran = ns_unshare(line).run();
        ran.fails(code, words);
        assert!(ran.err.lines().count() <= 2 && ran.out.is_empty(), "{ran:?}");
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn bytes_that_are_no_text_pass_or_are_shown_escaped() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    let ran = ns_unshare("-U --map-groups 0:0:1 --map-users").args([odd]).run();
    ran.fails(125, "--map-users '\\xff': not an id range");
    let ran = ns_unshare("-Up -- printf %s").args([odd]).run();
    assert_eq!(ran.ok(), "\u{fffd}");
    let ran = ns_unshare("-Uu --hostname").args([odd]).args(["--", "uname", "-n"]).run();
    assert_eq!(ran.ok(), "\u{fffd}\n");
}

#[test]
fn a_missing_capability_is_named() {
    for (options, step) in [
        ("--uts", "enter new namespaces: uts: unshare"),
        ("--pid", "start a process in new namespaces: pid: clone"),
        ("--time", "new namespace: time: unshare"),
    ] {
        let ran = ns_unshare(&format!("{options} -- true")).as_user().run();
        ran.fails(125, &format!("ns-unshare: {step}: Operation not permitted (EPERM)\nhint: it needs CAP_SYS_ADMIN"));
    }
}

/// The limit is set for real, in a user namespace of its own.
#[test]
fn a_namespace_limit_is_named() {
    for kind in ["user", "net", "uts", "time"] {
        let script = format!("echo 0 >/proc/sys/user/max_{kind}_namespaces && ns-unshare --{kind} -- true");
        let ran = in_box("--user --keep-caps", &script).run();
        ran.fails(125, "No space left on device (ENOSPC)");
        assert!(ran.err.contains(&format!("hint: user.max_{kind}_namespaces is 0")), "{ran:?}");
    }
    let script = "echo 1 >/proc/sys/user/max_uts_namespaces && \
                  ns-unshare --uts -- ns-unshare --uts --ipc -- true";
    let ran = in_box("--user --keep-caps", script).run();
    ran.fails(125, "around this one: user.max_ipc_namespaces, user.max_uts_namespaces\n");
}

/// As a filter hides it.
#[test]
fn a_missing_system_call_is_named() {
    let folder = Folder::new("enosys", true);
    fs::write(folder.join("policy"), "default allow\nerrno ENOSYS clone\n").unwrap();
    let filter = tool("seccomp-exec").display().to_string();
    let ran = ns_unshare("--user --pid -- true").within(&filter, &["--policy", "policy", "--"]).at(folder.path());
    let hint = "clone: Function not implemented (ENOSYS)\nhint: a seccomp filter denies this call\n";
    ran.as_user().run().fails(125, hint);
}

/// Profiles of containers deny clone3, whose flags no filter sees: with ENOSYS, older ones with EPERM.
#[test]
fn boxes_start_where_clone3_is_denied() {
    let folder = Folder::new("no-clone3", true);
    let filter = tool("seccomp-exec").display().to_string();
    for errno in ["ENOSYS", "EPERM"] {
        fs::write(folder.join("policy"), format!("default allow\nerrno {errno} clone3\n")).unwrap();
        for line in ["-U", "-Um --map-root", "-Upm", "-Up --as-pid1", "-Upmniu --foreground", "-Um --ready-fd 2"] {
            let ran = ns_unshare(&format!("{line} -- echo started")).at(folder.path());
            let ran = ran.within(&filter, &["--policy", "policy", "--"]).as_user().run();
            assert_eq!((ran.code, ran.out.as_str()), (0, "started\n"), "{errno} {line}: {ran:?}");
        }
    }
}

/// Ubuntu's kernels alone have this setting. Its file is laid over /proc/sys here; the refusal is real: user 1 is nobody
/// whom the caller may map.
#[test]
fn ubuntus_restriction_is_named_with_the_profile_that_allows_it() {
    let script = "mount -t tmpfs none /proc/sys/kernel && cd /proc/sys/kernel && \
                  echo 1 >apparmor_restrict_unprivileged_userns && \
                  ns-unshare --user --map-users 0:1:1 --map-groups 0:1:1 -- true";
    let ran = in_box("-Um --keep-caps", script).as_user().run();
    ran.fails(
        125,
        "Operation not permitted (EPERM)\nhint: kernel.apparmor_restrict_unprivileged_userns is 1; root can ",
    );
    let way_out = "allow it: for this program by the profile packaging/apparmor.d/chainbox, for all by sysctl \
                   kernel.apparmor_restrict_unprivileged_userns=0\n";
    assert!(ran.err.ends_with(way_out), "{ran:?}");
}

#[test]
fn nesting_beyond_the_kernels_depth_is_named() {
    let script = "n=${1:-0}; [ $n -lt 40 ] && exec ns-unshare --user --keep-caps -- sh -c \"$0\" \"$0\" $((n+1))";
    let ran = Chain::program("sh").args(["-c", script, script]).run();
    ran.fails(125, "nested more than 32 deep");
}

/// A box with a /proc as mount-plan makes it, in which another is made.
#[test]
fn a_read_only_proc_is_named() {
    let tools = chainbox_tests::bin().display().to_string();
    let nested = |options: &str| {
        let line = format!(
            "--user --map-self --mount --pid -- mount-plan --preset host-ro --dev /dev --proc /proc {options} --ro-bind {tools} \
             {tools} -- {tools}/ns-unshare --user --map-self -- /bin/echo nested"
        );
        let run = || ns_unshare(&line);
        let mut ran = vec![run().as_user().run()];
        ran.extend(is_root().then(|| run().run()));
        ran
    };
    let hint = "open uid_map: Read-only file system (EROFS)\nhint: this /proc is read-only, as mount-plan --proc makes it: a box in \
                which boxes are made has --proc /proc -o rw,subset=pid\n";
    nested("").iter().for_each(|ran| ran.fails(125, hint));
    for ran in nested("-o rw,subset=pid") {
        assert_eq!(ran.ok(), "nested\n");
    }
}

#[test]
fn a_chroot_is_named() {
    let folder = Folder::new("chroot", true);
    fs::create_dir(folder.join("proc")).unwrap();
    folder.program(tool("ns-unshare"), "ns-unshare");
    let path = folder.path().display();
    let inside = |options: &str| {
        let line = format!("mount --rbind /proc {path}/proc && chroot {path} /ns-unshare {options} -- /ns-unshare -V");
        let mut ran = vec![in_box("--user --mount --keep-caps", &line).as_user().run()];
        ran.extend(is_root().then(|| in_box("--mount", &line).run()));
        ran
    };
    let denied = "enter new namespaces: user: unshare: Operation not permitted (EPERM)\nhint: a process in a chroot(2)";
    inside("--user").iter().for_each(|ran| ran.fails(125, denied));
    // Where a mount is at the root, a process outside of it tells.
    let line = format!("mount --rbind / {path} && chroot {path} {} --user -- true", tool("ns-unshare").display());
    in_box("--user --mount --pid --keep-caps", &line).as_user().run().fails(125, denied);
    let no_mount = "make mount propagation private: mount: Invalid argument (EINVAL)\n\
                    hint: the root directory is no mount";
    inside("--mount").iter().for_each(|ran| ran.fails(125, no_mount));
    for ran in inside("--mount --propagation unchanged") {
        assert!(ran.ok().starts_with("ns-unshare "));
    }
}

#[test]
fn a_missing_proc_is_named() {
    let script = "mount -t tmpfs none /proc && ns-unshare --user -- true";
    for ran in [in_box("-Um --keep-caps", script).run(), in_box("-Um --keep-caps", script).as_user().run()] {
        ran.fails(125, "No such file or directory (ENOENT)");
        assert!(ran.err.contains("/proc"), "{ran:?}");
    }
}

#[test]
fn explain_and_check_change_nothing() {
    let line = "--user --mount --pid --net --ipc --uts --hostname box";
    let out = ns_unshare(&format!("--explain {line} -- rlimit-exec --core 0 -- id")).as_user().run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("ns-unshare: 1. end when the caller ends  [pidfd_open("), "{out}");
    assert!(
        lines[1].contains("[clone(CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWNET|CLONE_NEWIPC|CLONE_NEWUTS)]")
    );
    assert!(out.contains("rlimit-exec: 1. limit core to 0:0"), "{out}");
    assert!(out.ends_with("payload: id\n"), "{out}");
    let folder = Folder::new("check", true);
    let made = folder.join("made");
    assert_eq!(ns_unshare(&format!("--check {line} -- touch {}", made.display())).as_user().run().ok(), "");
    assert!(!made.exists());
}

#[test]
fn verbose_says_each_step_once() {
    for options in ["-Uu --hostname box", "-Upun --hostname box", "-Up --as-pid1"] {
        for (who, ran) in support::as_each(|| ns_unshare(&format!("-v {options} -- true"))) {
            let explained = if who == "user" {
                ns_unshare(&format!("--explain {options} -- true")).as_user().run().ok()
            } else {
                ns_unshare(&format!("--explain {options} -- true")).run().ok()
            };
            let steps: Vec<&str> = explained
                .lines()
                .filter_map(|line| Some(line.strip_prefix("ns-unshare: ")?.split_once(". ")?.1.split_once("  [")?.0))
                .collect();
            let said: Vec<&str> = ran.err.lines().map(|line| line.split_once("us ").unwrap().1).collect();
            assert_eq!(said, steps, "{options} as {who}");
        }
    }
}

#[test]
fn every_page_is_printed() {
    for page in ["--help", "--man", "--version"] {
        assert!(ns_unshare(page).run().ok().to_lowercase().contains("ns-unshare"), "{page}");
    }
    let features = ns_unshare("--features").run().ok();
    assert_eq!(features.lines().filter(|line| line.contains(" namespace: yes")).count(), 8, "{features}");
}
