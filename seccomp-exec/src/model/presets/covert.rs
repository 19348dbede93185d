//! `no-covert` and `no-inotify`: what is shared by all boxes of a machine although no namespace says so.
//!
//! What a filter cannot close: shared futexes on a file that both boxes map (a thread could not be joined without them),
//! what /proc tells of pages that both map, the load, the free space of a shared file system, and time itself.

use std::borrow::Cow;

use nix::errno::Errno;
use nix::libc;

use super::guards::RINGS;
use crate::model::calls::number_of;
use crate::model::policy::{Clause, Op, Policy, Rule, Test, Verdict};
use crate::model::rules::{SEEMS_DONE, all, allowed, answer, denied, numbers, policy, rule, seems_done};

/// Families with a network namespace, and AF_UNIX, whose names are in the file system or that namespace. Of the others
/// AF_VSOCK reaches the hypervisor and all other boxes through it; AF_QIPCRTR, AF_BLUETOOTH and AF_NFC are one for the
/// whole machine.
pub static FAMILIES: [Clause; 5] = [
    allowed!(libc::AF_UNIX as u32),
    allowed!(libc::AF_INET as u32),
    allowed!(libc::AF_INET6 as u32),
    allowed!(libc::AF_NETLINK as u32),
    allowed!(libc::AF_PACKET as u32),
];

/// F_OFD_SETLK and F_OFD_SETLKW of linux/fcntl.h, F_SET_RW_HINT and F_SET_FILE_RW_HINT (kept with the inode).
const F_OFD_SETLK: u32 = 37;
const F_OFD_SETLKW: u32 = 38;
const F_SET_RW_HINT: u32 = 1036;
const F_SET_FILE_RW_HINT: u32 = 1038;

/// What one process leaves on a file for another to find. Programs give up where a lock cannot be had (JVMs, SQLite, PHP, Ruby),
/// so that it seems to be. The kernel reads the command as an unsigned int.
static LOCKS: [Clause; 8] = [
    seems_done(&[Test::int(1, Op::Eq, libc::F_SETLK as u32)]),
    seems_done(&[Test::int(1, Op::Eq, libc::F_SETLKW as u32)]),
    seems_done(&[Test::int(1, Op::Eq, F_OFD_SETLK)]),
    seems_done(&[Test::int(1, Op::Eq, F_OFD_SETLKW)]),
    denied(&[Test::int(1, Op::Eq, libc::F_SETLEASE as u32)]),
    denied(&[Test::int(1, Op::Eq, libc::F_NOTIFY as u32)]),
    denied(&[Test::int(1, Op::Eq, F_SET_RW_HINT)]),
    denied(&[Test::int(1, Op::Eq, F_SET_FILE_RW_HINT)]),
];

static DNOTIFY: [Clause; 1] = [denied(&[Test::int(1, Op::Eq, libc::F_NOTIFY as u32)])];

/// RWF_NOWAIT and RWF_DONTCACHE of linux/fs.h: says whether a page of a file is in memory, and takes it out.
const RWF_NOWAIT: u32 = 8;
const RWF_DONTCACHE: u32 = 0x80;

/// As a file system answers that has neither.
static PAGES_BY_FLAG: [Clause; 1] = [answer(&[Test::any_bit(5, RWF_NOWAIT | RWF_DONTCACHE)], Errno::EOPNOTSUPP)];

/// Advice by which pages leave the memory that all boxes share: to a file it is given in vain, to a mapping as before
/// Linux 5.4 (MADV_COLD, MADV_PAGEOUT).
static FILE_ADVICE: [Clause; 1] = [seems_done(&[Test::int(3, Op::Eq, libc::POSIX_FADV_DONTNEED as u32)])];
static MAP_ADVICE: [Clause; 2] = [
    answer(&[Test::int(2, Op::Eq, libc::MADV_COLD as u32)], Errno::EINVAL),
    answer(&[Test::int(2, Op::Eq, libc::MADV_PAGEOUT as u32)], Errno::EINVAL),
];

/// What asks which pages of a file are in memory, and the same advice for another process.
const PAGES: [u32; 3] = numbers(["cachestat", "mincore", "process_madvise"]);

/// Keyrings, SysV and POSIX IPC, as a kernel answers that is built without them.
#[rustfmt::skip]
const ABSENT: [u32; 21] = numbers([
    "add_key", "keyctl", "request_key",
    "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
]);

/// Watching; fanotify needs no privilege for one's own files since Linux 5.13.
const WATCHES: [u32; 4] = numbers(["fanotify_init", "inotify_add_watch", "inotify_init", "inotify_init1"]);

pub fn no_covert() -> Policy {
    let absent = all(ABSENT.into_iter().chain(RINGS).chain(PAGES).chain(WATCHES), Verdict::MISSING);
    let family = Verdict::errno(Errno::EAFNOSUPPORT);
    let tested = [
        (const { number_of("socket") }, rule(&FAMILIES, family)),
        (const { number_of("socketpair") }, rule(&FAMILIES, family)),
        (const { number_of("fcntl") }, rule(&LOCKS, Verdict::ALLOW)),
        (const { number_of("flock") }, Rule::always(SEEMS_DONE)),
        (const { number_of("fadvise64") }, rule(&FILE_ADVICE, Verdict::ALLOW)),
        (const { number_of("madvise") }, rule(&MAP_ADVICE, Verdict::ALLOW)),
        (const { number_of("preadv2") }, rule(&PAGES_BY_FLAG, Verdict::ALLOW)),
        (const { number_of("pwritev2") }, rule(&PAGES_BY_FLAG, Verdict::ALLOW)),
    ];
    policy(absent.chain(tested))
}

pub fn no_inotify() -> Policy {
    let watches = all(WATCHES, Verdict::MISSING);
    policy(watches.chain([(const { number_of("fcntl") }, rule(&DNOTIFY, Verdict::ALLOW))]))
}
