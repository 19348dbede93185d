//! cg-run on a real cgroup v2: leaves and limits, on this machine as far as it has them, and with all controllers on
//! other kernels in a virtual machine (scripts/test-kernel).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod if_possible;
mod leaf;
mod limits;
