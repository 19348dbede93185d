//! Each kind of entry, as the payload finds it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use chainbox_tests::screen::Screen;
use chainbox_tests::{Folder, Tier, USER, is_root, root_or_skip, skip, tool};
use rustix::fs::XattrFlags;

use crate::support::{Who, flags, people, words};

/// A folder of the test with files that both people may use.
fn folder(test: &str, who: Who) -> Folder {
    Folder::new(&format!("mp-{test}-{who:?}"), who == Who::User)
}

/// As the one who runs the box sees it: files of the test belong to the ordinary user.
fn give(path: &std::path::Path, who: Who) {
    if who == Who::User && is_root() {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
}

#[test]
fn a_bind_is_the_hosts_own_directory() {
    for who in people("a_bind_is_the_hosts_own_directory") {
        let folder = folder("bind", who);
        let source = folder.path().to_str().unwrap();
        let ran = who.host(["--bind", source, "/data", "--", "sh", "-c", "echo text >/data/file"]).run();
        assert_eq!(ran.ok(), "");
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "text\n");
    }
}

#[test]
fn a_read_only_bind_covers_what_is_mounted_below() {
    for who in people("a_read_only_bind_covers_what_is_mounted_below") {
        let folder = folder("ro", who);
        let line = format!(
            "cd {}; mkdir -p src/a; mount -t tmpfs t src/a; mkdir src/a/b; mount -t tmpfs t src/a/b; mkdir src/a/b/c; \
             mount -t tmpfs t src/a/b/c; exec $PLAN --preset host-ro --proc /proc --ro-bind src /s -- sh -c \
             'for d in /s /s/a /s/a/b /s/a/b/c; do touch $d/x && echo written; done; cat /proc/self/mountinfo'",
            folder.path().display()
        );
        let ran = who.script(&line).run();
        let out = ran.clone().ok();
        assert_eq!(ran.err.matches("Read-only file system").count(), 4, "{ran:?}");
        assert!(!out.contains("written"));
        for point in ["/s", "/s/a", "/s/a/b", "/s/a/b/c"] {
            for flag in ["ro", "nosuid", "nodev"] {
                assert!(flags(&out, point).contains(&flag), "{who:?} {point} {flag}: {out}");
            }
        }
    }
}

/// CVE-2014-5206: no flag of a source is ever lost, whatever is asked for.
#[test]
fn a_bind_has_at_least_the_flags_of_its_source_and_those_asked_for() {
    const FLAGS: [&str; 5] = ["ro", "nosuid", "nodev", "noexec", "nosymfollow"];
    let subset = |n: usize| FLAGS.iter().enumerate().filter(move |(bit, _)| n >> bit & 1 == 1).map(|(_, flag)| *flag);
    for who in people("a_bind_has_at_least_the_flags_of_its_source_and_those_asked_for") {
        let folder = folder("flags", who);
        let mut script = format!("cd {}; ", folder.path().display());
        let mut plan = String::new();
        for n in 0..32 {
            let has = subset(n).collect::<Vec<_>>().join(",");
            script += &format!("mkdir {n}; mount -t tmpfs -o defaults,{has} t {n}; ");
            for m in [0, 1, 8, 31 - n] {
                let asked = subset(m).collect::<Vec<_>>().join(",");
                plan += &format!("{n} /at/{n}-{m} none rbind,suid,dev,{asked}\n");
            }
        }
        fs::write(folder.join("plan"), &plan).unwrap();
        script += "exec $PLAN --preset host-ro --proc /proc --plan plan -- cat /proc/self/mountinfo";
        let out = who.script(&script).run().ok();
        let mut seen = 0;
        for n in 0..32 {
            for m in [0, 1, 8, 31 - n] {
                let got = flags(&out, &format!("/at/{n}-{m}"));
                for flag in subset(n | m) {
                    assert!(got.contains(&flag), "{who:?}: source {n:05b}, asked {m:05b}: {got:?} lacks {flag}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 200, "{seen}");
    }
}

#[test]
fn a_tmpfs_has_its_size_and_mode_whatever_the_umask() {
    for who in people("a_tmpfs_has_its_size_and_mode_whatever_the_umask") {
        let ran = who
            .script(
                "umask 0077; exec $PLAN --preset host-ro --tmpfs /t -o size=64K,mode=0710 --dir /d -o mode=1777 \
                 --file text:x /f/g -o mode=0604 --tmpfs /deep/er -- sh -c \
                 'stat -c %a /t /d /f /f/g /deep /deep/er; umask; head -c 70000 /dev/zero >/t/x || echo full'",
            )
            .run();
        // The host's /dev is not in this root, so head fails to open it; what counts is the limit below.
        assert_eq!(ran.ok().lines().take(7).collect::<Vec<_>>(), ["710", "1777", "755", "604", "755", "1777", "0077"]);
        let ran = who
            .host([
                "--tmpfs",
                "/t",
                "-o",
                "size=64K",
                "--",
                "sh",
                "-c",
                "head -c 70000 /usr/bin/env >/t/x; cat /usr/bin/* >/t/x",
            ])
            .run();
        assert!(ran.code != 0 && ran.err.contains("No space left on device"), "{ran:?}");
    }
}

#[test]
fn the_root_is_read_only_unless_it_is_wanted_otherwise() {
    for who in people("the_root_is_read_only_unless_it_is_wanted_otherwise") {
        let touch = ["--", "sh", "-c", "touch /x && echo written"];
        assert!(who.host(touch).run().err.contains("Read-only file system"));
        assert_eq!(who.host(["--rw-root"]).args(touch).run().ok(), "written\n");
        assert_eq!(who.plan(["--tmpfs", "/", "--preset", "host-ro"]).args(touch).run().ok(), "written\n");
        let ran = who.plan(["--tmpfs", "/", "-o", "ro", "--preset", "host-ro"]).args(touch).run();
        assert!(ran.err.contains("Read-only file system"), "{ran:?}");
    }
}

#[test]
fn proc_shows_the_new_pid_namespace() {
    for who in people("proc_shows_the_new_pid_namespace") {
        let out =
            who.host(["--proc", "/proc", "--", "sh", "-c", "readlink /proc/self/exe; echo /proc/[0-9]*"]).run().ok();
        assert!(out.contains("/proc/1") && out.split_whitespace().count() < 6, "{out}");
        let line = "test -e /proc/self/status && test ! -e /proc/meminfo && echo only pids";
        let out = who.host(["--proc", "/proc", "-o", "subset=pid", "--", "sh", "-c", line]).run().ok();
        assert_eq!(out, "only pids\n");
    }
}

#[test]
fn sysfs_mqueue_and_devpts_belong_to_their_namespaces() {
    for who in people("sysfs_mqueue_and_devpts_belong_to_their_namespaces") {
        let out = who
            .namespaces(&["--net", "--ipc"], [tool("mount-plan")])
            .args(words("--preset host-ro --proc /proc --sysfs /sys --mqueue /mq --devpts /pts --"))
            .args(["sh", "-c", "ls /sys/class/net; ls -a /mq | wc -l; test -c /pts/ptmx && cat /proc/self/mountinfo"])
            .run()
            .ok();
        assert!(out.starts_with("lo\n2\n"), "{out}");
        assert!(flags(&out, "/sys").contains(&"ro") && flags(&out, "/mq").contains(&"noexec"), "{out}");
    }
}

#[test]
fn a_minimal_dev_works_and_cannot_be_changed() {
    let line = "set -e; echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; \
                ! echo x 2>/dev/null >/dev/full; echo x >/dev/shm/x; : <>/dev/ptmx; ls /dev/pts; readlink /dev/fd /dev/stdin; \
                ls /dev | tr '\\n' ' '; stat -c %t:%T /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty";
    for who in people("a_minimal_dev_works_and_cannot_be_changed") {
        let out = who.host(["--proc", "/proc", "--dev", "/dev", "--", "sh", "-c", line]).run().ok();
        let want = "4\n4\nptmx\n/proc/self/fd\n/proc/self/fd/0\n\
                    fd full null ptmx pts random shm stderr stdin stdout tty urandom zero \
                    1:3\n1:5\n1:7\n1:8\n1:9\n5:0\n";
        assert_eq!(out, want, "{who:?}");
        let mode = fs::metadata("/dev/null").unwrap().permissions().mode();
        let ran = who
            .host([
                "--dev",
                "/dev",
                "--",
                "sh",
                "-c",
                "chmod 600 /dev/null; touch /dev/x; rm /dev/fd; mv /dev/null /dev/nil",
            ])
            .run();
        assert!(ran.err.matches("Read-only file system").count() >= 3, "{ran:?}");
        assert_eq!(fs::metadata("/dev/null").unwrap().permissions().mode(), mode);
    }
}

#[test]
fn devices_of_a_bind_work_only_where_that_is_said() {
    for who in people("devices_of_a_bind_work_only_where_that_is_said") {
        let read = ["--", "sh", "-c", "head -c 1 /d/zero | wc -c"];
        assert_eq!(who.host(["--dev-bind", "/dev", "/d"]).args(read).run().ok(), "1\n");
        let ran = who.host(["--bind", "/dev", "/d"]).args(read).run();
        assert!(ran.err.contains("Permission denied"), "{ran:?}");
    }
}

#[test]
fn an_overlay_keeps_its_changes_apart() {
    for who in people("an_overlay_keeps_its_changes_apart") {
        let folder = folder("overlay", who);
        for name in ["low:er", "low:er/dir", "second", "upper", "work"] {
            fs::create_dir(folder.join(name)).unwrap();
            give(&folder.join(name), who);
        }
        for (name, text) in [("low:er/a", "a"), ("low:er/dir/old", "old"), ("second/a", "hidden"), ("second/b", "b")] {
            fs::write(folder.join(name), text).unwrap();
            give(&folder.join(name), who);
        }
        // A directory is removed with the help of an attribute, which a tmpfs has for ordinary users since Linux 6.6.
        let upper = folder.join("upper");
        let kept = who == Who::Root || rustix::fs::setxattr(&upper, "user.test", b"", XattrFlags::empty()).is_ok();
        let change = if kept { "rm -r dir; mkdir dir" } else { "rm dir/old" };
        if !kept {
            skip(Tier::UserNamespace, "an_overlay_keeps_its_changes_apart", "no user.* attributes: a directory stays");
        }
        let line = format!("set -e; cd /m; cat a b; echo new >c; rm a; {change}; echo young >dir/young; ls dir");
        let ran = who
            .host(["--overlay", "low\\:er:second", "upper", "work", "/m", "--", "sh", "-c", &line])
            .at(folder.path())
            .run();
        assert_eq!(ran.ok(), "abyoung\n", "{who:?}");
        assert_eq!(fs::read_to_string(folder.join("low:er/a")).unwrap(), "a");
        assert_eq!(fs::read_to_string(folder.join("low:er/dir/old")).unwrap(), "old");
        assert_eq!(fs::read_to_string(folder.join("upper/c")).unwrap(), "new\n");
        let again = who
            .host(["--overlay", "low\\:er:second", "upper", "work", "/m", "--", "sh", "-c", "cd /m; cat a c; ls dir"])
            .at(folder.path())
            .run();
        assert_eq!(again.out, "new\nyoung\n", "{who:?} {again:?}");
        let tmp = who
            .host([
                "--tmp-overlay",
                "second",
                "/m",
                "-o",
                "size=64K",
                "--",
                "sh",
                "-c",
                "echo z >/m/b; cat /m/b; stat -c %u /m",
            ])
            .at(folder.path())
            .run();
        assert_eq!(tmp.ok(), "z\n0\n");
        assert_eq!(fs::read_to_string(folder.join("second/b")).unwrap(), "b");
    }
}

#[test]
fn a_root_can_be_a_directory_or_an_overlay() {
    for who in people("a_root_can_be_a_directory_or_an_overlay") {
        let folder = folder("root", who);
        let template = folder.join("template");
        fs::create_dir_all(template.join("usr")).unwrap();
        for name in ["bin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), template.join(name)).unwrap();
        }
        let line = "stat -c %a:%u /; cat /proc/1/comm; touch /root-was-here && echo written";
        let out = who
            .plan(["--tmp-overlay"])
            .args([&template])
            .args(words("/ --ro-bind /usr /usr --proc /proc --dev /dev -- sh -c"))
            .args([line])
            .run();
        assert_eq!(out.ok(), "755:0\nsh\nwritten\n", "{who:?}");
        assert_eq!(fs::read_dir(&template).unwrap().count(), 4);
        let line = "touch /root-was-here; touch /tmp/x && echo tmp";
        let ran = who.plan(words("--ro-bind / / --tmpfs /tmp -- sh -c")).args([line]).run();
        assert!(ran.out == "tmp\n" && ran.err.contains("Read-only file system"), "{ran:?}");
        assert!(!std::path::Path::new("/root-was-here").exists());
    }
}

#[test]
fn files_links_and_directories_are_as_said() {
    for who in people("files_links_and_directories_are_as_said") {
        let folder = folder("files", who);
        fs::write(folder.join("plan"), "text:two\\040words\\012 /etc2/motd file mode=0640\nmotd /etc2/link symlink\n")
            .unwrap();
        fs::write(folder.join("source"), "copied\n").unwrap();
        let mut chain = who
            .host(["--plan", "plan", "--file", "source", "/etc2/copy", "--file", "fd:0", "/etc2/fd", "--"])
            .args(["sh", "-c", "cd /etc2; cat motd link copy fd; stat -c %a motd copy; readlink link; cat <&0"])
            .at(folder.path());
        chain.command().stdin(fs::File::open(folder.join("source")).unwrap());
        assert_eq!(chain.run().ok(), "two words\ntwo words\ncopied\ncopied\n640\n644\nmotd\n", "{who:?}");
    }
}

#[test]
fn a_file_over_another_leaves_the_other_alone() {
    for who in people("a_file_over_another_leaves_the_other_alone") {
        let folder = folder("over", who);
        fs::write(folder.join("name"), "old\n").unwrap();
        let source = folder.path().to_str().unwrap();
        let line = "cat /s/name; echo more >>/s/name; cat /s/name";
        let out =
            who.host(["--bind", source, "/s", "--file", "text:new\n", "/s/name", "--", "sh", "-c", line]).run().ok();
        assert_eq!(out, "new\nnew\nmore\n");
        assert_eq!(fs::read_to_string(folder.join("name")).unwrap(), "old\n");
    }
}

/// Where overlayfs cannot use its work directory, it would go on without any changes.
#[test]
fn an_overlay_that_cannot_keep_changes_is_refused() {
    if !root_or_skip("an_overlay_that_cannot_keep_changes_is_refused") {
        return;
    }
    let folder = Folder::new("mp-overlay-ro", true);
    for name in ["lower", "upper", "work"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    chown(folder.join("upper"), Some(USER), None).unwrap();
    let ran = Who::User.host(words("--overlay lower upper work /m -- true")).at(folder.path()).run();
    ran.fails(
        125,
        "overlay lower on /m, changes in upper (nosuid,nodev): overlayfs cannot write to its work directory",
    );
}

#[test]
fn a_mask_hides_files_and_directories() {
    for who in people("a_mask_hides_files_and_directories") {
        let line = "cat /etc/passwd | wc -c; ls -A /usr/share | wc -l; touch /usr/share/x || echo x >/etc/passwd && cat /etc/passwd";
        let ran = who.host(["--mask", "/etc/passwd", "--mask", "/usr/share", "--", "sh", "-c", line]).run();
        assert_eq!(ran.out, "0\n0\n", "{ran:?}");
        assert!(ran.err.contains("Read-only file system"), "{ran:?}");
        assert!(fs::metadata("/etc/passwd").unwrap().len() > 0);
    }
}

#[test]
fn the_working_directory_is_the_callers_or_the_one_said() {
    for who in people("the_working_directory_is_the_callers_or_the_one_said") {
        assert_eq!(who.host(["--", "pwd"]).at("/usr/bin").run().ok(), "/usr/bin\n");
        assert_eq!(who.host(["--", "pwd"]).at("/tmp").run().ok(), "/\n");
        assert_eq!(who.host(["--chdir", "/usr/lib", "--", "pwd"]).at("/tmp").run().ok(), "/usr/lib\n");
        let out =
            who.host(["--dir", "/run", "--symlink", "/run", "/var/run", "--chdir", "/var/run", "--", "pwd", "-P"]);
        assert_eq!(out.run().ok(), "/run\n");
    }
}

/// Who has typed `-- make` wonders where the files are; a log is the program's.
#[test]
fn a_terminal_is_told_that_the_program_starts_elsewhere() {
    for who in people("a_terminal_is_told_that_the_program_starts_elsewhere") {
        let words = "mount-plan: /tmp is not in the new root: PROG starts in /; --chdir says where";
        // The shell is there until all is read: what a terminal still has is lost when its session ends.
        let typed = |more: &[&str]| {
            let shell = who.host(more).at("/tmp").within("sh", &["-c", "\"$@\"; echo the end; read -r line", "sh"]);
            Screen::start(&shell, who == Who::User).expect("the end")
        };
        let (moved, named) = (typed(&["--", "pwd"]), typed(&["--chdir", "/", "--", "pwd"]));
        assert!(moved.contains(words) && !named.contains(words), "{who:?}: {moved} {named}");
        // One line where it cannot start at all.
        let lost = typed(&["--", "no-such-program"]);
        assert!(lost.contains("no-such-program: not found") && !lost.contains(words), "{who:?}: {lost}");
        let logged = who.host(["--", "pwd"]).at("/tmp").run();
        assert_eq!((logged.err.as_str(), logged.out.as_str()), ("", "/\n"));
    }
}

/// containers/bubblewrap#801: a link in the way of a target, and a directory that may be passed but not read.
#[test]
fn targets_go_through_links_and_unreadable_directories() {
    for who in people("targets_go_through_links_and_unreadable_directories") {
        let folder = folder("pass", who);
        fs::create_dir_all(folder.join("closed/inner")).unwrap();
        give(&folder.join("closed/inner"), who);
        fs::set_permissions(folder.join("closed"), fs::Permissions::from_mode(0o711)).unwrap();
        let source = folder.path().to_str().unwrap();
        let args =
            ["--ro-bind", source, "/s", "--tmpfs", "/s/closed/inner", "--dir", "/run", "--symlink", "/run", "/var/run"];
        let out = who.host(args).args([
            "--tmpfs",
            "/var/run/x",
            "--",
            "sh",
            "-c",
            "touch /s/closed/inner/a /run/x/b && ls /run/x",
        ]);
        assert_eq!(out.run().ok(), "b\n", "{who:?}");
    }
}

#[test]
fn a_time_of_access_rule_can_be_asked_for() {
    for who in people("a_time_of_access_rule_can_be_asked_for") {
        let line =
            "--proc /proc --tmpfs /a -o noatime --tmpfs /b -o strictatime,nodiratime -- cat /proc/self/mountinfo";
        let out = who.host(words(line)).run().ok();
        assert!(flags(&out, "/a").contains(&"noatime"), "{out}");
        assert!(flags(&out, "/b").contains(&"nodiratime") && !flags(&out, "/b").contains(&"relatime"), "{out}");
    }
}

#[test]
fn nofail_goes_on_and_says_what_was_lost() {
    for who in people("nofail_goes_on_and_says_what_was_lost") {
        let ran =
            who.host(["--bind", "/no/such", "/x", "-o", "nofail", "--", "sh", "-c", "test ! -e /x && echo on"]).run();
        assert_eq!(ran.clone().ok(), "on\n");
        let want = "mount-plan: bind /no/such on /x (nosuid,nodev): open /no/such: No such file or directory (ENOENT) (nofail: left out)\n";
        assert_eq!(ran.err, want);
        let ran = who.host(["--mask", "/usr/no-such", "-o", "nofail", "--", "echo", "on"]).run();
        assert!(ran.clone().ok() == "on\n" && ran.err.contains("mask /usr/no-such: openat2"), "{ran:?}");
    }
}

#[test]
fn two_thousand_binds_are_possible_with_few_descriptors() {
    for who in people("two_thousand_binds_are_possible_with_few_descriptors") {
        let folder = folder("many", who);
        let plan: String = (0..2000).map(|n| format!("/usr/bin/env /m/{n} none bind,ro\n")).collect();
        fs::write(folder.join("plan"), plan).unwrap();
        let line = format!(
            "ulimit -Sn 256; exec $PLAN --preset host-ro --plan {} -- sh -c 'ls /m | wc -l; ulimit -Sn; ulimit -Hn >/dev/null'",
            folder.join("plan").display()
        );
        let ran = who.script(&line).run();
        assert_eq!(ran.out, "2000\n256\n", "{ran:?}");
    }
}
