//! Landlock as a payload meets it: each right that is handled is denied where nothing grants it, and there where
//! something does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::chown;
use std::os::unix::net::{SocketAddr, UnixListener};

use chainbox_tests::{Chain, Folder, Ran, USER, is_root, tool};
use seccomp_exec::model::landlock::FILES;

/// The version of Landlock that this kernel has; 0 is none.
fn abi() -> u32 {
    let said = Chain::new("seccomp-exec").args(["--features"]).run().ok();
    said.lines().find_map(|line| line.strip_prefix("Landlock: yes, ABI ")?.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Whether this kernel has what `options` need, which is version `needed`. Where it has not, they are refused.
fn enough(needed: u32, options: &str) -> bool {
    if abi() >= needed {
        return true;
    }
    let ran = Chain::new("seccomp-exec").args(options.split(' ')).args(["--", "true"]).as_user().run();
    ran.fails(125, "Landlock: this kernel has ");
    assert!(ran.err.contains(&format!("needs ABI {needed}\nhint: Linux ")), "{ran:?}");
    false
}

/// The probe behind these options. It may always be read and executed itself.
fn probe(options: &str, words: &[&str]) -> Ran {
    let path = tool("landlock-probe");
    let chain = Chain::new("seccomp-exec").args(options.split_whitespace());
    let chain = if options.contains("-r") { chain.args(["--landlock-rx".as_ref(), path.as_os_str()]) } else { chain };
    chain.args(["--".as_ref(), path.as_os_str()]).args(words).as_user().run()
}

/// The rights for which the probe got through, and those that Landlock denied (EACCES, or EXDEV for a move).
fn reached(said: &str) -> (Vec<&str>, Vec<&str>) {
    let rows = || said.lines().filter_map(|line| line.split_once(": "));
    let of = |answers: &'static [&'static str]| {
        let mut names: Vec<_> = rows().filter(|row| answers.contains(&row.1)).map(|row| row.0).collect();
        names.sort_unstable();
        names
    };
    (of(&["ok", "EPERM"]), of(&["EACCES", "EXDEV"]))
}

/// A folder with what the probe wants, and the path of it.
fn prepared(name: &str) -> Folder {
    let folder = Folder::new(name, true);
    for path in ["empty", "one", "two"] {
        fs::create_dir(folder.join(path)).unwrap();
    }
    for path in ["file", "surplus", "one/moved"] {
        fs::write(folder.join(path), "text").unwrap();
    }
    folder.program(tool("syscall-probe"), "program");
    for path in ["", "empty", "one", "two", "file", "surplus", "one/moved"].iter().filter(|_| is_root()) {
        chown(folder.join(path), Some(USER), Some(USER)).unwrap();
    }
    folder
}

/// Runs the probe on a new folder with `options`, in which `@` stands for the folder.
fn files(name: &str, options: &str) -> Ran {
    let folder = prepared(name);
    let at = folder.path().to_str().unwrap();
    let ran = probe(&options.replace('@', at), &["files", at]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

#[test]
fn every_right_is_granted_and_denied() {
    let mut all: Vec<&str> = FILES.iter().map(|right| right.name).collect();
    all.sort_unstable();
    let bare = files("ll-bare", "");
    assert_eq!(reached(&bare.out), (all.clone(), vec![]), "without Landlock nothing is denied: {bare:?}");
    // What an older kernel does not know it cannot deny: that is refused, or said where it may be.
    let abi = abi();
    let known: Vec<&str> = FILES.iter().filter(|right| right.abi <= abi).map(|right| right.name).collect();
    if let Some(lost) = FILES.iter().find(|right| right.abi > abi) {
        assert!(!enough(lost.abi, "--landlock-ro /"));
    }
    let null = "--landlock-if-supported --landlock-ro /dev/null";
    for (name, options, granted) in [
        ("ll-none", format!("{null} --landlock-ro /proc/self"), vec![]),
        ("ll-ro", format!("{null} --landlock-ro @"), vec!["read_dir", "read_file"]),
        ("ll-rx", format!("{null} --landlock-rx @"), vec!["execute", "read_dir", "read_file"]),
        (
            "ll-rw",
            "--landlock-if-supported --landlock-rw @ --landlock-rw /dev/null".to_owned(),
            without(&all, "execute"),
        ),
        (
            "ll-rwx",
            "--landlock-if-supported --landlock-rw @ --landlock-rx @ --landlock-rw /dev/null".to_owned(),
            all.clone(),
        ),
        ("ll-file", format!("{null} --landlock-rw @/file"), vec!["read_file", "truncate", "write_file"]),
    ] {
        let ran = files(name, &options);
        let is_denied = |right: &&str| known.contains(right) && !granted.contains(right);
        let (denied, granted): (Vec<&str>, Vec<&str>) = all.iter().copied().partition(is_denied);
        assert_eq!(reached(&ran.out), (granted, denied), "{options}: {ran:?}");
    }
}

fn without<'a>(all: &[&'a str], one: &str) -> Vec<&'a str> {
    all.iter().copied().filter(|right| *right != one).collect()
}

#[test]
fn tcp_is_reached_on_granted_ports_only() {
    if !enough(4, "--landlock-tcp-bind none") {
        return;
    }
    let (port, _listeners) = two_ports();
    let words = ["tcp", &port.to_string()];
    let rows = |options: &str| probe(options, &words).ok();
    let bare = rows("");
    assert!(bare.lines().filter(|line| line.ends_with(": ok")).count() == 7, "{bare}");
    let expected = "bind: ok\nbind another: EACCES\nconnect: ok\nconnect another: EACCES\nconnect by mptcp: \
                    EPROTONOSUPPORT\nconnect by fast open: EOPNOTSUPP\nudp: ok\n";
    let (bind, connect) = (port + 2, port);
    assert_eq!(rows(&format!("--landlock-tcp-bind {bind} --landlock-tcp-connect {connect}")), expected);
    let none = rows("--landlock-tcp-connect none");
    assert!(none.starts_with("bind: ok\nbind another: ok\nconnect: EACCES\nconnect another: EACCES\n"), "{none}");
    let none = rows("--landlock-tcp-bind none");
    assert!(none.starts_with("bind: EACCES\nbind another: EACCES\nconnect: ok\nconnect another: ok\n"), "{none}");
}

/// A port P with listeners on P and P+1, and nobody on P+2 and P+3.
fn two_ports() -> (u16, [TcpListener; 2]) {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let free = |n: u16| port.checked_add(n).and_then(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        if let (Some(second), Some(_), Some(_)) = (free(1), free(2), free(3)) {
            return (port, [first, second]);
        }
    }
    panic!("no four free ports in a row");
}

#[test]
fn scopes_end_at_the_gate() {
    if !enough(6, "--landlock-scope signal") {
        return;
    }
    let name = format!("chainbox-scope-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let outside = |options: &str| {
        let gate = format!("seccomp-exec {options} -- {} outside {name}; true", tool("landlock-probe").display());
        Chain::shell(&gate).as_user().run().ok()
    };
    assert_eq!(outside(""), "signal: ok\nabstract: ok\n");
    assert_eq!(outside("--landlock-scope signal"), "signal: EPERM\nabstract: ok\n");
    assert_eq!(outside("--landlock-scope abstract-unix"), "signal: ok\nabstract: EPERM\n");
    let both = "--landlock-scope signal --landlock-scope abstract-unix";
    assert_eq!(outside(both), "signal: EPERM\nabstract: EPERM\n");
}

#[test]
fn it_works_behind_the_other_parts_of_the_gate() {
    // Behind another gate: a filter that denies clone3, and a domain around this one.
    let line = "seccomp-exec --filter default --landlock-rx / --landlock-if-supported -- \
                seccomp-exec --landlock-ro / --landlock-if-supported -- true";
    let ran = Chain::shell(line).as_user().run();
    ran.fails(126, "execve: Permission denied (EACCES)\nhint: Landlock");
    let line = "--user 1000:1000 --landlock-rx / --landlock-scope signal --landlock-if-supported --filter default -- sh -c 'echo >/dev/null'";
    let ran = Chain::shell(&format!("seccomp-exec {line}")).run();
    if is_root() {
        ran.fails(2, "Permission denied");
    }
    let leftovers = Chain::shell(
        "seccomp-exec --landlock-scope signal --landlock-if-supported -- sh -c 'wait; ls -A /proc/self/fd; cat /proc/$$/task/$$/children'",
    );
    assert_eq!(leftovers.as_user().run().ok().lines().count(), 5, "0, 1, 2, the folder, and cat itself");
}

#[test]
fn what_cannot_be_is_refused() {
    let gate = |line: &str| Chain::new("seccomp-exec").args(line.split(' ')).as_user().run();
    gate("--landlock-ro /no/such/path -- true").fails(125, "--landlock-ro /no/such/path: stat: No such file");
    gate("--landlock-scope ptrace -- true").fails(125, "--landlock-scope ptrace: signal or abstract-unix");
    gate("--landlock-tcp-bind http -- true").fails(125, "--landlock-tcp-bind http: not a TCP port, nor none");
    if is_root() {
        let line = "--allow-new-privs --landlock-ro / -- true";
        let ran = Chain::new("seccomp-exec").args(line.split(' ')).run();
        ran.fails(125, "a filter or Landlock without no_new_privs needs CAP_SYS_ADMIN");
    }
}

#[test]
fn explain_says_what_stays_reachable() {
    let line = "--explain --landlock-ro /usr --landlock-rw /tmp --landlock-tcp-bind none --landlock-tcp-connect 443 \
                --landlock-scope signal --landlock-if-supported -- true";
    let out = Chain::new("seccomp-exec").args(line.split_whitespace()).run().ok();
    let words = match abi() {
        6.. => "/usr, rw /tmp; bind_tcp nothing; connect_tcp 443; scope signal  [landlock_create",
        4.. => "/usr, rw /tmp; bind_tcp nothing; connect_tcp 443  [landlock_create",
        _ => "/usr, rw /tmp  [landlock_create",
    };
    let words = format!("allow only (Landlock ABI {}): ro {words}", abi());
    assert!(out.contains(&words), "{words} in {out}");
}

/// The gate on a kernel that answers some of Landlock's calls otherwise, which a filter around it does.
fn behind(answers: &str, options: &str) -> Ran {
    let line = format!(
        "seccomp-exec --policy-fd 7 -- seccomp-exec {options} -- echo reached 7<<E\ndefault allow\n{answers}\nE\n"
    );
    Chain::shell(&line).as_user().run()
}

#[test]
fn what_is_lost_is_said_and_refused_unless_it_may_be() {
    let without = "errno ENOSYS landlock_create_ruleset, landlock_add_rule, landlock_restrict_self";
    for option in ["--landlock-rx /", "--landlock-tcp-connect none", "--landlock-scope signal"] {
        let ran = behind(without, option);
        ran.fails(125, "Landlock: this kernel has none, and ");
        assert_eq!(ran.out, "", "{ran:?}");
        let ran = behind(without, &format!("{option} --landlock-if-supported"));
        assert_eq!((ran.code, ran.out.as_str()), (0, "reached\n"), "{ran:?}");
        assert!(ran.err.contains("not restricted, as this kernel has no Landlock: "), "{ran:?}");
    }
    let all = behind(without, "--landlock-rx / --landlock-tcp-bind 1 --landlock-scope signal --landlock-if-supported");
    let said = "execute, write_file, read_file, read_dir, remove_dir, remove_file, make_char, make_dir, make_reg, make_sock, \
                make_fifo, make_block, make_sym, refer, truncate, ioctl_dev, bind_tcp, signal\n";
    assert!(all.err.ends_with(said), "each by its name: {all:?}");
}

#[test]
fn a_restriction_that_is_not_there_is_seen() {
    if !enough(1, "--landlock-scope signal") {
        return;
    }
    // What an older kernel lacks of the rights is not what is asked here.
    let ran = behind("errno 0 landlock_restrict_self", "--landlock-rx / --landlock-if-supported");
    ran.fails(125, "Landlock is not in force: the probe says Ok(())");
    assert_eq!(ran.out, "", "{ran:?}");
}
