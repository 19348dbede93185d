//! cg-run on a real cgroup v2: leaves and limits, on this machine as far as it has them, and on other kernels in a
//! virtual machine, where this very program runs again with all controllers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod leaf;
mod limits;

use chainbox_tests::vm::{KERNELS, ready, vm};
use chainbox_tests::{Tier, bin, checkout, is_root, skip};

#[test]
fn machine_everything_on_other_kernels() {
    const NAME: &str = "machine_everything_on_other_kernels";
    if !is_root() {
        return skip(Tier::Machine, NAME, "sharing the host's files needs root");
    }
    for kernel in KERNELS.into_iter().filter(|kernel| ready(NAME, kernel, &[])) {
        // A loop device is the machine's only disk.
        let line = "modprobe -d \"$1\" loop && shift && for name in memory pids cpu cpuset io hugetlb; do \
                    echo +$name >/sys/fs/cgroup/cgroup.subtree_control || exit; done; \
                    exec \"$@\" --skip machine_ --test-threads 2";
        let modules = vm(["--check", "--kernel", kernel]).run().ok();
        let tools = format!("CHAINBOX_BIN={}", bin().display());
        let ran = vm(["--kernel", kernel, "--host-root", "--", "env", "CHAINBOX_PROMISED=root cgroup", &tools])
            .args(["sh", "-c", line, "sh", modules.trim_end()])
            .args([std::env::current_exe().unwrap()])
            .at(checkout())
            .run();
        assert!(ran.code == 0 && ran.out.contains("test result: ok."), "{kernel}: {ran:#?}");
    }
}
