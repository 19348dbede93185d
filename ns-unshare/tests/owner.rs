//! --map-owner: root of the box is who owns what a descriptor is open on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::os::unix::fs::chown;

use chainbox_tests::{Chain, Folder, Ran, USER, bin, is_root, root_or_skip};

/// Ids, groups, maps; whose the folder is that the descriptor was open on; whether PROG has it.
const LOOK: &str = "id -u; id -G; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; stat -c %u:%g .; \
                    test -e /proc/self/fd/5 && echo open || echo closed";

const UPPER_HALF: &str = "1 2147483649 2147483646";

/// A folder of this owner and group, as root; of who runs the test otherwise.
fn folder(test: &str, uid: u32, gid: u32) -> Folder {
    let folder = Folder::new(test, false);
    if is_root() {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
    }
    folder
}

/// A shell in this folder, which has it open as 5.
fn at(folder: &Folder, line: &str) -> Chain {
    Chain::shell(&format!("exec 5<.; {line}")).at(folder.path())
}

fn looks(options: &str) -> String {
    format!("ns-unshare --user --map-owner 5 {options} -- sh -c '{LOOK}'")
}

/// The lines of a run, with single spaces.
fn lines(ran: Ran) -> Vec<String> {
    ran.ok().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn root_s_box_is_the_owner_s_and_has_the_upper_half() {
    if !root_or_skip("root_s_box_is_the_owner_s_and_has_the_upper_half") {
        return;
    }
    for (n, (uid, gid)) in [(1000, 1000), (0, 0), (1000, 0), (2_130_706_433, 7)].into_iter().enumerate() {
        let folder = folder(&format!("owner-{n}"), uid, gid);
        let maps = [format!("0 {uid} 1"), UPPER_HALF.to_owned(), format!("0 {gid} 1"), UPPER_HALF.to_owned()];
        let expected = [&["0", "0"][..], &maps.each_ref().map(String::as_str), &["allow", "0:0", "closed"]].concat();
        for residence in ["", "--pid", "--pid --as-pid1"] {
            let line = format!("setpriv --groups 4,24,{USER} {}", looks(residence));
            assert_eq!(lines(at(&folder, &line).run()), expected, "{uid}:{gid} {residence}");
        }
    }
}

/// What the owner has already, no other id of the box can be.
#[test]
fn an_owner_in_the_upper_half_is_there_once() {
    if !root_or_skip("an_owner_in_the_upper_half_is_there_once") {
        return;
    }
    let folder = folder("owner-upper", 2_147_483_653, 4_294_967_294);
    let ran = lines(at(&folder, &looks("")).run());
    let users = ["0 2147483653 1", "1 2147483649 4", "6 2147483654 2147483641"];
    assert_eq!(ran[2..5], users, "{ran:?}");
    assert_eq!(ran[5..7], ["0 4294967294 1", "1 2147483649 2147483645"], "{ran:?}");
    assert_eq!(ran[8], "0:0", "{ran:?}");
}

#[test]
fn the_descriptor_is_the_program_s_only_where_it_is_kept() {
    let folder = folder("owner-kept", USER, USER);
    let look = |options: &str| lines(at(&folder, &looks(options)).as_user().run()).pop().unwrap();
    for residence in ["", "--pid"] {
        assert_eq!(look(residence), "closed", "{residence}");
        assert_eq!(look(&format!("{residence} --keep-fd 5")), "open", "{residence}");
    }
}

/// A namespace of 65536 ids has no upper half, and owners beyond them have no id there.
#[test]
fn a_namespace_of_65536_ids_gives_the_owner_alone() {
    if !root_or_skip("a_namespace_of_65536_ids_gives_the_owner_alone") {
        return;
    }
    let outer = "ns-unshare --user --keep-caps --map-users 0:100000:65536 --map-groups 0:100000:65536 -- sh -c";
    let within =
        |folder: &Folder, line: &str| at(folder, &format!("{outer} \"$0\"")).args([format!("exec 5<.; {line}")]).run();
    for (name, id) in [("owner-0-of-65536", 0), ("owner-1000-of-65536", 1000)] {
        let folder = folder(name, 100_000 + id, 100_000 + id);
        let map = format!("0 {id} 1");
        for residence in ["", "--pid"] {
            let expected = ["0", "0", &map, &map, "allow", "0:0", "closed"];
            assert_eq!(lines(within(&folder, &looks(residence))), expected, "{id} {residence}");
        }
    }
    let ran = within(&folder("owner-beyond-65536", USER, USER), &looks(""));
    ran.fails(
        125,
        "--map-owner 5: it belongs to user 65534, group 65534: nobody, or ids that are not mapped here\nhint: ",
    );
}

#[test]
fn an_ordinary_user_is_the_owner_or_is_refused() {
    let own = folder("owner-own", USER, USER);
    let (user, group) =
        if is_root() { (USER, USER) } else { (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()) };
    for residence in ["", "--pid"] {
        let ran = lines(at(&own, &looks(residence)).as_user().run());
        let as_root = lines(at(&own, &looks(residence).replace("--map-owner 5", "--map-root")).as_user().run());
        assert_eq!(ran, as_root, "{residence}");
        assert_eq!(ran[2..], [&format!("0 {user} 1"), &format!("0 {group} 1"), "deny", "0:0", "closed"]);
    }
    if !root_or_skip("an_ordinary_user_is_the_owner_or_is_refused") {
        return;
    }
    for (name, uid, gid) in [("owner-root", 0, 0), ("owner-group", USER, 0)] {
        let ran = at(&folder(name, uid, gid), &looks("")).as_user().run();
        let words = format!(
            "ns-unshare: --map-owner 5: it belongs to user {uid}, group {gid}, and the caller is user {USER}, group {USER}\n\
             hint: ids that are not the caller's need CAP_SETUID and CAP_SETGID in the caller's user namespace\n"
        );
        assert_eq!((ran.code, ran.err), (125, words));
    }
    // Groups stay where setgroups(2) is denied, as the kernel wants it of this map.
    let with_groups = format!("setpriv --reuid {USER} --regid {USER} --groups 4,24 {}", looks(""));
    assert_eq!(lines(at(&own, &with_groups).run())[1], "0 65534");
}

/// O_PATH, which needs no right to read; and a mount that shows other ids than the file's.
#[test]
fn the_owner_is_that_of_the_mount() {
    let own = folder("owner-path", USER, USER);
    let open = "use Fcntl; $^F = 9; sysopen(F, \".\", 0x200000) or die; exec \"ns-unshare\", qw(--user --map-owner), \
                fileno(F), qw(-- stat -c %u:%g .)";
    std::fs::set_permissions(own.path(), std::os::unix::fs::PermissionsExt::from_mode(0o311)).unwrap();
    assert_eq!(Chain::program("perl").args(["-e", open]).at(own.path()).as_user().run().ok(), "0:0\n");
    if !root_or_skip("the_owner_is_that_of_the_mount") {
        return;
    }
    let line = format!(
        "ns-unshare --mount -- mount-plan --carry no --preset host-ro --bind /proc /proc --bind {bin} {bin} \
         --bind . /mnt -o X-mount.idmap=b:{USER}:2130706433:1 -- sh -c 'cd /mnt && exec 5<. && \
         exec ns-unshare --user --map-owner 5 -- cat /proc/self/uid_map'",
        bin = bin().display()
    );
    let ran = Chain::shell(&line).at(own.path()).run();
    if ran.err.contains("EINVAL") {
        return chainbox_tests::skip(chainbox_tests::Tier::Kernel, "the_owner_is_that_of_the_mount", &ran.err);
    }
    assert_eq!(lines(ran), ["0 2130706433 1", UPPER_HALF]);
}

#[test]
fn bad_descriptors_and_other_maps_are_refused() {
    for (options, words) in [
        ("--user --map-owner x", "--map-owner x: not a descriptor number"),
        ("--user --map-owner -1", "--map-owner -1: not a descriptor number"),
        ("--user --map-owner 77", "--map-owner 77: fcntl: Bad file number (EBADF)"),
        ("--map-owner 0", "--map-owner needs --user"),
        ("--user --map-owner 0 --map-owner 0", "--map-owner is given twice"),
        ("--user --map-owner 0 --map-root", "--map-owner and --map-root exclude each other"),
        ("--user --map-owner 0 --map-subids", "--map-owner and --map-subids exclude each other"),
    ] {
        let ran = Chain::new("ns-unshare").args(options.split(' ')).args(["--", "true"]).run();
        assert_eq!((ran.code, ran.err), (125, format!("ns-unshare: {words}\n")));
    }
}
