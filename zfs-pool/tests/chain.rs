//! The lease as the first link of a whole chain: the clone becomes the root of a box, of either kind, and the chain's end
//! is the clone's end.
#![allow(clippy::unwrap_used, reason = "tests: a test fails by panicking")]

mod support;

use std::fs;

use chainbox_tests::{Chain, Ran, Tier, root_or_skip, skip, tool};
use support::{Pool, runs, start, wait_for};

/// A pool whose template is a root with one static program, and a plan for each kind of clone.
fn pool(test: &str, user: bool) -> Pool {
    let pool = Pool::empty(test, user);
    pool.sh("mkdir tree/bin tree/proc tree/tmp");
    fs::copy(tool("rlimit-exec"), pool.path("tree/bin/rlimit-exec")).unwrap();
    fs::write(pool.path("copy.plan"), "${ROOTFS} / none bind\n").unwrap();
    let layers = "lowerdir=${ROOTFS_LOWER},upperdir=${ROOTFS_UPPER},workdir=${ROOTFS_WORK}";
    fs::write(pool.path("overlay.plan"), format!("overlay / overlay {layers}\n")).unwrap();
    pool.zp("init copy --from tree --clone copy").run().ok();
    pool.zp("init overlay --from tree").run().ok();
    pool
}

const BOX: &str = "ns-unshare --user --mount --pid --ipc --uts --net";

/// Whether user namespaces are to be had; otherwise the skip is recorded.
fn boxes(pool: &Pool, test: &str) -> bool {
    let ran: Ran = pool.shell(&format!("{BOX} -- true")).run();
    if ran.code != 0 {
        skip(Tier::UserNamespace, test, ran.err.trim());
    }
    ran.code == 0
}

#[test]
fn a_clone_of_either_kind_is_the_root_of_a_box() {
    for user in [true, false] {
        let pool = pool("root", user);
        if !boxes(&pool, "a_clone_of_either_kind_is_the_root_of_a_box") {
            return;
        }
        for kind in ["copy", "overlay"] {
            let line = format!(
                "zfs-pool run {kind} --create -- {BOX} -- rlimit-exec --nofile 64 -- mount-plan --plan $PWD/{kind}.plan --proc /proc \
                 --chdir / -- seccomp-exec --filter default -- /bin/rlimit-exec --show"
            );
            let shown = pool.sh(&line);
            assert!(shown.lines().any(|line| line.starts_with("NOFILE") && line.contains("64")), "{shown}");
            assert!(pool.sh("zfs-pool list").contains(&format!("{kind}: {kind} clones, versions 1, 0 free")));
        }
        let leftovers = pool.sh("find pool -path '*/leased/*' -o -path '*/dead/*' -o -path '*/making/*'");
        assert_eq!(leftovers, "");
    }
}

#[test]
fn a_chain_for_a_copy_refuses_an_overlay() {
    let pool = pool("kind", true);
    let line = "zfs-pool run overlay --create -- mount-plan --plan copy.plan -- /bin/rlimit-exec --show";
    pool.shell(line).env("ROOTFS", "/").run().fails(125, "copy.plan:1: ${ROOTFS} is not set");
}

#[test]
fn one_word_explains_the_chain_from_the_lease_on() {
    let pool = pool("words", true);
    let out = pool.sh(&format!("zfs-pool --explain run overlay -- {BOX} -- rlimit-exec --core 0 -- /bin/tool"));
    let mut tools: Vec<&str> = out.lines().filter_map(|line| line.split(':').next()).collect();
    tools.dedup();
    assert_eq!(tools, ["zfs-pool", "ns-unshare", "rlimit-exec", "payload"], "{out}");
}

#[test]
fn kill_of_the_holder_ends_the_whole_box() {
    let pool = pool("boxes", true);
    if !boxes(&pool, "kill_of_the_holder_ends_the_whole_box") {
        return;
    }
    for n in 0..20_u64 {
        let mark = format!("9{n}4321");
        let mut holder = start(pool.zp(&format!("run overlay --create -- {BOX} -- sleep {mark}")));
        std::thread::sleep(std::time::Duration::from_micros(n * 500));
        holder.kill().unwrap();
        holder.wait().unwrap();
        wait_for("no survivor", || !survivors(&mark));
        pool.zp("gc").run().ok();
        assert_eq!(
            pool.sh("ls pool/overlay/leased pool/overlay/dead pool/overlay/making | grep -v :; true").trim(),
            ""
        );
    }
}

/// Whether a process runs that has `word` in its command line.
fn survivors(word: &str) -> bool {
    let all =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    };
    all.filter(named).any(runs)
}

/// cg-run is not killed with the holder: its own lifeline ends the program, and it removes what it made.
#[test]
fn kill_of_the_holder_ends_what_cg_run_runs() {
    let pool = pool("cgrun", true);
    for line in ["kill -9 $!", "kill -TERM $!"] {
        let run = "zfs-pool run overlay --create -- cg-run --no-cgroup --wall-time 100 -- sh -c 'echo $$ > new; mv new pid; exec sleep 99'";
        let line = format!("rm -f pid; {run} & until test -e pid; do sleep 0.02; done; {line}; wait $!; echo $?");
        let ran = pool.shell(&line).run();
        assert!(["137\n", "143\n"].contains(&ran.out.as_str()), "{ran:?}");
        let payload = support::number_in(&pool.path("pid"));
        wait_for("the payload is gone", || !runs(payload));
        pool.zp("gc").run().ok();
        assert_eq!(pool.sh("find pool -path '*/leased/*' -o -path '*/dead/*' -o -path '*/making/*'"), "");
    }
}

/// The caller is gone: what cg-run runs is asked to end first, so that the cgroup goes with it, and killed if it does not.
#[test]
fn kill_of_the_caller_ends_the_box_and_its_cgroup() {
    let test = "kill_of_the_caller_ends_the_box_and_its_cgroup";
    if !root_or_skip(test) {
        return;
    }
    let ran = Chain::new("cg-run").args(["--", "true"]).run();
    if ran.code != 0 {
        return skip(Tier::Cgroup, test, ran.err.trim());
    }
    let name = format!("caller-{}", std::process::id());
    for (payload, leaf) in
        [("exec sleep 99", format!("--name {name}")), ("trap '' TERM; exec sleep 99", "--no-cgroup".into())]
    {
        let pool = pool("caller", false);
        let run = format!(
            "zfs-pool run overlay --create -- cg-run {leaf} -- sh -c \"echo \\$\\$ >new; mv new pid; {payload}\" & \
             until test -e pid; do sleep 0.02; done; kill -9 $$"
        );
        assert_eq!(pool.shell(&run).run().signal, Some(9));
        let payload = support::number_in(&pool.path("pid"));
        wait_for("the payload is gone", || !runs(payload));
        let left = || pool.sh("find pool -path '*/leased/*' -o -path '*/dead/*' -o -path '*/making/*'");
        wait_for("the clone is gone", || left().is_empty());
        assert_eq!(pool.sh(&format!("find /sys/fs/cgroup -name {name}")), "");
    }
}
