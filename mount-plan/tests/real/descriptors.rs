//! Mounts that are left as descriptors by one mount-plan and attached by another, in a user namespace below.

use std::fs;

use chainbox_tests::{Chain, Folder, Ran, root_or_skip, tool};

use crate::support::{Who, flags, people, words};

/// A shell line in a mount namespace of root's, in `folder`; $PLAN and $NS are the tools.
fn outside(folder: &Folder, line: &str) -> Ran {
    let line = format!("cd {}; {line}", folder.path().display());
    let chain = Chain::new("ns-unshare").args(["--mount", "--", "sh", "-ec", &line]);
    chain.env("PLAN", tool("mount-plan")).env("NS", tool("ns-unshare")).run()
}

fn source(test: &str) -> Folder {
    let folder = Folder::new(&format!("mp-{test}"), false);
    fs::create_dir(folder.join("src")).unwrap();
    fs::write(folder.join("src/file"), "old\n").unwrap();
    folder
}

/// Everything that a plan can mount, with the attributes that were asked for, on numbers of which one is that of another's
/// tree while it is made, and nothing else of it is left.
#[test]
fn mounts_go_through_an_exec_into_a_user_namespace() {
    if !root_or_skip("mounts_go_through_an_exec_into_a_user_namespace") {
        return;
    }
    let folder = source("handed");
    for name in ["up", "up/upper", "up/work"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("plan"), "src fd:5 none rbind,ro,noexec\n").unwrap();
    let line = "cut -d' ' -f1-6 /proc/self/mountinfo >before
        exec $PLAN --tmpfs fd:3 -o size=1M,noexec --tmp-overlay src fd:4 -o size=1M --plan plan \
            --overlay src up/upper up/work fd:6 -o ro --tmpfs fd:20 -o ro -- \
        sh -ec 'cut -d\" \" -f1-6 /proc/self/mountinfo >after; pwd -P; ls /proc/self/fd | tr \"\\n\" \" \"
            exec $NS --user --map-root --mount --pid --keep-fd 3 --keep-fd 4 --keep-fd 5 --keep-fd 6 --keep-fd 20 -- \
            $PLAN --preset host-ro --proc /proc --dir /d --bind fd:3 /a --bind fd:4 /d/b --ro-bind fd:5 /c \
                --bind fd:6 /e --bind fd:20 /f --file src/file /g -- \
            sh -c \"echo new >/d/b/file; echo x >/a/made; cat /d/b/file /c/file /e/file; cat /proc/self/mountinfo; \
                ls /proc/self/fd | wc -l; >/e/x; >/f/x\"'";
    let ran = outside(&folder, line);
    let place = folder.path().canonicalize().unwrap();
    // 7 is the directory that ls reads.
    let start = format!("{}\n0 1 2 20 3 4 5 6 7 new\nold\nold\n", place.display());
    assert!(ran.out.starts_with(&start) && ran.out.ends_with("\n4\n"), "{ran:?}");
    for (point, wanted) in [
        ("/a", &["rw", "nosuid", "nodev", "noexec"] as &[_]),
        ("/d/b", &["rw", "nosuid", "nodev"]),
        ("/c", &["ro", "nosuid", "nodev", "noexec"]),
        ("/e", &["ro", "nosuid", "nodev"]),
        ("/f", &["ro", "nosuid", "nodev"]),
    ] {
        let has = flags(&ran.out, point);
        assert!(wanted.iter().all(|word| has.contains(word)), "{point}: {has:?}");
    }
    assert_eq!(ran.err.matches("Read-only file system").count(), 2, "{ran:?}");
    assert_eq!(fs::read_to_string(folder.join("src/file")).unwrap(), "old\n");
    // The namespace outside has what it had.
    let table = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(table("before"), table("after"));
}

/// Everybody may hand on what he can mount.
#[test]
fn whoever_can_mount_something_can_hand_it_on() {
    for who in people("whoever_can_mount_something_can_hand_it_on") {
        let folder = Folder::new(&format!("mp-on-{who:?}"), who == Who::User);
        let line = format!(
            "cd {}; mkdir -p src/usr; echo old >src/file; ln -sfn usr/lib src/lib; ln -sfn usr/lib64 src/lib64
             exec $PLAN --tmp-overlay src fd:7 -- unshare --mount --user --map-root-user $PLAN",
            folder.path().display()
        );
        let run = |inner: &str| who.script(&format!("{line} {inner}")).run();
        assert_eq!(run("--preset host-ro --bind fd:7 /src -- cat /src/file").ok(), "old\n", "{who:?}");
        assert_eq!(run("--bind fd:7 / --ro-bind /usr /usr -- /usr/bin/cat /file").ok(), "old\n", "{who:?}");
    }
}

#[test]
fn a_descriptor_of_a_directory_or_a_file_here_is_bound_as_its_path_would_be() {
    for who in people("a_descriptor_of_a_directory_or_a_file_here_is_bound_as_its_path_would_be") {
        let folder = Folder::new(&format!("mp-plain-{who:?}"), who == Who::User);
        let line = format!(
            "cd {}; mkdir d; mount -t tmpfs t d; echo text >d/file; mkdir d/sub; mount -t tmpfs t d/sub; echo below >d/sub/f
             exec $PLAN --preset host-ro --ro-bind fd:8 /d --bind fd:9 /f -- sh -c \
                'cat /d/file /d/sub/f /f; >/d/x; >/d/sub/x; echo new >/f; cat /d/file' 8<d 9<d/file",
            folder.path().display()
        );
        let ran = who.script(&line).run();
        assert_eq!(ran.out, "text\nbelow\ntext\nnew\n", "{who:?} {ran:?}");
        assert_eq!(ran.err.matches("Read-only file system").count(), 2, "{ran:?}");
    }
}

#[test]
fn what_is_on_the_descriptor_and_cannot_be_mounted_is_refused_in_a_line() {
    for who in people("what_is_on_the_descriptor_and_cannot_be_mounted_is_refused_in_a_line") {
        let run = |more: &str| {
            let line = format!("exec 9<&-; exec $PLAN --preset host-ro --bind fd:9 /x {more}");
            who.script(&line).run()
        };
        let said = "bind fd:9 on /x (nosuid,nodev): ";
        run("-- true").fails(125, &format!("mount-plan: {said}descriptor 9: fcntl: Bad file number (EBADF)\n"));
        let foreign = |ran: Ran| {
            ran.fails(
                125,
                &format!("{said}mount_setattr(nosuid,nodev): Invalid argument (EINVAL)\nhint: it is neither"),
            );
        };
        // A pipe; a directory that this namespace does not have.
        foreign(who.script("true | exec unshare --mount $PLAN --preset host-ro --bind fd:9 /x -- true 9<&0").run());
        let hidden =
            "exec 9</usr; exec unshare --mount sh -c 'mount -t tmpfs t /usr; exec $PLAN --bind fd:9 /x -- true'";
        foreign(who.script(hidden).run());
        // What is to be filled must be writable for that.
        who.script("exec $PLAN --tmpfs fd:9 -- $PLAN --ro-bind fd:9 / -o X-mount.fresh --bind /usr /usr -- true")
            .run()
            .fails(125, "mkdirat: Read-only file system (EROFS)\nhint: a mount with X-mount.fresh");
    }
}

#[test]
fn what_makes_no_sense_without_a_root_is_refused() {
    let cases = [
        (
            "--tmpfs fd:7 --tmpfs /t -- true",
            "mount tmpfs on fd:7 (nosuid,nodev): other entries of this plan make a new root",
        ),
        ("--tmpfs fd:7 --bind /usr fd:7 -- true", "bind /usr on fd:7 (nosuid,nodev): another mount is this descriptor"),
        ("--tmpfs fd:7 --chdir /x -- true", "enter /x: this plan makes no root"),
        ("--tmpfs fd:7 --rw-root -- true", "--rw-root: this plan makes no root"),
        ("--tmpfs fd:7 --carry clone -- true", "--carry: this plan makes no root"),
        ("--tmpfs fd:2 -- true", "target fd:2: not fd:N, N being 3 or more"),
        ("--dir fd:7 -- true", "target fd:7: only a mount can be left as a descriptor"),
        (
            "--tmpfs fd:2000000000 -- true",
            "fcntl(F_DUPFD_CLOEXEC, 2000000001): Invalid argument (EINVAL)\nhint: fd:N must be",
        ),
        ("--bind /no/such fd:7 -- true", "bind /no/such on fd:7 (nosuid,nodev): open /no/such: No such file"),
    ];
    for who in people("what_makes_no_sense_without_a_root_is_refused") {
        for (line, said) in cases {
            who.plan(words(line)).run().fails(125, &format!("mount-plan: {said}"));
        }
        who.plan(words("--tmpfs fd:7 -- no-such-program")).run().fails(127, "no-such-program: not found in PATH");
        who.script("exec $PLAN --tmpfs fd:9 --keep-fd 9 -- true 9</usr")
            .run()
            .fails(125, "mount tmpfs on fd:9 (nosuid,nodev): --keep-fd hands on what the caller has there");
        let ran = who.plan(words("--bind /no/such fd:7 -o nofail -- true")).run();
        assert!(ran.code == 0 && ran.err.contains("(nofail: left out)"), "{ran:?}");
    }
}

#[test]
fn the_steps_are_explained_and_checked() {
    let line = "--explain --tmp-overlay src fd:7 -o X-mount.owner=5 --bind /d fd:8 -o X-mount.no-links -- true";
    let out = Chain::new("mount-plan").args(words(line)).as_user().run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "mount-plan: 1. make the maps of the owners  [clone(CLONE_NEWUSER), write(uid_map), write(gid_map), open(ns/user)]",
            "mount-plan: 2. keep mounts to this namespace  [mount(NULL, \"/\", NULL, MS_REC|MS_SLAVE)]",
            "mount-plan: 3. overlay src on fd:7, changes in a tmpfs, ids that show its owner as 5 (nosuid,nodev)  \
             [fsopen(overlay), open_tree(OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_IDMAP), fsconfig(lowerdir+, upperdir, \
             workdir), fsmount(nosuid,nodev), dup3(7)]",
            "mount-plan: 4. bind /d on fd:8, no link in a path (nosuid,nodev)  [open_tree(/d, OPEN_TREE_CLONE|AT_RECURSIVE), \
             mount_setattr(nosuid,nodev), dup3(8)]",
            "payload: true",
        ]
    );
    // A link behind, whose descriptor is not there yet, explains itself too.
    let chain = "--explain --tmpfs fd:7 -- ns-unshare --user --keep-fd 7 -- mount-plan --bind fd:7 /x -- true";
    let out = Chain::new("mount-plan").args(words(chain)).as_user().run().ok();
    assert!(out.contains("bind fd:7 on /x (nosuid,nodev)") && out.ends_with("payload: true\n"), "{out}");
    let check = |line: &str| Chain::new("mount-plan").args(["--check"]).args(words(line)).as_user().run();
    assert_eq!(check("--bind /usr fd:7 -- true").ok(), "");
    check("--bind /no/such fd:7 -- true").fails(125, "open /no/such");
    check("--bind fd:77 /x -- true").fails(125, "descriptor 77: fcntl: Bad file number (EBADF)");
}

/// The kernel clones nothing of another mount namespace, so it is found again, and must be the same.
#[test]
fn what_was_open_before_the_namespace_was_made_can_be_bound() {
    for who in people("what_was_open_before_the_namespace_was_made_can_be_bound") {
        let folder = Folder::new(&format!("mp-open-{who:?}"), who == Who::User);
        let run = |line: &str| {
            let line = format!(
                "rm -rf d e; mkdir d; echo one >d/one; exec 7<d 6<d/one; {line}
                exec ns-unshare --user --mount --keep-fd 6 --keep-fd 7 -- \
                    mount-plan --preset host-ro --ro-bind fd:7 /x --bind fd:6 /y -- sh -c 'cat /x/one /y; >/x/two'"
            );
            let chain = Chain::shell(&line).at(folder.path());
            if who == Who::User { chain.as_user().run() } else { chain.run() }
        };
        for line in ["", "mv d e; mkdir d;"] {
            let ran = run(line);
            assert!(ran.out == "one\none\n" && ran.err.contains("Read-only file system"), "{who:?}: {ran:#?}");
        }
        run("rm -r d;").fails(125, "bind fd:7 on /x");
        run("rm -r d; mkdir d;").fails(125, "bind fd:7 on /x");
    }
}
