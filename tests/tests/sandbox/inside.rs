//! What a command finds in its box.

use std::ffi::OsStr;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use chainbox_tests::machine::Machine;
use chainbox_tests::{Chain, Folder, Tier, USER, bin, busybox_or_skip, checkout, is_root, root_or_skip, skip};

use crate::{Place, everybody, own};

#[test]
fn the_command_has_a_box_of_its_own() {
    let line = "id -u; hostname; ls /; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs|Seccomp:'; touch x && ls x";
    let mut shells: Vec<Vec<PathBuf>> = vec![vec!["sh".into()], vec!["dash".into()]];
    shells.extend(busybox_or_skip("the_command_has_a_box_of_its_own").map(|busybox| vec![busybox, "sh".into()]));
    everybody("own", |place| {
        for shell in shells.clone() {
            let place = Place { shell, folder: Folder::new("sandbox-shell", place.user), user: place.user };
            fs::create_dir(place.work()).unwrap();
            own(&place.work(), place.user);
            let out = place.box_says(line);
            let id = if place.user && is_root() { USER } else { nix::unistd::getuid().as_raw() };
            assert!(out.starts_with(&format!("{id}\nbox\n")), "{out}");
            // As root: over the files of a tree that somebody else owns.
            let capabilities = if id == 0 { "CapEff:\t000000000000000a" } else { "CapEff:\t0000000000000000" };
            for fact in ["\nusr\n", capabilities, "NoNewPrivs:\t1", "Seccomp:\t2"] {
                assert!(out.contains(fact), "no {fact:?} in {out}");
            }
            assert!(out.ends_with("\nx\n"), "{out}");
            assert_eq!(fs::read_dir(place.work()).unwrap().count(), 0, "x stays in the box");
        }
    });
}

#[test]
fn the_environment_is_three_variables_and_a_home() {
    everybody("environment", |place| {
        let run = place.sandbox(&["--", "env"]).env("SECRET", "1").env("TERM", "vt100").env("LANG", "C").run();
        let mut names: Vec<String> =
            run.ok().lines().map(|line| line.split('=').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["HOME", "LANG", "PATH", "TERM"]);
    });
}

#[test]
fn tmp_and_home_are_the_boxs_own_and_empty() {
    everybody("tmp", |place| {
        fs::write(place.folder.join("home/secret"), "").unwrap();
        let out =
            place.box_says("ls -A \"$HOME\"; touch \"$HOME/x\" /tmp/chainbox-made; ls /tmp; stat -c %a \"$HOME\"; pwd");
        // The folder of this test lies in /tmp: of the way to the current directory the box has the names alone.
        let folder = place.folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(out, format!("chainbox-made\n{folder}\nhome\n700\n{}\n", place.work().display()));
        assert!(!Path::new("/tmp/chainbox-made").exists());
    });
}

#[test]
fn the_system_is_there_and_not_to_be_changed() {
    everybody("system", |place| {
        let line = "touch /usr/x /etc/x /x /proc/sys/kernel/core_pattern; echo 1 > /proc/sys/kernel/hostname; \
                    ls -d \"$0\" /root/.ssh /home/*; [ -r /etc/passwd ] && [ -x /usr/bin/env ] && echo there";
        let checkout = checkout();
        let ran = place.run(&["--", "sh", "-c", line, checkout.to_str().unwrap()]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "there\n"), "{ran:#?}");
        let said = ran.err.lines().filter(|line| !line.starts_with("cg-run: "));
        let refused =
            said.filter(|line| line.contains("Read-only file system") || line.contains("Permission denied")).count();
        assert_eq!(refused, 5, "{ran:#?}");
    });
}

#[test]
fn root_in_the_box_reads_and_writes_no_more_than_everybody() {
    if !root_or_skip("root_in_the_box_reads_and_writes_no_more_than_everybody") {
        return;
    }
    let place = Place::new("root", false);
    // A secret of root where every machine has one, and the kernel's switches that check for uid 0 and for nothing else.
    let line = "cat /etc/shadow 2>&1 | grep -c denied; for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \
                /proc/irq/default_smp_affinity /proc/self/oom_score_adj; do [ ! -w $f ] || echo $f; done; \
                ls /sys /run 2>&1 | grep -c 'cannot access'";
    assert_eq!(place.box_says(line), "1\n2\n");
    let core = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let write = "echo box > /proc/sys/kernel/core_pattern";
    assert_ne!(place.run(&["--", "sh", "-c", write]).code, 0);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), core);
}

/// Root of the box is an id that nobody else has; to it, trees that it may change look as if it were root's.
#[test]
fn root_in_the_box_is_nobody_outside() {
    if !root_or_skip("root_in_the_box_is_nobody_outside") {
        return;
    }
    let place = Place::new("nobody", false);
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.work().join("mine"), "root's own").unwrap();
    fs::set_permissions(place.work().join("mine"), fs::Permissions::from_mode(0o600)).unwrap();
    let ids = |line: &str| -> Vec<u32> {
        let out = place.box_says(line);
        out.split_whitespace().map(|word| word.parse().unwrap_or_else(|_| panic!("{out}"))).collect()
    };
    let map =
        "id -u; stat -c %u mine /usr/bin/env; echo more >>mine; stat -c %u mine; sed 's/  */ /g' /proc/self/uid_map";
    let [first, second] = [ids(map), ids(map)];
    for found in [&first, &second] {
        assert_eq!((&found[..4], found[4], found[6]), ([0, 0, 65534, 0].as_slice(), 0, 1), "{found:?}");
        assert!(found[5] > 2_000_200_000, "{found:?}");
    }
    assert_ne!(first[5], second[5], "two boxes have two ids");
    assert_eq!(fs::read_to_string(place.work().join("mine")).unwrap(), "root's own");
}

/// Whoever starts a box shares a process group with its links, and the box has one of its own.
#[test]
fn a_signal_to_its_whole_group_stays_in_the_box() {
    everybody("group", |place| {
        let sandbox = checkout().join("scripts/sandbox");
        let script =
            "\"$0\" -- sh -c 'kill -9 0'; echo box $?; \"$0\" --wall-time 2 -- sh -c 'kill -STOP 0'; echo box $?";
        let chain = Chain::program("sh").args([OsStr::new("-c"), OsStr::new(script), sandbox.as_os_str()]);
        let chain = chain.env("CHAINBOX_BIN", bin()).env("HOME", place.folder.join("home")).at(place.work());
        let ran = if place.user { chain.as_user().run() } else { chain.run() };
        assert_eq!((ran.code, ran.out.as_str()), (0, "box 137\nbox 137\n"), "{ran:#?}");
    });
}

#[test]
fn there_is_no_network_unless_asked_for() {
    everybody("net", |place| {
        assert_eq!(place.box_says("grep -c : /proc/net/dev"), "1\n", "lo alone");
        let host = fs::read_to_string("/proc/net/dev").unwrap().matches(':').count();
        assert_eq!(place.run(&["--net", "--", "grep", "-c", ":", "/proc/net/dev"]).ok(), format!("{host}\n"));
    });
}

/// Where there are no id-mapped mounts root's box is root to who asks (SO_PEERCRED), as containerd's shims did: CVE-2020-15257.
#[test]
fn a_box_of_roots_reaches_no_abstract_socket_of_the_host() {
    const TEST: &str = "a_box_of_roots_reaches_no_abstract_socket_of_the_host";
    if !root_or_skip(TEST) {
        return;
    }
    if Chain::shell("seccomp-exec --landlock-scope abstract-unix -- true").run().code != 0 {
        return skip(Tier::Kernel, TEST, "a kernel without the scopes of Landlock");
    }
    let place = Place::new("abstract", false);
    // It is a program of the tests, which stands beside the tools that were built with them.
    fs::copy(checkout().join("target/release/landlock-probe"), place.work().join("probe")).unwrap();
    let name = format!("chainbox-sandbox-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let ran = place.run(&["--net", "--", "sh", "-c", &format!("./probe outside {name}; :")]).ok();
    assert!(ran.contains("abstract: EPERM"), "{ran}");
}

#[test]
fn the_exit_status_is_the_commands() {
    everybody("status", |place| {
        for code in [0, 1, 42, 124, 255] {
            assert_eq!(place.run(&["--", "sh", "-c", &format!("exit {code}")]).code, code);
        }
        assert_eq!(place.run(&["--", "sh", "-c", "kill -TERM $$"]).code, 128 + 15);
        place.run(&["--", "no-such-program"]).fails(127, "seccomp-exec: no-such-program: not found in PATH");
        place.run(&["--", "/etc/passwd"]).fails(126, "seccomp-exec: /etc/passwd: execve: Permission denied (EACCES)");
    });
}

#[test]
fn without_a_command_it_is_a_shell() {
    let place = Place::new("shell", !is_root());
    fs::write(place.folder.join("line"), "echo $0; echo in $(hostname)\n").unwrap();
    let mut chain = place.sandbox(&[]);
    chain.command().stdin(fs::File::open(place.folder.join("line")).unwrap());
    assert_eq!(chain.run().ok(), "/bin/sh\nin box\n");
}

#[test]
fn explain_prints_every_link_and_runs_nothing() {
    everybody("explain", |place| {
        let before = Machine::now("no such process", place.folder.path());
        let words = ["--keep", "k", "--", "touch", "x"];
        let out = place.sandbox(&words).env("CHAIN_EXPLAIN", "1").run().ok();
        for link in ["cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"] {
            assert!(
                out.contains(&format!("\n{link}: 1. ")) || out.starts_with(&format!("{link}: 1. ")),
                "{link}: {out}"
            );
        }
        assert!(out.ends_with("payload: touch x\n"), "{out}");
        before.unchanged("no such process", place.folder.path());
    });
}

#[test]
fn limits_hold_and_are_reported() {
    everybody("limits", |place| {
        let report = place.folder.join("home/report");
        let path = report.to_str().unwrap();
        let spin = ["--cpu-time", "0.3", "--report", path, "--", "sh", "-c", "while :; do :; done"];
        assert_eq!(place.run(&spin).code, 128 + 9);
        let said = fs::read_to_string(&report).unwrap();
        assert!(said.contains("\"verdict\":\"TO\""), "{said}");
        let wait = ["--wall-time", "0.3", "--report", path, "--", "sleep", "60"];
        assert_eq!(place.run(&wait).code, 128 + 9);
        assert!(fs::read_to_string(&report).unwrap().contains("\"verdict\":\"TO\""));
        assert_eq!(place.box_says("ulimit -c"), "0\n");
    });
}

/// A limit that was asked for by name is had or is an error; the default is had as well as the machine can, and said.
#[test]
fn a_limit_that_cannot_be_had_is_an_error_only_where_it_was_asked_for() {
    everybody("had", |place| {
        let cgroup = Chain::new("cg-run").args(["--check", "--memory", "64M", "--pids", "64", "--", "true"]);
        let can = if place.user { cgroup.as_user() } else { cgroup }.run().code == 0;
        let (asked, default) = (place.run(&["--memory", "64M", "--", "true"]), place.run(&["--", "true"]));
        assert_eq!(default.code, 0, "{default:#?}");
        if can {
            assert_eq!((asked.code, default.err.as_str()), (0, ""), "{asked:#?}");
        } else {
            asked.fails(125, "cg-run: ");
            // Said once: a run before may have said it.
            let said = default.err.as_str();
            assert!(said.is_empty() || said.starts_with("cg-run: no limits by a cgroup: "), "{default:#?}");
            assert!(said.lines().count() <= 1, "{default:#?}");
        }
    });
}

#[test]
fn bad_words_are_refused() {
    let place = Place::new("bad", !is_root());
    for (words, says) in [
        (["--nonsense", "--"].as_slice(), "--nonsense: unknown option"),
        (&["--net", "--net", "--", "true"], "--net is given twice"),
        (&["--keep", "a", "--keep", "a", "--", "true"], "--keep is given twice"),
        (&["--keep"], "--keep: value missing"),
        (&["--keep", "../a", "--", "true"], "--keep ../a: a name is"),
        (&["--keep", "run.1", "--", "true"], "what begins with run. goes"),
        (&["--keep", "", "--", "true"], "--keep: value missing"),
        (&["--memory", "1 --set", "--", "true"], "--memory"),
        (&["--keep", "--", "true"], "--keep: value missing"),
        (&["--memory=1G", "--", "true"], "--memory=1G: a value is a word of its own: --memory 1G"),
        (&["--template", "missing", "--", "true"], "--template missing: no such directory"),
        (&["--diff"], "--diff: which box?"),
        (&["--list", "a"], "--list: nothing stands behind it"),
        (&["--cpu-time", "never", "--", "true"], "--cpu-time never"),
        (&["--wall-time", "1 --status", "--", "true"], "--wall-time '1 --status'"),
    ] {
        place.run(words).fails(125, says);
    }
    let xs = "x".repeat(65);
    place.run(&["--keep", &xs, "--", "true"]).fails(125, "at most 64");
}
