//! Binds with other ids than those on disk. Here the chain makes its own namespaces: that is what these binds are for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use chainbox_tests::{Chain, Folder, Ran, root_or_skip, tool};

use crate::support::{Who, people, too_old, words};

/// An id of the machine that nobody has.
const BOX: u32 = 1_879_050_000;

/// What root says in front of a box whose root is [`BOX`]: everything as it is, and these entries.
fn before<'a>(entries: &[&'a str]) -> Vec<&'a str> {
    [&["--mount", "--", "mount-plan", "--carry", "no", "--dev-bind", "/", "/"], entries, &["--"]].concat()
}

/// In that box, a new root with these entries, where a shell runs `line` without any capability.
fn boxed(outer: &[&str], inner: &[&str], line: &str) -> Ran {
    let id = format!("0:{BOX}:1");
    Chain::new("ns-unshare")
        .args(before(outer))
        .args([tool("ns-unshare")])
        .args(["--user", "--map-users", &id, "--map-groups", &id, "--mount", "--pid", "--ipc", "--uts", "--net", "--"])
        .args([tool("mount-plan")])
        .args(["--preset", "host-ro", "--proc", "/proc", "--dev", "/dev"])
        .args(inner)
        .args(["--", "seccomp-exec", "--filter", "default", "--filter", "no-setuid", "--", "sh", "-c", line])
        .run()
}

/// A folder of root's that others cannot read, with a file and a directory of the same kind.
fn secrets(test: &str) -> Folder {
    let folder = Folder::new(&format!("mp-{test}"), false);
    fs::create_dir(folder.join("src")).unwrap();
    fs::create_dir(folder.join("src/dir")).unwrap();
    fs::write(folder.join("src/file"), "old\n").unwrap();
    for (name, mode) in [("src", 0o700), ("src/dir", 0o700), ("src/file", 0o600)] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

const MAP: &str = "X-mount.idmap=b:0:1879050000:1";

#[test]
fn roots_files_are_the_boxs_roots_and_nothing_else_of_root_is() {
    if !root_or_skip("roots_files_are_the_boxs_roots_and_nothing_else_of_root_is") {
        return;
    }
    let folder = secrets("ids");
    let src = folder.join("src").to_str().unwrap().to_owned();
    let line = "stat -c %u:%g . file dir; cat file; echo new >file; touch dir/made; stat -c %u dir/made
                cat /etc/shadow; cat /proc/self/uid_map | tr -s ' '";
    let outer = ["--bind", &src, &src, "-o", MAP];
    let ran = boxed(&outer, &["--tmp-overlay", &src, &src, "--chdir", &src], line);
    assert_eq!(ran.clone().ok(), format!("0:0\n0:0\n0:0\nold\n0\n 0 {BOX} 1\n"));
    assert_eq!(ran.err.matches("/etc/shadow: Permission denied").count(), 1, "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert_eq!(fs::read_to_string(folder.join("src/file")).unwrap(), "old\n");
    // Without the map the same box may not even look.
    let ran = boxed(&[], &["--ro-bind", &src, "/src"], "ls /src");
    assert!(ran.code != 0 && ran.err.contains("Permission denied"), "{ran:?}");
}

#[test]
fn what_a_box_makes_in_such_a_bind_is_roots_on_the_host() {
    if !root_or_skip("what_a_box_makes_in_such_a_bind_is_roots_on_the_host") {
        return;
    }
    let folder = secrets("made");
    let src = folder.join("src").to_str().unwrap().to_owned();
    // The way of docs/SECURITY.md: what is root's on disk must not be setuid.
    let line = "echo new >file; echo made >dir/made; ln -s x link; stat -c %u:%g file dir/made link
                chmod 4755 dir/made 2>&1 | sed 's/.*: //'";
    let ran = boxed(&["--bind", &src, &src, "-o", MAP], &["--bind", &src, &src, "--chdir", &src], line);
    assert_eq!(ran.ok(), "0:0\n0:0\n0:0\nOperation not permitted\n");
    assert_eq!(fs::metadata(folder.join("src/dir/made")).unwrap().mode() & 0o6000, 0);
    assert_eq!(fs::read_to_string(folder.join("src/file")).unwrap(), "new\n");
    for name in ["src/file", "src/dir/made", "src/link"] {
        let facts = fs::symlink_metadata(folder.join(name)).unwrap();
        assert_eq!((facts.uid(), facts.gid()), (0, 0), "{name}");
    }
    // Somebody else's file is nobody's in there, and stays as it is.
    chown(folder.join("src/file"), Some(BOX + 1), Some(BOX + 1)).unwrap();
    let ran = boxed(
        &["--bind", &src, &src, "-o", MAP],
        &["--bind", &src, &src, "--chdir", &src],
        "stat -c %u file; echo evil >file; chown 0 file",
    );
    assert!(ran.out == "65534\n" && ran.code != 0, "{ran:?}");
    assert_eq!(fs::read_to_string(folder.join("src/file")).unwrap(), "new\n");
}

#[test]
fn such_binds_are_layers_of_a_kept_overlay() {
    if !root_or_skip("such_binds_are_layers_of_a_kept_overlay") {
        return;
    }
    let folder = secrets("kept");
    let kept = folder.join("kept");
    for name in ["kept", "kept/upper", "kept/work"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let (src, kept) = (folder.join("src").to_str().unwrap().to_owned(), kept.to_str().unwrap().to_owned());
    let (upper, work) = (format!("{kept}/upper"), format!("{kept}/work"));
    let run = |line: &str| {
        let outer = ["--bind", &src, &src, "-o", MAP, "--bind", &kept, &kept, "-o", MAP];
        boxed(&outer, &["--overlay", &src, &upper, &work, &src, "--chdir", &src], line)
    };
    assert_eq!(run("echo new >file; rm -r dir; mkdir dir; echo made >dir/made").ok(), "");
    assert_eq!(run("cat file dir/made; stat -c %u:%g file dir/made").ok(), "new\nmade\n0:0\n0:0\n");
    assert_eq!(fs::read_to_string(folder.join("src/file")).unwrap(), "old\n");
    // The changes are root's on the host, to be moved back with mv(1).
    for (name, text) in [("file", "new\n"), ("dir/made", "made\n")] {
        let path = folder.join("kept/upper").join(name);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), fs::metadata(&path).unwrap().uid()), (text, 0));
    }
}

#[test]
fn the_map_covers_what_is_mounted_below_or_names_what_cannot_have_it() {
    const TEST: &str = "the_map_covers_what_is_mounted_below_or_names_what_cannot_have_it";
    if !root_or_skip(TEST) {
        return;
    }
    let folder = secrets("below");
    let run = |mounts: &str, kind: &str| {
        let plan = format!("src /s none {kind},X-mount.idmap=u:0:{BOX}:1\\040g:0:{}:1\n", BOX + 1);
        fs::write(folder.join("plan"), plan).unwrap();
        let line = format!(
            "cd {}; mkdir -p src/dir/sub; {mounts}; exec $PLAN --preset host-ro --plan plan -- stat -c %u:%g /s /s/dir",
            folder.path().display()
        );
        Who::Root.script(&line).run()
    };
    let mapped = format!("{BOX}:{}\n", BOX + 1);
    if !too_old(TEST, (6, 3), "a tmpfs with other ids") {
        assert_eq!(run("mount -t tmpfs t src/dir", "rbind").ok(), mapped.repeat(2));
    }
    let ran = run("mkdir -p src/dir/p; mount -t proc p src/dir/p", "rbind");
    ran.fails(125, "mount_setattr(MOUNT_ATTR_IDMAP): Invalid argument (EINVAL)\nhint: the filesystem at ");
    assert!(ran.err.contains("src/dir/p has no mounts with other ids"), "{ran:?}");
    // Without recursion the directory below is seen, not what is mounted on it.
    assert_eq!(run("mount -t proc p src/dir", "bind").ok(), mapped.repeat(2));
    // A map is given once.
    let ran = Who::Root
        .script(&format!(
            "cd {}; exec $PLAN --dev-bind / / --bind $PWD/src $PWD/src -o {MAP} -- unshare --mount $PLAN --preset host-ro \
             --bind src /s -o {MAP} -- true",
            folder.path().display()
        ))
        .run();
    ran.fails(125, "mount_setattr(MOUNT_ATTR_IDMAP): Operation not permitted (EPERM)\nhint: the filesystem at src ");
}

#[test]
fn the_map_can_be_that_of_a_user_namespace() {
    if !root_or_skip("the_map_can_be_that_of_a_user_namespace") {
        return;
    }
    let folder = secrets("namespace");
    let line = format!(
        "cd {}; mkfifo fifo; $NS --user --map-users 0:{BOX}:1 --map-groups 0:{BOX}:1 -- cat fifo & exec 9>fifo; \
         exec $PLAN --preset host-ro --bind src /s -o X-mount.idmap=/proc/$!/ns/user -- stat -c %u:%g /s/file",
        folder.path().display()
    );
    let ran = Who::Root.namespaces(&["--mount-proc"], ["sh", "-ec", &line]);
    let ran = ran.env("PLAN", tool("mount-plan")).env("NS", tool("ns-unshare")).run();
    assert_eq!(ran.ok(), format!("{BOX}:{BOX}\n"));
}

/// Whose filesystem it is not cannot map it; what he has mounted himself he can.
#[test]
fn in_a_user_namespace_only_its_own_filesystems_are_mapped() {
    for who in people("in_a_user_namespace_only_its_own_filesystems_are_mapped") {
        if who == Who::Root {
            continue;
        }
        // Not all of /tmp: other tests mount below it.
        let foreign = Folder::new(&format!("mp-foreign-{who:?}"), who == Who::User);
        let place = foreign.path().display().to_string();
        let ran = who.host(words(&format!("--bind {place} /t -o X-mount.idmap=b:0:0:1 -- true"))).run();
        ran.fails(
            125,
            &format!(
                "mount_setattr(MOUNT_ATTR_IDMAP): Operation not permitted (EPERM)\nhint: the filesystem at {place} belongs"
            ),
        );
        assert!(ran.err.contains("root says this before ns-unshare --user"), "{ran:?}");
        if too_old("in_a_user_namespace_only_its_own_filesystems_are_mapped", (6, 3), "a tmpfs with other ids") {
            continue;
        }
        let folder = Folder::new(&format!("mp-own-{who:?}"), who == Who::User);
        let line = format!(
            "cd {}; mkdir -p t; mount -t tmpfs t t; touch t/file; exec $PLAN --preset host-ro --bind t /t -o \
             X-mount.idmap=b:0:0:1 -- sh -c 'touch /t/made; stat -c %u /t/file /t/made'",
            folder.path().display()
        );
        assert_eq!(who.script(&line).run().ok(), "0\n0\n", "{who:?}");
        let ran = who.script(&line.replace("b:0:0:1", "b:0:77:1")).run();
        ran.fails(125, "write uid_map: Operation not permitted (EPERM)\nhint: ranges that overlap (EINVAL)");
    }
}
