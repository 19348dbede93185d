//! What stood in the way is named where that can be known, and what cannot be the cause is not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs;

use chainbox_tests::{Chain, Folder, Ran, bin, is_root, root_or_skip, tool};
use support::{as_each, in_box, ns_unshare};

/// Two lines: what failed, and the hint.
#[track_caller]
fn hinted(ran: &Ran, failure: &str, hint: &str) {
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(ran.code == 125 && lines.len() == 2, "{ran:#?}");
    assert!(lines[0].contains(failure) && lines[1].starts_with(&format!("hint: {hint}")), "{ran:#?}");
}

/// The limit counts for root too.
#[test]
fn a_limit_of_0_is_named() {
    for options in ["--user", "--user --pid", "--user --map-users 0:0:1 --map-groups 0:0:1"] {
        let script = format!("echo 0 >/proc/sys/user/max_user_namespaces && ns-unshare {options} -- true");
        for (_, ran) in as_each(|| in_box("--user --keep-caps", &script)) {
            let hint = "user.max_user_namespaces is 0; whoever owns this user namespace can raise it";
            hinted(&ran, "No space left on device (ENOSPC)", hint);
        }
    }
    // The limit of a namespace around does not show in here.
    let script = "echo 1 >/proc/sys/user/max_user_namespaces && \
                  ns-unshare --user --keep-caps -- ns-unshare --user -- true";
    for (_, ran) in as_each(|| in_box("--user --keep-caps", script)) {
        hinted(&ran, "(ENOSPC)", "a limit is reached, here or in a user namespace around this one: user.max_user_");
    }
}

/// A chroot without /proc, and one whose root is a mount point, look like no chroot.
#[test]
fn a_chroot_that_cannot_be_told_is_named_as_what_may_be() {
    let folder = Folder::new("chroots", true);
    fs::create_dir(folder.join("proc")).unwrap();
    folder.program(tool("ns-unshare"), "ns-unshare");
    let path = folder.path().display();
    for proc in ["true", &format!("mount --rbind /proc {path}/proc")] {
        let line =
            format!("mount --bind {path} {path} && {proc} && chroot {path} /ns-unshare --user --pid -- /ns-unshare");
        let mut ran = vec![in_box("--user --mount --keep-caps", &line).as_user().run()];
        ran.extend(is_root().then(|| in_box("--mount", &line).run()));
        for ran in ran {
            hinted(&ran, "clone: Operation not permitted (EPERM)", "");
            let told =
                ["a process in a chroot(2) may not make a user", "in a chroot(2), where no user namespace can be made"];
            assert!(told.iter().any(|told| ran.err.contains(told)), "{ran:?}");
        }
    }
    if root_or_skip("a_chroot_that_cannot_be_told_is_named_as_what_may_be") {
        let line = format!("chroot {path} /ns-unshare --user -- /ns-unshare");
        hinted(&Chain::shell(&line).run(), "open /proc/self: No such file", "a /proc of the caller's must be mounted");
    }
}

/// With a filter there are two that may have done it.
#[test]
fn a_filter_is_named_where_there_is_one() {
    let line = "--filter no-userns -- ns-unshare --user -- true";
    let ran = Chain::new("seccomp-exec").args(line.split(' ')).as_user().run();
    hinted(&ran, "Operation not permitted (EPERM)", "a seccomp filter is in force and may forbid it; or ");
}

#[test]
fn a_file_keeps_one_namespace() {
    let folder = Folder::new("pinned-twice", true);
    let path = folder.path().display();
    let pin = |options: &str| format!("ns-unshare --net --uts {} -- true", options.replace('@', &format!("{path}/")));
    let count = format!("grep -c {path}/ /proc/self/mountinfo");
    for (_, ran) in as_each(|| {
        let (first, again) = (pin("--pin net=@a"), pin("--pin uts=@b --pin net=@a"));
        in_box("--user --mount --keep-caps", &format!("{first} && {{ {again}; echo $?; {count}; {again} --check; }}"))
    }) {
        // The other file is left alone too.
        assert_eq!(ran.out, "125\n1\n", "{ran:?}");
        let words = format!(
            "ns-unshare: --pin net={path}/a: a namespace is pinned to it already\n\
             hint: join what is there by --join TYPE={path}/a, or end it: umount {path}/a\n"
        );
        assert_eq!(ran.err, words.repeat(2));
    }
    let twice = ns_unshare(&format!("--net --uts --pin net={path}/c --pin uts={path}/c -- true")).run();
    twice.fails(125, &format!("ns-unshare: --pin {path}/c is given twice\n"));
    fs::create_dir(folder.join("folder")).unwrap();
    let ran = in_box("--user --mount --keep-caps", &pin("--pin net=@folder")).run();
    hinted(&ran, "mount: Not a directory (ENOTDIR)", "what keeps a namespace is a file, not a directory");
}

/// A box whose /proc is read-only, as mount-plan mounts it, and the way out that the hint names.
#[test]
fn a_read_only_proc_is_named() {
    let outer = |options: &str, inner: &str| {
        let bin = bin();
        let line = format!(
            "ns-unshare --user --mount --pid --map-self -- mount-plan --preset host-ro --ro-bind {bin} /mnt \
             --proc /proc {options} -- /mnt/ns-unshare {inner} -- true",
            bin = bin.display()
        );
        Chain::shell(&line)
    };
    for inner in ["--user", "--user --pid", "--user --map-users 0:0:1 --map-groups 0:0:1"] {
        for (who, ran) in as_each(|| outer("", inner)) {
            if who == "user" && inner.contains("map-users") {
                continue; // Not the caller's id.
            }
            hinted(&ran, "Read-only file system (EROFS)", "this /proc is read-only, as mount-plan --proc makes it: ");
        }
    }
    outer("-o rw,subset=pid", "--user").as_user().run().ok();
}

#[test]
fn a_limit_of_processes_is_named() {
    for options in ["--user --pid", "--user --wait-fd 0", "--user --pid --as-pid1"] {
        let chain = ns_unshare(options).args(["--", "true"]).within("prlimit", &["--nproc=1", "--"]);
        let ran = chain.as_user().run();
        let hint = "RLIMIT_NPROC, or pids.max of this cgroup or one above";
        hinted(&ran, "clone: Try again (EAGAIN)", hint);
    }
}

/// A descriptor of the caller's that is closed is not one of ours that holds its place.
#[test]
fn closed_standard_descriptors_are_closed() {
    for (line, words) in [
        ("--list >&-", "write to standard output: Bad file number (EBADF)\nhint: standard output is closed\n"),
        ("--help >&-", "write to standard output: Bad file number (EBADF)\nhint: standard output is closed\n"),
        ("--explain --user -- true >&-", "write to standard output: Bad file number (EBADF)\nhint: "),
        ("--user --pid --ready-fd 1 -- true >&-", "--ready-fd 1: fcntl: Bad file number (EBADF)\n"),
        ("--user --wait-fd 0 -- true <&-", "--wait-fd 0: fcntl: Bad file number (EBADF)\n"),
        ("--user --map-owner 0 -- true <&-", "--map-owner 0: fcntl: Bad file number (EBADF)\n"),
        ("--user --keep-fd 0 -- true <&-", "--keep-fd 0: fcntl: Bad file number (EBADF)\n"),
    ] {
        Chain::shell(&format!("ns-unshare {line}")).run().fails(125, &format!("ns-unshare: {words}"));
    }
    for (closed, residence) in
        [("<&-", ""), (">&-", "--pid"), ("2>&-", "--pid"), ("<&- >&- 2>&-", "--pid --foreground")]
    {
        let line = format!("ns-unshare --user {residence} -- sh -c 'exit 7' {closed}");
        assert_eq!(Chain::shell(&line).run().code, 7, "{line}");
        let line = format!("ns-unshare --no-such-option {closed}");
        assert_eq!(Chain::shell(&line).run().code, 125, "{line}");
    }
}

#[test]
fn a_removed_current_directory_is_named() {
    let folder = Folder::new("removed", true);
    let within = |name: &str, line: &str| {
        Chain::shell(&format!("mkdir {name} && cd {name} && rmdir ../{name} && {line}")).at(folder.path()).run()
    };
    assert_eq!(within("a", "ns-unshare --user --pid -- sh -c 'exit 7'").code, 7);
    let hint = "\nhint: the current directory has been removed: cd to one that is there\n";
    let ran = within("b", "ns-unshare --user --pid -- ./x");
    ran.fails(127, &format!("ns-unshare: ./x: execve: No such file or directory (ENOENT){hint}"));
    let ran = within("c", "ns-unshare --join net=x -- true");
    ran.fails(125, &format!("open x: No such file or directory (ENOENT){hint}"));
    let pin = "ns-unshare --uts --pin uts=x -- true";
    let ran = if is_root() {
        within("d", pin)
    } else {
        within("d", &format!("ns-unshare --user --uts --keep-caps -- {pin}"))
    };
    ran.fails(125, &format!("open x: No such file or directory (ENOENT){hint}"));
    let ran = Chain::shell("ns-unshare --user -- ./x").at(folder.path()).run();
    assert!(ran.code == 127 && !ran.err.contains("hint"), "{ran:?}");
}
