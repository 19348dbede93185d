//! What a program sees in a box: its root, its environment, its limits.

use std::fs;

use chainbox_tests::{Chain, USER, is_root};

use crate::everybody;

#[test]
fn a_program_sees_its_box_and_nothing_else() {
    everybody("inside", |judge| {
        judge.init();
        let line = "pwd; id -u; ls /; env | sort; cat /etc/shadow 2>&1 | grep -c 'No such'; grep -c : /proc/net/dev; hostname; \
                    ls /proc | grep -c '^1$'; touch /x 2>&1 | grep -c Read-only";
        let out = judge.shell("", line).ok();
        let id = match (judge.user, is_root()) {
            (true, true) => USER,
            (true, false) => nix::unistd::geteuid().as_raw(),
            (false, _) => judge.first,
        };
        let lib64 = if fs::exists("/lib64").unwrap() { "lib64\n" } else { "" };
        let root = format!("bin\nbox\ndev\nlib\n{lib64}proc\ntmp\nusr\n");
        assert_eq!(out, format!("/box\n{id}\n{root}LIBC_FATAL_STDERR_=1\nPWD=/box\n1\n1\nbox\n0\n1\n"));
        let status = judge.shell("", "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status").ok();
        let none = "0000000000000000";
        assert_eq!(status, format!("CapEff:\t{none}\nCapBnd:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\n"));
        assert_eq!(judge.shell("--share-net", "readlink /proc/self/ns/net").ok(), net());
        assert_ne!(judge.shell("", "readlink /proc/self/ns/net").ok(), net());
    });
}

fn net() -> String {
    format!("{}\n", fs::read_link("/proc/self/ns/net").unwrap().display())
}

#[test]
fn variables_are_those_that_are_named() {
    everybody("variables", |judge| {
        judge.init();
        let env = |options: &str| {
            let words = options.split_whitespace().chain(["--run", "--", "/usr/bin/env"]);
            let out = judge.isolate(words).run().ok();
            out.lines().filter(|line| !line.starts_with("PATH=")).map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(env(""), "LIBC_FATAL_STDERR_=1");
        assert_eq!(env("-E SECRET -E A=b -E NONE -E LIBC_FATAL_STDERR_="), "SECRET=of the judge A=b");
        assert_eq!(env("-E A=b -E A=c -E B=x -E B="), "LIBC_FATAL_STDERR_=1 A=c");
        let full = env("-E SECRET= -e");
        assert!(full.contains("ISOLATE_CONFIG=") && !full.contains("SECRET"), "{full}");
        assert!(!full.contains("CHAIN_AS=") && !full.contains("CHAIN_FAULT="), "{full}");
    });
}

#[test]
fn rules_show_what_they_say_in_their_order() {
    everybody("rules", |judge| {
        judge.init();
        let shown = judge.folder.join("shown");
        fs::create_dir_all(shown.join("below")).unwrap();
        fs::write(shown.join("data"), "data\n").unwrap();
        fs::write(shown.join("run"), "#!/bin/sh\necho ran\n").unwrap();
        std::process::Command::new("chmod").args(["-R", "a+rwX,a+x"]).arg(&shown).status().unwrap();
        let path = shown.display();
        let line = |rules: &str, line: &str| judge.shell(rules, line);
        assert_eq!(
            line(&format!("-d work={path}"), "cat /work/data; /work/run; echo x >/work/new; exit 0").out,
            "data\nran\n"
        );
        assert!(!shown.join("new").exists());
        line(&format!("-d work={path}:rw"), "echo x >/work/new").ok();
        assert!(shown.join("new").exists());
        line(&format!("-d work={path}:noexec"), "/work/run").fails(1, "ermission denied");
        line(&format!("-d work={path}:maybe -d none=/nowhere:maybe"), "test -e /work && test ! -e /none").ok();
        line(&format!("-d work={path} -d work="), "test ! -e /work").ok();
        line("-d tmp=", "test ! -e /tmp").ok();
        line(&format!("-d tmp={path}"), "test -e /tmp/data && ! touch /tmp/x 2>/dev/null").ok();
        line("-d dev/shm:tmp -d t:tmp", "echo a >/t/x; echo b >/dev/shm/y; cat /t/x /dev/shm/y; test ! -e /t/y").ok();
        line("-d m=tmpfs:fs", "test -d /m && ! touch /m/x 2>/dev/null").ok();
        line("-d m=tmpfs:fs:rw", "touch /m/x").ok();
        // A later rule within an earlier one; in the other order it is covered, or has no place.
        line(&format!("-d work={path} -d work/below=/usr/bin"), "test -e /work/below/env").ok();
        line(&format!("-d work/below=/usr/bin -d work={path}"), "test ! -e /work/below/env && test -e /work/data").ok();
        line(&format!("-d work={path} -d work/nowhere=/usr/bin"), "exit 0").fails(2, "nowhere");
        // In its old place.
        line(&format!("-d work=/usr -d work/bin=/usr/lib -d work={path}"), "exit 0").fails(2, "work/bin");
        let box_alone = "-D -d box=./box:rw -d usr -d bin -d lib -d lib64:maybe";
        assert_eq!(
            line(box_alone, "set -- /*; echo $*").ok(),
            line(box_alone, "ls -d /* | tr '\\n' ' ' | sed 's/ $//'; echo").ok()
        );
        line(box_alone, "test ! -e /tmp && test ! -e /proc && touch /box/x").ok();
        line("-D -d usr", "exit 0").fails(2, "/box");
    });
}

#[test]
fn mounts_below_are_shown_unless_they_are_not() {
    everybody("norec", |judge| {
        judge.init();
        let of = |options: &str| {
            judge.shell(options, "grep -c ' /d' /proc/self/mountinfo").out.trim().parse::<u32>().unwrap()
        };
        let below = of("-d d=/dev:dev");
        if below < 2 {
            return; // Nothing is mounted below /dev here.
        }
        // In a user namespace the kernel does not let anybody look below a mount.
        let alone = judge.shell("-d d=/dev:dev:norec", "grep -c ' /d ' /proc/self/mountinfo");
        assert!(judge.user || alone.out == "1\n", "{alone:?}");
    });
}

#[test]
fn limits_are_what_they_say() {
    everybody("limits", |judge| {
        judge.init();
        let of = |options: &str| {
            judge
                .shell(
                    options,
                    "ulimit -n -c -f -s -v 2>/dev/null; ulimit -n; ulimit -c; ulimit -f; ulimit -s; ulimit -v",
                )
                .out
        };
        let last =
            |text: &str| text.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
        assert_eq!(last(&of("")), "1024 0 unlimited unlimited unlimited");
        let said = last(&of("-n 64 --core=8 -f 64 -k 8192 -m 262144"));
        assert_eq!(said, "64 16 128 8192 262144", "dash counts blocks of 512 bytes");
        let one = judge.run("--run -- /bin/sh -c /bin/true;/bin/true");
        assert!(one.code == 1 && one.err.contains("fork"), "{one:?}");
        let line = "sleep 0.1 & sleep 0.1 & wait; echo forked";
        let words = |count: &str| judge.isolate([count, "--run", "--", "/bin/sh", "-c", line]).run();
        assert_eq!(words("-p3").ok(), "forked\n");
        assert_eq!(words("--processes=3").ok(), "forked\n");
        assert!(words("-p2").out.is_empty());
        assert_eq!(judge.shell("", "umask").ok(), "0022\n");
    });
}

#[test]
fn descriptors_are_handed_on_where_that_is_asked_for() {
    everybody("descriptors", |judge| {
        judge.init();
        let of = |options: &str| {
            let isolate = judge.folder.join("isolate").display().to_string();
            let inner = "ls /proc/self/fd | tr '\\n' ' '";
            let line = format!("exec 7</dev/null 8</; exec {isolate} {options} -s -p --run -- /bin/sh -c \"$1\"");
            let chain = Chain::program("/bin/sh")
                .args(["-c", &line, "sh", inner])
                .env("ISOLATE_CONFIG", judge.folder.join("conf"));
            let chain = if judge.user { chain.as_user() } else { chain };
            chain.run().ok()
        };
        assert_eq!(of(""), "0 1 2 3 ");
        // What runs the tests may have some open, too.
        let all = of("--inherit-fds");
        assert!(all.contains(" 7 ") && !all.contains(" 8 "), "{all}");
    });
}
