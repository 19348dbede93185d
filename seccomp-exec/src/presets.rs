//! The filters that have a name.
//!
//! `default` denies an unprivileged payload everything that the default profiles of Moby and of containers-common deny
//! a process without capabilities on x86_64, and a little more (a test compares them). A call that is denied answers
//! EPERM; one that nobody should count on, or that is not known, ENOSYS, which makes libraries fall back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;

use crate::calls::number_of;
use crate::policy::{Clause, Op, Policy, Rule, Test, Verdict};

const DENIED: Verdict = Verdict::errno(Errno::EPERM);
const MISSING: Verdict = Verdict::errno(Errno::ENOSYS);

/// A preset: its name, one line about it, and what makes it.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// As `--filter` takes it.
    pub name: &'static str,
    /// For the manual.
    pub about: &'static str,
    /// Its policy.
    pub policy: fn() -> Policy,
}

/// All of them.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "default",
        about: "what an unprivileged program has no business with: namespaces, mounts, modules, keyrings, bpf, io_uring, \
                clocks, rare socket families; and all of tty-guard",
        policy: default,
    },
    Preset {
        name: "tty-guard",
        about: "no input pushed into a terminal (TIOCSTI, TIOCLINUX); nothing else",
        policy: tty_guard,
    },
    Preset { name: TCP_GUARD, about: "no TCP past Landlock: MPTCP, SMC, TCP Fast Open, io_uring", policy: tcp_guard },
];

/// The filter that comes with Landlock's rights on TCP.
pub const TCP_GUARD: &str = "tcp-guard";

/// The preset of that name.
#[must_use]
pub fn find(name: &str) -> Option<Preset> {
    PRESETS.iter().find(|preset| preset.name == name).copied()
}

const fn numbers<const N: usize>(names: [&str; N]) -> [u32; N] {
    let mut numbers = [0; N];
    let mut n = 0;
    #[allow(clippy::indexing_slicing, reason = "in constants only, and n is below N")]
    while n < N {
        numbers[n] = number_of(names[n]);
        n += 1;
    }
    numbers
}

/// What answers EPERM whatever its arguments.
#[rustfmt::skip]
const DENIED_CALLS: [u32; 62] = numbers([
    // The whole machine: its clock, name, power, swap, kernel code, accounting, log, quota and I/O ports.
    "acct", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm", "iopl", "kexec_file_load",
    "kexec_load", "quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname", "settimeofday", "swapoff",
    "swapon", "syslog", "vhangup",
    // Namespaces, mounts and roots: the surface of most local root exploits since user namespaces exist. The new
    // mount calls can do all that mount(2) does.
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "open_tree_attr", "pivot_root", "setns", "umount2", "unshare",
    // Keyrings are not namespaced by anything but the user namespace and outlive the box.
    "add_key", "keyctl", "request_key",
    // Rings do what the filter denies as plain calls: io_uring opens sockets and files past it.
    "io_uring_enter", "io_uring_register", "io_uring_setup",
    // Large programs in the kernel on a user's behalf, and what makes its races easy to win.
    "bpf", "perf_event_open", "userfaultfd", "vmsplice",
    // Files past their path (CVE-2014-3519), events and cookies of whole mounts.
    "fanotify_init", "lookup_dcookie", "open_by_handle_at",
    // Other processes' descriptors, memory and identity.
    "kcmp", "pidfd_getfd", "process_madvise",
    // Placement of memory on nodes.
    "get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node",
    // Security modules' own attributes.
    "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
    // What only old C libraries and exploits call.
    "modify_ldt", "sysfs", "uselib", "ustat",
]);

/// What answers ENOSYS: calls that the kernel itself no longer has, and new ones without which libraries do well.
#[rustfmt::skip]
const MISSING_CALLS: [u32; 15] = numbers([
    "_sysctl", "afs_syscall", "create_module", "get_kernel_syms", "getpmsg", "nfsservctl", "putpmsg", "query_module",
    "security", "tuxcall", "vserver",
    // A filter cannot see the flags of clone3, which lie in memory; with ENOSYS the C library takes clone.
    "clone3",
    "file_getattr", "file_setattr", "io_pgetevents",
]);

/// A clause that lets an int argument of this value pass.
macro_rules! allowed {
    ($value:expr) => {
        Clause { tests: Cow::Borrowed(&[Test::int(0, Op::Eq, $value)]), verdict: Verdict::ALLOW }
    };
}

/// The terminal calls that push input as if it had been typed (CVE-2017-5226), and those of the virtual consoles that
/// paste a selection (CVE-2023-28100). The kernel reads the request as an unsigned int (CVE-2019-10063).
static TTY: [Clause; 2] =
    [denied(&[Test::int(1, Op::Eq, libc::TIOCSTI as u32)]), denied(&[Test::int(1, Op::Eq, libc::TIOCLINUX as u32)])];

/// Everything that makes a namespace; CLONE_NEWTIME is no flag of clone(2).
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

static CLONE: [Clause; 1] = [denied(&[Test::any_bit(0, NAMESPACES)])];

/// Linux on Linux: the query, the plain one, 32-bit uname, and either with an old version number. Everything else
/// weakens the process: no randomisation, a readable page zero, all memory executable.
static PERSONALITY: [Clause; 5] =
    [allowed!(0), allowed!(8), allowed!(0x2_0000), allowed!(0x2_0008), allowed!(0xffff_ffff)];

/// NETLINK_AUDIT of linux/netlink.h: not namespaced. A kernel without audit says EPROTONOSUPPORT, which libaudit
/// takes as "nothing to audit".
const NETLINK_AUDIT: u32 = 9;

/// The families that programs use. Others load kernel modules, know no network namespace (AF_VSOCK reaches the
/// hypervisor) or are a channel into the kernel (AF_ALG).
static SOCKET: [Clause; 6] = [
    Clause {
        tests: Cow::Borrowed(&[Test::int(0, Op::Eq, libc::AF_NETLINK as u32), Test::int(2, Op::Eq, NETLINK_AUDIT)]),
        verdict: Verdict::errno(Errno::EPROTONOSUPPORT),
    },
    allowed!(libc::AF_UNIX as u32),
    allowed!(libc::AF_INET as u32),
    allowed!(libc::AF_INET6 as u32),
    allowed!(libc::AF_NETLINK as u32),
    allowed!(libc::AF_PACKET as u32),
];

/// IPPROTO_SMC of linux/in.h (Linux 6.11), and IPPROTO_MPTCP: both end in TCP connections that the kernel itself makes,
/// which Landlock does not see (landlock-lsm/linux#54).
const NOT_QUITE_TCP: [u32; 2] = [256, libc::IPPROTO_MPTCP as u32];

/// AF_SMC of linux/socket.h (Linux 4.11).
const AF_SMC: u32 = 43;

static TCP_SOCKET: [Clause; 3] = [
    answer(&[Test::int(0, Op::Eq, AF_SMC)], Errno::EAFNOSUPPORT),
    answer(&[Test::int(2, Op::Eq, NOT_QUITE_TCP[0])], Errno::EPROTONOSUPPORT),
    answer(&[Test::int(2, Op::Eq, NOT_QUITE_TCP[1])], Errno::EPROTONOSUPPORT),
];

/// TCP Fast Open connects while it sends, past the check of connect(2).
static FAST_OPEN_IN_2: [Clause; 1] = [answer(&[Test::any_bit(2, FAST_OPEN)], Errno::EOPNOTSUPP)];
static FAST_OPEN_IN_3: [Clause; 1] = [answer(&[Test::any_bit(3, FAST_OPEN)], Errno::EOPNOTSUPP)];
const FAST_OPEN: u32 = libc::MSG_FASTOPEN as u32;

const fn answer(tests: &'static [Test], errno: Errno) -> Clause {
    Clause { tests: Cow::Borrowed(tests), verdict: Verdict::errno(errno) }
}

const fn denied(tests: &'static [Test]) -> Clause {
    answer(tests, Errno::EPERM)
}

const fn rule(clauses: &'static [Clause], otherwise: Verdict) -> Rule {
    Rule { clauses: Cow::Borrowed(clauses), otherwise }
}

fn policy(calls: BTreeMap<u32, Rule>) -> Policy {
    // x32 answers as a kernel without x32 does; a debugger that skips a call sets the number -1, which must not kill.
    Policy { calls, known: Verdict::ALLOW, unknown: MISSING, x32: MISSING, foreign: Verdict::KILL_PROCESS }
}

fn tty_guard() -> Policy {
    policy(BTreeMap::from([(const { number_of("ioctl") }, rule(&TTY, Verdict::ALLOW))]))
}

/// The calls of io_uring: rings make sockets and open files past any filter.
const RINGS: [u32; 3] = numbers(["io_uring_enter", "io_uring_register", "io_uring_setup"]);

fn tcp_guard() -> Policy {
    let rings = RINGS.into_iter().map(|nr| (nr, Rule::always(MISSING)));
    let tested = [
        (const { number_of("socket") }, rule(&TCP_SOCKET, Verdict::ALLOW)),
        (const { number_of("sendmsg") }, rule(&FAST_OPEN_IN_2, Verdict::ALLOW)),
        (const { number_of("sendto") }, rule(&FAST_OPEN_IN_3, Verdict::ALLOW)),
        (const { number_of("sendmmsg") }, rule(&FAST_OPEN_IN_3, Verdict::ALLOW)),
    ];
    policy(rings.chain(tested).collect())
}

fn default() -> Policy {
    let denied = DENIED_CALLS.into_iter().map(|nr| (nr, Rule::always(DENIED)));
    let missing = MISSING_CALLS.into_iter().map(|nr| (nr, Rule::always(MISSING)));
    let tested = [
        (const { number_of("ioctl") }, rule(&TTY, Verdict::ALLOW)),
        (const { number_of("clone") }, rule(&CLONE, Verdict::ALLOW)),
        (const { number_of("personality") }, rule(&PERSONALITY, DENIED)),
        (const { number_of("socket") }, rule(&SOCKET, DENIED)),
    ];
    policy(denied.chain(missing).chain(tested).collect())
}
