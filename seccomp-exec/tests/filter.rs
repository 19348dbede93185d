//! Filters as a payload meets them. A call that the filter answered is told from one that the kernel answered by the
//! errno of the same call made without the filter.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use chainbox_tests::{Chain, Folder, Tier, skip, tool};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::openpty;
use seccomp_exec::model::calls::number;

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
    let cases: [(&str, [u64; 3], i32); 8] = [
        ("socket", [libc::AF_VSOCK as u64, 1, 0], EPERM),
        ("socket", [libc::AF_ALG as u64, 5, 0], EPERM),
        ("socket", [libc::AF_NETLINK as u64, 3, 9], libc::EPROTONOSUPPORT),
        ("personality", [0x4_0000, 0, 0], EPERM),
        ("clone", [libc::CLONE_NEWUSER as u64, 0, 0], EPERM),
        ("clone", [libc::CLONE_NEWNET as u64 | 17, 0, 0], EPERM),
        ("ioctl", [u64::MAX, libc::TIOCSTI, 0], EPERM),
        ("ioctl", [u64::MAX, libc::TIOCSETD, 0], EPERM),
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

/// The kernel looks up the family of a pair, and loads its module, before it says that it makes no pairs; and TIPC makes them.
#[test]
fn a_pair_is_no_way_to_a_rare_family() {
    for high in [0, HIGH] {
        for family in [libc::AF_TIPC, libc::AF_VSOCK, libc::AF_ALG, libc::AF_INET] {
            let args = [family as u64 | high, libc::SOCK_SEQPACKET as u64, 0, 0];
            assert_ne!(answer(&[], "socketpair", &args), errno(EPERM), "without a filter it is another answer");
            assert_eq!(answer(&["default"], "socketpair", &args), errno(EPERM), "{family}");
        }
        let local = [libc::AF_UNIX as u64 | high, 1, 0, 0];
        assert_eq!(answer(&["default"], "socketpair", &local), errno(libc::EFAULT), "allowed, with nowhere to put it");
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
        return skip(Tier::Kernel, "another_architecture_ends_the_process", "this kernel does not run i386 calls");
    }
    for filter in ["default", "tty-guard"] {
        assert_eq!(probe(&[filter], &["call32", "20"]).run().signal, Some(libc::SIGSYS), "{filter}");
    }
    let said = |policy: &str| {
        let line =
            format!("exec seccomp-exec --policy-fd 7 -- syscall-probe call32 20 7<<E\ndefault allow\n{policy}\nE\n");
        Chain::shell(&line).run()
    };
    assert!(said("i386 allow").ok().starts_with("ret "), "it was said");
    assert_eq!(said("i386 errno EIO\nforeign kill").ok(), "ret -5\n", "int 0x80 knows no errno variable");
    assert_eq!(said("include @default").signal, Some(libc::SIGSYS));
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
        return skip(Tier::Kernel, "nothing_is_pushed_into_the_terminal", &reason);
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
    let program =
        seccomp_exec::plan::compile::program(&(seccomp_exec::model::presets::find("default").unwrap().policy)())
            .unwrap();
    assert_eq!(bytes, program.iter().flat_map(|insn| insn.bytes()).collect::<Vec<_>>());
    let text = Chain::new("seccomp-exec").args(["--filter", "default", "--dump", "pfc"]).run().ok();
    assert_eq!(text.lines().count(), program.len());
    assert!(text.starts_with("   0: ld [4]  ; architecture\n   1: jeq #0xc000003e, "), "{text}");
}

#[test]
fn what_would_be_denied_is_logged_and_done() {
    for (call, args) in
        [("keyctl", [9999, 0, 0]), ("unshare", [0, 0, 0]), ("socket", [40, 99, 0]), ("clone3", [0, 0, 0])]
    {
        let words = [call_number(call)].into_iter().chain(args.map(|arg| arg.to_string()));
        let words: Vec<String> = ["call".to_owned()].into_iter().chain(words).collect();
        for options in ["--filter default", "--filter strict", "--filter default --filter judge"] {
            let line = options.split(' ').chain(["--log", "--"]);
            let chain = Chain::new("seccomp-exec").args(line).args([tool("syscall-probe")]).args(&words);
            assert_eq!(chain.run().ok(), answer(&[], call, &args), "{options} {call}");
        }
    }
    let dump = Chain::new("seccomp-exec").args(["--filter", "strict", "--log", "--dump", "policy"]).run().ok();
    assert!(dump.starts_with("default log\n") && !dump.contains("kill"), "{dump}");
}

fn call_number(call: &str) -> String {
    number(call).unwrap().to_string()
}

/// The kernel limits how many lines it writes in a while, so one is tried for until it is there.
#[test]
fn the_log_is_the_kernels() {
    let folder = Folder::new("logged", false);
    let probe = folder.program(tool("syscall-probe"), "probe");
    let line = |log: &str| {
        format!("seccomp-exec --filter default {log} -- {} call {} 9999; dmesg", probe.display(), call_number("keyctl"))
    };
    let wanted = format!("exe=\"{}\" sig=0 arch=c000003e syscall=250", probe.display());
    if Chain::shell("dmesg >/dev/null && cat /proc/self/loginuid").run().code != 0 {
        return skip(
            Tier::Kernel,
            "the_log_is_the_kernels",
            "this user may not read dmesg, or the kernel has no audit",
        );
    }
    assert!(!Chain::shell(&line("")).run().out.contains(&wanted), "a refusal is not logged");
    for _ in 0..20 {
        if Chain::shell(&line("--log")).run().out.contains(&wanted) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("no {wanted:?} in dmesg");
}

#[test]
fn a_kill_by_the_filter_is_told_from_other_deaths() {
    let line = |policy: &str| {
        format!(
            "cg-run --no-cgroup --keep-fd 7 --report 3 3>&1 -- seccomp-exec --policy-fd 7 -- sh -c '{policy}' 7<<E\ndefault allow\nkill mkdir\nE\n"
        )
    };
    let killed = Chain::shell(&line("exec mkdir /never")).run();
    assert_eq!(killed.signal.or(Some(killed.code - 128)), Some(libc::SIGSYS), "{killed:?}");
    assert!(killed.out.contains("SIGSYS: a system call that a filter forbids"), "{killed:?}");
    let other = Chain::shell(&line("kill -SEGV $$")).run();
    assert!(other.out.contains("Caught fatal signal 11\""), "{other:?}");
}

#[test]
fn no_userns_denies_that_and_nothing_else() {
    let user = libc::CLONE_NEWUSER as u64;
    for (call, args) in [("unshare", [user]), ("unshare", [user | HIGH]), ("clone", [user | 17])] {
        assert_eq!(answer(&["no-userns"], call, &args), errno(EPERM), "{call}");
    }
    assert_eq!(answer(&["no-userns"], "clone3", &[]), errno(libc::ENOSYS));
    for (call, args) in [("unshare", [libc::CLONE_FILES as u64, 0]), ("keyctl", [9999, 0]), ("socket", [99, 1])] {
        assert_eq!(answer(&["no-userns"], call, &args), answer(&[], call, &args), "{call}");
    }
    let ran = Chain::shell("seccomp-exec --filter no-userns -- unshare --user true").as_user().run();
    ran.fails(1, "Operation not permitted");
}

#[test]
fn no_covert_answers_as_a_kernel_without_these() {
    let missing = ["keyctl", "add_key", "request_key", "io_uring_setup", "shmget", "semget", "msgget", "mq_open"];
    for call in missing {
        assert_eq!(answer(&["no-covert"], call, &[0, 0, 0, 0, 0]), errno(libc::ENOSYS), "{call}");
    }
    for call in ["socket", "socketpair"] {
        for family in [libc::AF_VSOCK, 31, 39, 42] {
            assert_eq!(
                answer(&["no-covert"], call, &[family as u64 | HIGH, 1, 0, 0]),
                errno(libc::EAFNOSUPPORT),
                "{call}"
            );
        }
    }
    for (commands, said) in [([6_u64, 7, 37, 38], "ret 0\n".to_owned()), ([1024, 1026, 1036, 1038], errno(EPERM))] {
        for command in commands.iter().flat_map(|cmd| [*cmd, cmd | HIGH]) {
            assert_eq!(answer(&["no-covert"], "fcntl", &[u64::MAX, command, 0]), said, "{command:#x}");
        }
    }
    assert_eq!(answer(&["no-covert"], "flock", &[u64::MAX, 2]), "ret 0\n");
    assert_eq!(answer(&["no-covert"], "fcntl", &[u64::MAX, 1, 0]), errno(libc::EBADF), "F_GETFD");
    assert_eq!(answer(&["default"], "inotify_init", &[]).split(' ').next(), Some("ret"));
    for filter in ["no-covert", "no-inotify"] {
        assert_eq!(answer(&[filter], "inotify_init", &[]), errno(libc::ENOSYS), "{filter}");
    }
}

/// Both what asks which pages of a file are in memory, and what takes them out; reading and other advice is made.
#[test]
fn no_covert_hides_the_page_cache() {
    for filter in ["no-covert", "judge"] {
        assert_eq!(answer(&[filter], "mincore", &[0, 4096, 0]), errno(libc::ENOSYS), "{filter}");
        assert_eq!(answer(&[filter], "cachestat", &[u64::MAX, 0, 0, 0]), errno(libc::ENOSYS), "{filter}");
        for call in ["preadv2", "pwritev2"] {
            for (flags, said) in
                [(8, libc::EOPNOTSUPP), (HIGH | 0x88, libc::EOPNOTSUPP), (0x80, libc::EOPNOTSUPP), (1, libc::EBADF)]
            {
                assert_eq!(
                    answer(&[filter], call, &[u64::MAX, 0, 0, 0, 0, flags]),
                    errno(said),
                    "{filter} {call} {flags}"
                );
            }
        }
        for (advice, said) in [(HIGH | 4, "ret 0\n".to_owned()), (2, errno(libc::EBADF))] {
            assert_eq!(answer(&[filter], "fadvise64", &[u64::MAX, 0, 0, advice]), said, "{filter} {advice}");
        }
        for (advice, said) in [(20, errno(libc::EINVAL)), (HIGH | 21, errno(libc::EINVAL)), (4, "ret 0\n".to_owned())] {
            assert_eq!(answer(&[filter], "madvise", &[0, 0, advice]), said, "{filter} {advice}");
        }
    }
    assert_eq!(answer(&["no-covert"], "process_madvise", &[u64::MAX, 0, 0, 21, 0]), errno(libc::ENOSYS));
}

#[test]
fn a_program_that_locks_goes_on_and_locks_nothing() {
    let folder = Folder::new("locks", true);
    let twice = |filter: &str| {
        let line = format!("{filter} flock lock flock -n lock echo twice");
        Chain::shell(&line).at(folder.path()).as_user().run()
    };
    assert_eq!(
        (twice("").code, twice("").out),
        (1, String::new()),
        "without a filter the second finds the lock of the first"
    );
    for filter in ["no-covert", "judge"] {
        assert_eq!(twice(&format!("seccomp-exec --filter {filter} --")).ok(), "twice\n", "{filter}");
    }
}

#[test]
fn no_descriptor_passes_over_a_socket() {
    for call in ["sendmsg", "sendmmsg", "recvmsg", "recvmmsg"] {
        assert_eq!(answer(&["default"], call, &[u64::MAX, 0, 0, 0, 0]), errno(libc::EBADF), "{call}");
        assert_eq!(answer(&["no-fd-passing"], call, &[u64::MAX, 0, 0, 0, 0]), errno(EPERM), "{call}");
    }
    assert_eq!(answer(&["no-fd-passing"], "io_uring_setup", &[0, 0]), errno(libc::ENOSYS));
    for call in ["sendto", "recvfrom"] {
        assert_eq!(answer(&["no-fd-passing"], call, &[u64::MAX, 0, 0, 0, 0, 0]), errno(libc::EBADF), "{call}");
    }
}

#[test]
fn a_judged_program_computes_and_nothing_more() {
    assert_eq!(probe(&["judge"], &["thread"]).run().ok(), "joined\n");
    let line = "seccomp-exec --filter judge -- sh -c 'seq 1000 | sort -n | tail -n 1'";
    assert_eq!(Chain::shell(line).as_user().run().ok(), "1000\n");
    for (call, args) in
        [("socket", [1, 1, 0]), ("ptrace", [99, 0, 0]), ("setpriority", [9, 0, 0]), ("mlock", [1, 1, 0])]
    {
        assert_ne!(answer(&[], call, &args), errno(EPERM), "{call}: choose other arguments");
        assert_eq!(answer(&["judge"], call, &args), errno(EPERM), "{call}");
    }
}

/// A program has pairs by which it asks itself, and none from which a datagram could be sent to somebody else.
#[test]
fn a_judged_program_has_sockets_that_lead_to_itself() {
    let (stream, datagrams, packets) = (libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64, libc::SOCK_SEQPACKET as u64);
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
    for (family, kind, said) in [
        (1, stream | flags, libc::EFAULT),
        (HIGH | 1, HIGH | packets, libc::EFAULT),
        (1, datagrams, EPERM),
        (1, datagrams | flags | HIGH, EPERM),
        (1, libc::SOCK_RAW as u64, EPERM),
        (30, stream, EPERM),
    ] {
        assert_eq!(answer(&["judge"], "socketpair", &[family, kind, 0, 0]), errno(said), "{family:x} {kind:x}");
    }
    assert_eq!(answer(&["default"], "socketpair", &[1, datagrams, 0, 0]), errno(libc::EFAULT));
}

/// The policy that every program has anyway can be asked for; it is not given where another one was set before.
#[test]
fn a_judged_program_keeps_its_scheduler() {
    let other = libc::SCHED_OTHER as u64;
    assert_eq!(answer(&["judge"], "sched_setscheduler", &[0, other | HIGH, 0]), "ret 0\n");
    for policy in [libc::SCHED_BATCH, libc::SCHED_IDLE, libc::SCHED_FIFO] {
        assert_eq!(answer(&["judge"], "sched_setscheduler", &[0, policy as u64, 0]), errno(EPERM), "{policy}");
    }
}

/// A static program without a C library: these instructions behind an ELF header and one segment (elf(5)).
fn tiny(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let size = 120 + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    [BASE + 120, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [0, 0, 64, 56, 1, 64, 0, 0_u16].iter().for_each(|half| file.extend(half.to_le_bytes()));
    [1, 5_u32].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [0, BASE, BASE, size, size, 4096].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(code);
    file
}

#[test]
fn strict_is_the_mode_of_2005() {
    let folder = Folder::new("strict", false);
    // mov eax, NUMBER; mov edi, N; lea rsi, [rip+TEXT]; mov edx, 3; syscall
    let write = b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\x8d\x35\x10\0\0\0\xba\x03\0\0\0\x0f\x05";
    let exit = b"\xb8\xe7\0\0\0\x31\xff\x0f\x05";
    let getpid = b"\xb8\x27\0\0\0\x0f\x05";
    let run = |name: &str, code: Vec<u8>| {
        let draft = folder.join(format!("{name}.draft"));
        std::fs::write(&draft, tiny(&code)).unwrap();
        let path = folder.program(&draft, name);
        Chain::shell(&format!("chmod 755 {}", path.display())).run().ok();
        Chain::new("seccomp-exec").args(["--filter", "strict", "--"]).args([path]).run()
    };
    let text = [write.as_slice(), exit, b"hi\n"].concat();
    assert_eq!(run("writes", text).ok(), "hi\n");
    assert_eq!(run("asks", [getpid.as_slice(), exit].concat()).signal, Some(libc::SIGSYS));
}

#[test]
fn a_session_keyring_is_new_and_empty() {
    let session = ["call", "250", "0", "18446744073709551613", "0"];
    let outside = answer(&[], "keyctl", &[0, u64::MAX - 2, 0]);
    let inside = |options: &[&str]| {
        let chain = Chain::new("seccomp-exec").args(options).args(["--"]).args([tool("syscall-probe")]);
        chain.args(session).run().ok()
    };
    assert_eq!(inside(&[]), outside);
    let (first, second) = (inside(&["--new-keyring"]), inside(&["--new-keyring", "--user", "1000:1000"]));
    assert!(first.starts_with("ret ") && second.starts_with("ret "), "{first} {second}");
    assert!(first != outside && first != second, "{outside} {first} {second}");
}
