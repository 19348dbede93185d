//! `seccomp-exec`: see the library, whose head is the manual.
#![no_main]

chain::entry!("seccomp-exec", seccomp_exec::run);
