//! `scripts/release`: the same bytes twice, and each of its files is what it says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use chainbox_tests::{Chain, Folder, Ran, Tier, bin, checkout, skip};
use serde_json::Value;

/// A commit of what this checkout has now, in a folder of its own; otherwise the skip is recorded.
fn commit(test: &str, folder: &Folder, name: &str) -> bool {
    let line = "mkdir -p \"$1\" && tar -C \"$0\" --exclude=./target --exclude=./.git --exclude=./.cache -c . | tar -C \"$1\" -x &&
        cd \"$1\" && git init -q && git add -A &&
        GIT_COMMITTER_DATE='@1700000000 +0000' git -c user.name=test -c user.email=test commit -q --no-gpg-sign -m test";
    let ran = Chain::shell(line).args([checkout(), folder.join(name)]).env("HOME", folder.path()).run();
    if ran.code != 0 {
        skip(Tier::Machine, test, &format!("no commit of this checkout: {}", ran.err.trim_end()));
    }
    ran.code == 0
}

/// Its release, in `out`, with the one file that is here.
fn release(folder: &Folder, name: &str, out: &Path, umask: &str) -> Ran {
    let line = format!("umask {umask} && exec \"$0\" \"$1\"");
    let script = folder.join(name).join("scripts/release");
    Chain::shell(&line).args([&script, out]).env("CHAINBOX_BIN", bin()).at("/").run()
}

fn run(line: &str, at: &Path) -> String {
    Chain::shell(line).at(at).run().ok()
}

#[test]
fn a_release_is_the_same_bytes_twice_and_says_what_it_is() {
    let test = "a_release_is_the_same_bytes_twice_and_says_what_it_is";
    let folder = Folder::new("release", false);
    if !commit(test, &folder, "one") || !commit(test, &folder, "another/place") {
        return;
    }
    let out = folder.join("out");
    let ran = release(&folder, "one", &out, "022");
    if ran.code != 0 && ["cargo", "this machine lacks"].iter().any(|reason| ran.err.contains(reason)) {
        return skip(Tier::Machine, test, ran.err.trim_end());
    }
    ran.ok();
    release(&folder, "another/place", &folder.join("again"), "077").ok();
    run("cmp out/SHA256SUMS again/SHA256SUMS && cd again && sha256sum --quiet -c SHA256SUMS", folder.path());
    run("cd out && sha256sum --quiet -c SHA256SUMS && [ \"$(ls | wc -l)\" = 4 ]", folder.path());

    run("for one in out/*.tar.gz; do tar -xzf $one; done", folder.path());
    let version = env!("CARGO_PKG_VERSION");
    let source = folder.join(format!("chainbox-{version}"));
    let name = format!("chainbox-{version}-{}", std::env::consts::ARCH);
    let place = folder.join(&name);
    // Every crate is there: cargo finds them with nothing of its own, and no network.
    run(
        "env PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH CARGO_HOME=$PWD/none cargo metadata --offline --locked --format-version 1",
        &source,
    );
    assert_eq!(run("bin/mount-plan --version", &place), format!("mount-plan {version}\n"));
    run("bin/rlimit-exec --core 0 -- true", &place);
    let owners = run(&format!("tar -tvzf out/{name}.tar.gz | cut -d ' ' -f 2 | sort -u"), folder.path());
    assert_eq!(owners, "0/0\n");

    let bill: Value =
        serde_json::from_slice(&fs::read(folder.join(format!("out/chainbox-{version}.cdx.json"))).unwrap()).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["metadata"]["timestamp"]),
        (&"CycloneDX".into(), &"2023-11-14T22:13:20Z".into())
    );
    let sum = run("sha256sum <bin/chainbox", &place);
    assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], sum.split(' ').next().unwrap());
    let names: Vec<_> =
        bill["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in ["chain", "mount-plan", "rustix", "nix", "glibc", "rust-std"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!names.contains(&"libseccomp"), "it is linked with tests alone: {names:?}");
}

#[test]
fn what_cannot_be_released_is_refused_and_leaves_nothing() {
    let test = "what_cannot_be_released_is_refused_and_leaves_nothing";
    let folder = Folder::new("no-release", false);
    if !commit(test, &folder, "one") {
        return;
    }
    let refused = |out: &Path, words: &str| {
        let ran = release(&folder, "one", out, "022");
        if ran.err.contains("no cargo of Rust") || ran.err.contains("this machine lacks") {
            return skip(Tier::Machine, test, ran.err.trim_end());
        }
        ran.fails(125, words);
        assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
    };
    refused(Path::new("--all"), "--all: unknown option");
    refused(folder.path(), "is there already");
    refused(&folder.join("none/out"), "cannot write");
    if chainbox_tests::is_root() {
        let line = r#"mount -t tmpfs -o size=64k full "$1" && TMPDIR=$1 exec "$0" "$1/out""#;
        let words = ["--mount", "sh", "-c", line].map(Path::new);
        fs::create_dir(folder.join("small")).unwrap();
        let program = folder.join("one/scripts/release");
        let ran = Chain::program("unshare").args(words).args([&program, &folder.join("small")]).run();
        ran.fails(125, "No space left on device");
        assert_eq!(ran.err.lines().count(), 1, "{ran:#?}");
        fs::remove_dir(folder.join("small")).unwrap();
    }
    fs::write(folder.join("one/new"), "").unwrap();
    refused(&folder.join("out"), "has what is in no commit");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left");
}
