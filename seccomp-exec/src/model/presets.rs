//! The filters that have a name.
//!
//! A call that is denied answers EPERM; one that nobody should count on, or that is not known, ENOSYS, which makes
//! libraries fall back.

mod covert;
pub mod default;
mod guards;
mod judge;
mod setuid;

use super::policy::Policy;

/// A preset. Whatever lists presets, as the manual does, takes them from [`PRESETS`].
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// As `--filter` takes it.
    pub name: &'static str,
    pub policy: fn() -> Policy,
    /// For the manual.
    pub about: &'static str,
}

const fn preset(name: &'static str, policy: fn() -> Policy, about: &'static str) -> Preset {
    Preset { name, policy, about }
}

/// All of them.
pub const PRESETS: [Preset; 10] = [
    preset(
        "default",
        default::policy,
        "denies what an unprivileged program has no business with (EPERM): namespaces, mounts, modules, keyrings, \
         bpf, io_uring, clocks, rare socket families, line disciplines; and all of tty-guard",
    ),
    preset("tty-guard", guards::tty_guard, "no input pushed into a terminal (TIOCSTI, TIOCLINUX); nothing else"),
    preset("no-userns", guards::no_userns, "no new user namespace"),
    preset(
        "no-setuid",
        setuid::no_setuid,
        "no file and no folder gets a set-user-ID or set-group-ID bit (chmod, mkdir, mknod, open with O_CREAT or \
         O_TMPFILE: EPERM; openat2 and io_uring: ENOSYS): for a box that writes to the host",
    ),
    preset(
        "no-fd-passing",
        guards::no_fd_passing,
        "no descriptor is sent or received over a socket (sendmsg, sendmmsg, recvmsg, recvmmsg: EPERM): for a box \
         whose standard input is a socket",
    ),
    preset(
        "no-covert",
        covert::no_covert,
        "nothing by which two boxes could talk in spite of their namespaces: keyrings, AF_VSOCK and other families, \
         locks, leases, SysV and POSIX IPC, io_uring",
    ),
    preset("no-inotify", covert::no_inotify, "nobody learns what others do with a file (inotify, fanotify, dnotify)"),
    preset(
        "judge",
        judge::judge,
        "for a program that is measured: default, no-covert and no-inotify, no sockets, no debugging, no priorities",
    ),
    preset(
        "strict",
        judge::strict,
        "the mode of 2005, read, write, exit and sigreturn, and the exec that starts PROG; all else kills",
    ),
    preset(TCP_GUARD, guards::tcp_guard, "no TCP past Landlock: MPTCP, SMC, TCP Fast Open, io_uring"),
];

/// The filter that comes with Landlock's rights on TCP.
pub const TCP_GUARD: &str = "tcp-guard";

/// The preset of that name.
pub fn find(name: &str) -> Option<Preset> {
    PRESETS.iter().find(|preset| preset.name == name).copied()
}

/// `NAME: what it is.` for each, in paragraphs, for the manual.
pub const LISTED: &str = match str::from_utf8(&listed::<{ listed::<0>().1 }>().0) {
    Ok(text) => text,
    Err(_) => "",
};

/// The list as far as it fits, and how long it is.
#[allow(clippy::indexing_slicing, reason = "in a constant, where a bad index does not compile")]
const fn listed<const N: usize>() -> ([u8; N], usize) {
    let (mut text, mut at, mut n) = ([0; N], 0, 0);
    while n < PRESETS.len() {
        at = put(&mut text, at, if n == 0 { "" } else { "\n\n" });
        at = put(&mut text, at, PRESETS[n].name);
        at = put(&mut text, at, ": ");
        at = put(&mut text, at, PRESETS[n].about);
        at = put(&mut text, at, ".");
        n += 1;
    }
    (text, at)
}

#[allow(clippy::indexing_slicing, reason = "in a constant, where a bad index does not compile")]
const fn put(text: &mut [u8], at: usize, word: &str) -> usize {
    let mut n = 0;
    while n < word.len() {
        if at + n < text.len() {
            text[at + n] = word.as_bytes()[n];
        }
        n += 1;
    }
    at + n
}
