//! The `zfs` backend on a real pool: a private zfs-fuse daemon (tests/with-zfs-fuse), or, where CHAINBOX_ZPOOL names one,
//! a zpool that is there (the virtual machine with OpenZFS). Each test is a shell script, because each needs the daemon's
//! namespaces around it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests: a test fails by panicking")]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chainbox_tests::{Chain, Folder, Ran, Tier, busybox_or_skip, checkout, is_root, skip, tool, unit_command};

const PLACES: [&str; 3] = ["/usr/sbin/zfs", "/sbin/zfs", "/usr/local/sbin/zfs"];

/// What keeps this test from running here.
fn missing() -> Option<&'static str> {
    if !is_root() {
        return Some("not root");
    }
    if !PLACES.iter().any(|path| Path::new(path).exists()) {
        return Some("no zfs command (package zfs-fuse)");
    }
    let native = std::env::var_os("CHAINBOX_ZPOOL").is_some();
    (!native && !Path::new("/dev/fuse").exists()).then_some("no /dev/fuse")
}

/// A pool `$POOL` ($CHAINBOX_POOL names it too) with a tree to copy at `tree`, and words that every script may use.
const BEFORE: &str = r#"
set -u
POOL=$ZPOOL/p
export CHAINBOX_POOL=zfs:$POOL
mkdir tree && echo one > tree/file
at_rest() { zfs list -H -o name -r "$POOL/t" | grep -v "^$POOL/t\(/root\)\?$" | sed "s,$POOL/t/,left ,; s/-.*//"; }
until_true() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 1000 ] || { echo "in vain: $*"; exit 1; }; sleep 0.02; done; }
"#;

/// Runs a script; `None` where it cannot run here, which is recorded.
fn script(test: &str, text: &str) -> Option<Ran> {
    if let Some(reason) = missing() {
        skip(Tier::Root, test, reason);
        return None;
    }
    // One pool for all of them, where it is there already.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new(&format!("zfs-{test}"), false);
    let text = format!("{BEFORE}{text}\n");
    let chain = match std::env::var("CHAINBOX_ZPOOL") {
        Ok(zpool) => {
            let all = format!("({text}\n); code=$?; zfs destroy -r $ZPOOL/p; exit $code");
            Chain::shell(&all).env("ZPOOL", zpool)
        }
        Err(_) => {
            // A script that waits in vain ends, and the daemon's namespaces with it.
            let limited = Chain::program("timeout").args(["120"]).args([checkout().join("tests/with-zfs-fuse")]);
            limited.args(["sh", "-c", &text]).env("ZPOOL", "tank")
        }
    };
    Some(chain.at(folder.path()).run())
}

#[test]
fn a_zfs_clone_is_claimed_used_and_destroyed() {
    let Some(ran) = script(
        "cycle",
        r#"
zfs-pool init t || exit
zfs-pool refill t 1; echo refill $?
echo by hand > /run/chainbox/pool/$POOL/t/root/file
zfs-pool snapshot t && zfs-pool refill t 3 && at_rest
zfs-pool run t -- sh -c 'cat $ROOTFS/file; echo two > $ROOTFS/file; zfs list -H -o mounted $ROOTFS_DATASET; zfs-pool list
    echo ${ROOTFS_UPPER-none} $ROOTFS_CLONE; exit 5' > out; echo run $?
sed 's,t/[0-9a-f]*,CLONE,; s/pid [0-9]*/PID/' out | sort
cat /run/chainbox/pool/$POOL/t/root/file
at_rest
stat -c '%a %u' /run/chainbox/pool
ls /run/chainbox/pool/$POOL/t
"#,
    ) else {
        return;
    };
    assert_eq!(
        ran.out,
        "refill 125\nleft free\nleft free\nleft free\nrun 5\n  CLONE version 1 free\n  CLONE version 1 free\n  \
         CLONE version 1 leased by PID\nby hand\nnone CLONE\nt: zfs clones, versions 1, 2 free of 3\nyes\nby hand\n\
         left free\nleft free\n700 0\nroot\n",
        "{ran:?}"
    );
    assert!(ran.err.contains("t: no version yet\nhint: fill its tree, then: zfs-pool snapshot t"), "{ran:?}");
}

#[test]
fn versions_of_a_dataset_stay_while_a_clone_needs_them() {
    let Some(ran) = script(
        "versions",
        r#"
zfs-pool init t --from tree && zfs-pool refill t 2 || exit
zfs snapshot $POOL/t/root@mine
zfs-pool run t -- sh -c 'echo two > /run/chainbox/pool/'$POOL'/t/root/file; zfs-pool snapshot t && zfs-pool regenerate t &&
    zfs-pool gc && cat $ROOTFS/file && zfs-pool run t -- sh -c "cat \$ROOTFS/file"; zfs list -H -t snapshot -o name -r '$POOL
zfs-pool gc; echo gc $?
zfs list -H -t snapshot -o name -r $POOL
"#,
    ) else {
        return;
    };
    let all = ["tank/p/t/root@v1", "tank/p/t/root@mine", "tank/p/t/root@v2"];
    let zpool = std::env::var("CHAINBOX_ZPOOL").unwrap_or("tank".into());
    let mut lines: Vec<String> = ran.out.lines().map(|line| line.replacen(&zpool, "tank", 1)).collect();
    let last = lines.split_off(lines.len() - 3);
    assert_eq!(lines[..2], ["one", "two"], "{ran:?}");
    assert!(all.iter().all(|name| lines.iter().any(|line| line == name)), "{ran:?}");
    assert_eq!(last, ["gc 0", "tank/p/t/root@mine", "tank/p/t/root@v2"], "{ran:?}");
}

#[test]
fn datasets_of_an_older_version_are_had_by_name() {
    let Some(ran) = script(
        "named",
        r#"
show() { zfs-pool list | head -n 1; }
zfs-pool init t --from tree && zfs-pool refill t 1 || exit
echo two > /run/chainbox/pool/$POOL/t/root/file
zfs-pool snapshot t && zfs-pool refill t@1 2 && zfs-pool refill t 1; show
zfs-pool run t@1 -- sh -c 'cat $ROOTFS/file'
zfs-pool run t -- sh -c 'cat $ROOTFS/file'
for of in t t@2 t@3; do zfs-pool run $of -- true 2> /dev/null; echo $of $?; done
zfs-pool run t@2 --create -- sh -c 'cat $ROOTFS/file'
zfs-pool regenerate t && zfs-pool run t@1 -- sh -c 'cat $ROOTFS/file'
zfs-pool gc; show; zfs-pool refill t@1; show; zfs get -H -o value chainbox:kept $POOL/t
zfs-pool refill t@1 0; show; zfs get -H -o value chainbox:kept $POOL/t
zfs-pool regenerate t; zfs-pool gc; show
zfs set chainbox:kept=1:x $POOL/t; zfs-pool run t -- true; echo run $?
"#,
    ) else {
        return;
    };
    let show = |rest: &str| format!("t: zfs clones, versions {rest}\n");
    let expected = [
        &show("1 2, 1 free of 1, 2 of 2 of version 1"),
        "one\ntwo\nt 75\nt@2 75\nt@3 125\ntwo\none\n",
        &show("1 2, 1 free of 1, 0 of 2 of version 1"),
        &show("1 2, 1 free of 1, 2 of 2 of version 1"),
        "1:2\n",
        &show("1 2, 3 free of 1"),
        "-\n",
        &show("2, 3 free of 1"),
        "run 125\n",
    ];
    assert_eq!(ran.out, expected.concat(), "{ran:?}");
    assert!(ran.err.contains("chainbox:kept=1:x: not understood"), "{ran:?}");
}

#[test]
fn a_clone_writes_no_more_than_its_quota() {
    let Some(ran) = script(
        "quota",
        r#"
dd if=/dev/urandom of=tree/big bs=1M count=12 2> /dev/null
zfs-pool init t --from tree && zfs-pool refill t 4 && zfs-pool refill t --quota 8M || exit
zfs-pool list | head -n 1
write() { zfs-pool run t -- sh -c 'zfs get -Hp -o value quota $ROOTFS_DATASET; cd $ROOTFS; '"$1" 2>> words; echo end $?; }
write 'dd if=/dev/urandom of=new bs=1M count=4 && sync && cat file'
write 'dd if=/dev/urandom of=new bs=1M count=16'
# What it shares with its version does not count; once it writes that anew, it does.
write 'for n in 1 2 3 4 5 6 7 8 9; do dd if=/dev/urandom of=big bs=1M count=12 conv=notrunc,fsync || exit; done'
zfs-pool refill t 0 --quota none; zfs-pool list | head -n 1
write 'dd if=/dev/urandom of=new bs=1M count=16'
zfs set chainbox:quota=8M $POOL/t; write true
cat words >&2
"#,
    ) else {
        return;
    };
    assert_eq!(
        ran.out,
        "t: zfs clones, versions 1, 4 free of 4, quota 8388608 bytes\n8388608\none\nend 0\n8388608\nend 1\n8388608\nend 1\n\
         t: zfs clones, versions 1, 1 free of 0\n0\nend 0\nend 125\n",
        "{ran:?}"
    );
    assert_eq!(ran.err.matches("Disk quota exceeded").count(), 2, "{ran:?}");
    assert!(ran.err.contains("chainbox:quota=8M: not understood"), "{ran:?}");
}

#[test]
fn eight_race_for_four_datasets() {
    let Some(ran) = script(
        "race",
        r#"
zfs-pool init t --from tree && zfs-pool refill t 4 || exit
for n in 1 2 3 4 5 6 7 8; do
    { zfs-pool run t -- sh -c 'touch held.${ROOTFS_CLONE#t/}; until [ -e go ]; do sleep 0.02; done' 2> /dev/null; echo $? > end.$n; } &
done
ended() { [ "$(ls | grep -c '^end')" = "$1" ]; }
held() { [ "$(ls | grep -c '^held')" = 4 ]; }
until_true ended 4; until_true held
cat end.* | sort | uniq -c
at_rest
touch go
until_true ended 8
cat end.* | sort | uniq -c
at_rest
"#,
    ) else {
        return;
    };
    let text: Vec<&str> = ran.out.split_whitespace().collect();
    assert_eq!(
        text[..10],
        ["4", "75", "left", "leased", "left", "leased", "left", "leased", "left", "leased"],
        "{ran:?}"
    );
    assert_eq!(text[10..], ["4", "0", "4", "75"], "{ran:?}");
}

#[test]
fn gc_takes_datasets_of_holders_that_are_gone() {
    let Some(ran) = script(
        "kill",
        r#"
zfs-pool init t --from tree && zfs-pool refill t 3 || exit
zfs-pool run t -- sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' & holder=$!
until_true test -e pid
zfs-pool gc; echo gc $?; at_rest
kill -9 $holder; wait $holder; echo holder $?
gone() { case $(cat /proc/$(cat pid)/stat 2>/dev/null) in ''|*') Z '*) ;; *) return 1;; esac; }
until_true gone
zfs-pool list | grep -c orphan
zfs-pool gc; echo gc $?; at_rest
sh -c 'zfs-pool acquire t --pid $$ > vars; zfs-pool gc; echo gc $?'
. ./vars; test -f $ROOTFS/file; echo there $?
zfs-pool gc; echo gc $?; test -e $ROOTFS; echo there $?
eval "$(zfs-pool acquire t --pid $$)" && zfs-pool release $ROOTFS_CLONE; echo release $?
zfs-pool acquire t; echo acquire $?
at_rest; ls /run/chainbox/pool/$POOL/t
"#,
    ) else {
        return;
    };
    assert_eq!(
        ran.out,
        "gc 0\nleft free\nleft free\nleft leased\nholder 137\n1\ngc 0\nleft free\nleft free\ngc 0\nthere 0\ngc 0\nthere 1\n\
         release 0\nacquire 75\nroot\n",
        "{ran:?}"
    );
}

#[test]
fn a_busy_dataset_is_left_for_gc() {
    let Some(ran) = script(
        "busy",
        r#"
zfs-pool init t --from tree && zfs-pool refill t 1 || exit
cat > stay << 'END'
cd $ROOTFS
setsid sh -c 'until test -e "$1"; do sleep 0.02; done' sh "$1" > /dev/null 2>&1 &
exit 4
END
zfs-pool run t -- sh stay $PWD/go
echo run $?
zfs-pool gc; echo gc $?
zfs-pool list | grep -c orphan
touch go
collected() { zfs-pool gc 2> /dev/null; }
until_true collected
at_rest
"#,
    ) else {
        return;
    };
    assert_eq!(ran.out, "run 4\ngc 75\n1\n", "{ran:?}");
    // zfs-fuse ends its message with a full stop, OpenZFS does not.
    assert!(
        ran.err.replace("busy.\n", "busy\n").contains("busy\nhint: some process, perhaps in another mount namespace"),
        "{ran:?}"
    );
    assert!(ran.err.contains("not destroyed; zfs-pool gc will try again"), "{ran:?}");
    assert!(ran.err.contains("1 could not be destroyed now"), "{ran:?}");
}

#[test]
fn foreign_datasets_are_named_and_left_alone() {
    let Some(ran) = script(
        "foreign",
        r#"
id=00000000000000aa
zfs create $ZPOOL/home && zfs create $ZPOOL/plain
zfs-pool --pool zfs:$ZPOOL/plain init t --from tree; echo plain $?
zfs-pool init t --from tree && zfs-pool refill t 1 || exit
# no mark; a mark but no clone; a clone with a mark, of somebody else's tree; a clone with the mark of another
zfs create -o mountpoint=none $POOL/t/free-$id
zfs create -o mountpoint=none -o chainbox:clone=00000000000000ab $POOL/t/free-00000000000000ab
zfs snapshot -o chainbox:version=1 $ZPOOL/home@v1
zfs clone -o mountpoint=none -o chainbox:clone=00000000000000ac $ZPOOL/home@v1 $POOL/t/leased-00000000000000ac:1:1:ab:1:1
zfs clone -o mountpoint=none -o chainbox:clone=$id $POOL/t/root@v1 $POOL/t/leased-00000000000000ad:1:1:ab:1:1
zfs clone -o mountpoint=none -o chainbox:clone=$id $POOL/t/root@v1 $POOL/t/mine
zfs create -o mountpoint=none $POOL/u
before=$(zfs list -H -o name -r $ZPOOL | grep -v /free-0*1)
zfs-pool gc; echo gc $?
zfs-pool release t/$id; echo release $?
zfs-pool release t/00000000000000ac; echo release $?
for name in $ZPOOL/home ../home t/../../home u/$id; do zfs-pool release $name 2> /dev/null; echo release $?; done
zfs-pool run t -- sh -c 'echo $ROOTFS_CLONE' | grep -c 0000000000000
zfs-pool run t -- true; echo run $?
zfs-pool run u -- true; echo run $?
zfs-pool snapshot t && zfs-pool regenerate t; zfs-pool gc 2> /dev/null; echo gc $?
for name in $(zfs list -H -o name -r $ZPOOL | grep -v @); do echo $name; done > after
for name in $before; do grep -qx $name after || echo $name is gone; done
zfs-pool list | grep -c 'is not ours'
zfs destroy -r $POOL; zfs destroy -r $ZPOOL/home; zfs destroy $ZPOOL/plain; zfs create -o mountpoint=none $POOL
"#,
    ) else {
        return;
    };
    assert_eq!(
        ran.out,
        "plain 125\ngc 125\nrelease 125\nrelease 125\nrelease 125\nrelease 125\nrelease 125\nrelease 125\n0\nrun 75\nrun 125\n\
         gc 125\ntank/p/t/free-GONE\n5\n"
            .replace("tank/p/t/free-GONE\n", ""),
        "{ran:?}"
    );
    for words in [
        "plain: a dataset without our mark, so it is not a pool",
        "t/free-00000000000000aa: not ours, left alone",
        "t/free-00000000000000ab: not ours",
        "t/leased-00000000000000ac:1:1:ab:1:1: not ours",
        "t/mine: not ours",
        "/p/u: not ours",
        "6 things in the pool are not ours",
    ] {
        assert!(ran.err.contains(words), "{words} in {ran:?}");
    }
}

#[test]
fn an_interrupted_init_of_a_dataset_is_completed() {
    let Some(ran) = script(
        "again",
        r#"
zfs-pool init t --from tree || exit
zfs inherit chainbox:target $POOL/t
zfs-pool run t --create -- true; echo run $?
zfs-pool init t --from tree; echo init $?
zfs-pool init t --from tree; echo init $?
zfs-pool init u --from tree --clone copy; echo init $?
zfs-pool run t --create -- sh -c 'cat $ROOTFS/file'
at_rest
"#,
    ) else {
        return;
    };
    assert_eq!(ran.out, "run 125\ninit 0\ninit 125\ninit 125\none\n", "{ran:?}");
}

/// The owner of a tree has a link copied, makes the copy fail, and puts a file in the link's place.
#[test]
fn what_an_init_that_failed_has_copied_is_not_written_through() {
    let Some(ran) = script(
        "again",
        r#"
zfs create -o mountpoint=none -o quota=8M -o chainbox:pool=1 $POOL || exit
echo keep > outside; ln -s $PWD/outside tree/link; echo old > tree/old
dd if=/dev/urandom of=tree/big bs=1M count=16 2> /dev/null
zfs-pool init t --from tree 2> /dev/null; echo init $?
rm tree/big tree/link tree/old; echo evil > tree/link
zfs-pool init t --from tree; echo init $?
cat outside; ls /run/chainbox/pool/$POOL/t/root; cat /run/chainbox/pool/$POOL/t/root/link
# A tree that is filled by hand is none that was left.
zfs-pool init u && echo hand > /run/chainbox/pool/$POOL/u/root/hand
zfs-pool init u --from tree 2> /dev/null; echo init $?; cat /run/chainbox/pool/$POOL/u/root/hand
"#,
    ) else {
        return;
    };
    assert_eq!(ran.out, "init 125\ninit 0\nkeep\nfile\nlink\nevil\ninit 125\nhand\n", "{ran:?}");
}

#[test]
fn twenty_runs_leave_the_pool_as_it_was() {
    let Some(ran) = script(
        "loop",
        r#"
zfs-pool init t --from tree && zfs-pool refill t 20 || exit
before=$(zfs list -H -o name -r $POOL | grep -v free; cat /proc/mounts)
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    zfs-pool run t -- sh -c 'test $(cat $ROOTFS/file) = one && echo $0 > $ROOTFS/file; exit $0' $n; [ $? = $n ] || echo $n failed
done
[ "$before" = "$(zfs list -H -o name -r $POOL; cat /proc/mounts)" ] && echo same
"#,
    ) else {
        return;
    };
    assert_eq!(ran.out, "same\n", "{ran:?}");
}

#[test]
fn a_zfs_clone_is_the_root_of_a_box() {
    let Some(ran) = script(
        "box",
        r#"
mkdir tree/bin tree/proc && cp "$(command -v rlimit-exec)" tree/bin/rlimit-exec && echo '${ROOTFS} / none bind' > plan
zfs-pool init t --from tree && zfs-pool refill t 1 || exit
zfs-pool run t -- ns-unshare --user --mount --pid --ipc --uts --net -- rlimit-exec --nofile 64 -- \
    mount-plan --plan $PWD/plan --proc /proc --chdir / -- seccomp-exec --filter default -- /bin/rlimit-exec --show > shown; echo box $?
grep -c 'NOFILE.*64' shown
at_rest
"#,
    ) else {
        return;
    };
    assert_eq!(ran.out, "box 0\n1\n", "{ran:?}");
}

/// The box that packaging/systemd/zfs-pool-box@.service makes for a connection (tests/connection.rs), here without one.
#[test]
fn a_zfs_clone_is_shown_to_a_box_as_its_own() {
    let Some(busybox) = busybox_or_skip("a_zfs_clone_is_shown_to_a_box_as_its_own") else { return };
    let busybox = busybox.display();
    let line = unit_command("zfs-pool-box@.service").replace("/usr/bin/zfs-pool", "zfs-pool");
    let line = line.replace("--lifeline 0 ", "").replace("PATH=/usr/bin:", "PATH=$PATH:");
    let text = format!(
        r#"
zfs version 2> /dev/null || echo no version
(cd tree && mkdir bin proc dev tmp && cp {busybox} bin/sh && ln -s sh bin/id && ln -s sh bin/dd && mknod disk b 1 0)
zfs-pool init t --from tree && zfs-pool refill t 1 --quota 16M || exit
export TEMPLATE=t
cat > in << 'END'
read host < /proc/sys/kernel/hostname; [ $host = box ] || exit # what follows is for no machine
read word < /file; echo $word; echo two > /file && read word < /file; echo $word
(: < /disk) 2>&1; id -u; dd if=/dev/urandom of=/new bs=1M count=32 2>&1
END
cat > box << 'END'
{line}
END
sh box < in; echo box $?
at_rest
"#
    );
    let Some(ran) = script("shown", &text) else { return };
    // Id-mapped mounts came with OpenZFS 2.2; without them there is no box.
    let version = ran.out.lines().next().and_then(|line| line.strip_prefix("zfs-")).unwrap_or("0.7");
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (parts.next(), parts.next()) >= (Some(2), Some(2)) {
        let words = ["one\ntwo\n", "can't open /disk: Permission denied", "\n21", "Disk quota exceeded", "box 1\n"];
        assert!(words.iter().all(|words| ran.out.contains(words)), "{ran:#?}");
    } else {
        assert!(ran.out.ends_with("\nbox 125\n"), "{ran:#?}");
        assert!(ran.err.contains("mount_setattr(MOUNT_ATTR_IDMAP)"), "{ran:#?}");
    }
}

#[test]
fn without_zfs_or_root_the_message_says_what_to_do() {
    let ran = Chain::new("zfs-pool").args(["--pool", "zfs:tank/p", "list"]).as_user().run();
    if PLACES.iter().any(|path| Path::new(path).exists()) {
        ran.fails(
            125,
            "a pool of ZFS clones is used by root: nobody else may mount on Linux\nhint: a directory pool works",
        );
    }
    if !is_root() {
        return skip(Tier::Root, "without_zfs_or_root_the_message_says_what_to_do", "not root");
    }
    // The system's folders hidden under empty ones, in a mount namespace of the test.
    let line = format!(
        "cp {} zfs-pool && for place in /usr/sbin /sbin /usr/local/sbin; do mount -t tmpfs tmpfs $place; done; \
         exec ./zfs-pool --pool zfs:tank/p list",
        tool("zfs-pool").display()
    );
    let folder = Folder::new("zfs-none", false);
    let ran =
        Chain::program("unshare").args(["-m", "--propagation", "private", "sh", "-c", &line]).at(folder.path()).run();
    ran.fails(125, "zfs: no such command in the system's folders\nhint: install zfsutils-linux (OpenZFS) or zfs-fuse");
}
