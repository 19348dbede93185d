//! `X-mount.owner=`: a tree whose owner, whoever that is, is root of a box; nothing in it is without an id there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use chainbox_tests::{Chain, Folder, Ran, root_or_skip, tool};

use crate::support::too_old;

/// An id of the machine that nobody has.
const BOX: u32 = 1_879_050_001;

/// What stands in front of a box whose user 0 is [`BOX`], and whose user N is N on disk.
fn boxed(folder: &Folder, outer: &str, inner: &str, line: &str) -> Ran {
    fs::write(folder.join("line"), line).unwrap();
    let ids = format!("0:{BOX}:1 --map-KIND 1:2147483649:65535");
    let ids = ["users", "groups"].map(|kind| format!("--map-{kind} {}", ids.replace("KIND", kind))).join(" ");
    let line = format!(
        "cd {}; exec $PLAN {outer} -- $NS --user {ids} --mount --pid --keep-fd 7 -- \
         $PLAN --preset host-ro --tmpfs /tmp --proc /proc --file line /line {inner} -- \
         seccomp-exec --keep-caps all -- sh /line",
        folder.path().display()
    );
    let outer = Chain::new("ns-unshare").args(["--mount", "--", "sh", "-ec", &line]);
    outer.env("PLAN", tool("mount-plan")).env("NS", tool("ns-unshare")).run()
}

/// A tree of `owner`'s with a file of root's and one of a third's, which others cannot read.
fn tree(test: &str, owner: u32) -> Folder {
    let folder = Folder::new(&format!("mp-owner-{test}"), false);
    for name in ["src", "src/build", "src/build/sub"] {
        fs::create_dir(folder.join(name)).unwrap();
        chown(folder.join(name), Some(owner), Some(owner + 1)).unwrap();
    }
    fs::set_permissions(folder.join("src"), fs::Permissions::from_mode(0o2750)).unwrap();
    for (name, user, group) in
        [("own", owner, owner + 1), ("root", 0, 0), ("third", 1234, 1234), ("build/sub/deep", 4321, 4321)]
    {
        let path = folder.join("src").join(name);
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(user), Some(group)).unwrap();
    }
    folder
}

/// Whom each file belongs to on disk, and what is in it.
fn on_disk(folder: &Folder, names: &[&str]) -> String {
    let one = |name: &&str| {
        let (path, facts) = (folder.join("src").join(name), fs::metadata(folder.join("src").join(name)).unwrap());
        let text = if facts.is_file() { fs::read_to_string(path).unwrap() } else { "\n".to_owned() };
        format!("{name} {}:{} {text}", facts.uid(), facts.gid())
    };
    names.iter().map(one).collect()
}

const LINE: &str = "cd /src; stat -c '%n %u:%g %a' . own root third build/sub/deep
    for file in own root third; do echo new >>$file; done
    rm -rf build; mkdir build; echo made >build/sub; chown 77:78 root; cat own root third build/sub
    stat -c '%n %u:%g' root third build build/sub";

#[test]
fn a_tree_of_anybodys_is_the_boxs_in_an_overlay_and_stays_as_it_is() {
    if !root_or_skip("a_tree_of_anybodys_is_the_boxs_in_an_overlay_and_stays_as_it_is") {
        return;
    }
    for owner in [0, 1000, 65534] {
        let folder = tree("overlay", owner);
        let names = ["own", "root", "third", "build", "build/sub", "build/sub/deep"];
        let before = on_disk(&folder, &names);
        let ran = boxed(
            &folder,
            "--tmp-overlay src fd:7 -o size=16M,X-mount.owner=1879050001,X-mount.no-links",
            "--bind fd:7 /src",
            LINE,
        );
        assert_eq!((ran.err.as_str(), ran.code), ("", 0), "{ran:?}");
        assert_eq!(ran.out, seen(owner), "{owner}");
        assert_eq!(on_disk(&folder, &names), before);
    }
}

/// What [`LINE`] prints: root's file has the number of the owner, who is 0.
fn seen(owner: u32) -> String {
    format!(
        ". 0:0 2750\nown 0:0 600\nroot {owner}:{} 600\nthird 1234:1234 600\nbuild/sub/deep 4321:4321 600\n\
         old\nnew\nold\nnew\nold\nnew\nmade\nroot 77:78\nthird 1234:1234\nbuild 0:0\nbuild/sub 0:0\n",
        owner + 1,
    )
}

#[test]
fn what_a_box_writes_through_a_bind_is_the_owners_on_disk() {
    if !root_or_skip("what_a_box_writes_through_a_bind_is_the_owners_on_disk") {
        return;
    }
    let folder = tree("bind", 1000);
    let ran = boxed(&folder, "--bind src fd:7 -o X-mount.owner=1879050001", "--bind fd:7 /src", LINE);
    assert_eq!((ran.err.as_str(), ran.out.as_str()), ("", seen(1000).as_str()));
    assert_eq!(
        on_disk(&folder, &["own", "root", "third", "build", "build/sub"]),
        "own 1000:1001 old\nnew\nroot 77:78 old\nnew\nthird 1234:1234 old\nnew\nbuild 1000:1001 \nbuild/sub 1000:1001 made\n"
    );
}

#[test]
fn the_changes_of_a_kept_overlay_are_the_owners_on_disk() {
    if !root_or_skip("the_changes_of_a_kept_overlay_are_the_owners_on_disk") {
        return;
    }
    let folder = tree("kept", 1000);
    for (name, owner) in [("kept", 0), ("kept/upper", 1000), ("kept/work", 1000), ("other", 0)] {
        fs::create_dir(folder.join(name)).unwrap();
        chown(folder.join(name), Some(owner), Some(owner)).unwrap();
    }
    let outer = "--overlay src kept/upper kept/work fd:7 -o X-mount.owner=1879050001";
    let ran =
        boxed(&folder, outer, "--bind fd:7 /src", "cd /src; echo new >>third; rm -r build; mkdir build; >build/made");
    assert_eq!((ran.err.as_str(), ran.code), ("", 0));
    assert_eq!(boxed(&folder, outer, "--bind fd:7 /src", "cd /src; cat third; ls build").ok(), "old\nnew\nmade\n");
    let owner = |name: &str| fs::metadata(folder.join("kept/upper").join(name)).unwrap().uid();
    assert_eq!((owner(""), owner("third"), owner("build"), owner("build/made")), (1000, 1234, 1000, 1000));
    assert_eq!(on_disk(&folder, &["third", "build/sub/deep"]), "third 1234:1234 old\nbuild/sub/deep 4321:4321 old\n");
    let ran = boxed(&folder, &outer.replace("kept/work", "other"), "--bind fd:7 /src", "true");
    ran.fails(125, "other: X-mount.owner= needs UPPER and WORK in one directory, by their own names");
}

/// Where the kernel has no such mounts, the tree is used with its owner, and that is said once.
#[test]
fn without_such_mounts_the_tree_keeps_its_owner_and_one_line_says_so() {
    const TEST: &str = "without_such_mounts_the_tree_keeps_its_owner_and_one_line_says_so";
    if !root_or_skip(TEST) {
        return;
    }
    // An overlay as the source of both.
    let folder = tree("fallback", 1000);
    let outer = "--tmp-overlay mnt fd:7 -o X-mount.owner=1879050001 --bind mnt fd:8 -o X-mount.owner=1879050001";
    let line = format!(
        "cd {}; mkdir mnt empty; mount -t overlay o mnt -o lowerdir=src:empty; exec $PLAN {outer} -- sh -c \
         'exec $NS --mount --keep-fd 7 --keep-fd 8 -- $PLAN --preset host-ro --bind fd:7 /a --bind fd:8 /b -- \
            sh -c \"stat -c %u /a /b /a/own /b/third; rm -r /a/build; mkdir /a/build; >/a/own; ls /b/build\"'",
        folder.path().display()
    );
    let run = |chain: Chain, line: &str| {
        let chain = chain.args(["sh", "-ec", line]);
        chain.env("PLAN", tool("mount-plan")).env("NS", tool("ns-unshare")).run()
    };
    let ran = run(Chain::new("ns-unshare").args(["--mount", "--"]), &line);
    let note = "mount-plan: no id-mapped mounts for mnt here: it keeps its owner, user 1000: \
                mount_setattr(MOUNT_ATTR_IDMAP): Invalid argument (EINVAL)\n";
    assert_eq!((ran.err.as_str(), ran.out.as_str()), (note, "1000\n1000\n1000\n1234\nsub\n"));
    // A mount below that cannot have other ids.
    let line = format!(
        "cd {}; mkdir src/p; mount -t proc p src/p; exec $PLAN --bind src fd:7 -o X-mount.owner=1879050001 -- true",
        folder.path().display()
    );
    let ran = run(Chain::new("ns-unshare").args(["--mount", "--"]), &line);
    ran.fails(
        0,
        "src/p here: src keeps its owner, user 1000: mount_setattr(MOUNT_ATTR_IDMAP): Invalid argument (EINVAL)\n",
    );
    if too_old(TEST, (6, 6), "a tmpfs with user.overlay.* for what is removed") {
        return;
    }
    // A container: a user namespace that has 65536 ids of the machine.
    let folder = tree("container", 100_000);
    let line = format!(
        "cd {}; exec $PLAN {} -- $NS --user --map-root --mount --pid --keep-fd 7 --keep-fd 8 -- $PLAN --preset host-ro \
            --proc /proc --bind fd:7 /a --bind fd:8 /b -- \
            sh -c 'stat -c %u /a /b /a/own; rm -r /a/build; mkdir /a/build; >/a/own; >/b/made; ls /b/build'",
        folder.path().display(),
        outer.replace("mnt", "src")
    );
    let ids =
        ["--user", "--map-users", "0:100000:65536", "--map-groups", "0:100000:65536", "--mount", "--keep-caps", "--"];
    let ran = run(Chain::new("ns-unshare").args(ids), &line);
    let note = "mount-plan: no id-mapped mounts for src here: it keeps its owner, user 0: write uid_map: Operation not \
                permitted (EPERM)\n";
    assert_eq!((ran.err.as_str(), ran.out.as_str()), (note, "0\n0\n0\nsub\n"));
    assert_eq!(fs::metadata(folder.join("src/made")).unwrap().uid(), 100_000);
}
