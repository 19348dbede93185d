//! The systemd units in `packaging/systemd`: systemd itself reads them, and the delegated cgroup is one. The AppArmor
//! profile: its own parser reads it, and it is in force on kernels that have AppArmor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use chainbox_tests::vm::on_each_kernel;
use chainbox_tests::{Chain, Folder, Tier, bin, checkout, skip, unit_command};

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
    let keeper = unit_command("chainbox-cgroup.service");
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

/// The folder of AppArmor 4's parser where it can be had; otherwise records the skip.
fn apparmor(test: &str) -> Option<String> {
    let fetched = Chain::program(checkout().join("tests/fetch-apparmor")).run();
    if fetched.code != 0 {
        skip(Tier::Machine, test, fetched.err.trim_end());
    }
    (fetched.code == 0).then(|| fetched.out.trim_end().to_owned())
}

#[test]
fn apparmors_parser_accepts_each_profile_without_a_word() {
    let Some(place) = apparmor("apparmors_parser_accepts_each_profile_without_a_word") else { return };
    let folder = Folder::new("apparmor", false);
    let parse = |path: &std::path::Path, line: &str| {
        Chain::program(format!("{place}/parser")).args(line.split(' ')).args([path]).run()
    };
    let compiled = folder.join("compiled").display().to_string();
    // For AppArmor 4, whatever this machine's kernel has.
    let line = format!("--quiet --skip-kernel-load --skip-cache --features-file {place}/apparmor.d/abi/4.0 --ofile");
    let line = format!("{line} {compiled}");
    let profiles = checkout().join("packaging/apparmor.d");
    assert_eq!(fs::read_dir(&profiles).unwrap().count(), 2, "a profile that nobody looked at");
    for (file, names) in [("chainbox", "chainbox\nchainbox_idmap\nchainbox_payload\n"), ("ns-unshare", "ns-unshare\n")]
    {
        let profile = profiles.join(file);
        assert_eq!(parse(&profile, "--quiet --names").ok(), names);
        let ran = parse(&profile, &line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:#?}");
        assert!(fs::metadata(&compiled).unwrap().len() > 0);
        // It would have told.
        let broken = folder.join("broken");
        fs::write(&broken, fs::read_to_string(&profile).unwrap().replace("userns,", "usersn,")).unwrap();
        parse(&broken, &line).fails(1, "syntax error");
    }
}

/// Two callers that are let do everything but make user namespaces, or use capabilities: so Ubuntu confines a program that
/// has made one.
const CALLERS: &str = "\
abi <abi/4.0>,
profile no-userns /no-userns/sh { /** rwlkm, /** pix, network, unix, signal, ptrace, mount, umount, pivot_root, capability, }
profile no-capability /no-capability/sh { /** rwlkm, /** pix, network, unix, signal, ptrace, mount, umount, pivot_root, userns, }
";

/// Each caller makes a box with each of the two programs.
const CONFINED: &str = "\
mount -t securityfs securityfs /sys/kernel/security
ln -s chainbox /usr/local/bin/ns-unshare
/apparmor/parser --replace --skip-cache /callers || exit
boxes() {
    for caller in no-userns no-capability; do
        mkdir -p /$caller && cp /usr/bin/busybox /$caller/sh
        for program in /usr/bin/ns-unshare /usr/local/bin/ns-unshare; do
            su user -c \"/$caller/sh -c 'exec $program -Umpniu --hostname box -- cat /proc/self/attr/apparmor/current'\" 2>&1
        done
    done
}
boxes
echo 'errno EPERM unshare' >/policy; sed -i '1i default allow' /policy
su user -c \"/no-userns/sh -c 'exec seccomp-exec --policy /policy -- ns-unshare --user -- true'\" 2>&1
echo loaded
/apparmor/parser --replace --skip-cache /profiles/chainbox /profiles/ns-unshare || exit
boxes";

const CLONE: &str = "start a process in new namespaces: user, mount, pid, net, ipc, uts: clone";

#[test]
fn machine_the_profile_makes_boxes_where_apparmor_forbids_them() {
    let test = "machine_the_profile_makes_boxes_where_apparmor_forbids_them";
    let Some(place) = apparmor(test) else { return };
    let folder = Folder::new("confined", false);
    fs::write(folder.join("callers"), CALLERS).unwrap();
    let add = [
        format!("{place}:/apparmor"),
        format!("{}:/callers", folder.join("callers").display()),
        format!("{}:/profiles", checkout().join("packaging/apparmor.d").display()),
        format!("{}:/usr/local/bin/chainbox", bin().join("chainbox").display()),
    ];
    let options: Vec<&str> = add.iter().flat_map(|add| ["--add", add.as_str()]).collect();
    on_each_kernel(test, &options, CONFINED, |kernel, ran| {
        let refused = |caller: &str, errno: &str| {
            format!(
                "ns-unshare: {CLONE}: {errno}\n\
                 hint: AppArmor's profile {caller} confines this process; root can allow it: for this program by the \
                 profile packaging/apparmor.d/chainbox\n"
            )
        };
        // Before Linux 6.7 AppArmor did not ask who makes a user namespace.
        let no_userns = match kernel {
            "6.1" => "no-userns (enforce)\n".to_owned(),
            _ => refused("no-userns", "Permission denied (EACCES)"),
        };
        let before = no_userns.repeat(2) + &refused("no-capability", "Operation not permitted (EPERM)").repeat(2);
        let filtered = refused("no-userns", "Operation not permitted (EPERM)")
            .replace(CLONE, "enter new namespaces: user: unshare");
        let before = before + filtered.trim_end() + "; or a seccomp filter forbids it, for there is one too\n";
        // The six files, each of which executes the next, and the one.
        let after = "ns-unshare (unconfined)\nchainbox//&chainbox_payload (enforce)\n".repeat(2);
        assert_eq!((ran.out, ran.err.as_str()), (format!("{before}loaded\n{after}"), ""), "{kernel}");
    });
}

/// The caller's chain and payloads below the profile: words that say what each did.
const BELOW: &str = "\
mount -t securityfs securityfs /sys/kernel/security
for tool in cg-run ns-unshare rlimit-exec mount-plan seccomp-exec; do ln -s chainbox /usr/local/bin/$tool; done
/apparmor/parser --replace --skip-cache /profiles/chainbox || exit
cat >/below <<'END'
PATH=/usr/local/bin:$PATH
plan='--ro-bind /usr /usr --ro-bind /bin /bin --proc /proc --dev /dev --tmpfs /tmp'
tries='mount -t tmpfs tmpfs /tmp 2>/dev/null && echo mounted; cat /proc/self/attr/apparmor/current'
# All links, and the payload.
ns-unshare -Umpniu -- rlimit-exec --core 0 -- mount-plan $plan -- seccomp-exec --filter default -- /bin/sh -c \"$tries\"
# Carried, and executed.
for carry in clone sealed; do
    ns-unshare -Ump -- mount-plan --carry=$carry $plan -- seccomp-exec -- /bin/sh -c \"$tries\"
done
# Capabilities are kept, and are good for nothing; also under the name of the file.
ns-unshare -Um --keep-caps -- sh -c \"grep -c ^CapEff.*fff /proc/self/status; $tries\"
ns-unshare -Ump -- mount-plan $plan --tmpfs /usr/local/bin --ro-bind /usr/bin/busybox /usr/local/bin/sh \\
    --symlink sh /usr/local/bin/chainbox -- seccomp-exec --keep-caps all -- /usr/local/bin/sh -c \"$tries\"
# Root's: an id changes after the root, and a payload uses what it has.
cg-run --no-cgroup -- sh -c \"touch /tmp/owned; chown 7 /tmp/owned 2>/dev/null; stat -c %u /tmp/owned; rm /tmp/owned; cat /proc/self/attr/apparmor/current\"
[ $(id -u) != 0 ] || ns-unshare --mount -- mount-plan $plan -- seccomp-exec --user 77:77 -- /bin/sh -c 'id -u'
END
su user -c 'sh /below' 2>&1
echo root
sh /below 2>&1";

#[test]
fn machine_a_payload_below_the_profile_has_no_capability_and_the_links_have_theirs() {
    let test = "machine_a_payload_below_the_profile_has_no_capability_and_the_links_have_theirs";
    let Some(place) = apparmor(test) else { return };
    let add = [
        format!("{place}:/apparmor"),
        format!("{}:/profiles", checkout().join("packaging/apparmor.d").display()),
        format!("{}:/usr/local/bin/chainbox", bin().join("chainbox").display()),
    ];
    let options: Vec<&str> = add.iter().flat_map(|add| ["--add", add.as_str()]).collect();
    on_each_kernel(test, &options, BELOW, |kernel, ran| {
        let below = "chainbox//&chainbox_payload (enforce)\n";
        // A file in memory has no path by which AppArmor would let it go.
        let sealed = "mount-plan: seccomp-exec: execve: Permission denied (EACCES)\n";
        let user = format!("{}{sealed}1\n{}1000\n{below}", below.repeat(2), below.repeat(2));
        // Without the profile: what keeps its capabilities has them.
        let root = "unconfined\n".repeat(3) + "1\nmounted\nunconfined\nmounted\nunconfined\n7\nunconfined\n77\n";
        assert_eq!((ran.out, ran.err.as_str()), (format!("{user}root\n{root}"), ""), "{kernel}");
    });
}
