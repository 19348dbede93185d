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

#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// As `--filter` takes it.
    pub name: &'static str,
    pub policy: fn() -> Policy,
}

/// The one list of presets: whatever knows them, the parser, the manual and the tests, has them from here.
macro_rules! presets {
    ($($name:literal is $policy:path: $about:literal)*) => {
        pub const PRESETS: &[Preset] = &[$(Preset { name: $name, policy: $policy }),*];

        /// For the manual, in paragraphs.
        pub const LISTED: &str = concat!("What --filter NAME attaches:", $("\n\n", $name, ": ", $about, "."),*);
    };
}

presets! {
    "default" is default::policy:
        "denies what an unprivileged program has no business with (EPERM): namespaces, mounts, modules, keyrings, bpf, \
         io_uring, clocks, rare socket families, line disciplines; and all of tty-guard"
    "tty-guard" is guards::tty_guard: "no input pushed into a terminal (TIOCSTI, TIOCLINUX); nothing else"
    "no-userns" is guards::no_userns: "no new user namespace"
    "no-setuid" is setuid::no_setuid:
        "no file and no folder gets a set-user-ID or set-group-ID bit (chmod, mkdir, mknod, open with O_CREAT or \
         O_TMPFILE: EPERM; openat2 and io_uring: ENOSYS): for a box that writes to the host"
    "no-fd-passing" is guards::no_fd_passing:
        "no descriptor is sent or received over a socket (sendmsg, sendmmsg, recvmsg, recvmmsg: EPERM): for a box whose \
         standard input is a socket"
    "no-covert" is covert::no_covert:
        "nothing by which two boxes could talk in spite of their namespaces: keyrings, AF_VSOCK and other families, locks, \
         leases, SysV and POSIX IPC, io_uring"
    "no-inotify" is covert::no_inotify: "nobody learns what others do with a file (inotify, fanotify, dnotify)"
    "judge" is judge::judge:
        "for a program that is measured: default, no-covert and no-inotify, no sockets, no debugging, no priorities"
    "strict" is judge::strict:
        "the mode of 2005, read, write, exit and sigreturn, and the exec that starts PROG; all else kills"
    "tcp-guard" is guards::tcp_guard: "no TCP past Landlock: MPTCP, SMC, TCP Fast Open, io_uring"
}

/// The filter that comes with Landlock's rights on TCP.
pub const TCP_GUARD: &str = "tcp-guard";

pub fn find(name: &str) -> Option<Preset> {
    PRESETS.iter().find(|preset| preset.name == name).copied()
}
