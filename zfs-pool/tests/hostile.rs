//! Pools in which somebody has planted something: it is named, refused, never followed, never destroyed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use chainbox_tests::{root_or_skip, tool};
use support::Pool;

const ID: &str = "00000000000000aa";

/// A pool with one good clone, and a folder outside that nobody may touch.
fn pool(test: &str, user: bool) -> Pool {
    let pool = Pool::new(test, user);
    pool.zp("refill t 1").run().ok();
    pool.sh("mkdir -p outside/upper outside/work outside/root; echo keep > outside/root/file");
    pool
}

fn outside(pool: &Pool) -> String {
    pool.sh("find outside -printf '%p %m %T@\\n' | sort; cat outside/root/file")
}

/// Plants by a shell line, lets every subcommand loose on the pool, and asserts that `gc` names `foreign` and that
/// nothing outside changed.
#[track_caller]
fn nothing_is_followed(test: &str, plant: &str, foreign: &str) {
    for user in [true, false] {
        let pool = pool(test, user);
        pool.sh(plant);
        let before = outside(&pool);
        let planted = pool.sh("find pool -not -path '*/free/0*' | sort");
        let gc = pool.zp("gc").run();
        gc.fails(125, &format!("t/{foreign}: not ours, left alone\n"));
        assert!(pool.zp("list").run().ok().contains(&format!("  {foreign} is not ours\n")));
        pool.zp(&format!("release t/{ID}")).run().fails(125, "");
        // All that can be claimed is the good clone.
        let good = pool.zp_with("run t -- sh -c", ["echo $ROOTFS_CLONE $ROOTFS_UPPER"]).run().ok();
        assert!(!good.contains(ID) && !good.contains("outside"), "{good}");
        pool.zp("run t -- true").run().fails(75, "no clone of t is free");
        pool.zp("snapshot t").run().ok();
        pool.zp("regenerate t").run().ok();
        pool.zp("gc").run().fails(125, "");
        assert_eq!(outside(&pool), before, "{plant}");
        let left = pool.sh("find pool | sort");
        let stays = |path: &&str| path.contains(ID) || path.contains("x x");
        for path in planted.lines().filter(stays) {
            assert!(left.lines().any(|line| line == path), "{path} is gone");
        }
    }
}

#[test]
fn a_symbolic_link_in_place_of_a_clone() {
    for place in ["free", "leased", "dead", "making"] {
        let plant =
            format!("cp pool/t/free/*/mark pool/t/free/*/lease outside; ln -s ../../../outside pool/t/{place}/{ID}");
        nothing_is_followed("link", &plant, &format!("{place}/{ID}"));
    }
}

#[test]
fn a_foreign_folder_in_place_of_a_clone() {
    for place in ["free", "leased", "dead", "making"] {
        let plant = format!("mkdir -p -m 700 pool/t/{place}/{ID}/upper; touch pool/t/{place}/{ID}/lease");
        nothing_is_followed("foreign", &plant, &format!("{place}/{ID}"));
    }
}

#[test]
fn a_clone_with_the_mark_of_another() {
    for place in ["free", "leased", "dead", "making"] {
        let plant = format!("cp -r pool/t/free/* pool/t/{place}/{ID}");
        nothing_is_followed("stolen", &plant, &format!("{place}/{ID}"));
    }
}

#[test]
fn a_mark_that_is_no_file_of_ours() {
    let mark = format!("pool/t/free/{ID}/mark");
    for make in
        ["ln -s ../../../../outside/root/file M", "mkfifo M", "mkdir M", "truncate -s 1G M", "echo chainbox-pool 1 > M"]
    {
        let plant =
            format!("mkdir -m 700 pool/t/free/{ID}; touch pool/t/free/{ID}/lease; {}", make.replace('M', &mark));
        nothing_is_followed("mark", &plant, &format!("free/{ID}"));
    }
}

#[test]
fn a_name_that_the_pool_never_gave() {
    nothing_is_followed("name", "mkdir 'pool/t/leased/x x'; cp pool/t/free/*/mark 'pool/t/leased/x x'", "leased/'x x'");
    nothing_is_followed("dots", "mkdir 'pool/t/leased/..x x'", "leased/'..x x'");
    nothing_is_followed("version", "cp -r pool/t/versions/1 'pool/t/versions/x x'", "versions/'x x'");
    nothing_is_followed("number", &format!("cp -r pool/t/versions/1 pool/t/versions/{ID}"), &format!("versions/{ID}"));
}

#[test]
fn a_clone_that_others_may_write_to() {
    let plant = format!(
        "cp -r pool/t/free/* new; sed -i 's/^id .*/id {ID}/' new/mark; mv new pool/t/free/{ID}; chmod 777 pool/t/free/{ID}"
    );
    nothing_is_followed("loose", &plant, &format!("free/{ID}"));
}

#[test]
fn a_lease_that_is_a_link() {
    let pool = pool("lease", true);
    pool.sh("cd pool/t/free/*; rm lease; ln -s ../../../../outside/root/file lease");
    pool.zp("run t -- true").run().fails(75, "skipped");
    assert_eq!(pool.sh("cat outside/root/file"), "keep\n");
}

#[test]
fn a_link_in_place_of_the_pools_own_folders() {
    for name in ["free", "leased", "dead", "making", "versions"] {
        let pool = pool("folders", true);
        pool.sh(&format!("mv pool/t/{name} elsewhere; ln -s ../../elsewhere pool/t/{name}"));
        let before = pool.sh("find elsewhere outside | sort");
        for line in ["gc", "list", "refill t 3", "snapshot t", "run t -- true"] {
            let ran = pool.zp(line).run();
            // Where only the end is in the way, the program runs and the clone is left, which is said.
            let runs = line == "run t -- true" && !["free", "leased", "versions"].contains(&name);
            assert!(ran.code == 125 || runs, "{name}: {line}: {ran:?}");
            assert!(name != "dead" || ran.err.contains("openat2: "), "{line}: {ran:?}");
        }
        assert_eq!(pool.sh("find elsewhere outside | sort"), before);
    }
}

#[test]
fn a_template_that_is_a_link_is_no_template() {
    let pool = pool("template", true);
    symlink("t", pool.path("pool/u")).unwrap();
    pool.zp("run u -- true").run().fails(125, "pool/u: openat2: Not a directory (ENOTDIR)");
    pool.zp("gc").run().fails(125, "u: not ours, left alone");
    pool.zp("run t -- true").run().ok();
}

#[test]
fn a_pool_that_others_may_write_to_is_refused() {
    let pool = pool("open", true);
    fs::set_permissions(pool.path("pool"), fs::Permissions::from_mode(0o770)).unwrap();
    for line in ["run t -- true", "gc", "list", "refill t 2", "init u --from tree"] {
        let ran = pool.zp(line).run();
        ran.fails(125, "others may write to it (mode 0770)");
        assert!(ran.err.contains("hint: chmod go-w it"), "{ran:?}");
    }
}

#[test]
fn a_pool_of_another_user_is_refused() {
    if !root_or_skip("a_pool_of_another_user_is_refused") {
        return;
    }
    let users = pool("owner", true);
    for line in ["run t -- true", "gc", "list", "refill t 2"] {
        let root =
            chainbox_tests::Chain::new("zfs-pool").env("CHAINBOX_POOL", users.path("pool")).args(line.split(' '));
        root.run().fails(125, "owned by user 1000");
    }
    let roots = pool("owner", false);
    let user = chainbox_tests::Chain::new("zfs-pool").env("CHAINBOX_POOL", roots.path("pool")).args(["gc"]).as_user();
    user.run().fails(125, "Permission denied (EACCES)");
    roots.sh("chmod 755 pool");
    let user = chainbox_tests::Chain::new("zfs-pool").env("CHAINBOX_POOL", roots.path("pool")).args(["gc"]).as_user();
    user.run().fails(125, "owned by user 0");
}

#[test]
fn a_payload_cannot_reach_another_lease_through_its_own() {
    // What a payload plants in its own clone beside the known folders is removed with it, never followed.
    for user in [true, false] {
        let pool = pool("own", user);
        let before = outside(&pool);
        let line = "cd $ROOTFS_UPPER/.. && rm -rf upper work && ln -s ../../../../outside upper && ln -s ../../../../outside work && \
                    rm lease && ln -s ../../../../outside/root/file lease";
        pool.zp_with("run t -- sh -ec", [line]).run().ok();
        pool.is_at_rest(0);
        assert_eq!(outside(&pool), before);
    }
}

/// Who owns the tree puts a link in the place of a directory while root copies it, and wants what it leads to.
#[test]
fn a_tree_whose_owner_exchanges_directories_lends_nothing_of_roots() {
    if !root_or_skip("a_tree_whose_owner_exchanges_directories_lends_nothing_of_roots") {
        return;
    }
    let pool = Pool::new("exchange", false);
    pool.sh("mkdir -p secret given/dir; echo root >secret/roots; chmod 700 secret; ln -s ../secret given/link");
    let mut exchange = Command::new(tool("syscall-probe"));
    exchange.arg("exchange").args([pool.path("given/dir"), pool.path("given/link")]).stdin(Stdio::piped());
    let mut exchange = exchange.spawn().unwrap();
    for n in 0..40 {
        // A copy that met a link where a directory had been is none: that is said.
        let made = pool.zp(&format!("init n{n} --from given")).run();
        assert!(matches!(made.code, 0 | 125), "{made:?}");
        assert_eq!(pool.sh("find pool -name roots"), "", "try {n}");
    }
    drop(exchange.stdin.take());
    exchange.wait().unwrap();
}
