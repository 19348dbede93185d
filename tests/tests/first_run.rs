//! What a machine that has never seen us may have: an old cargo, a dynamic busybox, one kernel. What its scripts find there
//! is asked of the functions themselves; `scripts/test-fresh` runs whole scripts on such a machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use chainbox_tests::screen::Screen;
use chainbox_tests::{Chain, Folder, busybox_or_skip, checkout};

/// A line of shell with these files of scripts/lib, for the workspace in a folder.
fn lib_for(workspace: &Path, files: &[&str], line: &str) -> Chain {
    let mut text = format!("set -eu; repo={}; . scripts/lib/say.sh; ", workspace.display());
    files.iter().for_each(|file| text += &format!(". scripts/lib/{file}; "));
    Chain::shell(&(text + line)).at(checkout())
}

fn lib(files: &[&str], line: &str) -> Chain {
    lib_for(&checkout(), files, line)
}

/// Rust's compilers of these versions in a folder, made by a shell (as `Folder::program` is, and for the same reason).
fn rust(folder: &Path, cargo: &str, rustc: &str) {
    let line = r#"mkdir -p "$0"; printf '#!/bin/sh\necho cargo %s\n' "$1" >"$0/cargo"; printf '#!/bin/sh\necho rustc %s\n' "$2" >"$0/rustc"
        chmod 755 "$0/cargo" "$0/rustc""#;
    Chain::shell(line).args([folder]).args([cargo, rustc]).run().ok();
}

#[test]
fn the_first_cargo_that_can_build_the_workspace_is_taken() {
    let manifest = fs::read_to_string(checkout().join("Cargo.toml")).unwrap();
    let least = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    let folder = Folder::new("cargo", false);
    // This machine's programs, but the Rust that its distribution may have among them.
    let bin = r#"mkdir "$0" && ln -s /usr/bin/* "$0" && rm -f "$0/cargo" "$0/rustc""#;
    Chain::shell(bin).args([folder.join("bin")]).run().ok();
    let found = |path: &str| {
        let search = format!("{path}:@/bin").replace('@', &folder.path().display().to_string());
        let find = "find_cargo; printf '%s %s' $(command -v cargo) $(command -v rustc)";
        let ran = lib(&["build.sh"], find).env("PATH", search).env("CARGO_HOME", folder.join("home")).run();
        (ran.code, ran.out.replace(&format!("{}/", folder.path().display()), ""), ran.err)
    };
    rust(&folder.join("old"), "1.65.0", "1.63.0");
    rust(&folder.join("half"), &format!("{least}.0"), "1.63.0");
    let (code, out, err) = found("@/old:@/half");
    assert!(code == 125 && err.contains(&format!("no cargo of Rust {least} or newer; run: curl ")), "{out} {err}");
    // Where rustup puts it, with no PATH to it.
    rust(&folder.join("home/bin"), &format!("{least}.0"), &format!("{least}.0"));
    assert_eq!(found("@/old:@/half").1, "home/bin/cargo home/bin/rustc");
    rust(&folder.join("new"), "1.999.0-nightly", "1.999.0-nightly");
    rust(&folder.join("newer"), "2.0.0", "2.0.0");
    assert_eq!(found("@/old:@/new:@/newer").1, "new/cargo new/rustc");
}

/// What apt offers in `rustc` and `rustc-web`, and what is asked of it then. Without lists the distribution is known by its name.
#[test]
fn rust_is_the_distributions_where_that_is_new_enough() {
    let folder = Folder::new("offers", false);
    let offer = r#"mkdir -p "$0"; printf '#!/bin/sh\necho "rustc:\n  Candidate: %s\nrustc-web:\n  Candidate: %s"\n' "$1" "$2" >"$0/apt-cache"
        printf '#!/bin/sh\necho 1000\n' >"$0/id"; printf '#!/bin/sh\n' >"$0/apt-get"; cp "$0/apt-get" "$0/sudo"; chmod 755 "$0"/*"#;
    let asked = |rustc: &str, web: &str, line: &str| {
        Chain::shell(offer).args([folder.path()]).args([rustc, web]).run().ok();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        lib(&["build.sh"], line).env("PATH", path).env("CARGO_HOME", folder.join("none")).run()
    };
    let packages = |rustc: &str, web: &str| asked(rustc, web, "rust_packages").ok();
    assert_eq!(packages("1.63.0+dfsg1-2", "1.85.0+dfsg3-1~deb12u3"), "rustc-web cargo-web\n");
    assert_eq!(packages("1.85.1+dfsg1-1+deb13u1", "1.96.0+dfsg1-1~deb13u1"), "rustc cargo\n");
    assert_eq!(packages("1.63.0", "(none)"), "");
    assert_eq!(packages("1.63.0", "1.84.9"), "");
    let ran = asked("1.63.0", "1.85.0", "builds() { false; }; have_compilers");
    assert_eq!((ran.code, ran.err.lines().count()), (125, 1), "{ran:#?}");
    let line = "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends --no-remove ";
    assert!(ran.err.contains(line) && ran.err.contains(" rustc-web cargo-web'\n"), "{ran:#?}");
}

/// As root, with an apt-get that fails as the real one does where somebody else is at it, and where there is no network.
#[test]
fn what_apt_fails_with_is_said_in_one_line() {
    let folder = Folder::new("apt", false);
    let fail = r#"printf '#!/bin/sh\necho 0\n' >"$0/id"; printf '#!/bin/sh\necho "$1" >>%s/calls\necho Reading lists...\necho "E: %s" >&2\necho "E: more" >&2\nexit 100\n' "$0" "$1" >"$0/apt-get"; chmod 755 "$0"/*"#;
    for (error, calls) in [
        ("Could not get lock /var/lib/dpkg/lock-frontend.", "install\n"),
        ("Failed to fetch http://mirror/gcc.deb  Could not resolve 'mirror'", "install\nupdate\n"),
    ] {
        Chain::shell(fail).args([folder.path()]).args([error]).run().ok();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let ran = lib(&["build.sh"], "install_packages gcc").env("PATH", path).run();
        let said: Vec<_> = ran.err.lines().collect();
        assert_eq!((ran.code, said.len()), (125, 2), "what is done, and why not: {ran:#?}");
        assert!(said[1].contains(" gcc: ") && said[1].ends_with(error), "{ran:#?}");
        assert_eq!(fs::read_to_string(folder.join("calls")).unwrap(), calls);
        fs::remove_file(folder.join("calls")).unwrap();
    }
}

/// What it asks cargo for: of a workspace that this cargo builds at once.
#[test]
fn a_first_run_builds_one_file_and_says_on_a_terminal_how_far_it_is() {
    let folder = Folder::new("first", false);
    let cargo = r#"case $1 in --version) echo cargo 1.2.3 ;; *) echo "cargo $*." >&2; mkdir -p target/first; cp /bin/true target/first/chainbox ;; esac"#;
    let line = r#"cd "$0"; echo 'rust-version = "1.2"' >Cargo.toml; mkdir rust old; printf '#!/bin/sh\n%s\n' "$1" >rust/cargo
        printf '#!/bin/sh\necho rustc 1.2.3\n' >rust/rustc; printf '#!/bin/sh\necho cargo 1.1.0\n' >old/cargo; chmod 755 rust/* old/*"#;
    Chain::shell(line).args([folder.path()]).args([cargo]).run().ok();
    let path = format!("{0}/old:{0}/rust:/usr/bin:/bin", folder.path().display());
    let first_run = || {
        lib_for(folder.path(), &["build.sh"], "have_tools; echo $bin $release $PATH")
            .env("PATH", &path)
            .env_remove("CHAINBOX_BIN")
    };
    let target = folder.join("target/first");
    let ran = first_run().run();
    assert_eq!(ran.out, format!("{0}/one {0} {path}\n", target.display()), "{ran:?}");
    let says =
        format!("sh: building into {}, once: chainbox\ncargo build --profile first --bin chainbox", target.display());
    assert_eq!(ran.err, format!("{says} --quiet.\n"));
    assert_eq!(fs::read_link(target.join("one/cg-run")).unwrap(), Path::new("../chainbox"));
    let ran = first_run().run();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "a second run builds nothing");
    fs::remove_file(target.join("chainbox")).unwrap();
    Screen::start(&first_run(), false).expect("cargo build --profile first --bin chainbox.");
}

#[test]
fn a_busybox_that_needs_a_library_is_not_taken() {
    let Some(own) = busybox_or_skip("a_busybox_that_needs_a_library_is_not_taken") else { return };
    let folder = Folder::new("busybox", true);
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let found = || Chain::program(checkout().join("tests/fetch-busybox")).env("PATH", &path).run().ok();
    folder.program("/bin/ls", "busybox");
    assert_ne!(Path::new(found().trim_end()), folder.join("busybox"));
    fs::remove_file(folder.join("busybox")).unwrap();
    folder.program(&own, "busybox");
    assert_eq!(Path::new(found().trim_end()), folder.join("busybox"));
}

#[test]
fn newest_is_the_kernel_that_was_offered_and_not_what_happens_to_be_there() {
    let folder = Folder::new("newest", false);
    let cached = |line: &str| {
        let chain = lib(&["kernel.sh"], line).env("cache", folder.path());
        chain.run().ok()
    };
    let kernel = |version: &str, file: &str| {
        let path = folder.join("kernel").join(version).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    };
    kernel("6.1.100-1", "vmlinuz");
    assert_eq!(cached("kernel_cached 6.1; kernel_cached newest"), "6.1.100-1\n");
    fs::write(folder.join("newest"), "6.12.9-1~bpo12+1\n").unwrap();
    assert_eq!(cached("kernel_cached newest"), "", "one that was offered and is not there");
    kernel("6.12.9-1~bpo12+1", "vmlinuz");
    kernel("6.13.1-1~bpo12+1", "vmlinuz");
    assert_eq!(cached("kernel_cached newest; kernel_cached newest zfs/etc/zfs-version"), "6.12.9-1~bpo12+1\n");
    kernel("6.12.9-1~bpo12+1", "zfs/etc/zfs-version");
    assert_eq!(
        cached("kernel_cached newest zfs/etc/zfs-version; kernel_cached 6.13"),
        "6.12.9-1~bpo12+1\n6.13.1-1~bpo12+1\n"
    );
}
