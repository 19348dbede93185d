//! What every link of a chain shares.
//!
//! A *link* is one tool of a chain: it reads its options, does one layer of isolation to its own process and
//! executes the next link; the last program is the *payload*. This crate holds what a link is apart from its layer:
//!
//! | module | what |
//! |---|---|
//! | [`flags`] | the table of a tool's options, and the parser that it drives |
//! | [`pages`] | `--help`, the man page and shell completion from the same table |
//! | [`failure`] | what went wrong, its exit code, and at most one hint |
//! | [`speech`] | every line that a link says, unprintable bytes escaped |
//! | [`step`] | the numbered steps of `--explain`, `-v` and error messages |
//! | [`next`] | finding and executing the next link, with descriptor hygiene |
//! | [`applet`] | the next link in this process, where an exec would change nothing |
//! | [`payload`] | what a link that has changed the root does not execute |
//! | [`privilege`] | capabilities that links hand on, and take back from a payload |
//! | [`proc`] | processes as /proc shows them |
//! | [`terminal`] | the caller's terminal: lent, and given back |
//! | [`wait`] | links that stay: signals, the child's end, the parent's end |
//! | [`wipe`] | removing a tree that a payload has written, whatever it is |
//! | [`sys`] | the only `unsafe` code of the project |
//!
//! It knows no namespace, mount, cgroup, seccomp or ZFS word; only [`sys`] names system calls of the layers, because
//! `unsafe` may live nowhere else.

pub mod applet;
pub mod failure;
pub mod flags;
pub mod next;
pub mod pages;
pub mod payload;
pub mod privilege;
pub mod proc;
pub mod speech;
pub mod step;
pub mod sys;
pub mod terminal;
pub mod wait;
pub mod wipe;

pub use anyhow::{Context, Result};
pub use failure::{Call, Failure};
pub use flags::{Cli, Flag, Table, Takes, parse};
pub use next::Next;
pub use speech::{out, say, show};
pub use step::{Step, explain, perform};

/// The tools of this family. A bare name among them is looked for beside the running link first (see [`next`]).
pub const FAMILY: [&str; 6] = ["zfs-pool", "cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"];

/// The version that `--version` prints: one for the whole workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
