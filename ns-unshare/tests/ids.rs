//! Maps, ids and capabilities, as the next program finds them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use chainbox_tests::{Chain, USER, is_root, root_or_skip};
use support::{as_each, in_box, ns_unshare};

const IDS: &str = "id -u; id -g; cat /proc/self/setgroups; cat /proc/self/uid_map /proc/self/gid_map";

/// The lines of a run, with single spaces.
fn lines(out: &str) -> Vec<String> {
    out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn caller(who: &str) -> u32 {
    if who == "root" {
        0
    } else if is_root() {
        USER
    } else {
        nix_uid()
    }
}

fn nix_uid() -> u32 {
    Chain::program("id").args(["-u"]).run().ok().trim().parse().unwrap()
}

#[test]
fn the_caller_becomes_root_or_stays() {
    for residence in ["", "--pid", "--pid --as-pid1"] {
        for (who, ran) in as_each(|| in_box(&format!("--user {residence}"), IDS)) {
            let own = caller(who);
            let setgroups = if own == 0 { "allow" } else { "deny" };
            let map = format!("0 {own} 1");
            assert_eq!(lines(&ran.ok()), ["0", "0", setgroups, &map, &map], "{residence} as {who}");
        }
        for (who, ran) in as_each(|| in_box(&format!("-U -c {residence}"), IDS)) {
            let own = caller(who);
            let map = format!("{own} {own} 1");
            assert_eq!(lines(&ran.ok())[3..], [map.clone(), map], "{residence} as {who}");
        }
    }
}

#[test]
fn one_own_id_under_any_number_needs_no_privilege() {
    let (uid, gid) = if is_root() { (USER, USER) } else { (nix_uid(), nix::unistd::getgid().as_raw()) };
    let options = format!("-Up --map-users 4294967294:{uid}:1 --map-groups 77:{gid}:1");
    let maps = [format!("4294967294 {uid} 1"), format!("77 {gid} 1")];
    let expected = ["4294967294", "77", "deny", &maps[0], &maps[1]];
    assert_eq!(lines(&in_box(&options, IDS).as_user().run().ok()), expected);
}

#[test]
fn root_maps_ranges() {
    if !root_or_skip("root_maps_ranges") {
        return;
    }
    for residence in ["", "--pid", "--pid --as-pid1"] {
        let options = format!("-U {residence} --map-users 0:100000:65536 --map-groups 0:200000:65536");
        let out = in_box(&options, &format!("{IDS}; id -G; grep ^Uid /proc/self/status")).run().ok();
        assert_eq!(
            lines(&out),
            ["0", "0", "allow", "0 100000 65536", "0 200000 65536", "0", "Uid: 0 0 0 0"],
            "{residence}: no host group is left"
        );
        let with_own = format!("-U {residence} -r --map-users 1:100000:9 --map-groups 1:100000:9");
        let out = in_box(&with_own, IDS).run().ok();
        assert_eq!(lines(&out), ["0", "0", "allow", "0 0 1", "1 100000 9", "0 0 1", "1 100000 9"]);
        let denied = in_box(&format!("-U {residence} --setgroups deny"), IDS).run().ok();
        assert_eq!(lines(&denied)[2], "deny");
    }
    let groups = "setpriv --groups 4,24,1000 ns-unshare -U --map-users 0:100000:9 --map-groups 0:200000:9 -- id -G";
    assert_eq!(Chain::shell(groups).run().ok(), "0\n");
    let files = "-U --map-users 0:100000:10 --map-groups 0:100000:10";
    let folder = chainbox_tests::Folder::new("ranges", false);
    std::os::unix::fs::chown(folder.path(), Some(100_003), Some(100_004)).unwrap();
    let out = ns_unshare(&format!("{files} -- stat -c %u:%g {}", folder.path().display())).run().ok();
    assert_eq!(out, "3:4\n");
}

#[test]
fn three_hundred_and_forty_lines_arrive_whole() {
    if !root_or_skip("three_hundred_and_forty_lines_arrive_whole") {
        return;
    }
    let words = |option: &str| (0..340).map(|n| format!("--{option} {}:{}:1 ", n, 1000 + 2 * n)).collect::<String>();
    for residence in ["", "-p"] {
        let options = format!("-U {residence} {} {}", words("map-users"), words("map-groups"));
        let out = ns_unshare(&format!("{options} -- cat /proc/self/uid_map")).run().ok();
        let expected: Vec<String> = (0..340).map(|n| format!("{n} {} 1", 1000 + 2 * n)).collect();
        assert_eq!(lines(&out), expected, "{residence}");
    }
}

/// A /proc of an outer pid namespace has other numbers than ours: the map must not be written to somebody else's file.
#[test]
fn maps_find_their_process_under_a_foreign_proc() {
    let inner = "ns-unshare -U -p --map-users 5:0:1 --map-groups 5:0:1 -- cat /proc/self/uid_map; \
                 ns-unshare -U --map-users 5:0:1 --map-groups 5:0:1 -- cat /proc/self/uid_map";
    let out = in_box("--user --pid --keep-caps", inner).as_user().run().ok();
    assert_eq!(lines(&out), ["5 0 1", "5 0 1"]);
    if is_root() {
        let out = in_box("--pid", &inner.replace("5:0:1", "0:100000:5")).run().ok();
        assert_eq!(lines(&out), ["0 100000 5", "0 100000 5"]);
    }
}

#[test]
fn maps_beyond_the_caller_are_refused_and_say_why() {
    for (options, words) in [
        ("--map-users 0:0:1 --map-groups 0:0:1", "--map-users 0:0:1: more than the caller's own id 1000"),
        ("-r --map-users 1:2:3 --map-groups 1:2:3", "--map-users 0:1000:1 1:2:3: more than the caller's own id 1000"),
        ("--setgroups allow", "--setgroups allow: needs CAP_SETGID"),
    ] {
        if is_root() {
            ns_unshare(&format!("--user {options} -- true")).as_user().run().fails(125, words);
        }
    }
    if is_root() {
        // In a user namespace of one id, the others do not exist, although the capability does.
        let inner = "ns-unshare --user --map-users 0:0:2 --map-groups 0:0:2 -- true";
        let ran = in_box("--user --keep-caps", inner).run();
        ran.fails(
            125,
            "ns-unshare: map user ids 0:0:2: write uid_map: Operation not permitted (EPERM)\nhint: each OUT id",
        );
        let ran = in_box("--user --keep-caps", &inner.replace("--user", "--user --pid")).run();
        ran.fails(125, "map user ids 0:0:2: write uid_map: Operation not permitted (EPERM)");
        assert_eq!(ran.err.lines().count(), 2, "said once: {ran:?}");
    }
}

fn sets(out: &str) -> Vec<&str> {
    out.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect()
}

const CAPS: &str = "grep -E ^Cap /proc/self/status";
const NONE: &str = "0000000000000000";

#[test]
fn a_payload_has_no_capability_in_any_set() {
    for options in ["-U", "-U -c", "-Up", "-Up -c", "-Up --as-pid1", "--all"] {
        for (who, ran) in as_each(|| in_box(options, CAPS)) {
            assert_eq!(sets(&ran.ok()), [NONE; 5], "{options} as {who}");
        }
    }
    if is_root() {
        let range = "-Up --map-users 0:100000:9 --map-groups 0:100000:9";
        assert_eq!(sets(&in_box(range, CAPS).run().ok()), [NONE; 5]);
    }
}

/// Inheritable, permitted, effective, bounding, ambient: all that this kernel knows.
#[test]
fn a_link_of_ours_has_all_of_them_and_so_has_keep_caps() {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse::<u32>().unwrap();
    let all = format!("{:016x}", (1_u64 << (last + 1)) - 1);
    for residence in ["", "-c", "--pid", "--pid -c", "--pid --as-pid1 -c"] {
        let links = format!("-U {residence} -- seccomp-exec --keep-caps all -- sh -c");
        for (who, ran) in as_each(|| ns_unshare(&links).args([CAPS])) {
            assert_eq!(sets(&ran.ok()), [all.as_str(); 5], "{residence} as {who}");
        }
        for (who, ran) in as_each(|| in_box(&format!("-U {residence} --keep-caps"), CAPS)) {
            assert_eq!(sets(&ran.ok()), [all.as_str(); 5], "{residence} as {who}");
        }
    }
}

#[test]
fn without_a_user_namespace_capabilities_stay_the_callers() {
    if !root_or_skip("without_a_user_namespace_capabilities_stay_the_callers") {
        return;
    }
    let bare = Chain::shell(CAPS).run().ok();
    for options in ["--uts", "--pid", "--pid --as-pid1"] {
        assert_eq!(in_box(options, CAPS).run().ok(), bare, "{options}");
    }
}

/// The empty bounding set is the box's: a user namespace made in it starts with everything again. But nobody without
/// CAP_SETFCAP can map an id that is 0 where he stands (Linux 5.12), so this needs --map-self and an ordinary user.
#[test]
fn a_namespace_in_the_box_is_as_powerful_as_ever() {
    let inner = "ns-unshare -U --uts --hostname inner -- uname -n";
    assert_eq!(in_box("-Up -c", inner).as_user().run().ok(), "inner\n");
    for (_, ran) in as_each(|| in_box("-Up", inner)) {
        ran.fails(125, "map user ids 0:0:1: write uid_map: Operation not permitted (EPERM)\nhint: ");
        assert!(ran.err.contains("CAP_SETFCAP"), "{ran:?}");
    }
}

/// bubblewrap's --uid and --gid: one id that is not 0. A /dev with terminals of its own works, though nobody in there is
/// root.
#[test]
fn one_id_that_is_not_root() {
    let box_of = |uid: u32, gid: u32| {
        let line = format!(
            "--user --map-users 5:{uid}:1 --map-groups 6:{gid}:1 --setgroups deny --mount --pid -- mount-plan --ro-bind / / \
             --proc /proc --dev /dev --tmpfs /tmp -- seccomp-exec -- sh -c"
        );
        ns_unshare(&line)
            .args(["id -u; id -g; cat /proc/self/setgroups; echo >/tmp/a; stat -c %u:%g /tmp/a /dev/pts/ptmx; \
                                 script -qc tty /tmp/script </dev/null"])
    };
    let said = "5\n6\ndeny\n5:6\n5:6\n/dev/pts/0\n";
    let (uid, gid) =
        if is_root() { (USER, USER) } else { (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()) };
    let out = box_of(uid, gid).as_user().run().ok().replace('\r', "");
    assert_eq!(out, said);
    if is_root() {
        assert_eq!(box_of(0, 0).run().ok().replace('\r', ""), said);
    }
}
