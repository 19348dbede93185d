//! Leases: one winner, and a lease never outlives its holder, however that one ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: a test fails by panicking")]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;

use chainbox_tests::{Chain, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Pool, names, number_in, runs, start, variable, wait_for};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn code(child: &mut Child) -> Option<i32> {
    child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
}

/// A payload that says that it runs, in a file of its own name, and then waits for the file `go`.
const HOLD: &str = "echo $$ > held.${ROOTFS_CLONE#t/}; until test -e go; do sleep 0.02; done";

fn held(pool: &Pool) -> Vec<String> {
    names(pool.folder.path()).into_iter().filter(|name| name.starts_with("held.")).collect()
}

#[test]
fn sixteen_runs_race_for_eight_clones() {
    for user in [true, false] {
        let pool = Pool::new("race", user);
        pool.zp("refill t 8").run().ok();
        let mut all: Vec<Child> = (0..16).map(|_| start(pool.zp_with("run t -- sh -c", [HOLD]))).collect();
        wait_for("eight have given up", || all.iter_mut().filter_map(code).count() == 8);
        assert!(all.iter_mut().filter_map(code).all(|code| code == 75));
        wait_for("eight hold a clone", || held(&pool).len() == 8);
        assert_eq!(pool.names("leased").len(), 8);
        fs::write(pool.path("go"), "").unwrap();
        wait_for("all have ended", || all.iter_mut().filter_map(code).count() == 16);
        assert_eq!(all.iter_mut().filter_map(code).filter(|code| *code == 0).count(), 8);
        pool.is_at_rest(0);
    }
}

#[test]
fn sixteen_acquires_race_for_eight_clones() {
    let pool = Pool::new("acquires", true);
    pool.zp("refill t 8").run().ok();
    let line = format!("acquire t --pid {}", std::process::id());
    let all: Vec<Child> = (0..16).map(|_| start(pool.zp(&line))).collect();
    let ends: Vec<_> = all.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let mut clones: Vec<String> = ends.iter().map(|end| String::from_utf8_lossy(&end.stdout).into_owned()).collect();
    clones.retain(|text| !text.is_empty());
    clones.sort();
    clones.dedup();
    assert_eq!(clones.len(), 8, "each clone once");
    assert_eq!(ends.iter().filter(|end| end.status.code() == Some(75)).count(), 8);
    pool.zp("gc").run().ok();
    assert_eq!(pool.names("leased").len(), 8, "their holder, this test, lives");
}

/// Who looks for one version must not be in the way of who looks for the other: everyone gets a clone at the first try.
#[test]
fn runs_of_two_versions_race_without_a_loser() {
    let pool = Pool::new("versions", true);
    pool.zp("snapshot t").run().ok();
    for _ in 0..4 {
        // In turn, so that each passes those of the other.
        ["refill t@1 2", "refill t@2 2", "refill t@1 4", "refill t@2 4"].iter().for_each(|line| {
            pool.zp(line).run().ok();
        });
        let all: Vec<Child> =
            (0..8).map(|n| start(pool.zp(&format!("run t@{} -- printenv ROOTFS_LOWER", n % 2 + 1)))).collect();
        for (n, child) in all.into_iter().enumerate() {
            let end = child.wait_with_output().unwrap();
            let lower = String::from_utf8_lossy(&end.stdout).into_owned();
            assert!(lower.ends_with(&format!("/t/versions/{}/root\n", n % 2 + 1)), "{end:?}");
        }
        pool.is_at_rest(0);
    }
}

#[test]
fn wait_gets_the_clone_that_comes_later() {
    let pool = Pool::new("wait", true);
    pool.zp("run t -- true")
        .run()
        .fails(75, "claim a free clone of t: no clone of t is free\nhint: zfs-pool refill t N");
    pool.zp("run t --wait 0.1 -- true").run().fails(75, "no clone of t is free");
    let waiting = start(pool.zp("run t --wait 60 -- echo got it"));
    pool.zp("refill t 1").run().ok();
    assert_eq!(waiting.wait_with_output().unwrap().stdout, b"got it\n");
    let mut waiting = start(pool.zp("run t --wait 60 -- true"));
    signal(waiting.id(), Signal::SIGTERM);
    assert_eq!(waiting.wait().unwrap().signal(), Some(15), "who waits can be ended");
    pool.is_at_rest(0);
}

/// `run` with one end of a connection as its standard input; the other end.
fn connected(pool: &Pool, run: &str, script: &str) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut chain = pool.zp_with(&format!("{run} --lifeline 0 -- sh -c"), [script]);
    chain.command().stdin(OwnedFd::from(theirs));
    (start(chain), ours)
}

#[test]
fn the_lease_ends_with_its_connection() {
    for user in [true, false] {
        let pool = Pool::new("connection", user);
        pool.zp("refill t 2").run().ok();
        // It neither reads what is sent, nor ends when it is asked to.
        let (mut holder, mut ours) = connected(&pool, "run t", "trap '' TERM HUP; echo $$ > pid; exec sleep 1000");
        let payload = number_in(&pool.path("pid"));
        ours.write_all(&[b'x'; 100_000]).unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(runs(payload) && code(&mut holder).is_none(), "half of a connection is one");
        drop(ours);
        assert_eq!(holder.wait().unwrap().signal(), Some(9));
        assert!(!runs(payload));
        pool.is_at_rest(1);
        // Who has sent all gets the whole answer.
        let (holder, mut ours) = connected(&pool, "run t", "cat; echo end");
        ours.write_all(b"said\n").unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        assert_eq!(holder.wait_with_output().unwrap().stdout, b"said\nend\n");
        pool.is_at_rest(0);
    }
}

#[test]
fn who_waits_for_a_clone_ends_with_its_connection() {
    let pool = Pool::new("unconnected", true);
    let (holder, ours) = connected(&pool, "run t --wait 100", "touch ran");
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(ours);
    let end = holder.wait_with_output().unwrap();
    assert_eq!(end.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&end.stderr).contains("whoever waited for a clone is gone"), "{end:?}");
    // Closed before anything has begun, the program ends as soon as it has.
    pool.zp("refill t 1").run().ok();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let mut chain = pool.zp("run t --lifeline 0 -- sleep 1000");
    chain.command().stdin(OwnedFd::from(theirs));
    assert_eq!(start(chain).wait().unwrap().signal(), Some(15));
    pool.is_at_rest(0);
    assert!(!pool.path("ran").exists());
}

#[test]
fn a_lifeline_is_what_can_be_cut() {
    let pool = Pool::new("lifeline", true);
    pool.zp("refill t 1").run().ok();
    pool.shell("zfs-pool run t --lifeline 0 -- true < /dev/null")
        .run()
        .fails(125, "--lifeline 0: neither a socket nor a pipe");
    pool.shell("zfs-pool run t --lifeline 77 -- true")
        .run()
        .fails(125, "--lifeline 77: fcntl: Bad file number (EBADF)");
    pool.zp("run t --lifeline x -- true").run().fails(125, "--lifeline x: not a descriptor number");
    // A pipe that nobody else has open; PROG does not have it either.
    let line = "(sleep 0.2; echo end >&2) | zfs-pool run t --lifeline 3 -- sh -c 'ls /proc/self/fd; exec sleep 1000' 3<&0 </dev/null; echo $?";
    assert_eq!(pool.sh(line), "0\n1\n2\n3\n143\n", "3 is that of ls");
    pool.is_at_rest(0);
}

#[test]
fn create_gives_everyone_a_clone() {
    let pool = Pool::new("create", true);
    let mut all: Vec<Child> = (0..8).map(|_| start(pool.zp_with("run t --create -- sh -c", [HOLD]))).collect();
    wait_for("all hold a clone", || held(&pool).len() == 8);
    fs::write(pool.path("go"), "").unwrap();
    assert!(all.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(pool.names("leased").len(), 0);
}

#[test]
fn kill_of_the_holder_ends_the_program_and_gc_takes_the_clone() {
    for user in [true, false] {
        let pool = Pool::new("kill", user);
        pool.zp("refill t 2").run().ok();
        let mut holder = start(pool.zp_with("run t -- sh -c", ["echo $$ > pid; exec sleep 1000"]));
        let payload = number_in(&pool.path("pid"));
        assert!(pool.zp("list").run().ok().contains(&format!(" leased by pid {}\n", holder.id())));
        pool.zp("gc").run().ok();
        assert_eq!(pool.names("leased").len(), 1, "gc leaves a living lease alone");
        holder.kill().unwrap();
        holder.wait().unwrap();
        wait_for("the payload is gone", || !runs(payload));
        assert!(pool.zp("list").run().ok().contains(" version 1 orphan\n"));
        pool.zp("run t -- true").run().ok();
        pool.zp("gc").run().ok();
        pool.is_at_rest(0);
    }
}

/// SIGKILL at fifty moments from the first instruction to the last: no survivor, no clone lost, nothing left.
#[test]
fn kill_at_any_moment_loses_nothing() {
    let pool = Pool::new("moments", true);
    for n in 0..50_u64 {
        pool.zp("refill t 1").run().ok();
        let mark = format!("sleep 4321{n}");
        let mut holder = start(pool.zp(&format!("run t -- {mark}")));
        std::thread::sleep(std::time::Duration::from_micros(n * 60));
        holder.kill().unwrap();
        holder.wait().unwrap();
        wait_for("no survivor", || !command_lines().contains(&mark.replace(' ', "\0")));
        // A child that was not yet the program is seen by no name; who lives holds the lease.
        wait_for("gc to find it dead", || {
            pool.zp("gc").run().ok();
            pool.names("leased").is_empty()
        });
        let left = pool.names("free").len();
        pool.is_at_rest(left);
        assert!(left <= 1, "{left}");
    }
}

fn command_lines() -> String {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    processes.map(|line| String::from_utf8_lossy(&line).into_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn when_the_caller_is_gone_the_clone_is_given_back() {
    let pool = Pool::new("caller", true);
    pool.zp("refill t 1").run().ok();
    // The second command keeps the shell from becoming zfs-pool.
    let line = "zfs-pool run t -- sh -c 'echo $$ > pid; exec sleep 1000'; true";
    let mut caller = start(pool.shell(line));
    let payload = number_in(&pool.path("pid"));
    caller.kill().unwrap();
    caller.wait().unwrap();
    wait_for("the payload is gone", || !runs(payload));
    wait_for("the clone is destroyed", || pool.names("leased").is_empty() && pool.names("dead").is_empty());
    pool.is_at_rest(0);
}

#[test]
fn signals_reach_the_program_and_its_end_is_ours() {
    let pool = Pool::new("signals", true);
    pool.zp("refill t 4").run().ok();
    let trap = "trap 'exit 7' TERM; echo $$ > pid; while :; do sleep 0.02; done";
    let mut holder = start(pool.zp_with("run t -- sh -c", [trap]));
    number_in(&pool.path("pid"));
    signal(holder.id(), Signal::SIGTERM);
    assert_eq!(holder.wait().unwrap().code(), Some(7));
    for (line, code, signal) in
        [("kill -KILL $$", None, Some(9)), ("kill -SEGV $$", None, Some(11)), ("exit 75", Some(75), None)]
    {
        let status = start(pool.zp_with("run t -- sh -c", [line])).wait().unwrap();
        assert_eq!((status.code(), status.signal()), (code, signal), "{line}");
    }
    pool.is_at_rest(0);
}

#[test]
fn the_program_gets_nothing_but_the_variables() {
    let pool = Pool::new("prints", true);
    pool.zp("refill t 1").run().ok();
    let line = "grep -E 'Sig(Blk|Ign|Cgt)|Dumpable|NoNewPrivs|Cap' /proc/self/status; umask; pwd; cat /proc/self/oom_score_adj";
    let bare = pool.sh(line);
    let leased = |line: &str| pool.zp_with("run t --create -- sh -c", [line]).run().ok();
    assert_eq!(leased(line), bare);
    // 3 is what ls itself opens.
    let inherits = "exec 7< tree/hard 8< tree/hard; exec zfs-pool run t --create -- ls -m /proc/self/fd";
    assert_eq!(pool.sh(inherits), "0, 1, 2, 3\n");
    assert_eq!(leased("env -u ROOTFS_CLONE -u ROOTFS_LOWER -u ROOTFS_UPPER -u ROOTFS_WORK env"), pool.sh("env"));
}

#[test]
fn nobody_reads_the_holders_memory_or_descriptors() {
    let pool = Pool::new("hidden", true);
    pool.zp("refill t 1").run().ok();
    let line = "ls /proc/$PPID/fd >/dev/null 2>&1 && echo open; cat /proc/$PPID/environ >/dev/null 2>&1 && echo read; echo end";
    assert_eq!(pool.zp_with("run t -- sh -c", [line]).run().ok(), "end\n");
}

#[test]
fn a_kept_descriptor_crosses_and_the_lock_does_not() {
    let pool = Pool::new("keep", true);
    pool.zp("refill t 2").run().ok();
    // No pipe in the shell: its ends would be among the descriptors while it is set up.
    let line = "exec 7< tree/hard 8< tree/hard; zfs-pool run t --keep-fd 7 -- sh -c 'cat <&7; ls -m /proc/$$/fd'";
    assert_eq!(pool.sh(line), "one\n0, 1, 2, 7\n");
}

#[test]
fn acquire_holds_for_its_process_and_release_gives_back() {
    for user in [true, false] {
        let pool = Pool::new("acquire", user);
        pool.zp("refill t 2").run().ok();
        let line = "eval \"$(zfs-pool acquire t --pid $$)\" && zfs-pool gc && zfs-pool list && test -d $ROOTFS_UPPER && \
                    zfs-pool release $ROOTFS_CLONE && test ! -e $ROOTFS_UPPER && zfs-pool release $ROOTFS_CLONE";
        let ran = pool.shell(line).run();
        ran.fails(125, ": no such clone");
        assert!(ran.out.contains(" version 1 leased by pid "), "{ran:?}");
        pool.is_at_rest(1);
        pool.sh("zfs-pool acquire t --pid $$");
        assert!(pool.zp("list").run().ok().contains(" version 1 orphan\n"), "the shell has ended");
        pool.zp("gc").run().ok();
        pool.is_at_rest(0);
    }
}

#[test]
fn the_parent_holds_what_acquire_takes_without_a_pid() {
    let pool = Pool::new("parent", true);
    pool.zp("refill t 1").run().ok();
    // This test is the parent.
    let ran = pool.zp("acquire t").run();
    assert!(variable(&ran, "ROOTFS_LOWER").is_some(), "{ran:?}");
    let list = pool.zp("list").run().ok();
    assert!(list.contains(&format!(" leased by pid {}\n", std::process::id())), "{list}");
}

#[test]
fn a_pid_that_was_given_again_holds_nothing() {
    let pool = Pool::new("reuse", true);
    pool.zp("refill t 1").run().ok();
    pool.zp(&format!("acquire t --pid {}", std::process::id())).run().ok();
    let lease = pool.path("pool/t/leased").join(&pool.names("leased")[0]).join("lease");
    let text = fs::read_to_string(&lease).unwrap();
    // The same pid with another start time is another process.
    let mut parts: Vec<String> = text.split(':').map(str::to_owned).collect();
    parts[1] = (parts[1].parse::<u64>().unwrap() + 1).to_string();
    fs::write(&lease, parts.join(":")).unwrap();
    pool.zp("gc").run().ok();
    pool.is_at_rest(0);
}

#[test]
fn a_holder_in_another_pid_namespace_is_not_judged() {
    let pool = Pool::new("elsewhere", true);
    pool.zp("refill t 1").run().ok();
    pool.zp(&format!("acquire t --pid {}", std::process::id())).run().ok();
    let lease = pool.path("pool/t/leased").join(&pool.names("leased")[0]).join("lease");
    let text = fs::read_to_string(&lease).unwrap();
    let mut parts: Vec<&str> = text.split(':').collect();
    parts[3] = "1";
    fs::write(&lease, parts.join(":")).unwrap();
    pool.zp("gc").run().ok();
    assert!(pool.zp("list").run().ok().contains(" of another namespace\n"));
    let clone = format!("t/{}", pool.names("leased")[0]);
    pool.zp(&format!("release {clone}")).run().ok();
    pool.is_at_rest(0);
}

#[test]
fn a_running_lease_is_not_released_from_outside() {
    let pool = Pool::new("running", true);
    pool.zp("refill t 1").run().ok();
    let line = "zfs-pool release $ROOTFS_CLONE; echo $?; test -d $ROOTFS_UPPER";
    let ran = pool.zp_with("run t -- sh -c", [line]).run();
    assert_eq!((ran.code, ran.out.as_str()), (0, "125\n"), "{ran:?}");
    assert!(ran.err.contains(": a running zfs-pool holds it\nhint: end that one"), "{ran:?}");
    pool.is_at_rest(0);
}

#[test]
fn a_lease_that_nobody_could_read_is_given_back() {
    let pool = Pool::new("full", true);
    pool.zp("refill t 1").run().ok();
    let ran = pool.shell("zfs-pool acquire t > /dev/full").run();
    ran.fails(125, "write to standard output: No space left on device (ENOSPC)");
    pool.is_at_rest(0);
}

#[test]
fn a_caller_that_ignores_sigchld_changes_nothing() {
    let pool = Pool::empty("sigchld", true);
    let perl = |line: &str| {
        let script = format!("$SIG{{CHLD}} = 'IGNORE'; exec qw({} {line})", tool("zfs-pool").display());
        pool.shell("exec perl -e \"$SCRIPT\"").env("SCRIPT", script)
    };
    perl("init t --from tree --clone copy").run().ok();
    let ran = perl("run t --create -- sh -c false").run();
    assert_eq!(ran.code, 1, "{ran:?}");
    pool.is_at_rest(0);
}

#[test]
fn arguments_are_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let pool = Pool::new("bytes", true);
    pool.zp("refill t 1").run().ok();
    let chain: Chain = pool.zp("run t -- printf %s").args([std::ffi::OsStr::from_bytes(b"a\xffb")]);
    let out = start(chain).wait_with_output().unwrap();
    assert_eq!(out.stdout, b"a\xffb");
}

#[test]
fn a_pool_path_of_any_bytes_is_exported_as_it_is() {
    let pool = Pool::empty("path", true);
    let line = "mkdir \"$(printf \"p'q\\n\\377\")\" && export CHAINBOX_POOL=\"$PWD/$(printf \"p'q\\n\\377\")/pool\" && \
                zfs-pool init t --from tree && zfs-pool refill t 1 && eval \"$(zfs-pool acquire t --pid $$)\" && \
                test -d \"$ROOTFS_UPPER\" && cat \"$ROOTFS_LOWER/hard\"";
    assert_eq!(pool.sh(line), "one\n");
}
