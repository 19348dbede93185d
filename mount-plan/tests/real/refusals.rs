//! Bad input: the code, one line that names the operation, the object, the call and the errno, and nothing changed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use chainbox_tests::{Chain, Folder, Ran, Tier, skip};

use crate::support::{Who, host_state, people, words};

/// A failure that is one line, or one line and a hint.
#[track_caller]
fn one_line(ran: &Ran, code: i32, text: &str) {
    ran.fails(code, text);
    assert_eq!(ran.out, "");
    let lines: Vec<&str> = ran.err.lines().collect();
    let hinted = lines.len() == 2 && lines[1].starts_with("hint: ");
    assert!(lines[0].starts_with("mount-plan: ") && (lines.len() == 1 || hinted), "{ran:?}");
}

#[test]
fn every_bad_command_line_is_refused() {
    let cases = [
        ("--nosuch", "unknown option --nosuch"),
        ("--rw-root --rw-root", "--rw-root is given twice"),
        ("--chdir /a --chdir /b", "a second working directory"),
        ("--bind /usr", "--bind: DST is missing"),
        ("--ro-bind /usr -- ls", "--ro-bind: DST is missing"),
        ("--bind /usr usr -- true", "target usr: not an absolute path"),
        ("--bind /usr /a/../b -- true", "target /a/../b: '..' is refused"),
        ("-o ro -- true", "-o ro: no entry stands before it"),
        ("--bind /usr /a -o frob -- true", "unknown option frob"),
        ("--dir /a -o ro -- true", "belong to a mount"),
        ("--preset nosuch -- true", "unknown preset nosuch"),
        ("--carry maybe -- true", "--carry maybe: clone, sealed or no"),
        ("--plan-fd x -- true", "--plan-fd x: not a descriptor number"),
        ("--plan-fd 77 -- true", "descriptor 77: fcntl: Bad file number (EBADF)"),
        ("--plan /no/such -- true", "plan /no/such: open: No such file or directory (ENOENT)"),
        ("--plan /usr -- true", "plan /usr: read: Is a directory (EISDIR)"),
        ("--plan /dev/zero -- true", "plan /dev/zero: larger than"),
        (
            "--bind /no/such /a -- true",
            "bind /no/such on /a (nosuid,nodev): open /no/such: No such file or directory (ENOENT)",
        ),
        (
            "--file /no/such /a -- true",
            "make file /a from /no/such, mode 0644: open /no/such: No such file or directory (ENOENT)",
        ),
        (
            "--file /dev/zero /a -- true",
            "make file /a from /dev/zero, mode 0644: the content is larger than 268435456 bytes",
        ),
        ("--tmpfs /a --bind /usr / -- true", "bind /usr on / (nosuid,nodev): the entry for / must be the first"),
        ("--proc / -- true", "mount proc on / (ro,nosuid,nodev,noexec): this cannot be the root"),
        ("--keep-fd 99 -- true", "--keep-fd 99: fcntl: Bad file number (EBADF)"),
    ];
    for who in people("every_bad_command_line_is_refused") {
        let folder = Folder::new(&format!("mp-bad-{who:?}"), who == Who::User);
        let before = host_state(folder.path());
        for (line, text) in cases {
            let base = if line.contains(" / ") || line.starts_with("-o") { "" } else { "--preset host-ro " };
            one_line(&who.plan(words(&format!("{base}{line}"))).at(folder.path()).run(), 125, text);
        }
        assert_eq!(host_state(folder.path()), before);
    }
}

/// Eight files of ten lines each: all together a hundred million lines.
#[test]
fn plans_that_include_each_other_many_times_come_to_an_end() {
    let folder = Folder::new("mp-many", true);
    for n in 0..8 {
        fs::write(folder.join(format!("{n}")), format!("include {}\n", n + 1).repeat(10)).unwrap();
    }
    fs::write(folder.join("8"), "").unwrap();
    for who in people("plans_that_include_each_other_many_times_come_to_an_end") {
        let ran = who.plan(words("--plan 0 -- /usr/bin/true")).at(folder.path()).run();
        one_line(&ran, 125, "larger than 16777216 bytes, all files together");
    }
}

#[test]
fn a_bad_line_of_a_plan_is_named_by_file_and_number() {
    for who in people("a_bad_line_of_a_plan_is_named_by_file_and_number") {
        let folder = Folder::new(&format!("mp-line-{who:?}"), who == Who::User);
        let cases = [
            ("/usr /usr none\n", "web.plan:3: type none needs the option bind or rbind"),
            ("/usr\n", "web.plan:3: 1 columns are no entry"),
            ("/usr none none bind\n", "web.plan:3: target none: not an absolute path"),
            ("${NO_SUCH} /usr none bind\n", "web.plan:3: ${NO_SUCH} is not set"),
            ("include other.plan\n", "web.plan:3: plan other.plan: open: No such file or directory (ENOENT)"),
            ("include web.plan\n", "web.plan:3: include: more than 16 deep"),
            ("/no/such /a none bind\n", "web.plan:3: bind /no/such on /a (nosuid,nodev): open /no/such: No such file"),
            (
                "t /t tmpfs size=lots\n",
                "web.plan:3: mount tmpfs on /t, size=lots (nosuid,nodev): fsconfig(size, lots): ",
            ),
            ("t /t tmpfs frob=1\n", "fsconfig(frob, 1): Invalid argument (EINVAL): tmpfs: Unknown parameter 'frob'"),
            (
                "/usr /usr/no/such none bind\n",
                "web.plan:3: bind /usr on /usr/no/such (nosuid,nodev): /usr/no does not exist",
            ),
            ("x /usr/x symlink\n", "the directory it would be in was not made by this plan"),
            (
                "x /usr/bin/env dir\n",
                "web.plan:3: make directory /usr/bin/env, mode 0755: /usr/bin/env is there and is no directory",
            ),
            ("none /a chdir\nnone /b chdir\n", "web.plan:4: enter /b: a second working directory"),
            (
                "none /no/such chdir\n",
                "web.plan:3: enter /no/such: openat2(/no/such, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS): No such",
            ),
        ];
        for (line, text) in cases {
            fs::write(folder.join("web.plan"), format!("# a comment\n/usr /usr none rbind,ro\n{line}")).unwrap();
            let before = host_state(folder.path());
            let ran = who.plan(words("--plan web.plan -- /usr/bin/true")).at(folder.path()).run();
            one_line(&ran, 125, text);
            assert_eq!(host_state(folder.path()), before);
        }
    }
}

#[test]
fn odd_bytes_are_shown_escaped() {
    for who in people("odd_bytes_are_shown_escaped") {
        let source = OsString::from_vec(b"/no\xff\x1b[31m\n".to_vec());
        let ran = who.plan([OsString::from("--bind"), source, "/a".into(), "--".into(), "true".into()]).run();
        one_line(&ran, 125, "open '/no\\xff\\x1b[31m\\x0a': No such file or directory (ENOENT)");
    }
}

#[test]
fn an_unreadable_file_is_refused_before_anything() {
    let secret = "/etc/shadow"; // of an owner whom the box does not know
    one_line(&Who::User.host(["--file", secret, "/x", "--", "true"]).run(), 125, "shadow: Permission denied (EACCES)");
    one_line(&Who::User.host(["--plan", secret, "--", "true"]).run(), 125, "shadow: open: Permission denied (EACCES)");
}

#[test]
fn a_missing_or_unusable_program_has_its_own_code() {
    for who in people("a_missing_or_unusable_program_has_its_own_code") {
        one_line(&who.host(["--", "no-such-program"]).run(), 127, "no-such-program: not found in PATH");
        one_line(&who.host(["--", "/no/such"]).run(), 127, "/no/such: execve: No such file or directory (ENOENT)");
        one_line(&who.host(["--", "/etc/passwd"]).run(), 126, "/etc/passwd: execve: Permission denied (EACCES)");
        one_line(&who.host(["--", "/usr"]).run(), 126, "/usr: execve: Permission denied (EACCES)");
        assert_eq!(who.host(["--", "sh", "-c", "exit 42"]).run().code, 42);
    }
}

#[test]
fn the_kernels_own_words_are_in_the_message() {
    for who in people("the_kernels_own_words_are_in_the_message") {
        let folder = Folder::new(&format!("mp-log-{who:?}"), who == Who::User);
        for name in ["l", "u", "w"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let run = |line: &str| who.host(words(line)).at(folder.path()).run();
        let ran = run("--tmpfs /m -o frob=1 -- true");
        one_line(&ran, 125, "fsconfig(frob, 1): Invalid argument (EINVAL): tmpfs: Unknown parameter 'frob'");
        let ran = run("--overlay l u u /m -- true");
        one_line(
            &ran,
            125,
            "overlay l on /m, changes in u (nosuid,nodev): fsconfig(FSCONFIG_CMD_CREATE): Invalid argument (EINVAL)",
        );
        assert!(ran.err.contains("hint: upper and work must be two directories of one filesystem"), "{ran:?}");
    }
}

/// What is mounted below a lower layer would be uncovered: the kernel refuses that to a user namespace.
#[test]
fn an_overlay_over_locked_mounts_names_them() {
    for who in people("an_overlay_over_locked_mounts_names_them") {
        let ran = who.plan(words("--tmp-overlay / / -- true")).run();
        if who == Who::Root {
            assert_eq!(ran.ok(), "");
            continue;
        }
        one_line(
            &ran,
            125,
            "overlay / on /, changes in a tmpfs (nosuid,nodev): fsconfig(FSCONFIG_CMD_CREATE): Invalid argument (EINVAL)",
        );
        assert!(ran.err.contains("hint: mounted below /: "), "{ran:?}");
    }
}

/// A kernel without a call, as a filter makes one.
#[test]
fn a_missing_system_call_is_explained() {
    let folder = Folder::new("mp-enosys", true);
    for (call, step) in [
        ("fsopen", "make an empty root: fsopen(tmpfs)"),
        ("open_tree", "bind /usr on /usr (ro,nosuid,nodev): open_tree(OPEN_TREE_CLONE)"),
        ("mount_setattr", "bind /usr on /usr (ro,nosuid,nodev): mount_setattr(ro,nosuid,nodev)"),
        ("pivot_root", "change to the new root, let go of the old: pivot_root"),
    ] {
        fs::write(folder.join("policy"), format!("default allow\nerrno ENOSYS {call}\n")).unwrap();
        let box_of_user = Who::User.plan(words("--preset host-ro -- true"));
        let policy = folder.join("policy").display().to_string();
        let filter = chainbox_tests::tool("seccomp-exec").display().to_string();
        let ran = box_of_user.within(&filter, &["--policy", &policy, "--"]).as_user().run();
        one_line(&ran, 125, &format!("{step}: Function not implemented (ENOSYS)"));
        assert!(ran.err.contains("hint: mount-plan needs Linux 5.12; "), "{call}: {ran:?}");
    }
}

/// An overlay as the upper layer of another; a third one on top of two; an upper layer that is in use.
#[test]
fn overlays_on_overlays_are_explained() {
    const PREPARE: &str = "mkdir l u w m u2 w2 m2 u3 w3; mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m; \
                           mkdir m/u m/w; mount -t overlay o -o lowerdir=m,upperdir=u2,workdir=w2 m2; exec unshare --mount $PLAN";
    for who in people("overlays_on_overlays_are_explained") {
        let hint = "hint: upper and work must be two directories of one filesystem that is no overlay, without an upper \
                    there must be two lower layers, and overlays lie no more than two deep";
        for (layers, errno, hint) in [
            ("l m/u m/w", "(EINVAL)", hint),
            ("m2 u3 w3", "(EINVAL)", hint),
            (
                "l u w /x -o index=on --tmpfs",
                "(EBUSY)",
                "hint: upper or work belong to another overlay that is mounted",
            ),
        ] {
            let folder = Folder::new(&format!("mp-deep-{who:?}"), who == Who::User);
            let line = format!("{PREPARE} --preset host-ro --overlay {layers} /x -- true");
            let ran = who.script(&line).at(folder.path()).run();
            one_line(&ran, 125, errno);
            assert!(ran.err.contains(hint), "{who:?} {layers}: {ran:?}");
        }
    }
}

/// Links that go in circles: a source, a plan, on the way to a target, and a target. Nothing waits, and each is named.
#[test]
fn links_that_go_in_circles_are_named() {
    for who in people("links_that_go_in_circles_are_named") {
        let folder = Folder::new(&format!("mp-circle-{who:?}"), who == Who::User);
        std::os::unix::fs::symlink("circle", folder.join("circle")).unwrap();
        let source = folder.path().to_str().unwrap();
        for (line, name) in [
            ("--bind circle /x", "open circle"),
            ("--plan circle", "plan circle: open"),
            ("--tmpfs /s/circle/a", "openat2(/s/circle, "),
            ("--tmpfs /s/circle", "openat2(/s/circle, "),
        ] {
            let ran = who.host(["--bind", source, "/s"]).args(words(line)).args(["--", "true"]).at(folder.path()).run();
            one_line(&ran, 125, "Too many symbolic links encountered (ELOOP)");
            assert!(ran.err.contains(name), "{who:?} {line}: {ran:?}");
        }
    }
}

#[test]
fn without_privilege_the_way_out_is_named() {
    let ran = Chain::program("unshare").args(["--user"]).args([chainbox_tests::tool("mount-plan")]).as_user();
    let ran = ran.args(["--preset", "host-ro", "--", "true"]).run();
    assert_eq!(ran.code, 125, "{ran:?}");
    assert!(
        ran.err.contains("shares it") && ran.err.contains("hint: ") && ran.err.contains("ns-unshare --"),
        "{ran:?}"
    );
}

/// "Mount too revealing": a proc that is covered in part cannot be had afresh in a user namespace.
#[test]
fn a_masked_proc_is_explained() {
    for who in people("a_masked_proc_is_explained") {
        // A box whose only proc is covered in part, and in it a user namespace that would have a whole one.
        let tools = chainbox_tests::bin();
        let covered = || {
            who.host(words("--proc /proc -o rw --mask /proc/version --ro-bind"))
                .args([&tools, &tools])
                .args(words("-- unshare --user --map-root-user --mount --pid --fork --"))
        };
        if covered().args(words("mount -t proc proc /proc")).run().code == 0 {
            let reason = "a whole proc lies below the root of this machine, out of sight";
            skip(Tier::UserNamespace, "a_masked_proc_is_explained", reason);
            continue;
        }
        let ran = covered().args([tools.join("mount-plan")]).args(words("--preset host-ro --proc /proc -- true")).run();
        one_line(&ran, 125, "Operation not permitted (EPERM)");
        let hint = "hint: mount too revealing: /proc/version is mounted over parts of the proc here, which a new one would show: \
                    take this one, read-only, --ro-bind /proc DST; it has the processes of the caller, so leave out ns-unshare --pid";
        assert!(ran.err.contains(hint), "{ran:?}");
        // What it says works, and user 0 of the machine finds nothing there to write.
        let ran = who
            .host(words("--proc /proc -o rw --mask /proc/version --ro-bind"))
            .args([&tools, &tools])
            .args(words("-- unshare --user --map-root-user --mount --"))
            .args([tools.join("mount-plan")])
            .args(words("--preset host-ro --ro-bind /proc /proc -- sh -c"))
            .args([
                "read -r pid rest </proc/self/stat; [ $pid = $$ ] && echo own; echo x >/proc/sys/kernel/core_pattern",
            ])
            .run();
        assert_eq!(ran.out, "own\n", "{who:?} {ran:?}");
        assert!(ran.err.contains("Read-only file system"), "{who:?} {ran:?}");
    }
    let ran = Chain::program("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args([chainbox_tests::tool("mount-plan")])
        .args(words("--preset host-ro --proc /proc -- true"))
        .as_user()
        .run();
    assert!(ran.err.contains("ns-unshare --pid"), "{ran:?}");
}

/// A root that cannot be left: the message names the way out, and that way works.
#[test]
fn a_root_without_a_mount_is_explained() {
    for who in people("a_root_without_a_mount_is_explained") {
        let folder = Folder::new(&format!("mp-chroot-{who:?}"), who == Who::User);
        let run = |first: &str| {
            let line = format!(
                "mkdir -p r/usr r/proc r/newroot; for n in bin sbin lib lib64; do ln -sfn usr/$n r/$n; done; cp $PLAN r/mount-plan; \
                 mount --rbind /usr r/usr; mount --rbind /proc r/proc; \
                 exec chroot r sh -c '{first} /mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink \
                 usr/lib64 /lib64 -- sh -c \"echo /*\"'"
            );
            who.script(&line).at(folder.path()).env("PATH", "/usr/bin:/usr/sbin:/bin").run()
        };
        let ran = run("exec");
        one_line(&ran, 125, "keep mounts to this namespace: mount(MS_REC|MS_SLAVE): Invalid argument (EINVAL)");
        let way = "mount --rbind / /newroot; cd /newroot; mount --move . /; exec chroot .";
        assert!(ran.err.contains(way), "{ran:?}");
        let ran = run(way);
        assert_eq!(ran.out, "/bin /lib /lib64 /usr\n", "{who:?} {ran:?}");
    }
}
