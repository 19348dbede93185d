//! `judge`, for a program whose answer and time are measured, and `strict`, where it all began.

use std::borrow::Cow;

use nix::libc;

use super::{covert, default};
use crate::model::calls::number_of;
use crate::model::policy::{Clause, Op, Policy, Test, Verdict};
use crate::model::rules::{all, numbers, policy, rule, seems_done};

/// SOCK_TYPE_MASK of linux/net.h: the rest are flags.
const TYPE: u64 = 0xf;

macro_rules! own_pair {
    ($kind:expr) => {
        Clause {
            tests: Cow::Borrowed(&[
                Test::int(0, Op::Eq, libc::AF_UNIX as u32),
                Test { mask: TYPE, ..Test::int(1, Op::Eq, $kind as u32) },
            ]),
            verdict: Verdict::ALLOW,
        }
    };
}

/// What a program that only computes does not need, beyond what `default` and `no-covert` deny.
#[rustfmt::skip]
const NOT_COMPUTING: [u32; 12] = numbers([
    "socket",
    // Other processes of the same box.
    "process_vm_readv", "process_vm_writev", "ptrace",
    // Priority and placement: they would change what is measured.
    "ioprio_set", "sched_setaffinity", "sched_setattr", "sched_setparam", "setpriority",
    "mlock", "mlock2", "mlockall",
]);

/// A pair of one's own, by which JVMs, node and Python wake or ask their own threads and children. One of datagrams may send to
/// any address, though its ends are connected (unix(7)); the others have no other peer, and get none.
static SOCKETPAIR: [Clause; 2] = [own_pair!(libc::SOCK_STREAM), own_pair!(libc::SOCK_SEQPACKET)];

/// Mono gives each thread the policy that it has, and complains on standard output where it cannot.
static SCHEDULER: [Clause; 1] = [seems_done(&[Test::int(1, Op::Eq, libc::SCHED_OTHER as u32)])];

/// All rules of `default` and `no-covert` in one program: where two deny a call, `default` decides how.
pub fn judge() -> Policy {
    let mut calls = covert::no_covert().calls;
    calls.extend(default::policy().calls);
    calls.extend(all(NOT_COMPUTING, Verdict::DENIED));
    calls.insert(const { number_of("socketpair") }, rule(&SOCKETPAIR, Verdict::DENIED));
    calls.insert(const { number_of("sched_setscheduler") }, rule(&SCHEDULER, Verdict::DENIED));
    policy(calls)
}

/// SECCOMP_MODE_STRICT (Linux 2.6.12) itself cannot be entered before an exec, which it would kill; these are the calls that
/// it allows, and what this tool still needs to start the program.
const OF_2005: [u32; 6] = numbers(["execve", "exit", "exit_group", "read", "rt_sigreturn", "write"]);

pub fn strict() -> Policy {
    let kill = Verdict::KILL_PROCESS;
    let calls = all(OF_2005, Verdict::ALLOW).collect();
    Policy { calls, known: kill, unknown: kill, x32: kill, i386: kill, foreign: kill }
}
