//! `cg-run`: see the library, whose head is the manual.
#![no_main]

chain::entry!("cg-run", cg_run::run);
