//! `scripts/install`: what is installed works from there and nowhere else, and is taken away to the last folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chainbox_tests::{Chain, Folder, USER, bin, checkout, is_root, root_or_skip};

#[path = "../../chain/build.rs"]
#[allow(dead_code, reason = "its main is cargo's")]
mod build;

fn install(words: &[&str]) -> Chain {
    Chain::program(checkout().join("scripts/install")).args(words).env("CHAINBOX_BIN", bin())
}

fn below(prefix: &Path, words: &[&str]) -> Chain {
    install(&["--prefix"]).args([prefix]).args(words)
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(paths(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Every path below a folder, with what it is and when it was changed: a folder is when something is made or removed in it.
fn tree(folder: &Path) -> Vec<String> {
    let line = |path: PathBuf| {
        let facts = fs::symlink_metadata(&path).unwrap();
        let time = if facts.is_dir() { 0 } else { facts.mtime_nsec() };
        format!("{} {:o} {} {time}", path.display(), facts.mode(), facts.uid())
    };
    paths(folder).into_iter().map(line).collect()
}

/// One line, nothing changed.
#[track_caller]
fn refused(chain: Chain, folder: &Path, words: &str) {
    let before = tree(folder);
    let ran = chain.run();
    ran.fails(125, words);
    assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
    assert_eq!(tree(folder), before, "{ran:#?}");
}

#[test]
fn an_installed_sandbox_works_from_its_prefix_and_writes_nothing_there() {
    let folder = Folder::new("installed", false);
    let prefix = folder.join("a prefix/with spaces");
    below(&prefix, &["--fronts"]).run().ok();
    let before = tree(&prefix);
    let work = Folder::new("installed-work", true);
    let sandbox = || Chain::program(prefix.join("bin/sandbox")).env_remove("CHAINBOX_BIN").at(work.path());
    let words = ["--", "sh", "-c", "echo of the box >new && cat new"];
    for chain in [sandbox(), sandbox().as_user()] {
        assert_eq!(chain.env("HOME", "/home/nobody").args(words).run().ok(), "of the box\n");
    }
    let kept = Folder::new("installed-state", true);
    let keep = sandbox().env("XDG_STATE_HOME", kept.path()).args(["--keep", "one", "--", "sh", "-c", ": >left"]);
    keep.as_user().run().ok();
    let kept_boxes = |words: &[&str]| sandbox().env("XDG_STATE_HOME", kept.path()).args(words).as_user().run().ok();
    assert!(kept_boxes(&["--list"]).starts_with("one "));
    assert_eq!(kept_boxes(&["--diff", "one"]), "+ left\n");
    kept_boxes(&["--drop", "one"]);
    let front = Chain::program(prefix.join("lib/chainbox/fronts/bwrap")).env("PATH", "/usr/bin:/bin");
    assert_eq!(front.args(["--ro-bind", "/", "/", "--", "echo", "a box"]).as_user().run().ok(), "a box\n");
    let check = Chain::program(prefix.join("bin/chainbox-check-host")).env_remove("CHAINBOX_BIN").as_user().run();
    assert!(check.out.contains("the default filter"), "{check:#?}");
    let image = work.join("image.cpio");
    Chain::program(prefix.join("bin/chainbox-mkinitramfs")).args([&image]).env_remove("CHAINBOX_BIN").run().ok();
    assert!(fs::metadata(&image).unwrap().len() > 1_000_000);
    assert_eq!(tree(&prefix), before);
}

/// Where the prefix is read-only and the checkout is not there.
#[test]
fn an_installed_sandbox_needs_no_checkout_and_no_writable_prefix() {
    if !root_or_skip("an_installed_sandbox_needs_no_checkout_and_no_writable_prefix") {
        return;
    }
    let (folder, work) = (Folder::new("read-only", false), Folder::new("read-only-work", true));
    let prefix = folder.join("prefix");
    below(&prefix, &[]).run().ok();
    let line = "mount -t tmpfs none \"$1\" && mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && cd \"$2\" && \
                ! touch \"$0/bin/new\" 2>/dev/null && exec setpriv --reuid $3 --regid $3 --clear-groups \"$0/bin/sandbox\" -- id -u";
    for user in ["0", "1000"] {
        let chain = Chain::program("unshare").args(["--mount", "sh", "-c", line]).args([&prefix, &checkout()]);
        assert_eq!(chain.args([work.path()]).args([user]).env_remove("CHAINBOX_BIN").run().ok(), format!("{user}\n"));
    }
    let again = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && exec \"$0\" --prefix \"$1\" \"$2\"";
    for (option, words) in [("--fronts", "nothing was installed: "), ("--uninstall", "not all of it was removed: ")] {
        let chain = Chain::program("unshare").args(["--mount", "sh", "-c", again, &install_script()]);
        let chain = chain.args([&prefix]).args([option]).env("CHAINBOX_BIN", bin());
        refused(chain, folder.path(), words);
    }
}

fn install_script() -> String {
    checkout().join("scripts/install").display().to_string()
}

#[test]
fn what_was_installed_is_removed_to_the_last_folder() {
    let folder = Folder::new("removed", false);
    let prefix = folder.join("usr");
    fs::create_dir_all(prefix.join("share/man/man1")).unwrap();
    fs::create_dir(prefix.join("bin")).unwrap();
    fs::write(prefix.join("bin/mine"), "mine").unwrap();
    let before = tree(folder.path());
    below(&prefix, &["--fronts", "--systemd"]).run().ok();
    let all = tree(folder.path());
    let unit = fs::read_to_string(prefix.join("lib/systemd/system/zfs-pool-refill@.service")).unwrap();
    assert!(unit.contains(&format!("ExecStart={}/bin/zfs-pool refill", prefix.display())), "{unit}");
    // Another form in its place; what that has not is gone.
    below(&prefix, &["--six"]).run().ok();
    assert!(!prefix.join("lib/chainbox/fronts").join("bwrap").exists() && !prefix.join("bin/chainbox").exists());
    assert!(fs::symlink_metadata(prefix.join("bin/cg-run")).unwrap().is_file());
    let left: Vec<_> = tree(folder.path()).into_iter().filter(|line| line.contains("/.chainbox")).collect();
    assert!(left.is_empty() && all.len() > 60, "{left:?} {all:?}");
    below(&prefix, &["--uninstall"]).run().ok();
    assert_eq!(tree(folder.path()), before);
    refused(below(&prefix, &["--uninstall"]), folder.path(), "nothing was installed below ");
    // Of a prefix that was not there nothing stays, but what somebody else has put there meanwhile.
    let new = folder.join("opt/new");
    below(&new, &[]).run().ok();
    fs::write(new.join("lib/chainbox/theirs"), "").unwrap();
    below(&new, &["--uninstall"]).run().ok();
    assert_eq!(tree(&new).len(), 3, "{:?}", tree(&new));
    fs::remove_file(new.join("lib/chainbox/theirs")).unwrap();
    fs::remove_dir_all(folder.join("opt")).unwrap();
    below(&new, &[]).run().ok();
    below(&new, &["--uninstall"]).run().ok();
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn what_tools_print_is_what_is_installed() {
    let folder = Folder::new("pages", false);
    below(&folder.join("p"), &[]).run().ok();
    let share = folder.join("p/share");
    let printed = |words: &[&str]| Chain::program(bin().join("chainbox")).args(words).run().ok();
    let read = |path: &str| fs::read_to_string(share.join(path)).unwrap();
    let others = ["chainbox", "sandbox", "chainbox-bwrap", "chainbox-isolate"];
    for page in chain::TOOLS.into_iter().chain(others) {
        assert_eq!(read(&format!("man/man1/{page}.1")), printed(&["--man", page]));
    }
    assert_eq!(read("man/man7/chainbox-layers.7"), printed(&["--man", "chainbox-layers"]));
    assert_eq!(read("zsh/site-functions/_chainbox"), printed(&["--completion", "zsh"]));
    for name in chain::TOOLS.into_iter().chain(["chainbox", "sandbox"]) {
        assert_eq!(read(&format!("bash-completion/completions/{name}")), printed(&["--completion", "bash"]));
        assert_eq!(read(&format!("fish/vendor_completions.d/{name}.fish")), printed(&["--completion", "fish"]));
    }
    for entry in fs::read_dir(folder.join("p/bin")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755, "{}", path.display());
    }
}

#[test]
fn a_package_has_every_path_below_its_folder() {
    let folder = Folder::new("package", false);
    let (package, local) = (folder.join("of usr"), folder.join("of local"));
    for (place, prefix) in [(&package, "/usr"), (&local, "/usr/local")] {
        // Twice: the second goes over the first.
        for _ in 0..2 {
            install(&["--prefix", prefix, "--fronts", "--systemd", "--destdir"]).args([place]).run().ok();
        }
        assert!(
            !place.join(format!("{}/lib/chainbox/installed", &prefix[1..])).exists(),
            "a package has a list of its own"
        );
        for path in paths(place) {
            assert!(!fs::read_link(&path).is_ok_and(|target| target.is_absolute()), "{}", path.display());
        }
    }
    assert!(package.join("etc/apparmor.d/chainbox").exists());
    let hook = |place: &Path, prefix: &str| {
        let path = place.join(prefix).join("share/initramfs-tools/hooks/chainbox");
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(
        hook(&package, "usr"),
        fs::read_to_string(checkout().join("packaging/initramfs-tools/hooks/chainbox")).unwrap()
    );
    assert!(hook(&local, "usr/local").contains(":-/usr/local/bin}"));
    refused(install(&["--uninstall", "--destdir"]).args([&package]), folder.path(), "what lies there is a package's");
}

#[test]
fn bad_places_change_nothing() {
    let folder = Folder::new("bad", false);
    let path = folder.path();
    for (words, said) in [
        (&["--prefix"][..], "--prefix: a path that begins with / is missing"),
        (&["--prefix", "here"], "--prefix here: a path that begins with / is missing"),
        (&["--prefix", "/a/../b"], "a path without .."),
        (&["--prefix", "/a$(b)"], "a path without .."),
        (&["--prefix", "/a b", "--systemd"], "no unit takes a prefix with a space"),
        (&["--nonsense"], "--nonsense: unknown option"),
        (&["all"], "all: unknown option"),
    ] {
        refused(install(words), path, said);
    }
    // Somebody else's file, and a file where a folder is to be.
    fs::create_dir_all(folder.join("theirs/bin")).unwrap();
    fs::write(folder.join("theirs/bin/sandbox"), "theirs").unwrap();
    refused(below(&folder.join("theirs"), &[]), path, "/theirs/bin/sandbox is there, and not by scripts/install");
    fs::create_dir(folder.join("file")).unwrap();
    fs::write(folder.join("file/lib"), "").unwrap();
    refused(below(&folder.join("file"), &[]), path, "file/lib");
    fs::write(folder.join("none"), "").unwrap();
    refused(below(&folder.join("none/prefix"), &[]), path, "none");
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    refused(below(&folder.join("x"), &[]).env("CHAINBOX_BIN", &empty), path, "chainbox");
    if is_root() {
        fs::create_dir(folder.join("root")).unwrap();
        refused(below(&folder.join("root/prefix"), &[]).as_user(), path, "Permission denied");
        // A list that somebody else has written is not followed.
        fs::create_dir_all(folder.join("forged/lib/chainbox")).unwrap();
        let list = folder.join("forged/lib/chainbox/installed");
        fs::write(&list, format!("{}/theirs/bin/sandbox\n", path.display())).unwrap();
        std::os::unix::fs::chown(&list, Some(1000), Some(1000)).unwrap();
        refused(below(&folder.join("forged"), &["--uninstall"]), path, "belongs to somebody else");
        refused(below(&folder.join("forged"), &[]), path, "belongs to somebody else");
    }
}

/// A file system of a megabyte: in namespaces of our own.
/// He could exchange the folder in which all is made for a link to anywhere, while root writes there.
#[test]
fn root_installs_nothing_where_another_user_can_exchange_it() {
    if !root_or_skip("root_installs_nothing_where_another_user_can_exchange_it") {
        return;
    }
    let folder = Folder::new("exchangeable", false);
    let (theirs, open) = (folder.join("theirs"), folder.join("open"));
    for one in [&theirs, &open] {
        fs::create_dir(one).unwrap();
    }
    std::os::unix::fs::chown(&theirs, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink(&theirs, folder.join("link")).unwrap();
    for (prefix, named) in [("theirs", "theirs"), ("theirs/below", "theirs"), ("open", "open"), ("link", "theirs")] {
        let words = format!("/{named}: another user's, who could lead root elsewhere");
        refused(below(&folder.join(prefix), &[]), folder.path(), &words);
        refused(below(&folder.join(prefix), &["--uninstall"]), folder.path(), &words);
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    below(&open.join("own"), &[]).run().ok();
}

#[test]
fn no_space_changes_nothing() {
    let folder = Folder::new("full", true);
    let line =
        "mount -t tmpfs -o size=1M none \"$1\" && mkdir \"$1/mine\" && \"$0\" --prefix \"$1/p\"; echo $?; ls -A \"$1\"";
    let chain = Chain::new("ns-unshare").args(["--user", "--mount", "--keep-caps", "--", "sh", "-c", line]);
    let ran = chain.args([&install_script()]).args([folder.path()]).env("CHAINBOX_BIN", bin()).as_user().run();
    assert_eq!(ran.out, "125\nmine\n", "{ran:#?}");
    assert!(ran.err.contains("nothing was installed: ") && ran.err.contains("No space left on device"), "{ran:#?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
}

/// Killed at any time, with what it leaves: the next run mends it, and takes away what both have written.
#[test]
fn a_run_that_was_killed_is_mended_by_the_next() {
    let folder = Folder::new("killed", false);
    let prefix = folder.join("prefix");
    let whole = |step: u64| {
        below(&prefix, &["--fronts"]).run().ok();
        assert_eq!(Chain::program(prefix.join("bin/ns-unshare")).args(["--version"]).run().code, 0, "{step}");
        assert!(!prefix.join(".chainbox.new").exists(), "{step}");
    };
    for step in [30, 100, 250, 600] {
        let mut child = below(&prefix, &["--fronts"]).command().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(step));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had started goes on for a moment, with the lock.
        chainbox_tests::processes::wait_for("the lock", || {
            !prefix.exists() || Chain::program("flock").args(["-n"]).args([&prefix]).args(["true"]).run().code == 0
        });
        whole(step);
        below(&prefix, &["--uninstall"]).run().ok();
        // Before it had its list, a run may have left the folders that it had made.
        let left = if prefix.exists() { tree(&prefix) } else { vec![] };
        assert!(left.iter().all(|line| line.contains(" 4")), "{step}: {left:?}");
    }
    // Half of it was taken away by hand.
    whole(0);
    fs::remove_file(prefix.join("bin/chainbox")).unwrap();
    let words = ["--", "true"];
    Chain::program(prefix.join("bin/sandbox"))
        .args(words)
        .at("/var")
        .env_remove("CHAINBOX_BIN")
        .run()
        .fails(125, "not in ");
    whole(0);
}

#[test]
fn two_at_once_do_not_mix() {
    let folder = Folder::new("twice", false);
    fs::create_dir(folder.join("p")).unwrap();
    let holder = "exec 8<\"$1\" && flock 8 && \"$0\" --prefix \"$1\"";
    let chain = || Chain::program("sh").args(["-c", holder]).args([&install_script()]).env("CHAINBOX_BIN", bin());
    refused(chain().args([folder.join("p")]), folder.path(), "another scripts/install is at work");
}

#[test]
fn a_build_that_is_not_static_is_refused() {
    assert_eq!(build::refusal("fxsr,sse,crt-static,sse2"), None);
    for features in ["", "fxsr,sse", "no-crt-static", "crt-static-pie"] {
        assert!(build::refusal(features).is_some_and(|why| why.contains("+crt-static")), "{features}");
    }
}
