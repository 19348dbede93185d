//! Each option, by what a payload sees.

use crate::same;

/// With `options`, in the host's tree read-only; the descriptors of `open` are there.
#[track_caller]
pub fn probe(test: &str, open: &str, options: &str, differs: &[&str]) {
    let line = format!("exec {open} && exec $BWRAP --ro-bind / / {options} sh probe.sh");
    same(test, &line, differs);
}

#[test]
fn without_any_option() {
    probe("none", "", "", &[]);
}

#[test]
fn namespaces() {
    for options in [
        "--unshare-ipc",
        "--unshare-net",
        "--unshare-uts --hostname box",
        "--unshare-cgroup",
        "--unshare-cgroup-try",
        "--unshare-user",
        "--unshare-user-try",
        "--unshare-pid",
        "--unshare-all",
        "--unshare-all --share-net",
        "--unshare-pid --as-pid-1",
    ] {
        probe("namespaces", "", options, &[]);
    }
}

#[test]
fn ids() {
    for options in ["--uid 7", "--gid 8", "--uid 0 --gid 0", "--uid 2147483647 --gid 65534"] {
        probe("ids", "", &format!("--unshare-user {options}"), &[]);
    }
}

#[test]
fn capabilities() {
    for options in
        ["--cap-drop ALL", "--cap-drop CAP_KILL --cap-drop cap_chown", "--cap-drop ALL --cap-add CAP_NET_RAW"]
    {
        // Root's bounding set is not what it was.
        probe("capabilities", "", options, &["CapBnd"]);
        probe("capabilities", "", &format!("--unshare-user {options}"), &[]);
    }
    for options in ["--cap-add ALL", "--cap-add CAP_SYS_ADMIN --cap-add cap_chown", "--uid 0 --gid 0 --cap-add ALL"] {
        probe("capabilities", "", &format!("--unshare-user {options}"), &[]);
    }
}

#[test]
fn the_environment() {
    for options in [
        "--setenv A 'b c' --setenv PATH /usr/bin",
        "--unsetenv HOME",
        "--clearenv --setenv PATH /bin:/usr/bin --setenv odd.name x",
        "--setenv A x --clearenv --setenv PATH /usr/bin",
    ] {
        // A probe without $H_NAME takes every namespace for a new one.
        probe("environment", "", options, &["pid "]);
    }
}

#[test]
fn working_directories() {
    for options in [
        "--chdir /usr",
        "--chdir usr/bin",
        "--tmpfs /tmp",
        "--tmpfs /tmp --setenv HOME /usr/share",
        "--tmpfs /tmp --unsetenv HOME",
    ] {
        let line = format!("exec $BWRAP --ro-bind / / {options} sh -c 'pwd -P; echo $PWD'");
        same("directories", &line, &[]);
    }
    same(
        "directories",
        "cd /; exec $BWRAP --ro-bind /usr /usr --symlink usr/bin /bin --ro-bind /lib64 /lib64 --ro-bind /lib /lib sh -c 'pwd; echo $PWD; env | wc -l'",
        &[],
    );
    same("directories", "cd /bin; export PWD; exec $BWRAP --ro-bind / / sh -c 'pwd -P; pwd -L; echo $PWD'", &[]);
}

#[test]
fn files_and_directories() {
    // A file that is mounted from nowhere has no link there.
    let list = "ls -lnR --time-style=+ /mnt | awk \"{ \\$2 = 0; print }\"; cat /mnt/f /mnt/g";
    let options = "--tmpfs /mnt --file 3 /mnt/f --dir /mnt/d/e --symlink x /mnt/l --perms 0700 --dir /mnt/p \
        --perms 0640 --file 4 /mnt/g --chmod 0711 /mnt/d --perms 1777 --size 65536 --tmpfs /mnt/t";
    let open = "exec 3<data 4<data";
    same("files", &format!("{open}; exec $BWRAP --ro-bind / / {options} sh -c '{list}; stat -fc %b /mnt/t'"), &[]);
    probe("files", "3<data 4<data", options, &[]);
    let data = "--tmpfs /mnt --bind-data 3 /mnt/f --perms 0444 --ro-bind-data 4 /mnt/g";
    same("files", &format!("{open}; exec $BWRAP --ro-bind / / {data} sh -c '{list}; echo x >/mnt/f; cat /mnt/f'"), &[]);
    probe("files", "3<data 4<data", data, &[]);
}

#[test]
fn binds() {
    let line = "ls -n --time-style=+ /mnt /mnt/* && { echo x >/mnt/new; ls /mnt; }";
    for options in ["--bind home /mnt", "--ro-bind home /mnt", "--dev-bind home /mnt", "--bind-try home /mnt"] {
        same("binds", &format!("exec $BWRAP --ro-bind / / {options} sh -c '{line}'; :"), &[]);
        probe("binds", "", options, &[]);
    }
    // Who knows no --bind-fd opens what it binds all the same.
    for options in
        ["--bind-fd 5 /mnt", "--ro-bind-fd 5 /mnt", "--bind /proc/self/fd/5 /mnt", "--ro-bind-try /proc/self/fd/5 /mnt"]
    {
        same("binds", &format!("exec 5<home; exec $BWRAP --ro-bind / / {options} sh -c '{line}'; :"), &[]);
        probe("binds", "5<home", options, &["descriptors"]);
    }
    for options in ["--bind-try no /mnt", "--ro-bind-try no /no/such", "--dev-bind-try /dev/none /dev/none"] {
        probe("binds", "", options, &[]);
    }
    let links = "--tmpfs /mnt --dir /mnt/dir --symlink dir /mnt/link --bind home /mnt/link --bind data /mnt/link2/file";
    same("binds", &format!("exec $BWRAP --ro-bind / / {links} sh -c 'ls /mnt/dir; cat /mnt/link2/file'"), &[]);
    probe("binds", "", "--tmpfs /mnt --bind home /mnt --remount-ro /mnt --bind low /mnt", &[]);
}

#[test]
fn the_root_is_what_was_mounted_there_last() {
    let rest = "--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64";
    same(
        "root",
        &format!("exec $BWRAP --tmpfs /a {rest} --dir /b sh -c 'ls -ldn --time-style=+ /; ls /; >/x; ls /x'"),
        &[],
    );
    same("root", &format!("exec $BWRAP {rest} --remount-ro / sh -c 'ls /; >/x || ls /'"), &[]);
    same("root", "exec $BWRAP --tmpfs /usr --bind / / --ro-bind low /usr/share sh -c 'ls /usr /usr/share'", &[]);
}

#[test]
fn proc_and_dev() {
    // The way to nobody's ids differs; each device is a mount that is read-only, which is nothing to a device; and root writes
    // nothing below /proc/sys.
    let differs = ["uid_map", "gid_map", "mount /dev", "mount /proc/"];
    for options in ["--proc /proc", "--unshare-pid --proc /proc", "--dev /dev", "--unshare-pid --proc /proc --dev /dev"]
    {
        probe("proc", "", options, &differs);
    }
    let line = "ls -A /dev; for name in fd stdin ptmx core; do readlink /dev/$name; done; ls /dev/pts; >/dev/shm/x; >/dev/x; \
        echo x >/dev/null; head -c 3 /dev/zero | wc -c; ls /dev/x";
    same("proc", &format!("exec $BWRAP --ro-bind / / --proc /proc --dev /dev sh -c '{line}'"), &[]);
    let writes = "for name in sys sysrq-trigger irq bus sys/kernel/hostname; do [ -w /proc/$name ] && echo $name; done; echo end; echo";
    for options in ["", "--unshare-pid", "--unshare-user --unshare-pid"] {
        let line = format!("exec $BWRAP --ro-bind / / {options} --proc /proc sh -c '{writes}'");
        same("proc", &line, &["sys/kernel/hostname"]);
    }
    probe("proc", "", "--unshare-ipc --tmpfs /dev --mqueue /dev/mqueue", &["mount /dev/mqueue"]);
}

#[test]
fn locks_and_filters_and_sessions() {
    probe("seccomp", "7<filter", "--seccomp 7", &[]);
    probe("seccomp", "7<filter 8<filter", "--add-seccomp-fd 7 --add-seccomp-fd 8", &[]);
    probe("session", "", "--new-session", &[]);
    probe("session", "", "--unshare-pid --new-session", &[]);
    probe("session", "", "--die-with-parent", &[]);
    probe("session", "", "--unshare-pid --die-with-parent", &[]);
    probe("userns", "", "--unshare-user --disable-userns", &["uid_map", "gid_map", "CapBnd", "CapPrm", "CapEff"]);
    let line = "unshare -U true && echo made || echo not; echo";
    same(
        "userns",
        &format!("exec $BWRAP --ro-bind / / --unshare-user --disable-userns sh -c '{line}' 2>&1"),
        &["unshare"],
    );
}

#[test]
fn descriptors_are_inherited() {
    probe("descriptors", "3<data 4>out", "", &[]);
    probe("descriptors", "3<data 4<data", "--unshare-pid --tmpfs /mnt --file 3 /mnt/f", &[]);
    probe("descriptors", "6</dev/null", "--sync-fd 6", &[]);
    probe("descriptors", "6</dev/null 7</dev/null", "--unshare-pid --block-fd 6 --sync-fd 7", &[]);
}
