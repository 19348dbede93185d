//! Known escapes of other sandboxes that no single tool's tests cover (docs/incidents.md lists all): what links open and
//! make, cgroups of version 1, and a tracer that switches a filter off.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use chainbox_tests::{Chain, Folder, busybox_or_skip, checkout, is_root};

/// Files that a program may read by habit. A hostile image has them all, and no link may look at one (systemd-nspawn read
/// settings from beside its image until 260).
const BAIT: [&str; 9] = [
    "etc/passwd",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/ld.so.preload",
    "etc/ld.so.cache",
    "etc/localtime",
    "etc/fstab",
    "etc/chainbox.conf",
    ".chainbox",
];

fn image(folder: &Folder, busybox: &Path) {
    for name in ["bin", "etc", "proc", "dev", "tmp"] {
        fs::create_dir_all(folder.join("image").join(name)).unwrap();
    }
    for name in BAIT {
        fs::write(folder.join("image").join(name), "bait\n").unwrap();
    }
    folder.program(busybox, "image/bin/true");
}

const CHAIN: &str = "exec strace -f -qq -s 4096 -e trace=%file,%desc -o trace \
     ns-unshare --user --map-root --mount --pid --ipc --uts --net --hostname box -- rlimit-exec --core 0 -- \
     mount-plan --ro-bind image / --proc /proc --dev /dev --tmpfs /tmp -- seccomp-exec --filter default -- /bin/true";

/// The calls of the links: what comes before the program is executed.
fn calls_of_the_links(trace: &str) -> Vec<&str> {
    // The last exec is the program's. (As one file the last link is hidden from its user then: strace shows no path.)
    let lines: Vec<_> = trace.lines().collect();
    let last = lines.iter().rposition(|line| line.contains("execve")).unwrap();
    let links = lines[..last].to_vec();
    for link in ["rlimit-exec", "mount-plan", "pivot_root", "uid_map"] {
        assert!(links.iter().any(|line| line.contains(link)), "no {link} in {links:#?}");
    }
    assert!(links.len() < trace.lines().count(), "the program was not executed: {links:#?}");
    links
}

/// Whether a call makes, renames or removes a name.
fn makes(call: &str) -> bool {
    const MAKERS: [&str; 8] = ["mkdir", "mknod", "symlink", "link(", "linkat", "rename", "unlink", "creat("];
    let name = call.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    MAKERS.iter().any(|maker| name.starts_with(maker)) || call.contains("O_CREAT") || call.contains("O_TMPFILE")
}

/// CVE-2019-12439 and CVE-2020-5291 (a predictable folder in /tmp), CVE-2024-45310 (names made outside), CVE-2018-15664:
/// links name what they make by descriptors of mounts that nobody else sees.
#[test]
fn no_link_makes_a_name_outside_or_reads_a_file_of_the_image() {
    let Some(busybox) = busybox_or_skip("no_link_makes_a_name_outside_or_reads_a_file_of_the_image") else { return };
    let folder = Folder::new("incidents-trace", true);
    image(&folder, &busybox);
    Chain::shell(CHAIN).at(folder.path()).as_user().run().ok();
    let trace = fs::read_to_string(folder.join("trace")).unwrap();
    let calls = calls_of_the_links(&trace);
    let made: Vec<_> = calls.iter().filter(|call| makes(call)).collect();
    assert!(made.len() > 5, "/dev has more names: {made:#?}");
    for call in made {
        let words = call.split_once('(').unwrap().1;
        // The text of a symbolic link is no name that is opened.
        let words = if call.contains("symlinkat") { words.split_once(", ").unwrap().1 } else { words };
        assert!(!words.contains("AT_FDCWD") && !words.contains("\"/"), "a name that others can reach: {call}");
    }
    for name in BAIT {
        let last = name.rsplit('/').next().unwrap();
        let looked =
            |call: &&&str| [format!("/{last}\""), format!("\"{last}\"")].iter().any(|word| call.contains(word));
        assert_eq!(calls.iter().find(looked), None, "{name} of the image is looked at");
    }
}

#[test]
fn a_call_that_makes_a_name_is_known() {
    for yes in ["7 mkdirat(4, \"x\", 0700) = 0", "7 open(\"/x\", O_RDWR|O_CREAT, 0) = 3", "7 rename(\"a\", \"b\") = 0"]
    {
        assert!(makes(yes), "{yes}");
    }
    assert!(!makes("7 readlinkat(4, \"x\", 0x1, 2) = 3") && !makes("7 openat(4, \"x\", O_RDONLY) = 3"));
}

/// CVE-2022-0492: who can mount a hierarchy of version 1, or write to one, has the host run his `release_agent` as root.
#[test]
fn no_cgroup_of_version_1_is_mounted_or_written_to_from_a_box() {
    let line = "mkdir /tmp/a /tmp/b && for type in cgroup cgroup2; do mount -t $type x /tmp/a 2>&1 && echo MOUNTED $type; done
        unshare -UrmC mount -t cgroup -o memory x /tmp/b 2>&1 && echo MOUNTED in a namespace
        for name in $(find / -name release_agent -o -name cgroup.procs -o -name notify_on_release 2>/dev/null | head -n 200); do
            (echo 1 >\"$name\") 2>/dev/null && echo WRITTEN \"$name\"
        done; echo done";
    for user in [!is_root(), true] {
        let folder = Folder::new(&format!("incidents-cgroup-{user}"), user);
        let work = folder.join("work");
        fs::create_dir(&work).unwrap();
        let chain = Chain::program(checkout().join("scripts/sandbox"))
            .args(["--", "sh", "-c", line])
            .env("CHAINBOX_BIN", chainbox_tests::bin())
            .env("HOME", folder.path())
            .at(work);
        let out = if user { chain.as_user() } else { chain }.run().ok();
        assert!(out.ends_with("done\n") && !out.contains("MOUNTED") && !out.contains("WRITTEN"), "{user}: {out}");
    }
}

/// PTRACE_O_SUSPEND_SECCOMP (bit 21; CVE-2022-30594): without the bit the same request is granted, so that the refusal is
/// the bit's.
#[test]
fn a_tracer_in_the_box_cannot_suspend_a_filter() {
    let call = |options: &str| {
        let line = format!("sleep 9 & syscall-probe call 101 0x4206 $! 0 {options}; kill -9 $!");
        let chain = Chain::new("ns-unshare").args(["--user", "--map-root", "--pid", "--", "seccomp-exec"]);
        chain.args(["--filter", "default", "--", "sh", "-c", &line]).as_user().run().ok()
    };
    assert_eq!(call("0"), "ret 0\n");
    assert_eq!(call("0x200000"), "errno 1\n");
}
