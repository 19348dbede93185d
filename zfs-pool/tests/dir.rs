//! The `dir` backend: templates, versions, clones of both kinds, and what is left afterwards. Each as root and as an
//! ordinary user.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: a test fails by panicking")]

mod support;

use std::fs;

use chainbox_tests::{Tier, root_or_skip, skip, tool};
use support::{Pool, start, variable};

/// Runs a test as whoever runs the tests, and as an ordinary user.
fn both(test: impl Fn(bool)) {
    test(true);
    test(false);
}

#[test]
fn a_clone_is_claimed_used_and_destroyed() {
    both(|user| {
        let pool = Pool::new("cycle", user);
        pool.zp("refill t 3").run().ok();
        pool.is_at_rest(3);
        let ran = pool.zp_with("run t -- sh -c", ["env; zfs-pool list; echo x > $ROOTFS_UPPER/x; exit 3"]).run();
        assert_eq!(ran.code, 3, "{ran:?}");
        let clone = variable(&ran, "ROOTFS_CLONE").unwrap();
        assert!(ran.out.contains(&format!("  {clone} version 1 leased by pid ")), "{ran:?}");
        assert!(ran.out.contains("t: overlay clones, versions 1, 2 free of 3\n"), "{ran:?}");
        pool.is_at_rest(2);
        pool.zp("refill t").run().ok();
        pool.is_at_rest(3);
        assert!(!pool.zp("list").run().ok().contains(&clone), "a clone is used once");
    });
}

/// As in every container: the default profiles of its runtimes deny clone3.
#[test]
fn a_clone_is_run_on_where_clone3_is_denied() {
    let pool = Pool::new("no-clone3", false);
    pool.zp("refill t 2").run().ok();
    let gate = tool("seccomp-exec").display().to_string();
    for errno in ["ENOSYS", "EPERM"] {
        fs::write(pool.path("policy"), format!("default allow\nerrno {errno} clone3\n")).unwrap();
        let words = ["--keep-caps", "all", "--policy", "policy", "--"];
        let ran = pool.zp_with("run t -- sh -c", ["exit 3"]).within(&gate, &words).run();
        assert_eq!(ran.code, 3, "{errno}: {ran:?}");
    }
    pool.is_at_rest(0);
}

#[test]
fn the_variables_are_those_of_the_kind_and_no_others() {
    both(|user| {
        let pool = Pool::new("env", user);
        pool.zp("init c --from tree --clone copy").run().ok();
        let stale = |line: &str| {
            let chain = pool.zp(line).env("ROOTFS", "/stale").env("ROOTFS_UPPER", "/stale").env("ROOTFS_X", "kept");
            chain.args(["env"]).run()
        };
        let (overlay, copy) = (stale("run t --create"), stale("run c --create"));
        let base = pool.folder.path().canonicalize().unwrap().join("pool");
        let at = |what: &str| Some(base.join(what).to_str().unwrap().to_owned());
        let clone = variable(&overlay, "ROOTFS_CLONE").unwrap();
        let id = clone.strip_prefix("t/").unwrap();
        assert_eq!(variable(&overlay, "ROOTFS"), None);
        assert_eq!(variable(&overlay, "ROOTFS_LOWER"), at("t/versions/1/root"));
        assert_eq!(variable(&overlay, "ROOTFS_UPPER"), at(&format!("t/leased/{id}/upper")));
        assert_eq!(variable(&overlay, "ROOTFS_WORK"), at(&format!("t/leased/{id}/work")));
        let clone = variable(&copy, "ROOTFS_CLONE").unwrap();
        let id = clone.strip_prefix("c/").unwrap();
        assert_eq!(variable(&copy, "ROOTFS"), at(&format!("c/leased/{id}/root")));
        assert_eq!(copy.out.matches("ROOTFS").count(), 3, "{copy:?}");
        assert_eq!(variable(&overlay, "ROOTFS_X"), Some("kept".into()));
    });
}

#[test]
fn a_copy_is_whole_and_its_own() {
    both(|user| {
        let pool = Pool::empty("copy", user);
        pool.sh("chmod 750 tree; truncate -s 10M tree/sparse; printf x > tree/$(printf 'a\\nb\\377'); mkdir -m 500 tree/ro; mkfifo tree/fifo");
        pool.zp("init t --from tree --clone copy").run().ok();
        pool.zp("refill t 1").run().ok();
        let line = "cd $ROOTFS; stat -c %a .; cat hard; stat -c %h hard; readlink soft; stat -c %a ro; test -p fifo; \
                    cat a*; du -k sparse | cut -f1; echo two > etc/file; rm hard; chmod 0 ro";
        assert_eq!(pool.zp_with("run t -- sh -ec", [line]).run().ok(), "750\none\n2\netc/file\n500\nx0\n");
        assert_eq!(pool.sh("cat tree/etc/file pool/t/versions/1/root/etc/file"), "one\none\n");
        pool.is_at_rest(0);
    });
}

#[test]
fn the_root_of_an_overlay_looks_like_the_root_of_its_template() {
    both(|user| {
        let pool = Pool::empty("mode", user);
        pool.sh("chmod 751 tree");
        pool.zp("init t --from tree").run().ok();
        assert_eq!(pool.zp_with("run t --create -- sh -c", ["stat -c %a $ROOTFS_UPPER"]).run().ok(), "751\n");
        if !user && chainbox_tests::is_root() {
            pool.sh("chown 7:8 tree");
            pool.zp("snapshot t").run().ok();
            assert_eq!(pool.zp_with("run t --create -- sh -c", ["stat -c %u:%g $ROOTFS_UPPER"]).run().ok(), "7:8\n");
        }
    });
}

/// Mounts the overlay as the kernel wants it, as root or in a user namespace, and leaves what overlayfs leaves: a work
/// directory of mode 000, whiteouts, opaque directories.
#[test]
fn a_real_overlay_is_mounted_written_and_removed() {
    both(|user| {
        let pool = Pool::new("overlay", user);
        let in_box = "mount -t overlay overlay -o ${X}lowerdir=$ROOTFS_LOWER,upperdir=$ROOTFS_UPPER,workdir=$ROOTFS_WORK /mnt && \
                      cd /mnt && cat etc/file && rm hard && rm -r etc && mkdir etc && echo two > etc/file && cat etc/file && \
                      ls -A $ROOTFS_UPPER && stat -c %F $ROOTFS_UPPER/hard";
        let unshare = if user || !chainbox_tests::is_root() { "X=userxattr, unshare -Urm" } else { "X= unshare -m" };
        let line = format!("{unshare} sh -c '{in_box}'");
        let ran = pool.zp_with("run t --create -- sh -c", [line.as_str()]).run();
        if ran.code != 0 && ran.err.contains("unshare") {
            return skip(Tier::UserNamespace, "a_real_overlay_is_mounted_written_and_removed", ran.err.trim());
        }
        assert_eq!(ran.ok(), "one\ntwo\netc\nhard\ncharacter special file\n");
        assert_eq!(pool.sh("cat pool/t/versions/1/root/etc/file pool/t/versions/1/root/hard"), "one\none\n");
        pool.is_at_rest(0);
    });
}

#[test]
fn a_version_is_frozen_and_stays_while_a_clone_needs_it() {
    both(|user| {
        let pool = Pool::new("versions", user);
        pool.zp("refill t 2").run().ok();
        pool.sh("echo two > tree/etc/file");
        let line = "zfs-pool snapshot t && zfs-pool regenerate t && zfs-pool gc && cat $ROOTFS_LOWER/etc/file && \
                    zfs-pool run t -- sh -c 'cat $ROOTFS_LOWER/etc/file'";
        assert_eq!(pool.zp_with("run t -- sh -c", [line]).run().ok(), "one\ntwo\n");
        assert_eq!(pool.names("versions"), ["1", "2"], "version 1 was leased when gc ran");
        pool.zp("gc").run().ok();
        assert_eq!(pool.names("versions"), ["2"]);
        pool.is_at_rest(1);
    });
}

#[test]
fn clones_of_an_older_version_are_had_by_name() {
    both(|user| {
        let pool = Pool::new("named", user);
        let file = |of: &str| pool.zp_with(&format!("run {of} -- sh -c"), ["cat $ROOTFS_LOWER/etc/file"]).run();
        let list = || pool.zp("list").run().ok().lines().next().unwrap().to_owned();
        pool.zp("refill t 1").run().ok();
        pool.sh("echo two > tree/etc/file");
        pool.zp("snapshot t").run().ok();
        pool.zp("refill t@1 3").run().ok();
        pool.zp("refill t 1").run().ok();
        assert_eq!(list(), "t: overlay clones, versions 1 2, 1 free of 1, 3 of 3 of version 1");
        assert_eq!((file("t@1").ok(), file("t").ok()), ("one\n".into(), "two\n".into()));
        // Neither is given out for the other.
        file("t").fails(75, "claim a free clone of t: no clone of t is free");
        file("t@2").fails(75, "claim a free clone of t@2: no clone of t@2 is free\nhint: zfs-pool refill t@2 N");
        file("t@3 --wait 60").fails(125, "t@3: no such version");
        file("t@3 --create").fails(125, "t@3: no such version");
        assert_eq!(file("t@2 --create").ok(), "two\n");
        assert!(pool.zp("list --json").run().ok().contains(r#""kept":{"1":3}"#));
        // They stay, and so does the version without them.
        pool.zp("regenerate t").run().ok();
        assert_eq!((file("t@1").ok(), file("t@1").ok()), ("one\n".into(), "one\n".into()));
        pool.zp("gc").run().ok();
        assert_eq!(list(), "t: overlay clones, versions 1 2, 1 free of 1, 0 of 3 of version 1");
        pool.zp("refill t@1").run().ok();
        assert_eq!(list(), "t: overlay clones, versions 1 2, 1 free of 1, 3 of 3 of version 1");
        // No longer kept, they are clones like all others.
        pool.zp("refill t@1 0").run().ok();
        assert_eq!(list(), "t: overlay clones, versions 1 2, 4 free of 1");
        pool.zp("regenerate t").run().ok();
        pool.zp("gc").run().ok();
        assert_eq!(list(), "t: overlay clones, versions 2, 4 free of 1");
        file("t@1").fails(125, "t@1: no such version");
        pool.is_at_rest(4);
    });
}

#[test]
fn a_quota_that_cannot_be_had_is_refused() {
    both(|user| {
        let pool = Pool::new("quota", user);
        pool.zp("refill t 1 --quota 8M")
            .run()
            .fails(125, "--quota: t has overlay clones\nhint: only a ZFS clone can have one");
        pool.is_at_rest(0);
    });
}

#[test]
fn regenerate_replaces_all_old_free_clones() {
    let pool = Pool::new("regenerate", true);
    pool.zp("refill t 2").run().ok();
    let old = pool.names("free");
    pool.zp("regenerate t").run().ok();
    assert_eq!(pool.names("free"), old, "nothing newer, nothing to do");
    pool.zp("snapshot t").run().ok();
    pool.zp("regenerate t").run().ok();
    pool.is_at_rest(2);
    assert!(pool.names("free").iter().all(|id| !old.contains(id)));
}

#[test]
fn a_reference_is_used_in_place() {
    both(|user| {
        let pool = Pool::empty("reference", user);
        pool.zp("init t --from tree --reference").run().ok();
        let lower = pool.zp_with("run t --create -- sh -c", ["echo $ROOTFS_LOWER"]).run().ok();
        assert_eq!(lower.trim(), pool.path("tree").canonicalize().unwrap().to_str().unwrap());
        pool.zp("snapshot t").run().fails(125, "t: used in place (--reference), so there is nothing to freeze");
        pool.zp("gc").run().ok();
        assert_eq!(pool.sh("cat tree/hard"), "one\n");
    });
}

#[test]
fn a_pool_inside_its_template_is_refused() {
    let pool = Pool::empty("inside", true);
    pool.zp("init t --from .").run().fails(125, "--from .: the pool lies inside it");
    pool.zp("init t --from . --reference").run().fails(125, "--from .: the pool lies inside it");
    pool.zp("init a --from tree").run().ok();
    pool.zp("init t --from pool/a").run().fails(125, "--from pool/a: inside the pool");
    pool.zp("init t --from tree/hard").run().fails(125, "--from tree/hard: not a directory");
    pool.zp("init t --from nothing").run().fails(125, "--from nothing: realpath: No such file or directory (ENOENT)");
    assert_eq!(support::names(&pool.path("pool")), ["a"]);
}

#[test]
fn an_init_that_was_killed_can_be_repeated() {
    let pool = Pool::new("again", true);
    pool.sh("rm pool/t/about; rmdir pool/t/free pool/t/dead; mkdir pool/t/making/00000000000000aa");
    pool.zp("run t --create -- true").run().fails(125, "t: no such template");
    pool.zp("list").run().ok();
    pool.zp("init t --from tree").run().ok();
    pool.zp("init t --from tree").run().fails(125, "t: there is such a template already");
    assert!(pool.zp("list").run().ok().contains("t/00000000000000aa version unknown unfinished"));
    pool.zp("gc").run().ok();
    pool.is_at_rest(0);
}

#[test]
fn an_init_that_did_not_finish_is_named_and_not_in_the_way() {
    let pool = Pool::new("begun", true);
    pool.sh("mkdir -m 700 pool/u; touch pool/u/lock");
    for line in ["gc", "list"] {
        let ran = pool.zp(line).run();
        assert!(ran.err.contains("u: its init did not finish; the same init again completes it\n"), "{ran:?}");
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    pool.zp("init u --from tree").run().ok();
    pool.zp("run u --create -- true").run().ok();
}

/// Whatever instant a maker is killed at, `gc` can tell that what it left is ours.
#[test]
fn a_maker_that_is_killed_leaves_nothing_that_gc_cannot_take() {
    let pool = Pool::new("maker", true);
    for n in 0..40_u64 {
        let before = pool.names("free").len();
        let mut maker = start(pool.zp(&format!("refill t {}", before + 50)));
        if n % 2 == 0 {
            // In the middle of its work, however slow the machine is.
            support::wait_for("a first clone, or the end", || {
                pool.names("free").len() > before || maker.try_wait().unwrap().is_some()
            });
        }
        std::thread::sleep(std::time::Duration::from_micros(n * 47));
        maker.kill().unwrap();
        maker.wait().unwrap();
        pool.zp("gc").run().ok();
        pool.is_at_rest(pool.names("free").len());
        pool.sh("rm -rf pool/t/free/*");
    }
}

/// As in many containers: it may read and write everything, but not mount, so whoever owns the tree could choose what it copies.
#[test]
fn root_that_may_not_mount_copies_nothing() {
    if !root_or_skip("root_that_may_not_mount_copies_nothing") {
        return;
    }
    let pool = Pool::empty("unable", false);
    let init =
        |more| pool.zp(&format!("init t --from tree{more}")).within("setpriv", &["--bounding-set=-sys_admin"]).run();
    init("").fails(
        125,
        "open_tree(OPEN_TREE_CLONE): Operation not permitted (EPERM)\nhint: root copies only where it may mount",
    );
    assert_eq!(pool.names("versions"), Vec::<String>::new());
    init(" --reference").ok();
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let pool = Pool::empty("unreadable", true);
    pool.sh("touch tree/secret; chmod 0 tree/secret; mkdir -m 0 tree/deep");
    if !chainbox_tests::is_root() || pool.shell("cat tree/secret").run().code != 0 {
        let ran = pool.zp("init t --from tree").run();
        ran.fails(125, "cp: ");
        assert!(ran.err.contains("Permission denied") && ran.err.contains("hint: --reference"), "{ran:?}");
        assert_eq!(pool.names("versions"), Vec::<String>::new());
        assert_eq!(pool.names("making"), Vec::<String>::new());
    }
    pool.sh("chmod 600 tree/secret; chmod 700 tree/deep");
    pool.zp("init t --from tree").run().ok();
}

#[test]
fn two_hundred_runs_leave_the_pool_as_it_was() {
    both(|user| {
        let pool = Pool::new("loop", user);
        let tree = || pool.sh("find pool tree | sort; cat /proc/self/mounts");
        let before = tree();
        for n in 0..100 {
            let ran =
                pool.zp_with("run t --create -- sh -c", ["echo $0 > $ROOTFS_UPPER/f; exit $0", &n.to_string()]).run();
            assert_eq!(ran.code, n, "{ran:?}");
        }
        assert_eq!(tree(), before);
    });
}

#[test]
fn gc_never_takes_a_clone_that_is_in_use() {
    both(|user| {
        let pool = Pool::new("stress", user);
        let run = "for i in 1 2 3 4 5 6 7 8 9 10; do \
                   zfs-pool run t --create -- sh -c 'echo $$ > $ROOTFS_UPPER/mine; sleep 0.01; test $(cat $ROOTFS_UPPER/mine) = $$' || exit 9; done";
        let gc = "until test -e stop; do zfs-pool gc || exit 9; zfs-pool list > list || exit 9; done";
        let collector = start(pool.shell(gc));
        let runners: Vec<_> = (0..4).map(|_| start(pool.shell(run))).collect();
        let ends: Vec<_> = runners.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        fs::write(pool.path("stop"), "").unwrap();
        let collected = collector.wait_with_output().unwrap();
        assert!(ends.iter().all(|end| end.status.success()), "{ends:?}");
        assert!(collected.status.success(), "{collected:?}");
        // A clone that one runner made and another took leaves its maker's second one free.
        assert_eq!(pool.names("leased").len() + pool.names("dead").len() + pool.names("making").len(), 0);
    });
}

#[test]
fn what_a_payload_leaves_is_removed_whatever_it_is() {
    both(|user| {
        let pool = Pool::new("nasty", user);
        pool.sh("mkdir outside; echo keep > outside/file; chmod 555 outside");
        let nasty = "cd $ROOTFS_UPPER; ln -s ../../../../../outside out; ln -s / root; mkdir -p a/b/c; touch a/b/c/f; chmod 0 a/b; \
                     chmod 500 a; mkdir -m 0 zero; mkdir \"$(printf 'new\\nline\\377')\"; touch -- -rf '*' ' '; mkfifo pipe; \
                     mkdir .deep.1; touch .deep.1/x; mkdir -p $ROOTFS_WORK/work/x; chmod 0 $ROOTFS_WORK/work; \
                     mkdir $ROOTFS_UPPER/../.deep.2; touch $ROOTFS_UPPER/../.deep.2/y; chmod 0 .";
        pool.zp_with("run t --create -- sh -ec", [nasty]).run().ok();
        pool.is_at_rest(0);
        assert_eq!(pool.sh("cat outside/file; stat -c %a outside"), "keep\n555\n");
    });
}

#[test]
fn a_tree_of_any_depth_is_removed() {
    both(|user| {
        let pool = Pool::new("deep", user);
        // 2,500 levels: beyond PATH_MAX, the usual limit of descriptors and a recursive stack. In perl, because a shell
        // tracks the path.
        let line = "cd $ROOTFS_UPPER && perl -e 'for (1..2500) { mkdir q(d) or die; chdir q(d) or die; open F, q(>f) or die }'";
        pool.zp_with("run t --create -- sh -c", [line]).run().ok();
        pool.is_at_rest(0);
    });
}

#[test]
fn a_mount_point_is_not_crossed() {
    if !root_or_skip("a_mount_point_is_not_crossed") {
        return;
    }
    let pool = Pool::new("mounted", false);
    pool.sh("mkdir outside; echo keep > outside/file");
    let inside = "zfs-pool run t --create -- sh -c 'mkdir $ROOTFS_UPPER/m && mount --bind outside $ROOTFS_UPPER/m'; \
                  echo run $?; zfs-pool gc; echo gc $?; cat outside/file";
    let ran = pool.shell(&format!("unshare -m --propagation private sh -c '{}'", inside.replace('\'', "'\\''"))).run();
    assert_eq!(ran.out, "run 0\ngc 75\nkeep\n", "{ran:?}");
    assert!(ran.err.contains("(EBUSY)") || ran.err.contains("(EXDEV)"), "{ran:?}");
    assert!(ran.err.contains("not destroyed; zfs-pool gc will try again"), "{ran:?}");
    assert!(ran.err.contains("1 could not be destroyed now"), "{ran:?}");
    assert_eq!(pool.names("dead").len(), 1);
    pool.zp("gc").run().ok();
    pool.is_at_rest(0);
    assert_eq!(pool.sh("cat outside/file"), "keep\n");
}

#[test]
fn explain_and_check_change_nothing() {
    let pool = Pool::empty("explain", true);
    let init = pool.zp("--explain init t --from tree").run().ok();
    assert!(init.starts_with("zfs-pool: 1. make template t with overlay clones of /"), "{init}");
    pool.zp("init t --from tree --check").run().ok();
    assert!(!pool.path("pool").exists());
    pool.zp("init t --from tree").run().ok();
    pool.zp("refill t 1").run().ok();
    let before = pool.sh("find pool -printf '%p %T@\\n' | sort");
    let run = pool.zp("run t --explain -- rlimit-exec --core 0 -- id").run().ok();
    let lines: Vec<&str> = run.lines().collect();
    assert!(lines[0].starts_with("zfs-pool: 1. claim a free clone of t  [fcntl(F_OFD_SETLK), renameat2("), "{run}");
    assert!(lines[1].starts_with("zfs-pool: 2. destroy the clone of t when the program has ended  ["), "{run}");
    assert!(lines[2].starts_with("rlimit-exec: 1. limit core to 0:0") && lines[3] == "payload: id", "{run}");
    let json = pool.zp("run t -- id").env("CHAIN_EXPLAIN", "json").run().ok();
    assert!(json.lines().count() == 3 && json.lines().all(|line| line.starts_with('{')), "{json}");
    for line in
        ["refill t 9 --explain", "refill t 9 --check", "gc --explain", "snapshot t --check", "acquire t --explain"]
    {
        pool.zp(line).run().ok();
    }
    pool.zp("run t --check -- true").run().ok();
    pool.zp("run u --check -- true").run().fails(125, "u: no such template");
    assert_eq!(pool.sh("find pool -printf '%p %T@\\n' | sort"), before);
}

#[test]
fn bad_input_is_refused_in_one_line_and_changes_nothing() {
    let pool = Pool::new("bad", true);
    pool.zp("refill t 1").run().ok();
    let before = pool.sh("find pool -printf '%p %T@\\n' | sort");
    for (line, code, words) in [
        ("", 125, "zfs-pool: "),
        ("frob", 125, "zfs-pool: unrecognized subcommand 'frob'\n"),
        ("run t --frob -- true", 125, "zfs-pool: unknown option or word --frob\n"),
        (
            "run t --wait 1 --wait 2 -- true",
            125,
            "zfs-pool: the argument '--wait <SECONDS>' cannot be used multiple times\n",
        ),
        ("run ../t -- true", 125, "zfs-pool: ../t: not a name\n"),
        ("run u -- true", 125, "u: no such template\n"),
        ("run t -- no-such-program", 127, "no-such-program: not found in PATH"),
        ("run t -- /etc/passwd", 126, "Permission denied (EACCES)"),
        ("run t --keep-fd 77 -- true", 125, "--keep-fd 77: fcntl: "),
        ("release t/0000000000000000", 125, "t/0000000000000000: no such clone\n"),
        ("acquire t --pid 4194304999", 125, "no such process"),
        ("init t --from tree", 125, "t: there is such a template already\n"),
        ("init u", 125, "--from DIR is missing"),
        ("--pool zfs:tank/p list", 125, "zfs-pool: "),
        ("--pool /nowhere gc", 125, "/nowhere: realpath: No such file or directory (ENOENT)\n"),
    ] {
        let ran = pool.zp(line).run();
        ran.fails(code, words);
        assert!(ran.err.lines().count() <= 2 && ran.out.is_empty(), "{line}: {ran:?}");
    }
    assert_eq!(pool.sh("find pool -printf '%p %T@\\n' | sort"), before);
}

#[test]
fn every_page_is_printed() {
    let pool = Pool::empty("pages", true);
    for page in ["--help", "--man", "--version", "--features", "run --help"] {
        assert!(!pool.zp(page).run().ok().is_empty(), "{page}");
    }
}

#[test]
fn list_as_json_names_everything() {
    let pool = Pool::new("json", true);
    pool.zp("refill t 1").run().ok();
    let line = "zfs-pool list --json";
    let json = pool.zp_with("run t -- sh -c", [line]).run().ok();
    for word in ["\"template\":\"t\"", "\"state\":\"leased\"", "\"holder\":\"pid ", "\"target\":1", "\"versions\":[1]"]
    {
        assert!(json.contains(word), "{word} in {json}");
    }
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn the_default_pool_is_the_users_own() {
    let pool = Pool::empty("default", true);
    let home = pool.path("home");
    let line = "unset CHAINBOX_POOL XDG_DATA_HOME; zfs-pool init t --from tree && ls home/.local/share/chainbox/pool";
    pool.sh("mkdir home");
    assert_eq!(pool.shell(line).env("HOME", home).run().ok(), "t\n");
    let ran = pool.shell("unset CHAINBOX_POOL XDG_DATA_HOME HOME; zfs-pool list").run();
    ran.fails(125, "no HOME to keep a pool in");
}
