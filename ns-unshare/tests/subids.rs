//! --map-subids: all ids that /etc/subuid and /etc/subgid give the caller, by newuidmap(1) or as root; and why not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use chainbox_tests::{Folder, Ran, Tier, USER, root_or_skip, skip, tool};
use support::in_box;

/// Runs a script as root in a mount namespace of its own, in which the two files have these lines. `$user` runs what
/// follows as the ordinary user.
fn with_ranges(test: &str, subuid: &str, subgid: &str, script: &str) -> Option<Ran> {
    if !root_or_skip(test) {
        return None;
    }
    if !["/usr/bin/newuidmap", "/usr/bin/newgidmap"].iter().all(|path| std::path::Path::new(path).exists()) {
        skip(Tier::Root, test, "newuidmap is not installed");
        return None;
    }
    let folder = Folder::new(test, false);
    // newuidmap(1) asks for the caller's name.
    let passwd = format!("root:x:0:0::/:/bin/sh\nuser:x:{USER}:{USER}::/:/bin/sh\n");
    for (file, line) in [("subuid", subuid), ("subgid", subgid), ("passwd", passwd.as_str())] {
        std::fs::write(folder.join(file), line).unwrap();
    }
    // Where the machine has no such file, there is nothing to mount on.
    let mounts = "touch /etc/subuid /etc/subgid; mount --bind subuid /etc/subuid; mount --bind subgid /etc/subgid; mount --bind passwd /etc/passwd";
    let user = format!("setpriv --reuid {USER} --regid {USER} --clear-groups");
    let script = format!("{mounts}; user='{user}'; {script}");
    Some(in_box("--mount", &script).at(folder.path()).run())
}

const MAPS: &str = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups";

fn squeezed(out: &str) -> Vec<String> {
    out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The two files differ, and both are keyed by the user.
#[test]
fn an_ordinary_user_has_all_its_ids() {
    for options in ["", "--pid", "--pid --mount --as-pid1"] {
        let script = format!("$user ns-unshare --user {options} --map-subids -- sh -c '{MAPS}; id -u; id -G'");
        let ranges = ("0:5:5\n1000:100000:65536\n1000:300000:7\n", "1000:200000:65536\n");
        let Some(ran) = with_ranges("an_ordinary_user_has_all_its_ids", ranges.0, ranges.1, &script) else { return };
        assert_eq!(
            squeezed(&ran.ok()),
            ["0 1000 1", "1 100000 65536", "65537 300000 7", "0 1000 1", "1 200000 65536", "allow", "0", "0"],
            "{options}"
        );
    }
}

#[test]
fn the_callers_own_id_can_stay_and_files_have_the_mapped_owners() {
    let script = "chmod 777 .; $user ns-unshare --user --map-self --map-subids --keep-caps -- \
                  sh -c 'id -u; touch a b; chown 5:6 a; chown 1001:1001 b; setpriv --groups 3,4 id -G'; stat -c '%u %g' a b";
    let ranges = "1000:100000:65536\n";
    let Some(ran) = with_ranges("the_callers_own_id_can_stay", ranges, ranges, script) else { return };
    assert_eq!(squeezed(&ran.ok()), ["1000", "1000 3 4", "100005 100006", "101000 101000"]);
}

#[test]
fn setgroups_can_be_denied_and_root_needs_no_helper() {
    let script = format!(
        "$user ns-unshare --user --map-subids --setgroups deny -- sh -c '{MAPS}' | tail -1; \
                          PATH=/bin; {} --user --map-subids -- sh -c '{MAPS}'",
        tool("ns-unshare").display()
    );
    let ranges = "1000:100000:65536\nroot:500000:10\n";
    let Some(ran) = with_ranges("setgroups_can_be_denied", ranges, ranges, &script) else { return };
    assert_eq!(squeezed(&ran.ok()), ["deny", "0 0 1", "1 500000 10", "0 0 1", "1 500000 10", "allow"]);
}

#[test]
fn each_reason_why_not_is_named() {
    let run =
        |ranges: (&str, &str), script: &str| with_ranges("each_reason_why_not_is_named", ranges.0, ranges.1, script);
    let line = "ns-unshare --user --map-subids -- true";
    let both = ("1000:100000:65536\n", "1000:100000:65536\n");
    let Some(ran) = run(("other:1:2\n", "1000:100000:65536\n"), &format!("$user {line}")) else { return };
    ran.fails(125, "--map-subids: /etc/subuid has no range for user ");
    assert!(ran.err.contains("hint: root can give one: usermod --add-subuids 100000-165535 "), "{ran:?}");
    let ran = run(("1000:100000:65536\n", "# nothing\n"), &format!("$user {line}")).unwrap();
    ran.fails(125, "--map-subids: /etc/subgid has no range for user ");
    let ran = run(both, &format!("$user setpriv --no-new-privs {line}")).unwrap();
    ran.fails(125, "newuidmap is setuid root, which has no effect under no_new_privs\nhint: start ns-unshare before");
    let missing = format!(
        "PATH=/nowhere; exec /usr/bin/setpriv --reuid {USER} --regid {USER} --clear-groups {} --user --map-subids -- /bin/true",
        tool("ns-unshare").display()
    );
    let ran = run(both, &missing).unwrap();
    ran.fails(125, "newuidmap: not found in PATH\nhint: Debian and Ubuntu have it in the package uidmap");
    // A helper without its privilege.
    let weak = format!(
        "mkdir weak; cp /usr/bin/newuidmap /usr/bin/newgidmap weak; chmod 755 . weak weak/*; PATH=$PWD/weak:$PATH; $user {line}"
    );
    let ran = run(both, &weak).unwrap();
    ran.fails(125, "have user ids 0:1000:1 1:100000:65536 mapped: newuidmap: ");
    assert!(ran.err.contains("hint: it must be setuid root"), "{ran:?}");
    support::ns_unshare("--map-subids -- true").run().fails(125, "--map-subids needs --user");
    let ran = support::ns_unshare("-U --map-subids --map-users 0:0:1 --map-groups 0:0:1 -- true").run();
    ran.fails(125, "--map-subids and --map-users exclude each other");
}
