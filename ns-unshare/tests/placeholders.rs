//! --placeholder: a place to mount on that is no more when the box has ended; --lock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

use chainbox_tests::{Chain, Folder, Ran};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A box in which `.missing` of the folder is masked, and `line` runs.
fn masked(line: &str) -> String {
    format!(
        "ns-unshare --user --map-self --mount --placeholder .missing -- mount-plan --bind / / --ro-bind /dev/null \"$PWD/.missing\" -- \
         sh -c '{line}'"
    )
}

fn run(folder: &Folder, line: &str) -> Ran {
    Chain::shell(line).at(folder.path()).run()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const CLOSED: &str = "(echo mine >.missing) 2>&- && echo written; rm -f .missing 2>&-; mv .missing x 2>&-; \
                      test -c .missing && echo masked";

#[test]
fn what_is_not_there_is_masked_and_nothing_is_left() {
    let folder = Folder::new("ph-mask", false);
    assert_eq!(run(&folder, &masked(CLOSED)).ok(), "masked\n");
    assert_eq!(names(folder.path()), Vec::<String>::new());
    // A folder, and what is missing above.
    let line = "ns-unshare --user --map-self --mount --placeholder a/b/ --placeholder a/c/.x -- \
                mount-plan --bind / / --tmpfs \"$PWD/a/b\" --ro-bind /dev/null \"$PWD/a/c/.x\" -- \
                sh -c 'echo kept >a/b/y && cat a/b/y; test -c a/c/.x && echo masked'";
    assert_eq!(run(&folder, line).ok(), "kept\nmasked\n");
    assert_eq!(names(folder.path()), Vec::<String>::new());
    // Nor where the box cannot be made, or the payload is killed.
    assert_eq!(run(&folder, "ns-unshare --user --placeholder .p -- /no/such/program").code, 127);
    assert_eq!(run(&folder, "ns-unshare --user --placeholder .p -- sh -c 'kill -9 $$'").code, 137);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn what_is_there_stays_as_it_is() {
    let folder = Folder::new("ph-there", false);
    fs::write(folder.join("file"), "").unwrap();
    fs::create_dir(folder.join("dir")).unwrap();
    symlink("nowhere", folder.join("link")).unwrap();
    let before = names(folder.path());
    for name in ["file", "dir/", "link", "dir"] {
        run(&folder, &format!("ns-unshare --user --placeholder {name} -- true")).ok();
        assert_eq!(names(folder.path()), before, "{name}");
    }
    let shut = folder.join("dir");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o555)).unwrap();
    let ran = Chain::shell("ns-unshare --user --placeholder dir/.x -- true").at(folder.path()).as_user().run();
    ran.fails(125, "make dir/.x: open(O_CREAT|O_EXCL): Permission denied (EACCES)");
}

#[test]
fn two_boxes_share_one_and_the_last_takes_it_away() {
    let folder = Folder::new("ph-two", false);
    let line = format!(
        "mkfifo up go; {} & {}; wait; ls -A",
        masked("echo >up; read -r end <go; test -c .missing && echo masked; rm up go"),
        format_args!(
            "read -r line <up; {}; test -e .missing && echo there; echo >go",
            masked("test -c .missing && echo masked")
        )
    );
    assert_eq!(run(&folder, &line).ok(), "masked\nthere\nmasked\n");
}

/// The one that has made the folders above ends first.
#[test]
fn the_last_box_takes_the_folders_above_away_too() {
    let folder = Folder::new("ph-above", false);
    let line = "mkfifo up go; ns-unshare --user --placeholder d//a/b/ -- sh -c 'echo >up; read -r end <go' & \
                read -r line <up; ns-unshare --user --placeholder d//a/b/ -- sh -c 'echo >go; wait; sleep 1; ls -A d/a'; \
                wait; ls -A d; rm up go";
    for mode in ["0755", "1755"] {
        run(&folder, &format!("mkdir -m {mode} d")).ok();
        assert_eq!(run(&folder, line).ok(), "b\n", "{mode}");
        assert_eq!(run(&folder, "rmdir d && ls -A").ok(), "", "the base is the caller's");
    }
}

#[test]
fn one_that_a_kill_has_left_is_taken_over() {
    let folder = Folder::new("ph-kill", false);
    // The pid of the process outside, which alone can tidy up.
    let line = format!("{} & sleep 0.5; kill -9 $!; wait $!; ls -A", masked("sleep 5"));
    let ran = run(&folder, &line);
    assert!(ran.out.contains(".missing"), "{ran:?}");
    assert_eq!(run(&folder, &masked(CLOSED)).ok(), "masked\n");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

/// An earlier payload's link below the base leads to the caller's files: nothing is made there, nor opened.
#[test]
fn no_link_leads_out_of_the_base() {
    let folder = Folder::new("ph-base", false);
    run(
        &folder,
        "mkdir -p d/in victim; ln -s ../victim d/a; ln -s in d/b; ln -s ../victim/file d/l; touch victim/file d/in/l",
    )
    .ok();
    let seen =
        |place: &str| run(&folder, &format!("ns-unshare --user --placeholder {place} -- ls -A victim d/in")).ok();
    assert_eq!(seen("d/a/x"), "d/in:\nl\n\nvictim:\nfile\nx\n", "without a base");
    for place in ["d//a/x", "d//a/x/", "d//a/x/y", "d//a/../x"] {
        assert_eq!(seen(place), "d/in:\nl\n\nvictim:\nfile\n", "{place}");
    }
    for place in ["d//b/x", "d//b/../in/x", "./d//in/x", "d/in//x"] {
        assert_eq!(seen(place), "d/in:\nl\nx\n\nvictim:\nfile\n", "{place}");
    }
    for (file, errno) in [("d//l", "ELOOP"), ("d//a/file", "EXDEV")] {
        let ran = run(&folder, &format!("ns-unshare --user --lock {file} -- true"));
        assert!(ran.code == 125 && ran.err.contains(errno), "{ran:?}");
    }
    for file in ["d/l", "d//in/l", "d//b/l"] {
        run(&folder, &format!("ns-unshare --user --lock {file} -- true")).ok();
    }
}

/// The payload may write to the folder: what it puts there, and whatever else has the name in the end, is not removed.
#[test]
fn nothing_is_removed_but_the_placeholder() {
    let folder = Folder::new("ph-hostile", false);
    fs::create_dir(folder.join("victim")).unwrap();
    fs::write(folder.join("victim/.p"), "").unwrap();
    fs::set_permissions(folder.join("victim/.p"), fs::Permissions::from_mode(0o1444)).unwrap();
    let at = |line: &str| {
        run(&folder, &format!("mkdir d; ns-unshare --user --map-self --placeholder d/.p -- sh -c '{line}'"))
    };
    for (line, left) in [
        ("rm d/.p; echo mine >d/.p", "d/.p"),
        ("mv d/.p d/q; ln -s ../victim/.p d/.p", "d/.p"),
        ("mv d e; mkdir d; touch d/.p; chmod 1444 d/.p", "d/.p"),
        ("rm -r d; ln -s victim d", "victim/.p"),
        ("chmod 644 d/.p; echo mine >d/.p; chmod 1444 d/.p", "d/.p"),
        ("rm d/.p; mkdir d/.p; touch d/.p/x; chmod 1755 d/.p", "d/.p/x"),
    ] {
        at(line).ok();
        assert!(folder.join(left).symlink_metadata().is_ok(), "{line}");
        assert!(folder.join("victim/.p").symlink_metadata().is_ok(), "{line}");
        run(&folder, "rm -rf d e").ok();
    }
    // One that the payload has locked stays for the next box, which does not wait for it.
    at("exec 3<d/.p; flock -s 3; setsid sleep 1 >&- 2>&- &").ok();
    assert!(folder.join("d/.p").exists());
    run(&folder, "ns-unshare --user --map-self --placeholder d/.p -- true").ok();
}

/// Whether a writer could lock it now.
fn is_free(file: &Path) -> bool {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    let whole = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLK(&whole)).is_ok()
}

#[test]
fn a_lock_lasts_as_long_as_the_box() {
    let folder = Folder::new("ph-lock", false);
    let file = folder.join("ref");
    fs::write(&file, "").unwrap();
    let line = "ns-unshare --user --lock ref -- ns-unshare --user --lock ref -- sh -c 'echo shared; read -r end'";
    let mut shell = Chain::shell(line).at(folder.path());
    let mut child = shell.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 7]).unwrap();
    assert!(!is_free(&file));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(is_free(&file));
    run(&folder, "ns-unshare --user --lock nope -- true").fails(125, "open nope: No such file or directory (ENOENT)");
}
