//! Incidents of this class of tools (paths, mounts, links), each with the bait that caught somebody once.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use chainbox_tests::Folder;

use crate::support::{Who, host_state, people};

/// A root tree with hostile links, and beside it what they must not reach.
fn bait(test: &str, who: Who) -> Folder {
    let folder = Folder::new(&format!("mp-{test}-{who:?}"), who == Who::User);
    for name in ["root", "root/usr", "root/tmp", "outside"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    folder
}

/// CVE-2026-87766, CVE-2021-30465, CVE-2015-1335: a link in a bound tree at the place of a target.
#[test]
fn a_link_at_a_target_never_leads_out() {
    for who in people("a_link_at_a_target_never_leads_out") {
        let folder = bait("bait", who);
        let outside = folder.join("outside");
        let evil = folder.join("root/tmp");
        let links = [
            ("abs", outside.to_str().unwrap().to_owned()),
            ("up", "../../../../../../../../../../tmp".to_owned()),
            ("oldroot", "/oldroot/tmp".to_owned()),
            ("proc", "/proc/1/root/tmp".to_owned()),
            ("fd", "/proc/self/fd/0".to_owned()),
            ("circle", "circle".to_owned()),
        ];
        for (name, text) in &links {
            symlink(text, evil.join(name)).unwrap();
        }
        let before = host_state(folder.path());
        let tmp_before = fs::read_dir(std::env::temp_dir()).unwrap().count();
        let source = evil.to_str().unwrap();
        for (name, _) in &links {
            let (at, below) = (format!("/evil/{name}"), format!("/evil/{name}/deeper/x"));
            for entry in [
                vec!["--dir", &below],
                vec!["--file", "text:evil", &below],
                vec!["--symlink", "evil", &below],
                vec!["--tmpfs", &below],
                vec!["--ro-bind", "/etc/passwd", &below],
                vec!["--dev", &at],
                vec!["--mask", &at],
                vec!["--file", "text:evil", &at],
            ] {
                let ran =
                    who.host(["--proc", "/proc", "--bind", source, "/evil"]).args(&entry).args(["--", "true"]).run();
                // Either it is refused, or the link led to a place inside the new root.
                assert!(ran.code == 125 || (ran.code == 0 && ran.err.is_empty()), "{who:?} {entry:?} {ran:?}");
                assert_eq!(host_state(folder.path()), before, "{who:?} {entry:?}");
            }
        }
        assert!(fs::read_dir(std::env::temp_dir()).unwrap().count().abs_diff(tmp_before) < 64);
        assert!(!Path::new("/tmp/deeper").exists() && !Path::new("/oldroot").exists());
    }
}

/// CVE-2019-16884, CVE-2019-19921: /proc of the root is a link to a fake.
#[test]
fn a_fake_proc_is_not_taken_for_the_real_one() {
    for who in people("a_fake_proc_is_not_taken_for_the_real_one") {
        let folder = bait("proc", who);
        symlink("/tmp/fake", folder.join("root/proc")).unwrap();
        fs::create_dir(folder.join("root/tmp/fake")).unwrap();
        let root = folder.join("root");
        let before = host_state(folder.path());
        let ran = who.plan(["--bind"]).args([&root]).args(["/", "--proc", "/proc", "--", "/usr/bin/true"]).run();
        ran.fails(125, "mount proc on /proc (ro,nosuid,nodev,noexec): /proc is a symbolic link there");
        assert_eq!(host_state(folder.path()), before);
    }
}

/// User 0 of the machine needs no capability to write /proc/sys, and core_pattern names what the kernel executes outside.
/// Only opened here: nothing is written even where it can be.
#[test]
fn the_machines_controls_cannot_be_opened_for_writing() {
    let line = "for file in /proc/sys/kernel/core_pattern /proc/sys/vm/overcommit_memory /proc/self/comm; do \
                (: >>$file) 2>&1 | grep -qE 'Read-only file system|Permission denied' || echo $file; done";
    for who in people("the_machines_controls_cannot_be_opened_for_writing") {
        let out = who.host(["--proc", "/proc", "--", "sh", "-c", line]).run().ok();
        assert_eq!(out, "", "{who:?}");
        let out = who.host(["--proc", "/proc", "-o", "rw", "--", "sh", "-c", ": >>/proc/self/comm && echo opened"]);
        assert_eq!(out.run().ok(), "opened\n", "{who:?}");
    }
}

/// CVE-2026-41579, CVE-2026-47766: /dev of the root is a link to elsewhere.
#[test]
fn a_dev_that_is_a_link_is_refused() {
    for who in people("a_dev_that_is_a_link_is_refused") {
        let folder = bait("dev", who);
        symlink(folder.join("outside"), folder.join("root/dev")).unwrap();
        let before = host_state(folder.path());
        let ran =
            who.plan(["--bind"]).args([folder.join("root")]).args(["/", "--dev", "/dev", "--", "/usr/bin/true"]).run();
        ran.fails(125, "/dev is a symbolic link there");
        assert_eq!(host_state(folder.path()), before);
    }
}

/// CVE-2025-31133: the null device that masks is something else.
#[test]
fn a_swapped_null_device_is_noticed() {
    for who in people("a_swapped_null_device_is_noticed") {
        let folder = bait("null", who);
        fs::write(folder.join("outside/secret"), "secret").unwrap();
        let secret = folder.join("outside/secret");
        for (cover, args) in [
            (secret.to_str().unwrap(), "--mask /etc/passwd"),
            ("/dev/zero", "--mask /etc/passwd"),
            (secret.to_str().unwrap(), "--dev /dev"),
            ("/dev/full", "--dev /dev"),
        ] {
            let line = format!("mount --bind {cover} /dev/null; exec $PLAN --preset host-ro {args} -- true");
            who.script(&line).run().fails(125, "/dev/null is not the character device 1:3");
        }
    }
}

/// containers/bubblewrap#427: mount points that are left behind in a bound tree.
#[test]
fn nothing_is_made_in_a_bound_tree() {
    for who in people("nothing_is_made_in_a_bound_tree") {
        let folder = bait("stray", who);
        let before = host_state(folder.path());
        let root = folder.join("root");
        for entry in [
            vec!["--tmpfs", "/new"],
            vec!["--dir", "/new"],
            vec!["--symlink", "x", "/new"],
            vec!["--file", "text:x", "/new"],
            vec!["--proc", "/proc"],
            vec!["--dev", "/dev"],
            vec!["--ro-bind", "/etc", "/usr/etc"],
            vec!["--tmp-overlay", "/etc", "/usr/etc"],
        ] {
            let ran = who.plan(["--bind"]).args([&root]).args(["/"]).args(&entry).args(["--", "/usr/bin/true"]).run();
            ran.fails(125, "does not exist, and the directory it would be in was not made by this plan");
            assert_eq!(host_state(folder.path()), before, "{entry:?}");
        }
    }
}

/// Links in a bound tree that lead to a filesystem of the plan: followed within the root, nothing outside.
#[test]
fn a_link_in_a_bound_tree_resolves_inside_the_root() {
    for who in people("a_link_in_a_bound_tree_resolves_inside_the_root") {
        let folder = bait("inside", who);
        symlink("/tmp", folder.join("root/link")).unwrap();
        let source = folder.join("root");
        let ran = who
            .host(["--tmpfs", "/tmp", "--ro-bind"])
            .args([&source])
            .args(["/s", "--file", "text:in", "/s/link/made", "--", "cat", "/tmp/made"])
            .run();
        assert_eq!(ran.ok(), "in");
        assert!(!Path::new("/tmp/made").exists());
    }
}

/// Mounts of the box reach nobody: the caller's mounts are shared, and stay as they are.
#[test]
fn mounts_do_not_propagate() {
    for who in people("mounts_do_not_propagate") {
        let folder = bait("shared", who);
        let line = format!(
            "cd {}; mount -t tmpfs t outside; mount --make-rshared /; mkdir outside/a; unshare --mount --propagation unchanged \
             $PLAN --bind outside / --tmpfs /a -- /no/such; cat /proc/self/mountinfo | grep -c outside",
            folder.path().display()
        );
        let ran = who.script(&line).run();
        assert!(ran.out.is_empty() || ran.out == "1\n", "{ran:?}");
        let line = line.replace("; cat", " || true; cat");
        let ran = who.script(&line).run();
        assert_eq!(ran.out, "1\n", "{ran:?}");
    }
}
