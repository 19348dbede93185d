//! Filters as a payload meets them. A call that the filter answered is told from one that the kernel answered by the
//! errno of the same call made without the filter.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use chainbox_tests::{Chain, Tier, skip, tool};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::openpty;
use seccomp_exec::calls::number;

const EPERM: i32 = libc::EPERM;
const HIGH: u64 = 0xdead_beef << 32;

/// What the kernel answers a call, bare or behind `filters`.
fn answer(filters: &[&str], call: &str, args: &[u64]) -> String {
    let words = ["call".to_owned(), number(call).unwrap().to_string()];
    let words: Vec<String> = words.into_iter().chain(args.iter().map(u64::to_string)).collect();
    probe(filters, &words).run().ok()
}

/// The probe, bare or behind `filters`.
fn probe<S: AsRef<str>>(filters: &[&str], words: &[S]) -> Chain {
    let chain = match filters {
        [] => return Chain::program(tool("syscall-probe")).args(words.iter().map(AsRef::as_ref)),
        _ => Chain::new("seccomp-exec"),
    };
    let options = filters.iter().flat_map(|name| ["--filter", name]).chain(["--"]);
    chain.args(options).args([tool("syscall-probe")]).args(words.iter().map(AsRef::as_ref))
}

fn errno(errno: i32) -> String {
    format!("errno {errno}\n")
}

#[test]
fn filters_are_stacked_and_counted() {
    let line = "--filter default --filter tty-guard -- cat /proc/self/status";
    let status = Chain::new("seccomp-exec").args(line.split(' ')).run().ok();
    assert!(status.contains("Seccomp:\t2\n") && status.contains("Seccomp_filters:\t2\n"), "{status}");
}

#[test]
fn what_default_denies_is_not_reached() {
    let bad = u64::MAX;
    let mut denied = 0;
    for (call, args) in [
        ("add_key", [0, 0, 0, 0, 0, 0]),
        ("keyctl", [9999, 0, 0, 0, 0, 0]),
        ("request_key", [0, 0, 0, 0, 0, 0]),
        ("bpf", [bad, 0, 0, 0, 0, 0]),
        ("perf_event_open", [0, 0, 0, bad, bad, 0]),
        ("userfaultfd", [bad, 0, 0, 0, 0, 0]),
        ("io_uring_setup", [0, 0, 0, 0, 0, 0]),
        ("io_uring_enter", [bad, 0, 0, 0, 0, 0]),
        ("io_uring_register", [bad, 0, 0, 0, 0, 0]),
        ("setns", [bad, 0, 0, 0, 0, 0]),
        ("unshare", [1, 0, 0, 0, 0, 0]),
        ("open_tree", [bad, 0, bad, 0, 0, 0]),
        ("mount_setattr", [bad, 0, 0, 0, bad, 0]),
        ("open_by_handle_at", [bad, 0, 0, 0, 0, 0]),
        ("pidfd_getfd", [bad, 0, 0, 0, 0, 0]),
        ("kcmp", [bad, bad, 0, 0, 0, 0]),
        ("process_madvise", [bad, 0, 0, 0, bad, 0]),
        ("get_mempolicy", [0, 0, 0, 0, bad, 0]),
        ("mbind", [1, 0, bad, 0, 0, bad]),
        ("vmsplice", [bad, 0, 0, 0, 0, 0]),
        ("quotactl_fd", [bad, bad, 0, 0, 0, 0]),
        ("modify_ldt", [99, 0, 0, 0, 0, 0]),
    ] {
        let bare = answer(&[], call, &args);
        assert_ne!(bare, errno(EPERM), "{call}: choose arguments with which a filter can be told");
        assert_eq!(answer(&["default"], call, &args), errno(EPERM), "{call}, bare {bare}");
        denied += 1;
    }
    assert_eq!(denied, 22);
}

#[test]
fn int_arguments_are_compared_as_the_kernel_reads_them() {
    let cases: [(&str, [u64; 3], i32); 7] = [
        ("socket", [libc::AF_VSOCK as u64, 1, 0], EPERM),
        ("socket", [libc::AF_ALG as u64, 5, 0], EPERM),
        ("socket", [libc::AF_NETLINK as u64, 3, 9], libc::EPROTONOSUPPORT),
        ("personality", [0x4_0000, 0, 0], EPERM),
        ("clone", [libc::CLONE_NEWUSER as u64, 0, 0], EPERM),
        ("clone", [libc::CLONE_NEWNET as u64 | 17, 0, 0], EPERM),
        ("ioctl", [u64::MAX, libc::TIOCSTI, 0], EPERM),
    ];
    for (call, args, expected) in cases {
        for high in [0, 1 << 32, HIGH] {
            let args = args.map(|arg| arg | high);
            assert_eq!(answer(&["default"], call, &args), errno(expected), "{call} {args:x?}");
        }
    }
    for high in [0, 1 << 32, HIGH] {
        assert_eq!(answer(&["default"], "personality", &[0xffff_ffff | high]), "ret 0\n", "the query stays allowed");
        let local = answer(&["default"], "socket", &[1 | high, 1 | high, 0]);
        assert!(local.starts_with("ret "), "{local}");
    }
}

#[test]
fn clone3_falls_back_to_clone() {
    assert_ne!(answer(&[], "clone3", &[]), errno(libc::ENOSYS), "this kernel has clone3");
    assert_eq!(answer(&["default"], "clone3", &[]), errno(libc::ENOSYS));
    assert_eq!(probe(&["default"], &["thread"]).run().ok(), "joined\n");
    let python = "import threading; t = threading.Thread(target=print, args=('ran',)); t.start(); t.join()";
    for (program, script) in [("bash", "echo $(echo ran | cat)"), ("python3", python)] {
        if Chain::program(program).args(["--version"]).command().output().is_err() {
            println!("{program} is not installed");
            continue;
        }
        let line = ["--filter", "default", "--", program, "-c", script];
        assert_eq!(Chain::new("seccomp-exec").args(line).run().ok(), "ran\n", "{program}");
    }
}

#[test]
fn user_namespaces_are_out_of_reach() {
    for flags in ["--user", "--user --net", "--mount", "--pid --fork"] {
        let line = format!("seccomp-exec --filter default -- unshare {flags} true");
        let ran = Chain::shell(&line).as_user().run();
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("Operation not permitted"), "{ran:?}");
    }
}

#[test]
fn another_architecture_ends_the_process() {
    let bare = Chain::program(tool("syscall-probe")).args(["call32", "20"]).run();
    if !bare.out.starts_with("ret ") {
        return skip(Tier::Machine, "another_architecture_ends_the_process", "this kernel does not run i386 calls");
    }
    for filter in ["default", "tty-guard"] {
        assert_eq!(probe(&[filter], &["call32", "20"]).run().signal, Some(libc::SIGSYS), "{filter}");
    }
}

/// Runs the probe as the owner of a terminal, to which it pushes "id" as if typed; returns what is to be read there
/// afterwards by whoever comes next.
fn pushed(filters: &[&str], high: u64) -> (String, Vec<u8>) {
    let pty = openpty(None, None).unwrap();
    let shell = format!(
        "exec setsid --ctty --wait {} syscall-probe tiocsti {high}",
        if filters.is_empty() {
            String::new()
        } else {
            format!("seccomp-exec --filter {} --", filters.join(" --filter "))
        }
    );
    let mut chain = Chain::shell(&shell).as_user();
    chain.command().stdin(File::from(pty.slave.try_clone().unwrap()));
    let out = chain.run().ok();
    (out, waiting(pty.slave))
}

fn waiting(terminal: OwnedFd) -> Vec<u8> {
    fcntl(&terminal, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut bytes = [0; 64];
    match File::from(terminal).read(&mut bytes) {
        Ok(length) => bytes[..length].to_vec(),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => vec![],
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn nothing_is_pushed_into_the_terminal() {
    let (bare, seen) = pushed(&[], 0);
    if seen != b"id\n" {
        let reason = format!("this kernel lets nobody push (dev.tty.legacy_tiocsti): {bare:?}");
        return skip(Tier::Machine, "nothing_is_pushed_into_the_terminal", &reason);
    }
    assert_eq!(pushed(&[], 1).1, b"id\n", "the kernel does not see bit 32");
    for filter in ["default", "tty-guard"] {
        for high in [0, 1, 0x8000_0000, 0xdead_beef, 0xffff_ffff] {
            let (out, seen) = pushed(&[filter], high);
            assert_eq!(out, errno(EPERM).repeat(3), "{filter} {high:#x}");
            assert_eq!(seen, b"", "{filter} {high:#x}");
        }
    }
}

#[test]
fn tty_guard_denies_nothing_else() {
    for (call, args) in [("keyctl", [9999, 0]), ("unshare", [0, 0]), ("personality", [0xffff_ffff, 0])] {
        assert_eq!(answer(&["tty-guard"], call, &args), answer(&[], call, &args), "{call}");
    }
    assert_eq!(answer(&["tty-guard"], "ioctl", &[u64::MAX, 0x541c | HIGH, 0]), errno(EPERM), "TIOCLINUX");
    assert_eq!(answer(&["tty-guard"], "ioctl", &[u64::MAX, 0x5401, 0]), errno(libc::EBADF), "TCGETS");
}

#[test]
fn dumps_are_what_is_attached() {
    let mut chain = Chain::new("seccomp-exec").args(["--filter", "default", "--dump", "bpf"]);
    let bytes = chain.command().output().unwrap().stdout;
    let program = seccomp_exec::compile::program(&(seccomp_exec::presets::find("default").unwrap().policy)()).unwrap();
    assert_eq!(bytes, program.iter().flat_map(|insn| insn.bytes()).collect::<Vec<_>>());
    let text = Chain::new("seccomp-exec").args(["--filter", "default", "--dump", "text"]).run().ok();
    assert_eq!(text.lines().count(), program.len());
    assert!(text.starts_with("   0: ld [4]  ; architecture\n   1: jeq #0xc000003e, "), "{text}");
}
