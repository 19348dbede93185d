//! The systemd units in `packaging/systemd`: systemd itself reads them, and the delegated cgroup is one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use chainbox_tests::vm::on_each_kernel;
use chainbox_tests::{Chain, Folder, Tier, checkout, skip};

const UNITS: [&str; 6] = [
    "chainbox-cgroup.service",
    "zfs-pool-box.socket",
    "zfs-pool-box@0.service",
    "zfs-pool-refill@web.service",
    "zfs-pool-refill@web.path",
    "zfs-pool-refill@web.timer",
];

/// A root with systemd's own units and ours, and the programs that they start.
fn root() -> Folder {
    let folder = Folder::new("units", false);
    let line = "mkdir -p usr/bin usr/lib/systemd etc/systemd/system && ln -s usr/bin bin && ln -s usr/lib lib && \
                cp -R /lib/systemd/system usr/lib/systemd/ && cp /bin/sh usr/bin/sh && cp /bin/true usr/bin/zfs-pool && \
                cp \"$0\"/packaging/systemd/* etc/systemd/system/";
    Chain::shell(line).args([checkout()]).at(folder.path()).run().ok();
    folder
}

#[test]
fn systemd_accepts_every_unit_without_a_word() {
    let test = "systemd_accepts_every_unit_without_a_word";
    if Chain::shell("systemd-analyze --version").run().code != 0 {
        return skip(Tier::Machine, test, "no systemd-analyze");
    }
    let root = root();
    let verify = |unit: &str| {
        let line = format!("systemd-analyze --man=no --root=\"$0\" verify etc/systemd/system/{unit}");
        Chain::shell(&line).args([root.path()]).at(root.path()).run()
    };
    for unit in UNITS {
        let ran = verify(unit);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{unit}: {ran:#?}");
    }
    let files = fs::read_dir(checkout().join("packaging/systemd")).unwrap();
    assert_eq!(files.count(), UNITS.len(), "a unit that nobody looked at");
    // It would have told.
    fs::remove_file(root.join("usr/bin/zfs-pool")).unwrap();
    assert!(verify("zfs-pool-refill@web.service").err.contains("/usr/bin/zfs-pool is not executable"));
}

/// The keeper's own line, in a cgroup such as systemd gives it; then a run below, with limits.
#[test]
fn machine_the_keeper_leaves_its_cgroup_to_the_leaves_of_cg_run() {
    let unit = fs::read_to_string(checkout().join("packaging/systemd/chainbox-cgroup.service")).unwrap();
    let keeper = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().replace("$$", "$");
    let line = format!(
        "cd /sys/fs/cgroup && place=chainbox.slice/chainbox-cgroup.service && mkdir -p $place && \
         for at in . chainbox.slice; do echo +memory +pids >$at/cgroup.subtree_control; done && \
         (echo 0 >$place/cgroup.procs && exec {keeper}) & \
         until grep -qs . /sys/fs/cgroup/chainbox.slice/chainbox-cgroup.service/keeper/cgroup.procs; do sleep 0.1; done; \
         cg-run --parent /sys/fs/cgroup/chainbox.slice/chainbox-cgroup.service --memory 32M --pids 9 --status -- tail /dev/zero"
    );
    let test = "machine_the_keeper_leaves_its_cgroup_to_the_leaves_of_cg_run";
    on_each_kernel(test, &["--time-limit", "100"], &line, |kernel, ran| {
        assert_eq!(ran.code, 137, "{kernel}: {ran:#?}");
        assert!(ran.err.starts_with("cg-run: ML: Memory limit exceeded\n"), "{kernel}: {ran:#?}");
    });
}
