//! `rlimit-exec`: see the library, whose head is the manual.
#![no_main]

chain::entry!("rlimit-exec", rlimit_exec::run);
