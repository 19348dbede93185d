//! The one-file form does what the six files do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::symlink;

use chain::TOOLS;
use chainbox_tests::{Chain, Folder, tool};

/// A folder with a link to the file for each tool; nothing else of ours is in it.
fn links(test: &str) -> (Folder, String) {
    let folder = Folder::new(test, false);
    for name in TOOLS {
        symlink(tool("chainbox"), folder.join(name)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, path)
}

#[test]
fn every_tool_is_there_under_its_own_name() {
    let (_folder, path) = links("multicall-names");
    for name in TOOLS {
        for page in ["--version", "--help", "--man"] {
            let one = Chain::new(name).args([page]).run().ok();
            assert_eq!(Chain::shell(&format!("{name} {page}")).env("PATH", &path).run().ok(), one);
            assert_eq!(Chain::new("chainbox").args([name, page]).run().ok(), one);
        }
    }
}

#[test]
fn a_chain_goes_from_link_to_link_and_across_the_root() {
    let (folder, path) = links("multicall-chain");
    let line = "ns-unshare --user --mount --pid --ipc --uts --hostname box -- rlimit-exec --nofile 100:200 -- \
        mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
        --proc /proc --dev /dev -- seccomp-exec --filter default -- \
        sh -c 'ulimit -n; hostname; grep ^Seccomp: /proc/self/status'";
    let ran = Chain::shell(line).env("PATH", &path).as_user().run();
    assert_eq!(ran.ok(), "100\nbox\nSeccomp:\t2\n");
    // It was the links: whatever is called like that beside them is the next one, and where there is nothing, the file is.
    let odd = folder.program("/bin/echo", "echo");
    std::fs::rename(odd, folder.join("seccomp-exec")).unwrap();
    let ran = Chain::shell(line).env("PATH", &path).as_user().run();
    ran.fails(125, "seccomp-exec as a read-only clone: a dynamic program");
    for name in &TOOLS[3..] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    let ran = Chain::shell(line).env("PATH", &path).as_user().run();
    assert_eq!(ran.ok(), "100\nbox\nSeccomp:\t2\n");
}

#[test]
fn errors_carry_the_tools_name_and_code() {
    let (_folder, path) = links("multicall-errors");
    let shell = |line: &str| Chain::shell(line).env("PATH", &path).run();
    shell("rlimit-exec --nofile 2:1 -- true").fails(125, "rlimit-exec: --nofile: soft limit 2 is above hard limit 1");
    shell("seccomp-exec --filter default -- no-such-program").fails(127, "seccomp-exec: no-such-program");
}

#[test]
fn a_name_that_is_no_tools_is_refused_with_the_list() {
    Chain::new("chainbox").run().fails(125, "chainbox: ");
    let ran = Chain::new("chainbox").args(["true"]).run();
    ran.fails(125, "chainbox: this name is none of the tools in this file");
    for name in TOOLS {
        assert!(ran.err.contains(name), "{ran:#?}");
    }
}
