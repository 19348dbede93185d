//! The filters that have a name.
//!
//! A call that is denied answers EPERM; one that nobody should count on, or that is not known, ENOSYS, which makes
//! libraries fall back.

mod covert;
mod default;
mod guards;
mod judge;
mod setuid;

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
        policy: default::policy,
    },
    Preset {
        name: "tty-guard",
        about: "no input pushed into a terminal (TIOCSTI, TIOCLINUX); nothing else",
        policy: guards::tty_guard,
    },
    Preset { name: "no-userns", about: "no new user namespace", policy: guards::no_userns },
    Preset {
        name: "no-setuid",
        about: "no file gets a set-user-ID or set-group-ID bit, no folder either",
        policy: setuid::no_setuid,
    },
    Preset {
        name: "no-fd-passing",
        about: "no descriptor is sent or received over a socket: sendmsg, recvmsg, io_uring",
        policy: guards::no_fd_passing,
    },
    Preset {
        name: "no-covert",
        about: "nothing by which two boxes could talk in spite of their namespaces: keyrings, AF_VSOCK and other \
                families, locks, leases, SysV and POSIX IPC, io_uring",
        policy: covert::no_covert,
    },
    Preset {
        name: "no-inotify",
        about: "nobody learns what others do with a file: inotify, fanotify, dnotify",
        policy: covert::no_inotify,
    },
    Preset {
        name: "judge",
        about: "for a program that is measured: default, no-covert and no-inotify, no sockets, no debugging, no priorities",
        policy: judge::judge,
    },
    Preset {
        name: "strict",
        about: "the mode of 2005: read, write, exit and sigreturn, and the exec that starts it; all else kills",
        policy: judge::strict,
    },
    Preset {
        name: TCP_GUARD,
        about: "no TCP past Landlock: MPTCP, SMC, TCP Fast Open, io_uring",
        policy: guards::tcp_guard,
    },
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

/// A clause that lets an int argument of this value pass.
macro_rules! allowed {
    ($value:expr) => {
        Clause { tests: Cow::Borrowed(&[Test::int(0, Op::Eq, $value)]), verdict: Verdict::ALLOW }
    };
}

pub(crate) use allowed;
pub(crate) use default::NAMESPACES;

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
    let kill = Verdict::KILL_PROCESS;
    Policy { calls, known: Verdict::ALLOW, unknown: MISSING, x32: MISSING, i386: kill, foreign: kill }
}
