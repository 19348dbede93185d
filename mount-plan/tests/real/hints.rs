//! What a refusal says is so where it says it, and what it proposes works there.

use std::fs;

use chainbox_tests::{Chain, Folder, USER, bin, root_or_skip, tool};

use crate::support::{Who, people};

/// A user namespace in another mount namespace, as the last word of a script: mounts that are there are locked.
const INNER: &str = "exec unshare --user --map-root-user --mount";

/// The same in two steps, between which the mount namespace of the first is changed by `change`.
fn between(change: &str, plan: &str) -> String {
    format!(
        "mkfifo in out; unshare --user --map-root-user sh -ec 'echo >in; read go <out; exec unshare --mount --pid --fork \
         \"$PLAN\" --preset host-ro {plan}' & read ready <in; {change}; echo >out; wait $!"
    )
}

fn folder(name: &str, who: Who) -> Folder {
    Folder::new(&format!("mp-hint-{name}-{who:?}"), who == Who::User)
}

#[test]
fn a_sysfs_that_is_covered_is_taken_as_it_is() {
    for who in people("a_sysfs_that_is_covered_is_taken_as_it_is") {
        let run = |more: &str, plan: &str| {
            let line = format!(
                "mount -t tmpfs t /sys/devices; {INNER} {more} --pid --fork \"$PLAN\" --preset host-ro {plan} -- \
                 sh -c 'ls /sys/devices; cd /sys/kernel && cat /proc/self/mountinfo || echo seen'"
            );
            who.script(&line).run()
        };
        let hint = "hint: mount too revealing: /sys/devices is mounted over parts of the \
                    sysfs here, which a new one would show: take this one, read-only, --ro-bind /sys DST; it has the network \
                    devices of the caller, so leave out ns-unshare --net\n";
        run("--net", "--sysfs /sys").fails(125, hint);
        assert_eq!(run("", "--ro-bind /sys /sys").ok(), "seen\n", "{who:?}");
        let hint = "fsopen(sysfs): Operation not permitted (EPERM)\nhint: sysfs shows a network namespace";
        run("", "--sysfs /sys").fails(125, hint);
    }
}

/// A new proc is as read-only as the one that is there: as mount-plan makes it anyway.
#[test]
fn beside_a_read_only_proc_a_new_one_is_read_only() {
    for who in people("beside_a_read_only_proc_a_new_one_is_read_only") {
        let folder = folder("ro", who);
        let run = |plan: &str| {
            let line = between("mount -o remount,bind,ro,relatime /proc", plan);
            for name in ["in", "out"] {
                fs::remove_file(folder.join(name)).unwrap_or_default();
            }
            who.namespaces(&["--mount-proc"], ["sh", "-ec", &line])
                .env("PLAN", tool("mount-plan"))
                .at(folder.path())
                .run()
        };
        assert_eq!(run("--proc /proc -- ls -d /proc/1").ok(), "/proc/1\n", "{who:?}");
        run("--proc /proc -o rw -- true").fails(125, "hint: mount too revealing: /proc is ro,");
    }
}

#[test]
fn where_no_proc_is_a_new_one_is_refused_for_that() {
    if !root_or_skip("where_no_proc_is_a_new_one_is_refused_for_that") {
        return;
    }
    let folder = folder("nowhere", Who::Root);
    let line = between("umount -l /proc", "--proc /proc -- true");
    let ran = Who::Root.script(&line).at(folder.path()).run();
    ran.fails(125, "hint: mount too revealing: there is no whole proc in this mount namespace");
}

#[test]
fn a_bind_names_what_it_cannot_leave_out() {
    for who in people("a_bind_names_what_it_cannot_leave_out") {
        let folder = folder("bind", who);
        fs::create_dir_all(folder.join("src/node_modules")).unwrap();
        fs::create_dir(folder.join("src/lib")).unwrap();
        fs::write(folder.join("src/lib/old"), "").unwrap();
        fs::write(folder.join("plan"), "src /src none bind\n").unwrap();
        if who == Who::User {
            let owner = format!("{USER}:{USER}");
            Chain::program("chown").args(["-R", &owner]).args([folder.path()]).run().ok();
        }
        let run = |first: &str, plan: &str| {
            let line = format!(
                "mount -t tmpfs t src/node_modules; touch src/node_modules/inside; {first} --pid --fork \"$PLAN\" --preset \
                 host-ro {plan} -- sh -c 'touch /src/lib/new; ls /src/lib /src/node_modules'"
            );
            who.namespaces(&["--mount-proc"], ["sh", "-ec", &line])
                .env("PLAN", tool("mount-plan"))
                .at(folder.path())
                .run()
        };
        let ran = run(INNER, "--plan plan");
        ran.fails(125, "open_tree(OPEN_TREE_CLONE): Invalid argument (EINVAL)\nhint: mounted below src: ");
        assert!(ran.err.contains("/src/node_modules; what lies under") && ran.err.contains("use rbind"), "{ran:?}");
        let ran = run(INNER, "--tmp-overlay src /src");
        ran.fails(125, "fsconfig(FSCONFIG_CMD_CREATE): Invalid argument (EINVAL)\nhint: mounted below src: ");
        assert!(
            ran.err.contains("root in it included: unmount it first, or --bind src and overlays on dir"),
            "{ran:?}"
        );
        let all = "/src/lib:\nnew\nold\n\n/src/node_modules:\ninside\n";
        assert_eq!(run(INNER, "--bind src /src --tmp-overlay src/lib /src/lib").ok(), all, "{who:?}");
        assert!(!folder.join("src/lib/new").exists());
        // In the namespace that mounted it, it can be left out, and an overlay does.
        let without = "/src/lib:\nnew\nold\n\n/src/node_modules:\n";
        let own = "exec unshare --mount";
        assert_eq!(run(own, "--tmp-overlay src /src").ok(), without, "{who:?}");
        assert_eq!(run(own, "--plan plan").ok(), without, "{who:?}");
        // A process that has stayed in the mount namespace before.
        let other = "sleep 99 & exec unshare --mount";
        run(other, "--bind /proc/$!/root/usr /src").fails(125, "(EINVAL)\nhint: the source is on a mount of another");
    }
}

#[test]
fn a_map_that_cannot_be_made_names_the_chroot() {
    for who in people("a_map_that_cannot_be_made_names_the_chroot") {
        let folder = folder("chroot", who);
        let line = "mkdir -p r/usr r/proc; cp \"$PLAN\" r/mount-plan; mount --rbind /usr r/usr; mount --rbind /proc r/proc; \
                    exec chroot r /mount-plan --ro-bind /usr /usr -o X-mount.idmap=0:0:1 -- true";
        let ran = who.script(line).at(folder.path()).env("PATH", "/usr/bin:/usr/sbin:/bin").run();
        let hint = "hint: X-mount.idmap= needs a user namespace, and a process in a chroot(2) may not make one";
        ran.fails(125, &format!("clone(CLONE_NEWUSER): Operation not permitted (EPERM)\n{hint}"));
    }
}

#[test]
fn a_process_without_ids_is_told_so() {
    let ids = ["--user", "--keep-caps", "--mount", "--pid", "--fork"];
    let ran =
        Chain::program("unshare").args(ids).args([tool("mount-plan")]).args(["--preset", "host-ro", "--", "true"]);
    let ran = ran.as_user().run();
    if ran.err.contains("unshare: ") {
        let test = "a_process_without_ids_is_told_so";
        return chainbox_tests::skip(
            chainbox_tests::Tier::UserNamespace,
            test,
            "no user namespaces for ordinary users",
        );
    }
    ran.fails(125, "(EOVERFLOW)\nhint: the ids of this process are not mapped in its user namespace");
}

/// What mount-plan carries into a box has no folder any more: it takes the next mount-plan for a payload.
#[test]
fn a_box_in_a_box_is_told_who_took_its_capabilities() {
    for who in people("a_box_in_a_box_is_told_who_took_its_capabilities") {
        let bin = bin();
        let run = |more: &[&str]| {
            let tools = [bin.as_os_str(), bin.as_os_str()];
            let inner = ["--proc", "/proc", "--", "sh", "-c", "echo $$"];
            who.host(["--dev", "/dev", "--proc", "/proc", "-o", "rw,subset=pid", "--ro-bind"])
                .args(tools)
                .args(["--carry", "clone", "--"])
                .args([tool("ns-unshare")])
                .args(["--user", "--map-self", "--mount", "--pid"])
                .args(more)
                .args(["--"])
                .args([tool("mount-plan")])
                .args(["--preset", "host-ro"])
                .args(inner)
                .run()
        };
        run(&[]).fails(125, "(EPERM)\nhint: the link before this one took it for a payload and left it no capability");
        // The second process: ns-unshare is the first.
        assert_eq!(run(&["--keep-caps"]).ok(), "2\n", "{who:?}");
    }
}

/// A FUSE filesystem of another user, below a bind and as what is bound: nobody serves it, nor has to.
#[test]
fn a_fuse_mount_of_another_user_is_named() {
    let test = "a_fuse_mount_of_another_user_is_named";
    if !root_or_skip(test) {
        return;
    }
    let folder = folder("fuse", Who::Root);
    fs::create_dir_all(folder.join("src/fuse")).unwrap();
    let run = |plan: &str| {
        let mounted = r#"$^F = 255; open(F, "+<", "/dev/fuse") or exit 77;
            my $options = "fd=" . fileno(F) . ",rootmode=40000,user_id=1000,group_id=1000";
            system("mount", "-t", "fuse", "-o", $options, "x", "src/fuse") == 0 or exit 77;
            exec("sh", "-c", $ARGV[0]);"#;
        let line = format!("{INNER} --pid --fork \"$PLAN\" --preset host-ro {plan}");
        let chain = Who::Root.namespaces(&[], ["perl", "-e", mounted, &line]).env("PLAN", tool("mount-plan"));
        chain.at(folder.path()).run()
    };
    let below = run("--bind src /src -- ls /src");
    if below.code == 77 {
        return chainbox_tests::skip(chainbox_tests::Tier::Kernel, test, "no FUSE here");
    }
    assert_eq!(below.ok(), "fuse\n");
    let denied =
        "Permission denied (EACCES)\nhint: a FUSE filesystem lets in the user who mounted it alone, not root either";
    run("--bind src/fuse /src -- true").fails(125, &format!("bind src/fuse on /src (nosuid,nodev): fstat: {denied}"));
    run("--tmp-overlay src/fuse /src -- true").fails(125, denied);
    run("--tmp-overlay src /src -- true").fails(125, "(EINVAL)\nhint: mounted below src: ");
}
