//! Real work in a box: the test suite of an unmodified third-party C project, Debian's zlib, built and run inside
//! `scripts/sandbox` with no network.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainbox_tests::machine::Machine;
use chainbox_tests::{Chain, Folder, Ran, Tier, checkout, is_root, root_or_skip, skip, tool};

const WORK: &str = "./configure && make -j2 && make test";

/// A copy of the source, of which the ordinary user may be the owner.
fn source(test: &str, folder: &Folder, user: bool) -> Option<PathBuf> {
    let fetched = Chain::program(checkout().join("tests/fetch-source")).args(["zlib"]).run();
    if fetched.code != 0 {
        skip(if is_root() { Tier::Root } else { Tier::UserNamespace }, test, fetched.err.trim_end());
        return None;
    }
    let copy = folder.join("zlib");
    let owner = if user && is_root() { "1000:1000" } else { "." };
    let line = "cp -a \"$1\" \"$2\" && if [ \"$3\" != . ]; then chown -R \"$3\" \"$2\"; fi";
    let copied = Command::new("sh").args(["-c", line, "sh", fetched.out.trim_end()]).arg(&copy).arg(owner).status();
    assert!(copied.unwrap().success());
    Some(copy)
}

fn sandbox(folder: &Folder, source: &Path) -> Chain {
    Chain::program(checkout().join("scripts/sandbox"))
        .args(["--keep", "zlib", "--report"])
        .args([folder.join("report")])
        .args(["--", "sh", "-c", WORK])
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("CHAINBOX_BIN", chainbox_tests::bin())
        .at(source)
}

/// `make test` prints one line for each of its programs; the shared and the 64-bit one are built where they can be.
fn zlib_tests_passed(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:#?}");
    for words in ["*** zlib test OK ***", "*** zlib shared test OK ***", "*** zlib 64-bit test OK ***"] {
        assert!(ran.out.contains(words), "no {words:?} in {ran:#?}");
    }
}

fn works(test: &str, user: bool) {
    let folder = Folder::new(test, user);
    let Some(source) = source(test, &folder, user) else { return };
    let before = Machine::now(test, &source);
    let run = sandbox(&folder, &source);
    zlib_tests_passed(&if user { run.as_user() } else { run }.run());
    before.unchanged(test, &source);

    let upper = folder.join("state/chainbox/zlib/upper");
    for built in ["libz.a", "libz.so.1.2.13", "zconf.h", "example"] {
        let facts = upper.join(built).symlink_metadata();
        assert!(facts.as_ref().is_ok_and(|facts| facts.len() > 1000), "{built}: {facts:?}");
    }
    let library = fs::read(upper.join("libz.a")).unwrap();
    assert!(library.starts_with(b"!<arch>\n"), "libz.a is an archive");
    // A plain mv takes a result out.
    fs::rename(upper.join("libz.a"), folder.join("libz.a")).unwrap();

    let report = fs::read_to_string(folder.join("report")).unwrap();
    let report: serde_json::Value = serde_json::from_str(report.trim_end()).unwrap();
    assert_eq!(report["verdict"], "OK", "{report:#}");
    assert_eq!(report["exit"], 0, "{report:#}");
    let seconds = |path: &str| report.pointer(path).and_then(serde_json::Value::as_f64).unwrap();
    assert!(seconds("/wall") > 0.1 && seconds("/cpu/total") > 0.1, "a compiler ran: {report:#}");
}

#[test]
fn zlib_is_built_and_tested_in_a_box() {
    works("zlib_is_built_and_tested_in_a_box", false);
}

#[test]
fn zlib_is_built_and_tested_in_an_ordinary_users_box() {
    if is_root() {
        works("zlib_is_built_and_tested_in_an_ordinary_users_box", true);
    }
}

/// As in a container: 65536 ids of the host's, of which the first is the container's root, and the tree is in its own.
const CONTAINER: &str = "--user --map-users 0:100000:65536 --map-groups 0:100000:65536 --mount --pid --keep-caps -- mount-plan --rw-root \
     --bind / / --proc /proc -o rw --dev /dev -- seccomp-exec --keep-caps all --";

/// As in a container of root's on the machine: all is an overlay, and what is kept is on a volume.
const OVERLAY: &str = "--mount --pid -- mount-plan --rw-root --tmp-overlay / / --tmp-overlay FOLDER FOLDER --bind FOLDER/volume \
     FOLDER/volume --proc /proc -o rw --dev /dev --bind /sys /sys --";

#[test]
fn zlib_is_built_and_tested_in_containers_by_root_and_by_a_user() {
    let test = "zlib_is_built_and_tested_in_containers_by_root_and_by_a_user";
    if !root_or_skip(test) {
        return;
    }
    for (around, id, as_user) in
        [(CONTAINER, 100_000, false), (CONTAINER, 101_000, true), (OVERLAY, 0, false), (OVERLAY, 1000, true)]
    {
        let folder = Folder::new(test, false);
        let Some(source) = source(test, &folder, false) else { return };
        let volume = folder.join("volume");
        fs::create_dir(&volume).unwrap();
        let owned = Command::new("chown").args(["-R", &format!("{id}:{id}")]).arg(folder.path()).status();
        assert!(owned.unwrap().success());
        let words: Vec<String> =
            around.split_whitespace().map(|word| word.replace("FOLDER", folder.path().to_str().unwrap())).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = sandbox(&folder, &source).env("XDG_STATE_HOME", &volume);
        if as_user {
            run = run.within("setpriv", &["--reuid", "1000", "--regid", "1000", "--clear-groups"]);
        }
        zlib_tests_passed(&run.within(tool("ns-unshare").to_str().unwrap(), &words).run());
        assert!(volume.join("chainbox/zlib/upper/libz.a").exists(), "{around}");
        assert!(!source.join("libz.a").exists(), "{around}");
    }
}
