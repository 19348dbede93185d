//! A chain leaves nothing behind: not after it has run, and not after it was killed at any moment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chainbox_tests::machine::{Machine, alone};
use chainbox_tests::processes::with_mark;
use chainbox_tests::{Chain, Folder, is_root, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// All six links over a clone of a template of a pool.
struct Box {
    folder: Folder,
    /// A word that stands in the command line of each process of a run, the payload's included.
    mark: String,
    user: bool,
}

const PLAN: &str = "\
overlay  /      overlay  lowerdir=${ROOTFS_LOWER},upperdir=${ROOTFS_UPPER},workdir=${ROOTFS_WORK}
/usr     /usr   none     rbind,ro
tmpfs    /tmp   tmpfs
proc     /proc  proc
none     /dev   dev
";

impl Box {
    fn new(name: &str, user: bool) -> Self {
        let folder = Folder::new(name, user);
        let tree = folder.join("tree");
        for part in ["usr", "tmp", "proc", "dev", "etc"] {
            fs::create_dir_all(tree.join(part)).unwrap();
        }
        for (name, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            symlink(target, tree.join(name)).unwrap();
        }
        fs::write(folder.join("plan"), PLAN).unwrap();
        // sleep(1) takes fractions: a number of seconds that nobody else sleeps.
        let new = Self { folder, mark: format!("600.{:09}1", std::process::id()), user };
        assert_eq!(new.run(new.pool().args(["init", "t", "--from"]).args([tree])), (0, String::new()));
        assert_eq!(new.run(new.pool().args(["refill", "t", "2"])), (0, String::new()));
        new
    }

    fn pool(&self) -> Chain {
        Chain::new("zfs-pool").args(["--pool".into(), self.folder.join("pool")])
    }

    fn run(&self, chain: Chain) -> (i32, String) {
        let ran = if self.user { chain.as_user().run() } else { chain.run() };
        (ran.code, ran.err)
    }

    /// Root has a cgroup of version 2 to write to on the machines that are promised; a user seldom has.
    fn chain(&self, payload: &str) -> Chain {
        let supervision = if self.user { "--no-cgroup" } else { "--wall-time" };
        let more: &[&str] = if self.user { &[] } else { &["600"] };
        let plan: PathBuf = self.folder.join("plan");
        self.pool()
            .args(["run", "--create", "t", "--", "cg-run", supervision])
            .args(more)
            .args("-- ns-unshare --user --mount --pid --net --ipc --uts -- rlimit-exec --core 0 --".split(' '))
            .args(["mount-plan".into(), "--plan".into(), plan])
            .args(["--", "seccomp-exec", "--filter", "default", "--", "/bin/sh", "-c", payload, &self.mark])
    }

    fn state(&self) -> Machine {
        Machine::now_timeless(&self.mark, &self.folder.join("pool/t"))
    }

    /// Removes what runs that are gone left: of this pool, and every cgroup of ours.
    fn collect_garbage(&self) {
        let (code, err) = self.run(self.pool().args(["gc"]));
        assert_eq!(code, 0, "zfs-pool gc: {err}");
        if !self.user {
            let (code, err) = self.run(Chain::new("cg-run").args(["--gc"]));
            assert_eq!(code, 0, "cg-run --gc: {err}");
        }
    }

    fn unchanged(&self, before: &Machine) {
        before.unchanged_after(&self.mark, &self.folder.join("pool/t"), || self.collect_garbage());
    }

    /// Runs that end by themselves, with a child that they leave to the init.
    fn run_many(&self, times: u32) {
        for _ in 0..times {
            let payload = format!("sleep {} & touch /etc/changed; exit 7", self.mark);
            assert_eq!(self.run(self.chain(&payload)), (7, String::new()));
        }
    }

    /// Runs whose first process is killed at a moment between its start and some time after the payload's.
    fn kill_many(&self, times: u32) {
        let payload = format!("sleep {0} & setsid sleep {0} & sleep {0}", self.mark);
        let mut moment = Moments(0x5eed);
        for _ in 0..times {
            let mut chain = self.chain(&payload);
            if self.user {
                chain = chain.as_user();
            }
            let mut first = chain.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(moment.next());
            first.kill().unwrap();
            first.wait().unwrap();
        }
    }

    /// Runs of which one link is killed, whichever it is at that moment; then the whole chain ends by itself.
    fn kill_any(&self, times: u32) {
        let payload = format!("setsid sleep {0} & sleep {0}", self.mark);
        let mut moment = Moments(0xa11);
        for _ in 0..times {
            let mut chain = self.chain(&payload);
            if self.user {
                chain = chain.as_user();
            }
            let mut first = chain.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(moment.next());
            // Links have the rest of the chain behind `--`; the payload's own processes have not.
            let links = with_mark(&format!("-- /bin/sh -c {payload}"));
            let one = links.get(moment.0 as usize % links.len().max(1)).copied();
            let one = one.unwrap_or_else(|| first.id().try_into().unwrap());
            // ESRCH: it has just ended; then the first process does.
            kill(Pid::from_raw(one), Signal::SIGKILL).unwrap_or_else(|_| first.kill().unwrap());
            wait_for("the first process ends", || first.try_wait().unwrap().is_some());
            wait_for("every process ends, with no help", || with_mark(&self.mark).is_empty());
        }
    }
}

/// The same moments in every run of the test: a linear congruential generator (Knuth's MMIX).
struct Moments(u64);

impl Moments {
    /// Up to 40 ms: most fall into the start of the chain, some after it.
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((self.0 >> 33) % 40_000)
    }
}

fn leaves_nothing(name: &str, user: bool, runs: u32, kills: u32) {
    let _alone = alone();
    let pool = Box::new(name, user);
    // The first runs take the two clones that are ready; every later one makes its own.
    pool.run_many(2);
    pool.collect_garbage();
    let empty = pool.state();
    pool.run_many(runs);
    pool.unchanged(&empty);
    pool.kill_many(kills);
    pool.unchanged(&empty);
    pool.kill_any(kills);
    pool.unchanged(&empty);
}

#[test]
fn alone_runs_and_killed_runs_leave_nothing_behind() {
    leaves_nothing("leaves-nothing", !is_root(), 200, 50);
}

#[test]
fn alone_an_ordinary_users_runs_leave_nothing_behind_either() {
    if is_root() {
        leaves_nothing("leaves-nothing-user", true, 20, 20);
    }
}
