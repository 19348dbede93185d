//! `judge`, for a program whose answer and time are measured, and `strict`, where it all began.

use super::{covert, default};
use crate::model::policy::{Policy, Verdict};
use crate::model::rules::{all, numbers, policy};

/// What a program that only computes does not need, beyond what `default` and `no-covert` deny.
#[rustfmt::skip]
const NOT_COMPUTING: [u32; 14] = numbers([
    "socket", "socketpair",
    // Other processes of the same box.
    "process_vm_readv", "process_vm_writev", "ptrace",
    // Priority and placement: they would change what is measured.
    "ioprio_set", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "setpriority",
    "mlock", "mlock2", "mlockall",
]);

/// All rules of `default` and `no-covert` in one program: where two deny a call, `default` decides how.
pub fn judge() -> Policy {
    let mut calls = covert::no_covert().calls;
    calls.extend(default::policy().calls);
    calls.extend(all(NOT_COMPUTING, Verdict::DENIED));
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
