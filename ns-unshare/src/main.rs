//! `ns-unshare`: see the library, whose head is the manual.
#![no_main]

chain::entry!("ns-unshare", ns_unshare::run);
