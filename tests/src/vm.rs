//! Kernels other than this machine's: a command in a virtual machine of `scripts/vm`.

use std::ffi::OsStr;

use crate::{Chain, Ran, Tier, checkout, skip};

/// Debian 12's kernel, which lacks what the fallbacks are for, and the newest that Debian serves for it.
pub const KERNELS: [&str; 2] = ["6.1", "newest"];

/// A line of `scripts/vm`: its options, then `--` and the command.
#[must_use]
pub fn vm<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Chain {
    Chain::program(checkout().join("scripts/vm")).args(words)
}

/// Runs a line of the guest's shell on each of [`KERNELS`], and hands each result to `look` with the kernel's name.
/// A kernel that has not been set up (`scripts/vm --setup`) is a skip.
pub fn on_each_kernel(test: &str, options: &[&str], line: &str, look: impl Fn(&str, Ran)) {
    for kernel in KERNELS {
        if ready(test, kernel, &[]) {
            let words = [&["--kernel", kernel], options, &["--", "sh", "-c", line]].concat();
            look(kernel, vm(words).run());
        }
    }
}

/// Whether that kernel can be booted without fetching and building first (`more`: `--zfs`); otherwise records the skip.
#[must_use]
pub fn ready(test: &str, kernel: &str, more: &[&str]) -> bool {
    let ran = vm([&["--check", "--kernel", kernel], more].concat()).run();
    if ran.code != 0 {
        skip(Tier::Machine, test, ran.err.trim());
    }
    ran.code == 0
}
