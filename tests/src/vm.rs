//! Kernels other than this machine's: a command in a virtual machine of `scripts/vm`.

use std::ffi::OsStr;

use crate::{Chain, Ran, Tier, checkout, skip};

/// Debian 12's kernel, which lacks what the fallbacks are for, and the newest that Debian serves for it.
pub const KERNELS: [&str; 2] = ["6.1", "newest"];

/// The chain of README and DESIGN, all of it, then what it left.
pub const WHOLE_CHAIN: &str = "\
cg-run --memory 512M --pids 64 --cpu-time 10 --wall-time 60 --report report.json -- \
ns-unshare --user --mount --pid --net --ipc --uts --hostname box -- \
rlimit-exec --nofile 1024:4096 --core 0 -- \
mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
           --tmpfs /tmp --proc /proc --dev /dev --chdir /tmp -- \
seccomp-exec --filter default -- \
/bin/sh -c '/usr/bin/id; pwd; hostname; echo /*; ulimit -n; ls /sys/class/net /proc/sys/net/ipv4/conf 2>/dev/null | tail -n 2; \
    grep -E ^CapEff\\|^NoNewPrivs\\|^Seccomp: /proc/self/status; exit 6'
echo status $?
find /sys/fs/cgroup -mindepth 1 -type d
cat report.json";

/// What the payload sees, and its exit status outside.
pub const BOX: &str = "uid=0 gid=0\n/tmp\nbox\n/bin /dev /lib /lib64 /proc /tmp /usr\n1024\ndefault\nlo\n\
    CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nstatus 6\n";

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
