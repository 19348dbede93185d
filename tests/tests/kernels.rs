//! What this machine's kernel may not offer, on kernels that do: whole chains from an initramfs alone, and a memory, a
//! process, a processor and a block device controller that really limit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use chainbox_tests::vm::{BOX, WHOLE_CHAIN, on_each_kernel, ready, vm};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn machine_the_whole_chain_from_an_initramfs_alone() {
    on_each_kernel("machine_the_whole_chain_from_an_initramfs_alone", &[], WHOLE_CHAIN, |kernel, ran| {
        let report = json(ran.out.strip_prefix(BOX).unwrap_or_else(|| panic!("{kernel}: {ran:#?}")));
        assert_eq!((&report["verdict"], &report["exit"]), (&"RE".into(), &6.into()), "{kernel}: {ran:#?}");
        assert!(report["cgroup"]["memory_peak"].as_u64() > Some(0), "{kernel}: {ran:#?}");
    });
}

/// As root hands a part of the tree to a user (cgroups(7), "Delegation"), and the shell of that user inside it.
const DELEGATE: &str = "\
cd /sys/fs/cgroup && echo '+memory +pids +cpu' >cgroup.subtree_control && mkdir user && \
echo '+memory +pids +cpu' >user/cgroup.subtree_control && mkdir user/shell && \
chown user user user/cgroup.procs user/cgroup.subtree_control user/shell user/shell/cgroup.procs && \
echo 0 >user/shell/cgroup.procs && cd /tmp && ";

#[test]
fn machine_an_ordinary_user_in_a_delegated_cgroup() {
    let chain = WHOLE_CHAIN.replace("cg-run", "cg-run --parent /sys/fs/cgroup/user").replace('\'', "'\\''");
    let line = format!("{DELEGATE}su user -c '{chain}'");
    on_each_kernel("machine_an_ordinary_user_in_a_delegated_cgroup", &[], &line, |kernel, ran| {
        let left = format!("{BOX}/sys/fs/cgroup/user\n/sys/fs/cgroup/user/shell\n").replace("gid=0", "gid=0 groups=0");
        let report = ran.out.strip_prefix(&left).unwrap_or_else(|| panic!("{kernel}: {ran:#?}"));
        assert_eq!(json(report)["verdict"], "RE", "{kernel}: {ran:#?}");
        assert!(json(report)["cgroup"]["memory_peak"].as_u64() > Some(0), "{kernel}: {ran:#?}");
    });
}

#[test]
fn machine_each_controller_limits_and_is_reported() {
    let line = "\
exec 2>&1
cg-run --status --memory 32M --report m -- tail /dev/zero; echo $?
cg-run --status --pids 4 --report p -- sh -c 'for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait'; echo $?
cg-run --cpu 0.25 --report c -- sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; echo $?
cg-run --cpu-time 0.5 --status --report t -- sh -c 'while :; do :; done'; echo $?
modprobe loop; head -c 8388608 /dev/zero >/disk; losetup /dev/loop0 /disk
cg-run --io /dev/loop0 wbps=4M,wiops=100 --name io --report i -- \
    sh -c 'dd if=/dev/zero of=/dev/loop0 bs=65536 count=16 conv=fsync 2>/dev/null; cat /sys/fs/cgroup/io/io.max'; echo $?
find /sys/fs/cgroup -mindepth 1 -type d; cat m p c t i";
    let said = "\
cg-run: ML: Memory limit exceeded\nKilled\n137
sh: can't fork: Resource temporarily unavailable\ncg-run: RE: Exited with error status 2\n2
0
cg-run: TO: Time limit exceeded\nKilled\n137
7:0 rbps=max wbps=4194304 riops=max wiops=100\n0\n";
    on_each_kernel("machine_each_controller_limits_and_is_reported", &[], line, |kernel, ran| {
        let reports = ran.out.strip_prefix(said).unwrap_or_else(|| panic!("{kernel}: {ran:#?}"));
        let [memory, pids, cpu, time, io] = reports.lines().map(json).collect::<Vec<_>>().try_into().unwrap();
        let at_least = |report: &Value, key: &str, least: u64| {
            let number = report["cgroup"][key].as_u64();
            assert!(number >= Some(least), "{kernel}: {key} {number:?} in {report}");
        };
        assert_eq!((&memory["verdict"], &memory["signal"]), (&"ML".into(), &9.into()), "{kernel}: {memory}");
        at_least(&memory, "oom_kills", 1);
        at_least(&memory, "memory_peak", 31 << 20);
        at_least(&pids, "pids_denied", 1);
        assert_eq!(pids["cgroup"]["pids_peak"], 4, "{kernel}: {pids}");
        assert!(cpu["cgroup"]["throttled"]["throttled"].as_u64() > Some(0), "{kernel}: {cpu}");
        assert_eq!(cpu["verdict"], "OK", "{kernel}: {cpu}");
        assert_eq!((&time["verdict"], &time["killed"]), (&"TO".into(), &true.into()), "{kernel}: {time}");
        assert!(io["cgroup"]["io"]["written_bytes"].as_u64() >= Some(1 << 20), "{kernel}: {io}");
    });
}

/// Debian's own switch, and the one that every kernel has. What the first hint tells root to do is done by root.
const SWITCHES: &str = "\
cd /proc/sys; box='ns-unshare --user -- echo box'; boxes='ns-unshare --all -- echo box'
su user -c \"$box\"
echo 0 >kernel/unprivileged_userns_clone
su user -c \"$boxes\"; su user -c \"$box\" 2>/tmp/said; cat /tmp/said >&2
$(sed -n 's/.*root can allow it: //p' /tmp/said)
su user -c \"$boxes\"
echo 0 >user/max_user_namespaces
su user -c \"$box\"; $box";

#[test]
fn machine_the_switches_against_user_namespaces_are_named_with_the_way_out() {
    let test = "machine_the_switches_against_user_namespaces_are_named_with_the_way_out";
    on_each_kernel(test, &[], SWITCHES, |kernel, ran| {
        assert_eq!(ran.out, "box\nkernel.unprivileged_userns_clone = 1\nbox\n", "{kernel}: {ran:#?}");
        let switch = "kernel.unprivileged_userns_clone";
        let hint = format!("hint: {switch} is 0; root can allow it: sysctl {switch}=1\n");
        let all = "start a process in new namespaces: user, mount, pid, net, ipc, uts, cgroup: clone";
        let user = "enter new namespaces: user: unshare";
        let denied = "Operation not permitted (EPERM)";
        let limit = format!(
            "ns-unshare: {user}: No space left on device (ENOSPC)\n\
             hint: user.max_user_namespaces is 0; whoever owns this user namespace can raise it\n"
        );
        let said = format!("ns-unshare: {all}: {denied}\n{hint}ns-unshare: {user}: {denied}\n{hint}{limit}{limit}");
        assert_eq!(ran.err, said, "{kernel}: {ran:#?}");
    });
}

/// A pool on a file; a template with a root of its own; ten clones of it; all six links in each of them, the clone as
/// their root; and what is left. Each says what it finds of the image, and leaves dirt that the next must not find.
const CLONES: &str = r"
truncate -s 512M /disk && zpool create tank /disk || exit
export CHAINBOX_POOL=zfs:tank/pool
zfs-pool init t || exit
root=/run/chainbox/pool/tank/pool/t/root
mkdir -p $root/usr/bin $root/proc $root/dev $root/tmp && cp /usr/bin/busybox $root/usr/bin && ln -s usr/bin $root/bin
for name in sh id hostname cat; do ln -s busybox $root/bin/$name; done
echo image >$root/release
zfs-pool snapshot t && zfs-pool refill t 10 || exit
zfs list -H -o name | grep -c '^tank/pool/t/free-'
echo '${ROOTFS} / none bind' >/clone.plan
for n in 1 2 3 4 5 6 7 8 9 10; do
    zfs-pool run t -- cg-run --memory 64M --pids 16 --cpu-time 60 --wall-time 120 --report /report.$n -- \
    ns-unshare --user --mount --pid --net --ipc --uts --hostname box -- rlimit-exec --nofile 64 -- \
    mount-plan --plan /clone.plan --proc /proc --dev /dev --tmpfs /tmp -- seccomp-exec --filter default -- \
    /bin/sh -c 'echo $(cat /release) $(id -u) $(hostname) $(ulimit -n) $(cat /dirt 2>&1); echo x >/dirt; exit '$n
    echo $?
done
zfs list -H -o name -t all
cat /report.10";

#[test]
fn machine_ten_zfs_clones_are_roots_of_the_whole_chain_and_only_the_template_is_left() {
    let test = "machine_ten_zfs_clones_are_roots_of_the_whole_chain_and_only_the_template_is_left";
    if !ready(test, "6.1", &["--zfs"]) {
        return;
    }
    let out = vm(["--zfs", "--time-limit", "400", "--", "sh", "-c", CLONES]).run().ok();
    let runs: String =
        (1..=10).map(|n| format!("image 0 box 64 cat: can't open '/dirt': No such file or directory\n{n}\n")).collect();
    let left = "tank\ntank/pool\ntank/pool/t\ntank/pool/t/root\ntank/pool/t/root@v1\n";
    let report = out.strip_prefix(&format!("10\n{runs}{left}")).unwrap_or_else(|| panic!("{out}"));
    assert_eq!((&json(report)["verdict"], &json(report)["exit"]), (&"RE".into(), &10.into()), "{report}");
    assert!(json(report)["cgroup"]["memory_peak"].as_u64() > Some(0), "{report}");
}
