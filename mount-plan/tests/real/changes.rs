//! Entries that change what the plan has put in its place, and files that are mounts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use chainbox_tests::Folder;

use crate::support::people;

/// What is mounted at this place of the box, as its mountinfo has the last one: `ro` or `rw`.
const ACCESS: &str = "access() { awk -v at=\"$1\" '$5 == at { split($6, words, \",\"); last = words[1] } END { print last }' /proc/self/mountinfo; }";

#[test]
fn a_mount_becomes_read_only_when_it_has_been_filled() {
    for who in people("a_mount_becomes_read_only_when_it_has_been_filled") {
        let line = format!(
            "{ACCESS}; cat /tmp/a/b; (echo >/tmp/x) 2>&- || echo closed; echo >/tmp/under/y && echo open; access /tmp; access /tmp/under"
        );
        let words = [
            "--tmpfs",
            "/tmp",
            "--file",
            "text:filled ",
            "/tmp/a/b",
            "--tmpfs",
            "/tmp/under",
            "--remount-ro",
            "/tmp",
            "--proc",
            "/proc",
            "--",
            "sh",
            "-c",
            &line,
        ];
        assert_eq!(who.host(words).run().ok(), "filled closed\nopen\nro\nrw\n", "{who:?}");
        // The root itself, which was to be writable.
        let words = ["--rw-root", "--remount-ro", "/", "--", "sh", "-c", "(echo >/x) 2>&- || echo closed"];
        assert_eq!(who.host(words).run().ok(), "closed\n", "{who:?}");
        // A link to it is as good.
        let words = [
            "--tmpfs",
            "/run/a",
            "--symlink",
            "run/a",
            "/b",
            "--remount-ro",
            "/b",
            "--",
            "sh",
            "-c",
            "(echo >/run/a/x) 2>&- || echo closed",
        ];
        assert_eq!(who.host(words).run().ok(), "closed\n", "{who:?}");
        for (at, why) in [("/usr/bin", "nothing is mounted there"), ("/nope", "No such file or directory")] {
            who.host(["--remount-ro", at, "--", "true"]).run().fails(125, why);
        }
    }
}

#[test]
fn a_mode_is_changed_in_what_the_plan_has_made_alone() {
    for who in people("a_mode_is_changed_in_what_the_plan_has_made_alone") {
        let folder = Folder::new(&format!("mp-chmod-{who:?}"), who == crate::support::Who::User);
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        if who == crate::support::Who::User {
            std::os::unix::fs::chown(&file, Some(chainbox_tests::USER), Some(chainbox_tests::USER)).unwrap_or_default();
        }
        let here = folder.path().to_str().unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        let made = [
            "--tmpfs", "/a", "--dir", "/a/b", "--chmod", "0711", "/a/b", "--chmod", "1770", "/a", "--", "stat", "-c",
            "%a", "/a/b", "/a",
        ];
        assert_eq!(who.host(made).run().ok(), "711\n1770\n", "{who:?}");
        let bound = |more: &[&str]| {
            who.host(
                [&["--bind", here, "/m", "--chmod", "0600", "/m/file"], more, &["--", "stat", "-c", "%a", "/m/file"]]
                    .concat(),
            )
            .run()
        };
        bound(&[]).fails(125, "/m/file was not made by this plan");
        assert_eq!(mode(), 0o640, "{who:?}");
        assert_eq!(bound(&["-o", "X-mount.make"]).ok(), "600\n", "{who:?}");
        assert_eq!(mode(), 0o600, "{who:?}");
        for (bad, why) in [("8", "not an octal mode"), ("4755", "not an octal mode"), ("", "not an octal mode")] {
            who.host(["--tmpfs", "/a", "--chmod", bad, "/a", "--", "true"]).run().fails(125, why);
        }
    }
}

#[test]
fn content_is_mounted_over_what_is_there() {
    for who in people("content_is_mounted_over_what_is_there") {
        let folder = Folder::new(&format!("mp-data-{who:?}"), who == crate::support::Who::User);
        fs::write(folder.join("old"), "old").unwrap();
        let here = folder.path().to_str().unwrap();
        let line = format!(
            "{ACCESS}; cat /m/old /new; (echo changed >/m/old) && cat /m/old; (echo >/new) 2>&- || echo closed; \
             stat -c %a /m/old /new; access /m/old; access /new"
        );
        let words = [
            "--bind",
            here,
            "/m",
            "--bind-data",
            "text:first ",
            "/m/old",
            "--ro-bind-data",
            "text:second ",
            "/new",
            "-o",
            "mode=0444",
            "--proc",
            "/proc",
            "--",
            "sh",
            "-c",
            &line,
        ];
        let out = who.host(words).run().ok();
        // Root writes a file of mode 0444: the mount says no.
        assert_eq!(out, "first second changed\nclosed\n600\n444\nrw\nro\n", "{who:?}");
        assert_eq!(fs::read_to_string(folder.join("old")).unwrap(), "old", "{who:?}");
        let missing = ["--bind", here, "/m", "--bind-data", "text:x", "/m/none", "--", "true"];
        who.host(missing).run().fails(125, "/m/none does not exist, and the directory it would be in was not made");
        assert!(!folder.join("none").exists());
    }
}

#[test]
fn a_mixed_proc_can_be_written_but_for_its_controls() {
    for who in people("a_mixed_proc_can_be_written_but_for_its_controls") {
        let line = "echo 500 >/proc/self/oom_score_adj && cat /proc/self/oom_score_adj; \
                    for file in sys/kernel/core_pattern sys/vm/drop_caches sysrq-trigger; do \
                    (: >>/proc/$file) 2>&- && echo $file can be opened; done; true";
        let words = ["--proc", "/proc", "-o", "rw,mixed", "--", "sh", "-c", line];
        assert_eq!(who.host(words).run().ok(), "500\n", "{who:?}");
    }
}
