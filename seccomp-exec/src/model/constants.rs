//! Names of the numbers that policies compare with, as the manual pages have them.

use nix::libc;

macro_rules! named {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), libc::$name as u64)),*] };
}

#[rustfmt::skip]
const LIBC: &[(&str, u64)] = named![
    AF_ALG, AF_BLUETOOTH, AF_CAN, AF_INET, AF_INET6, AF_KEY, AF_NETLINK, AF_PACKET, AF_UNIX, AF_UNSPEC, AF_VSOCK,
    AF_XDP, CLONE_FILES, CLONE_FS, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER,
    CLONE_NEWUTS, CLONE_SIGHAND, CLONE_THREAD, CLONE_VM, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, F_ADD_SEALS, F_DUPFD,
    F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETLK, F_NOTIFY, F_SETFD, F_SETFL, F_SETLEASE, F_SETLK, F_SETLKW, F_SETPIPE_SZ,
    IPPROTO_ICMP, IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, MADV_DONTNEED, MADV_HUGEPAGE, MAP_ANONYMOUS,
    MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MFD_CLOEXEC, MSG_FASTOPEN, O_ACCMODE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY,
    O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY, PROT_EXEC, PROT_READ,
    PROT_WRITE, PR_CAPBSET_READ, PR_GET_DUMPABLE, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_DUMPABLE,
    PR_SET_MM, PR_SET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_SET_PTRACER, PR_SET_SECCOMP, PR_SET_VMA, SIGKILL,
    SIGSTOP, SIGTERM, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, S_ISGID,
    S_ISUID, TCGETS, TCSETS, TIOCGPGRP, TIOCGWINSZ, TIOCLINUX, TIOCSPGRP, TIOCSTI, TIOCSWINSZ,
];

/// What the C library's header lacks: linux/netlink.h, linux/sched.h, linux/fcntl.h. And second names.
const OTHERS: &[(&str, u64)] = &[
    ("AF_LOCAL", 1),
    ("CLONE_NEWTIME", 0x80),
    ("F_OFD_GETLK", 36),
    ("F_OFD_SETLK", 37),
    ("F_OFD_SETLKW", 38),
    ("NETLINK_AUDIT", 9),
    ("NETLINK_KOBJECT_UEVENT", 15),
    ("NETLINK_ROUTE", 0),
];

pub fn value(name: &str) -> Option<u64> {
    LIBC.iter().chain(OTHERS).find(|known| known.0 == name).map(|known| known.1)
}

/// How the names begin that an argument is written with.
const PREFIXES: [(&str, u8, &[&str]); 6] = [
    ("socket", 0, &["AF_"]),
    ("socketpair", 0, &["AF_"]),
    ("fcntl", 1, &["F_"]),
    ("prctl", 0, &["PR_"]),
    ("ioctl", 1, &["TIOC", "TC", "FIO"]),
    ("madvise", 2, &["MADV_"]),
];

/// The name of a value of this argument.
pub fn name(call: &str, arg: u8, value: u64) -> Option<&'static str> {
    let prefixes = PREFIXES.iter().find(|known| known.0 == call && known.1 == arg)?.2;
    let is = |known: &&(&'static str, u64)| known.1 == value && prefixes.iter().any(|start| known.0.starts_with(start));
    LIBC.iter().chain(OTHERS).find(is).map(|known| known.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_values_of_the_headers() {
        assert_eq!(
            (value("AF_VSOCK"), value("CLONE_NEWUSER"), value("TIOCSTI")),
            (Some(40), Some(0x1000_0000), Some(0x5412))
        );
        assert_eq!(value("AF_NONE"), None);
        assert_eq!(
            (name("socket", 0, 40), name("socket", 1, 40), name("ioctl", 1, 0x5412)),
            (Some("AF_VSOCK"), None, Some("TIOCSTI"))
        );
        // None is negative, which the cast would have made a large number.
        assert!(LIBC.iter().all(|known| known.1 <= u64::from(u32::MAX)));
    }
}
