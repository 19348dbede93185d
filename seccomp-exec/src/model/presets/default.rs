//! `default`: what an unprivileged program has no business with.
//!
//! It denies an unprivileged payload everything that the default profiles of Moby and of containers-common deny a
//! process without capabilities on x86_64, and a little more (a test compares them).

use std::borrow::Cow;

use nix::errno::Errno;
use nix::libc;

use super::guards::TTY_OF_A_BOX;
use crate::model::calls::number_of;
use crate::model::policy::{Clause, Op, Policy, Test, Verdict};
use crate::model::rules::{self, all, allowed, answer, denied, numbers, rule};

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

/// Everything that makes a namespace; CLONE_NEWTIME is no flag of clone(2).
pub const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

pub static CLONE: [Clause; 1] = [denied(&[Test::any_bit(0, NAMESPACES)])];

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
    answer(
        &[Test::int(0, Op::Eq, libc::AF_NETLINK as u32), Test::int(2, Op::Eq, NETLINK_AUDIT)],
        Errno::EPROTONOSUPPORT,
    ),
    allowed!(libc::AF_UNIX as u32),
    allowed!(libc::AF_INET as u32),
    allowed!(libc::AF_INET6 as u32),
    allowed!(libc::AF_NETLINK as u32),
    allowed!(libc::AF_PACKET as u32),
];

/// The only family of which programs make pairs. The kernel looks up, and loads, the family of a pair as it does that of a
/// socket; TIPC has pairs too.
static SOCKETPAIR: [Clause; 1] = [allowed!(libc::AF_UNIX as u32)];

pub fn policy() -> Policy {
    let denied = all(DENIED_CALLS, Verdict::DENIED);
    let missing = all(MISSING_CALLS, Verdict::MISSING);
    let tested = [
        (const { number_of("ioctl") }, rule(&TTY_OF_A_BOX, Verdict::ALLOW)),
        (const { number_of("clone") }, rule(&CLONE, Verdict::ALLOW)),
        (const { number_of("personality") }, rule(&PERSONALITY, Verdict::DENIED)),
        (const { number_of("socket") }, rule(&SOCKET, Verdict::DENIED)),
        (const { number_of("socketpair") }, rule(&SOCKETPAIR, Verdict::DENIED)),
    ];
    rules::policy(denied.chain(missing).chain(tested))
}
