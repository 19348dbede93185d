//! `--wipe`: what an overlay leaves is removed, and nothing else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use chainbox_tests::{Chain, Folder, Ran};

use crate::support::{Who, host_state, people, words};

/// As the one whose overlay it was, in no namespace.
fn wipe(who: Who, folder: &Folder, args: &str) -> Ran {
    let chain = Chain::new("mount-plan").args(words(args)).at(folder.path());
    if who == Who::User { chain.as_user().run() } else { chain.run() }
}

fn folder(test: &str, who: Who, names: &[&str]) -> Folder {
    let folder = Folder::new(&format!("mp-{test}-{who:?}"), who == Who::User);
    let made = Chain::program("mkdir").args(["-p", "--"]).args(names).at(folder.path());
    let made = if who == Who::User { made.as_user() } else { made };
    assert_eq!(made.run().ok(), "");
    folder
}

fn names(path: impl AsRef<Path>) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn a_real_overlay_is_reverted() {
    for who in people("a_real_overlay_is_reverted") {
        let folder = folder("wipe", who, &["lower/dir/deep", "upper", "work"]);
        let run = |line: &str| {
            who.host(words("--overlay lower upper work /m --chdir /m -- sh -ec")).args([line]).at(folder.path()).run()
        };
        let change =
            "rm -r dir/deep; echo x >file; mkdir -p a/b/c; touch a/b/c/d; chmod 000 a/b; mkfifo fifo; ln -s /etc link";
        assert_eq!(run(change).ok(), "", "{who:?}");
        assert!(names(folder.join("upper")) > 3 && folder.join("work/work").exists());
        assert_eq!(wipe(who, &folder, "--check --wipe upper").ok(), "");
        assert!(wipe(who, &folder, "--explain --wipe upper").ok().starts_with("mount-plan: 1. empty upper  [openat2("));
        assert!(names(folder.join("upper")) > 3);
        assert_eq!(wipe(who, &folder, "--wipe upper --wipe work").ok(), "", "{who:?}");
        assert_eq!((names(folder.join("upper")), names(folder.join("work"))), (0, 0));
        assert_eq!(run("ls /m /m/dir").ok(), "/m:\ndir\n\n/m/dir:\ndeep\n");
    }
}

#[test]
fn links_depth_and_modes_do_not_stop_it_and_lead_nowhere() {
    for who in people("links_depth_and_modes_do_not_stop_it_and_lead_nowhere") {
        let folder = folder("wipe-bait", who, &["outside/dir", "top"]);
        fs::write(folder.join("outside/dir/file"), "stays").unwrap();
        let line = "cd top; ln -s ../outside/dir link; ln -s .. up; ln ../outside/dir/file hard 2>&-; mkdir dark; touch dark/x; \
                    chmod 000 dark; mkdir -m 0 darker; touch \"$(printf 'odd\\377\\nname')\" .hidden; \
                    for n in $(seq 110); do mkdir 0123456789012345678901234567890123456789; cd 0*; done; touch bottom";
        let made = Chain::program("sh").args(["-c", line]).at(folder.path());
        let made = if who == Who::User { made.as_user() } else { made };
        assert_eq!(made.run().ok(), "");
        assert!(folder.join("top").join(OsStr::from_bytes(b"odd\xff\nname")).exists());
        assert_eq!(wipe(who, &folder, "--wipe top").ok(), "", "{who:?}");
        assert_eq!(names(folder.join("top")), 0);
        assert_eq!(fs::read_to_string(folder.join("outside/dir/file")).unwrap(), "stays");
    }
}

#[test]
fn what_is_mounted_there_stays_as_it_is() {
    for who in people("what_is_mounted_there_stays_as_it_is") {
        let folder = folder("wipe-mount", who, &["top/sub/point", "plain/sub"]);
        let line = "mount -t tmpfs t top/sub/point; touch top/sub/point/kept; \
                    mount --bind plain top/sub; touch plain/sub/kept; $PLAN --wipe top || ls plain/sub top/sub";
        let ran = who.script(line).at(folder.path()).run();
        assert_eq!(ran.out, "plain/sub:\nkept\n\ntop/sub:\nsub\n", "{who:?} {ran:?}");
        assert!(ran.err.starts_with("mount-plan: empty top: top/sub: "), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = Folder::new("mp-wipe-refused", false);
    fs::create_dir_all(folder.join("dir/sub")).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    symlink("dir", folder.join("link")).unwrap();
    fs::set_permissions(folder.join("dir"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = host_state(folder.path());
    for (args, text) in [
        ("--wipe link", "empty link: openat2: Too many symbolic links encountered (ELOOP)"),
        // Whoever owns a directory above says by a link what root is to remove.
        ("--wipe link/sub", "empty link/sub: openat2: Too many symbolic links encountered (ELOOP)"),
        ("--wipe file", "empty file: openat2: Not a directory (ENOTDIR)"),
        ("--wipe dir --wipe no", "empty no: openat2: No such file or directory (ENOENT)"),
        // Not without --check, in case the guard is broken.
        ("--check --wipe /", "empty /: this is the root"),
        ("--wipe dir -- true", "--wipe goes alone: no entries, no PROG"),
        ("--wipe dir --tmpfs /t", "--wipe goes alone"),
    ] {
        wipe(Who::Root, &folder, args).fails(125, text);
        assert_eq!(host_state(folder.path()), before, "{args}");
    }
    if chainbox_tests::is_root() {
        let ran = wipe(Who::User, &folder, "--wipe dir");
        ran.fails(125, "empty dir: dir/sub: unlinkat: Permission denied (EACCES)");
        assert_eq!(host_state(folder.path()), before);
    }
}
