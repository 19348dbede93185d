//! What every link of a chain shares.
//!
//! A *link* is one tool of a chain: it reads its options, does one layer of isolation to its own process and
//! executes the next link; the last program is the *payload*. This crate holds what a link is apart from its layer:
//!
//! | module | what |
//! |---|---|
//! | [`sys`] | the only `unsafe` code of the project |
//! | [`text`] | text that is safe for a terminal |
//! | [`failure`] | what went wrong, its exit code, and at most one hint |
//! | [`values`] | how values are written on a command line |
//! | [`mod@open`] | opening a path in which somebody else may have had a hand |
//! | [`table`] | the table of a tool's options |
//! | [`mod@parse`] | the parser that the table drives |
//! | [`pages`] | `--help` and the man page from the same table |
//! | [`completion`] | shell completion from the same table |
//! | [`fault`] | what a link that fails tells the resident link above it |
//! | [`message`] | every line that a link prints |
//! | [`privilege`] | capabilities that links hand on, and take back from a payload |
//! | [`mod@start`] | the C `main`, and what happens before anything else |
//! | [`process`] | processes as /proc shows them |
//! | [`machine`] | the machine as /proc shows it |
//! | [`terminal`] | the caller's terminal: lent, and given back |
//! | [`wait`] | links that stay: signals, the child's end, the parent's end |
//! | [`wipe`] | removing a tree that a payload has written, whatever it is |
//! | [`in_process`] | the next link in this process, where an exec would change nothing |
//! | [`payload`] | what a link that has changed the root does not execute |
//! | [`next`] | finding and executing the next link, with descriptor hygiene |
//! | [`step`] | the numbered steps of `--explain`, `-v` and error messages |
//!
//! Each imports only from those above it. It knows no namespace, mount, cgroup, seccomp or ZFS word; only [`sys`] names
//! system calls of the layers, because `unsafe` may live nowhere else.

pub mod completion;
pub mod elf;
pub mod failure;
pub mod fault;
pub mod in_process;
pub mod machine;
pub mod message;
pub mod next;
pub mod open;
pub mod pages;
pub mod parse;
pub mod payload;
pub mod privilege;
pub mod process;
pub mod start;
pub mod step;
pub mod sys;
pub mod table;
pub mod terminal;
pub mod text;
pub mod values;
pub mod wait;
pub mod wipe;

pub use anyhow::{Context, Result};
pub use failure::{Call, Failure, Hint};
pub use message::{print, print_error};
pub use next::Next;
pub use parse::{Cli, Common, Explain, Requested, parse};
pub use start::{begin, start};
pub use step::{Step, explain, perform};
pub use table::{Flag, Table, Takes};
pub use text::show;

/// Our tools. A bare name among them is looked for beside the running link first (see [`next`]).
pub const TOOLS: [&str; 6] = ["zfs-pool", "cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"];

/// What links read from the environment. A program that is started for somebody else takes none of them from him.
pub const VARIABLES: [&str; 4] = [message::SPEAKER, privilege::MARK, parse::EXPLAIN, fault::VARIABLE];

/// The version that `--version` prints: one for the whole workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
