//! Where people are: other people's trees, containers, roots without id-mapped mounts, systems with this or that missing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chainbox_tests::{Chain, Ran, USER, is_root, root_or_skip, tool, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Place, own, user};

/// What a build does to a tree: a directory that is there is removed and made again, files are changed, made, moved.
const BUILD: &str = "rm -rf build && mkdir build && echo x >build/out && mv build b2 && echo x >third && chmod 600 third && \
     for f in mine others; do echo more >>$f && chmod 755 $f || exit; done && mv others moved && rm mine && echo built";

/// Who is user 0 of the container.
const CONTAINER_ROOT: u32 = 100_000;

/// As in a container: 65536 ids of the host's, and a system that belongs to the first of them.
fn container(run: &Chain, place: &Place) -> Ran {
    let etc = place.folder.join("etc");
    if !etc.exists() {
        Command::new("cp").args(["-a", "/etc"]).arg(&etc).status().unwrap();
        fs::write(etc.join("shadow"), "secret\n").unwrap();
        fs::set_permissions(etc.join("shadow"), fs::Permissions::from_mode(0o640)).unwrap();
        owned(&etc, &format!("{CONTAINER_ROOT}:{CONTAINER_ROOT}"));
    }
    let words = "--user --map-users 0:100000:65536 --map-groups 0:100000:65536 --mount --pid --keep-caps -- mount-plan --rw-root \
                 --bind / / --proc /proc -o rw --dev /dev --bind ETC /etc -- seccomp-exec --keep-caps all --";
    let words: Vec<&str> = words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| if word == "ETC" { etc.to_str().unwrap() } else { word })
        .collect();
    run.within(tool("ns-unshare").to_str().unwrap(), &words).run()
}

/// As in a container of Docker's on a machine's root: all is one overlay, which has no id-mapped mounts; what is kept lies on a
/// volume.
fn overlay(run: &Chain, place: &Place) -> Ran {
    let state = place.folder.join("state");
    fs::create_dir_all(&state).unwrap();
    own(&state, place.user);
    let state = state.to_str().unwrap();
    let folder = place.folder.path().to_str().unwrap();
    // /tmp may be another file system than / is.
    let words = format!(
        "--mount --pid -- mount-plan --rw-root --tmp-overlay / / --tmp-overlay {folder} {folder} --bind {state} {state} --proc /proc \
         -o rw --dev /dev --bind /sys /sys --"
    );
    let words: Vec<&str> = words.split(' ').collect();
    run.within(tool("ns-unshare").to_str().unwrap(), &words).run()
}

fn owned(path: &Path, owner: &str) {
    assert!(Command::new("chown").args(["-Rh", owner]).arg(path).status().unwrap().success());
}

/// Every file of the tree, by all that a build could change of it.
fn all_of(place: &Place) -> String {
    let line = "find . -printf '%p %m %U:%G %T@ %l\\n' | sort && find . -type f -exec sha256sum {} + | sort";
    Chain::shell(line).at(place.work()).run().ok()
}

/// What BUILD needs, with each file of an owner of its own.
fn tree(place: &Place, top: u32, mine: u32, others: u32) {
    let work = place.work();
    Command::new("rm").arg("-rf").arg(&work).status().unwrap();
    fs::create_dir_all(work.join("build/sub")).unwrap();
    for name in ["mine", "others", "build/sub/file"] {
        fs::write(work.join(name), "old\n").unwrap();
    }
    owned(&work, &format!("{top}:{top}"));
    chown(work.join("mine"), Some(mine), Some(mine)).unwrap();
    chown(work.join("others"), Some(others), Some(20)).unwrap();
    fs::set_permissions(work.join("mine"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// sudo in a checkout; a tarball unpacked as root. Ids above 65536 are those of a directory service.
#[test]
fn root_builds_in_a_tree_of_several_owners() {
    if !root_or_skip("root_builds_in_a_tree_of_several_owners") {
        return;
    }
    let place = Place::new("owners", false);
    for (top, mine, others) in [(1234, 0, 501), (1234, 1234, 1_532_331), (0, 501, 1_532_331), (1_532_331, 1234, 0)] {
        tree(&place, top, mine, others);
        let before = all_of(&place);
        let ran = place.run(&["--", "sh", "-c", BUILD]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "built\n"), "{top} {mine} {others}: {ran:#?}");
        assert_eq!(all_of(&place), before);
    }
}

/// What comes back belongs to whom it belonged, and what is new to whom the directory belongs.
#[test]
fn what_root_takes_into_the_tree_of_somebody_else_is_not_roots() {
    if !root_or_skip("what_root_takes_into_the_tree_of_somebody_else_is_not_roots") {
        return;
    }
    let change = "rm -r build && mkdir -p build new/sub && for f in mine others build/out new/sub/n top; do echo more >>$f; done";
    for mine in [501, 0, 1234] {
        let place = Place::new("taken", false);
        tree(&place, 1234, mine, 1_532_331);
        place.run(&["--keep", "k", "--", "sh", "-c", change]).ok();
        // A second run finds what the first has left.
        place.run(&["--keep", "k", "--", "sh", "-c", "echo again >>build/out && echo again >>mine"]).ok();
        let listed = place.run(&["--diff", "k"]).ok();
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["! mine", "! others", "+ build/out", "+ new/", "+ top", "- build/sub"]);
        place.run(&["--take", "k", "mine", "others", "build", "new/sub/n", "top"]).ok();
        let facts = |name| fs::metadata(place.work().join(name)).unwrap();
        assert_eq!(facts("mine").uid(), mine);
        assert_eq!((facts("others").uid(), facts("others").gid()), (1_532_331, 20));
        for name in ["build", "build/out", "new", "new/sub", "new/sub/n", "top"] {
            assert_eq!((facts(name).uid(), facts(name).gid()), (1234, 1234), "{name}");
        }
        assert_eq!(fs::read_to_string(place.work().join("mine")).unwrap(), "old\nmore\nagain\n");
        assert_eq!(place.run(&["--diff", "k"]).ok(), "");
        place.run(&["--drop", "k"]).ok();
        assert_eq!(place.run(&["--list"]).ok(), "");
    }
}

/// No mount there can be shown as somebody else's. The box's user 0 is whom the tree belongs to, and in the container's own
/// tree the container's root: what only that may read is not there.
#[test]
fn in_a_container_the_box_works_and_reads_no_secret_of_its_root() {
    if !root_or_skip("in_a_container_the_box_works_and_reads_no_secret_of_its_root") {
        return;
    }
    let place = Place::new("container", false);
    owned(place.folder.path(), &format!("{CONTAINER_ROOT}:{CONTAINER_ROOT}"));
    let build = format!("! grep secret /etc/shadow 2>/dev/null && id -u && {BUILD}");
    for (inside, id, as_user) in [(0, 0, false), (1000, 0, false), (4321, 0, false), (1000, 1000, true)] {
        let top = CONTAINER_ROOT + inside;
        let name = format!("k{inside}");
        for words in [["--", "sh", "-c", &build].as_slice(), &["--keep", &name, "--", "sh", "-c", &build]] {
            tree(&place, top, top, top);
            chown(place.work().join("others"), None, Some(top)).unwrap();
            let before = all_of(&place);
            // The folder is whose it would be there: `/' is not the container's root's here.
            let whose = if as_user { top } else { CONTAINER_ROOT };
            chown(place.folder.path(), Some(whose), Some(whose)).unwrap();
            let run = place.sandbox(words).env("XDG_STATE_HOME", place.folder.join(format!("state-{whose}")));
            let ran = if as_user { container(&user(&run), &place) } else { container(&run, &place) };
            assert_eq!((ran.code, ran.out.as_str()), (0, format!("{id}\nbuilt\n").as_str()), "{inside}: {ran:#?}");
            let fallback = "mount-plan: no id-mapped mounts for . here: it keeps its owner, ";
            said_at_most(&ran, &["cg-run: no limits by a cgroup: ", "sandbox: changes to ", fallback]);
            assert_eq!(all_of(&place), before);
        }
    }
    let shadow = container(&Chain::program("cat").args(["/etc/shadow"]), &place);
    assert_eq!(shadow.ok(), "secret\n", "the container's root itself reads it");
}

/// On standard error are lines that begin like this, and nothing else.
fn said_at_most(ran: &Ran, begins: &[&str]) {
    for line in ran.err.lines() {
        assert!(begins.iter().any(|begin| line.starts_with(begin)), "{line:?} in {ran:#?}");
    }
}

#[test]
fn root_of_a_users_own_namespace_has_a_box() {
    let place = Place::new("unshared", true);
    for words in [["--", "sh", "-c"].as_slice(), &["--keep", "k", "--", "sh", "-c"]] {
        let work = place.work();
        fs::create_dir_all(work.join("build/sub")).unwrap();
        fs::write(work.join("mine"), "old\n").unwrap();
        fs::write(work.join("others"), "old\n").unwrap();
        for name in ["build", "build/sub", "mine", "others"] {
            own(&work.join(name), true);
        }
        let run = place.sandbox(&[words, &[&format!("id -u && {BUILD}")]].concat());
        let run = run.within("unshare", &["-Ur"]);
        let ran = if is_root() { user(&run) } else { run }.run();
        assert_eq!((ran.code, ran.out.as_str()), (0, "0\nbuilt\n"), "{ran:#?}");
        assert_eq!(fs::read_to_string(work.join("mine")).unwrap(), "old\n");
    }
}

#[test]
fn on_an_overlay_the_box_works_and_reads_no_secret_of_root() {
    if !root_or_skip("on_an_overlay_the_box_works_and_reads_no_secret_of_root") {
        return;
    }
    let secret = "for f in /etc/shadow /etc/gshadow; do [ ! -s $f ] || ! cat $f 2>/dev/null || exit; done";
    let build = format!("{secret}; id -u && {BUILD}");
    for (place, top, as_user) in [
        (Place::new("overlay-root", false), 0, false),
        (Place::new("overlay-sudo", true), USER, false),
        (Place::new("overlay", true), USER, true),
    ] {
        for words in [["--", "sh", "-c", &build].as_slice(), &["--keep", "k", "--", "sh", "-c", &build]] {
            if words[0] == "--keep" && place.user != as_user {
                continue; // its state is the user's, and root trusts no folder of his
            }
            tree(&place, top, top, top);
            chown(place.work().join("others"), None, Some(top)).unwrap();
            let run = place.sandbox(words);
            let ran = if as_user { overlay(&user(&run), &place) } else { overlay(&run, &place) };
            let id = if as_user { USER } else { 0 };
            assert_eq!((ran.code, ran.out.as_str()), (0, format!("{id}\nbuilt\n").as_str()), "{top}: {ran:#?}");
        }
    }
}

/// A directory of a team. An ordinary user can give a box no group but his own.
#[test]
fn a_tree_of_a_supplementary_group_is_said_to_be_one() {
    if !root_or_skip("a_tree_of_a_supplementary_group_is_said_to_be_one") {
        return;
    }
    let place = Place::new("team", true);
    tree(&place, USER, USER, USER);
    chown(place.work().join("others"), None, Some(USER)).unwrap();
    chown(place.work(), None, Some(2000)).unwrap();
    let run = place.sandbox(&["--", "sh", "-c", BUILD]);
    let run = run.within("setpriv", &["--reuid", "1000", "--regid", "1000", "--groups", "2000"]);
    let ran = run.run();
    assert_eq!((ran.code, ran.out.as_str()), (0, "built\n"), "{ran:#?}");
    let said =
        "mount-plan: . belongs to a group that is not one of the box's: its files can be read, not changed (EOVERFLOW)";
    assert_eq!(ran.err.lines().filter(|line| *line == said).count(), 1, "{ran:#?}");
    said_at_most(&ran, &["cg-run: no limits by a cgroup: ", said]);
}

/// In a container without a volume nothing can be kept, and before Linux 6.6 an ordinary user's box removes no directory.
#[test]
fn without_a_disk_for_changes_one_line_says_so() {
    if !root_or_skip("without_a_disk_for_changes_one_line_says_so") {
        return;
    }
    let place = Place::new("no-disk", true);
    tree(&place, USER, USER, USER);
    let state = place.folder.join("home/state");
    let keep = user(&place.sandbox(&["--keep", "k", "--", "true"]).env("XDG_STATE_HOME", &state));
    let ran = overlay(&keep, &place);
    ran.fails(125, "home/state/chainbox/k lies on an overlay, where changes to ");
    assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
    for state in [state.as_path(), Path::new("/nowhere")] {
        let run = place.sandbox(&["--", "sh", "-c", "echo x >>mine && echo ran"]).env("XDG_STATE_HOME", state);
        let ran = overlay(&on_an_older_kernel(&user(&run), &place), &place);
        assert_eq!((ran.code, ran.out.as_str()), (0, "ran\n"), "{ran:#?}");
        said_at_most(&ran, &["cg-run: no limits by a cgroup: ", "sandbox: no directory of "]);
        assert!(ran.err.contains("not ") && ran.err.contains(state.to_str().unwrap()), "{ran:#?}");
    }
}

/// An environment that root has from another user: sudo -E, su without -.
#[test]
fn nothing_is_kept_below_a_folder_of_somebody_else() {
    if !root_or_skip("nothing_is_kept_below_a_folder_of_somebody_else") {
        return;
    }
    let place = Place::new("theirs", false);
    let theirs = place.folder.join("theirs");
    fs::create_dir_all(theirs.join("state/chainbox")).unwrap();
    chown(&theirs, Some(USER), Some(USER)).unwrap();
    let link = place.folder.join("link");
    symlink(&theirs, &link).unwrap();
    for state in [theirs.clone(), theirs.join("state"), theirs.join("new/er"), link] {
        let ran = place.sandbox(&["--keep", "k", "--", "true"]).env("XDG_STATE_HOME", &state).run();
        ran.fails(125, " is not only this user's to change: whoever can could exchange what is below it");
        assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
    }
    assert_eq!(fs::read_dir(theirs.join("state/chainbox")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
}

/// What runs under a kernel that calls itself 6.1: in a mount namespace of its own, in which a proc is left that shows all.
fn on_an_older_kernel(run: &Chain, place: &Place) -> Chain {
    let proc = place.folder.join("proc");
    fs::create_dir_all(&proc).unwrap();
    fs::write(place.folder.join("release"), "6.1.0-56-amd64\n").unwrap();
    let line = "mount -t proc proc ../proc && mount --bind ../release /proc/sys/kernel/osrelease && exec \"$0\" \"$@\"";
    run.within("unshare", &["--mount", "sh", "-c", line]).at(place.work())
}

/// In a user namespace no directory can be removed there if changes lie in memory (tmpfs has no user xattrs before 6.6).
#[test]
fn before_6_6_changes_lie_in_a_folder_that_goes_with_the_run() {
    if !root_or_skip("before_6_6_changes_lie_in_a_folder_that_goes_with_the_run") {
        return;
    }
    let place = &Place::new("older", true);
    let boxes = place.folder.join("state/chainbox");
    let left = || fs::read_dir(&boxes).map_or(0, |entries| entries.count());
    for unshared in [false, true] {
        let run = |words: &[&str]| {
            let run = place.sandbox(words);
            on_an_older_kernel(&user(&if unshared { run.within("unshare", &["-Ur"]) } else { run }), place)
        };
        tree(place, USER, USER, USER);
        chown(place.work().join("others"), None, Some(USER)).unwrap();
        let before = all_of(place);
        let ran = run(&["--", "sh", "-c", BUILD]).run();
        assert_eq!((ran.code, ran.out.as_str()), (0, "built\n"), "{ran:#?}");
        wait_for("the folder to go", || left() == 0);
        assert_eq!(run(&["--", "sh", "-c", "rm -r build; exit 7"]).run().code, 7);
        assert_eq!(run(&["--", "sh", "-c", "kill -KILL $$"]).run().code, 137);
        wait_for("both folders to go", || left() == 0);

        // What ends the script ends the box, and a box that asks for it can say how.
        for (signal, trap, code) in
            [(Signal::SIGTERM, "", 143), (Signal::SIGTERM, "trap 'exit 9' TERM; ", 9), (Signal::SIGKILL, "", 137)]
        {
            let started = place.folder.join("home/started");
            fs::write(&started, "").unwrap();
            own(&started, true);
            let (path, line) = (started.to_str().unwrap(), format!("{trap}echo $$ >\"$0\"; sleep 1000 & wait"));
            let mut chain = run(&["--rw", path, "--", "sh", "-c", &line, path]);
            let mut child = chain.command().stderr(Stdio::null()).spawn().unwrap();
            wait_for("the box to start", || fs::read_to_string(&started).is_ok_and(|text| !text.is_empty()));
            assert_eq!(left(), 1);
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            let status = child.wait().unwrap();
            assert_eq!(status.code().or(status.signal().map(|signal| 128 + signal)), Some(code), "{signal} {trap}");
            wait_for("the folder to go", || left() == 0);
        }

        // Nobody was left to do it: the next run does.
        let dead = boxes.join("run.4194305");
        fs::create_dir_all(dead.join("work/work")).unwrap();
        fs::write(dead.join("of"), "/somewhere\n").unwrap();
        owned(&dead, "1000:1000");
        run(&["--", "true"]).run().ok();
        assert!(!dead.exists());

        run(&["--keep", "k", "--", "sh", "-c", "rm -r build; echo kept >new"]).run().ok();
        assert_eq!(run(&["--keep", "k", "--", "sh", "-c", "ls; cat new"]).run().ok(), "mine\nnew\nothers\nkept\n");
        wait_for("no other folder", || left() == 1);
        let run = place.sandbox(&["--drop", "k"]);
        user(&if unshared { run.within("unshare", &["-Ur"]) } else { run }).run().ok();
        assert_eq!(all_of(place), before);
    }
}
