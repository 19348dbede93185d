//! The only `unsafe` code of chainbox: system calls that no crate we use wraps, and the C `main`.
//!
//! Each function is a thin, safe face of one call; each `unsafe` block says the fact that it relies on. Two facts
//! come up everywhere:
//!
//! * **single thread**: a link never starts a thread, so after `fork` the child may run ordinary code, and nobody
//!   changes the environment while it is read;
//! * **kernel reads only**: the call reads the memory it is given during the call and keeps no pointer.
//!
//! The faces that every link needs are named here; those of one subject have its name (`sys::landlock::ruleset`).
#![allow(unsafe_code, reason = "the one module where it may be: each item is a face of one system call")]

pub mod arguments;
mod descriptor;
mod exec;
mod interface;
pub mod keyring;
pub mod landlock;
pub mod listener;
pub mod loops;
mod mount;
pub mod namespace;
mod process;
mod scheduling;
mod seccomp;
mod terminal;

use nix::errno::Errno;

pub(crate) use arguments::{call_payload, payload_name, take_variable};
pub use arguments::{executed_as, is_privileged_start, keep_variables, set_variable, words};
pub use descriptor::{adopt, attached, borrowed, close_all_but, close_marked, close_on_exec_from, place};
pub use exec::{exec, exec_fd};
pub use interface::{interface_flags, set_interface_flags};
pub use mount::{mount_idmap, mount_setattr, mount_setattr_private};
pub use process::{
    AtEnd, Child, Fork, Reaped, die_of, exit_now, fork, fork_into, ignore_signal, reap, reap_or_see_stopped,
    signal_name, signal_process,
};
pub use scheduling::{Prctl, SchedAttr, ioprio_get, ioprio_set, prctl_number, sched_getattr, sched_setattr};
pub use seccomp::{seccomp_attach, seccomp_has_action};
pub use terminal::{Push, line_discipline, set_line_discipline, would_push};

type Sys<T> = std::result::Result<T, Errno>;
