//! Roots of other kinds than directories: images by the kernel's own filesystems, archives by tar(1).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chainbox_tests::{Chain, Folder, Ran, Tier, busybox_or_skip, is_root, root_or_skip, skip, tool};

use crate::support::{Who, people, too_old, words};

/// An id of the machine that nobody has.
const BOX: u32 = 1_879_051_000;

/// How each kind of image is made of the directory `tree`.
const KINDS: [(&str, &str); 3] = [
    ("squashfs", "mksquashfs tree image.squashfs -quiet -no-progress"),
    ("erofs", "mkfs.erofs image.erofs tree"),
    ("ext4", "truncate -s 8M image.ext4; mkfs.ext4 -q -d tree image.ext4"),
];

/// A tree that can be a root: one static program under many names, and a file that others may not read.
fn tree(test: &str, name: &str, who: Who) -> Option<Folder> {
    let busybox = busybox_or_skip(test)?;
    let folder = Folder::new(&format!("mp-{name}-{who:?}"), who == Who::User);
    let line = "mkdir -p tree/bin tree/etc tree/proc; cp \"$0\" tree/bin/busybox; \
                for name in sh cat ls stat id; do ln -s busybox tree/bin/$name; done; echo content >tree/etc/file; \
                umask 077; echo secret >tree/etc/secret";
    let made = Chain::program("sh").args(["-ec", line]).args([busybox]).at(folder.path());
    let made = if who == Who::User { made.as_user() } else { made };
    assert_eq!(made.run().ok(), "");
    Some(folder)
}

/// Makes that image in the folder. False where this machine cannot, which is recorded as a skip of `test`.
fn image(test: &str, folder: &Folder, kind: &str, how: &str) -> bool {
    let program = how.split_whitespace().find(|word| word.starts_with("mk")).unwrap();
    if Chain::program("sh").args(["-c", "command -v \"$0\"", program]).run().code != 0 {
        skip(Tier::Root, test, &format!("no {program}"));
        return false;
    }
    if !mountable(test, kind) {
        return false;
    }
    let made = Chain::program("sh").args(["-ec", how]).at(folder.path()).run();
    assert_eq!(made.code, 0, "{made:?}");
    true
}

/// Whether this kernel has that kind, loaded or to be loaded, and what a file of it needs.
fn mountable(test: &str, kind: &str) -> bool {
    let known = Chain::new("mount-plan").args(["--features"]).run().ok().contains(&format!("\n{kind}: yes"));
    let able = known && Path::new("/dev/loop-control").exists();
    if !able {
        skip(Tier::Kernel, test, &format!("this kernel has no {kind}, or no loop devices"));
    }
    able
}

/// No loop device shows a file of this folder any more: they go in the kernel's own time, after the last mount.
fn loops_are_gone(folder: &Path) {
    let start = Instant::now();
    let left = || -> Vec<String> {
        let devices = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path().join("loop/backing_file"));
        let files = devices.filter_map(|path| fs::read_to_string(path).ok());
        files.filter(|file| file.starts_with(folder.to_str().unwrap())).collect()
    };
    while !left().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_image_of_each_kind_can_be_the_root() {
    const TEST: &str = "an_image_of_each_kind_can_be_the_root";
    if !root_or_skip(TEST) {
        return;
    }
    let Some(folder) = tree(TEST, "image", Who::Root) else { return };
    for (kind, how) in KINDS {
        if !image(TEST, &folder, kind, how) {
            continue;
        }
        let file = format!("image.{kind}");
        let run = |options: &[&str], line: &str| {
            let plan = Who::Root.plan(["--image", kind, &file, "/"]).args(options);
            plan.args(["--proc", "/proc", "--", "/bin/sh", "-c", line]).env("PATH", "/bin").at(folder.path()).run()
        };
        assert_eq!(run(&[], "cat /etc/file; ls -a / | busybox wc -l").out.lines().next(), Some("content"), "{kind}");
        let ran = run(&[], "echo new >/etc/file; cat /etc/file");
        let again = run(&["-o", "ro"], "cat /etc/file; echo newer >/etc/file");
        assert!(again.err.contains("Read-only file system"), "{kind} {again:?}");
        let (here, later) = if kind == "ext4" { ("new\n", "new\n") } else { ("content\n", "content\n") };
        assert_eq!((ran.out.as_str(), again.out.as_str()), (here, later), "{kind} {ran:?}");
        loops_are_gone(folder.path());
    }
}

#[test]
fn an_image_belongs_to_a_box_that_is_not_root_and_changes_are_in_memory() {
    const TEST: &str = "an_image_belongs_to_a_box_that_is_not_root_and_changes_are_in_memory";
    if !root_or_skip(TEST) {
        return;
    }
    let Some(folder) = tree(TEST, "image-ids", Who::Root) else { return };
    fs::create_dir(folder.join("mnt")).unwrap();
    for (kind, how) in KINDS {
        let old = kind == "squashfs" && too_old(TEST, (6, 2), "a squashfs with other ids");
        if old || !image(TEST, &folder, kind, how) {
            continue;
        }
        let (file, point) = (folder.join(format!("image.{kind}")), folder.join("mnt"));
        let (file, point) = (file.to_str().unwrap(), point.to_str().unwrap());
        let (id, map) = (format!("0:{BOX}:1"), format!("ro,X-mount.idmap=b:0:{BOX}:1"));
        let before = fs::read(file).unwrap();
        let ran = Chain::new("ns-unshare")
            .args(words("--mount -- mount-plan --carry no --dev-bind / / --image"))
            .args([kind, file, point, "-o", &map, "--"])
            .args([tool("ns-unshare")])
            .args(["--user", "--map-users", &id, "--map-groups", &id, "--mount", "--pid", "--"])
            .args([tool("mount-plan")])
            .args(["--tmp-overlay", point, "/", "--proc", "/proc", "--", "/bin/sh", "-c"])
            .args([
                "id -u; cat /etc/secret; echo new >/etc/secret; cat /etc/secret; stat -c %u /etc/secret /bin/busybox",
            ])
            .env("PATH", "/bin:/usr/bin")
            .run();
        assert_eq!(ran.ok(), "0\nsecret\nnew\n0\n0\n", "{kind}");
        assert!(fs::read(file).unwrap() == before, "{kind}: the image was written");
    }
    loops_are_gone(folder.path());
}

#[test]
fn an_image_is_written_by_one_box_at_a_time_and_let_go_in_the_end() {
    const TEST: &str = "an_image_is_written_by_one_box_at_a_time_and_let_go_in_the_end";
    if !root_or_skip(TEST) {
        return;
    }
    let Some(folder) = tree(TEST, "image-lock", Who::Root) else { return };
    let (kind, how) = KINDS[2];
    if !image(TEST, &folder, kind, how) {
        return;
    }
    let plan = |options: &str, command: &str| {
        let line = format!("--image ext4 image.ext4 / -o {options} -- {command}");
        Who::Root.plan(words(&line)).at(folder.path())
    };
    let holder = |options: &str| {
        let mut chain = plan(options, "/bin/sh -c");
        let command = chain.command().args(["echo in; read -r x"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "in\n");
        child
    };
    let in_use = |ran: &Ran| ran.fails(125, "flock: Try again (EAGAIN)\nhint: the image is mounted already");
    // The kernel closes what a loop device had, and with it the lock, after the device is free.
    let let_go = || {
        loops_are_gone(folder.path());
        let wait = ["--wait", "10", "image.ext4", "true"];
        assert_eq!(Chain::program("flock").args(wait).at(folder.path()).run().code, 0);
    };
    let mut writer = holder("rw");
    in_use(&plan("rw", "/bin/ls /").run());
    in_use(&plan("ro", "/bin/ls /").run());
    // The one that is killed is unshare(1); its child, the box, ends with its standard input.
    writer.kill().unwrap();
    drop(writer.stdin.take());
    writer.wait().unwrap();
    let_go();
    let mut reader = holder("ro");
    assert!(plan("ro", "/bin/ls /").run().ok().contains("etc"));
    in_use(&plan("rw", "/bin/ls /").run());
    drop(reader.stdin.take());
    reader.wait().unwrap();
    let_go();
}

#[test]
fn what_is_no_image_and_who_may_not_mount_one_is_said() {
    for who in people("what_is_no_image_and_who_may_not_mount_one_is_said") {
        let Some(folder) = tree("what_is_no_image_and_who_may_not_mount_one_is_said", "image-no", who) else { return };
        fs::write(folder.join("zeros"), vec![0; 1 << 20]).unwrap();
        fs::set_permissions(folder.join("zeros"), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let run = |args: &str| who.host(words(args)).at(folder.path()).run();
        for kind in ["squashfs", "erofs", "ext4"] {
            if !mountable("what_is_no_image_and_who_may_not_mount_one_is_said", kind) {
                continue;
            }
            let ran = run(&format!("--image {kind} zeros /m -o ro -- true"));
            if who == Who::Root {
                ran.fails(125, &format!("mount {kind} zeros on /m (ro,nosuid,nodev): fsconfig(FSCONFIG_CMD_CREATE): "));
                assert!(ran.err.contains("hint: there is no filesystem of this type"), "{ran:?}");
            } else {
                ran.fails(125, &format!("mount {kind} zeros on /m (ro,nosuid,nodev): "));
                assert!(ran.err.contains("hint: only root of the machine mounts images"), "{who:?} {ran:?}");
            }
        }
        run("--image ext4 tree /m -o ro -- true").fails(125, "neither a file nor a block device");
        run("--image ext4 no /m -- true").fails(125, "open no: No such file or directory (ENOENT)");
        run("--image ext4 LABEL=x /m -- true").fails(125, "LABEL=x: name the device or the file itself");
        run("--image ntfs zeros /m -- true").fails(125, "unknown type ntfs");
    }
    if is_root() {
        loops_are_gone(&std::env::temp_dir().join("chainbox-mp-image-no"));
    }
}

/// The recipe of the man page: what the kernel lets nobody but root do, a filesystem in user space does for everybody.
#[test]
fn an_image_can_be_an_ordinary_users_root_by_fuse() {
    const TEST: &str = "an_image_can_be_an_ordinary_users_root_by_fuse";
    if Chain::program("sh").args(["-c", ": <>/dev/fuse"]).as_user().run().code != 0 {
        return skip(Tier::Kernel, TEST, "no /dev/fuse here that everybody may open");
    }
    for who in people(TEST) {
        let Some(folder) = tree(TEST, "fuse", who) else { return };
        for ((kind, how), mounter) in [(KINDS[0], "squashfuse"), (KINDS[2], "fuse2fs -o ro,fakeroot")] {
            let program = mounter.split(' ').next().unwrap();
            if Chain::program("sh").args(["-c", "command -v \"$0\"", program]).run().code != 0 {
                skip(Tier::UserNamespace, TEST, &format!("no {program}"));
                continue;
            }
            assert_eq!(Chain::program("sh").args(["-ec", how]).at(folder.path()).run().code, 0, "{kind}");
            // In a namespace of its own: pivot_root(2) takes along whoever shares it, and a server that has its own files
            // for its root waits for itself as soon as it opens one.
            let line = format!(
                "mount -t tmpfs t /mnt; {mounter} image.{kind} /mnt >&2; exec unshare --mount $PLAN --bind /mnt / --proc /proc -- /bin/sh -c \
                 'cat /etc/file; id -u; cat /proc/self/mountinfo; echo x >/etc/file'"
            );
            let ran = who.script(&line).env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin").at(folder.path()).run();
            assert!(ran.out.starts_with("content\n0\n") && ran.out.contains(" - fuse."), "{who:?} {kind} {ran:?}");
            assert!(ran.code != 0 && ran.err.contains("can't create /etc/file"), "{who:?} {kind} {ran:?}");
        }
    }
}

/// The recipe of the man page.
#[test]
fn a_root_can_be_unpacked_from_an_archive() {
    for who in people("a_root_can_be_unpacked_from_an_archive") {
        let Some(folder) = tree("a_root_can_be_unpacked_from_an_archive", "tar", who) else { return };
        for (name, option) in [("root.tar", ""), ("root.tar.gz", "-z"), ("root.tar.zst", "--zstd")] {
            let pack = format!("tar -c {option} -f {name} -C tree .");
            assert_eq!(Chain::program("sh").args(["-ec", &pack]).at(folder.path()).run().ok(), "");
            let line = format!(
                "mount -t tmpfs -o mode=755 t /mnt; tar xf {name} -C /mnt --no-same-owner; exec $PLAN --bind /mnt / --proc /proc \
                 -- /bin/sh -c 'cat /etc/file; echo new >/etc/file; cat /etc/secret; stat -c %u /etc/secret; ls /mnt'"
            );
            let ran = who.script(&line).env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin").at(folder.path()).run();
            assert_eq!(ran.out, "content\nsecret\n0\n", "{who:?} {name} {ran:?}");
        }
        assert_eq!(fs::read_to_string(folder.join("tree/etc/file")).unwrap(), "content\n");
    }
}
