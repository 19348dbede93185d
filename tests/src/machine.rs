//! The state of the machine that a chain must leave as it was: mounts, cgroups, processes, files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::processes::{command_line, with_mark};

/// How long something that is on its way out may still be there: a cgroup whose last process is being reaped, a mount
/// namespace that the kernel takes down in its own time. What is still there after that has been left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is there at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    processes: BTreeSet<String>,
    files: BTreeSet<String>,
    times: bool,
}

/// For tests that compare the machine before and after: one at a time in a test program. Their names begin with
/// `alone_`, by which cargo-nextest knows them too.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// The mounts of this namespace, all cgroups of version 2, the processes that have `mark` in their command line,
    /// and every file under `folder`: its path, mode, owner, links, times of change and content.
    #[must_use]
    pub fn now(mark: &str, folder: &Path) -> Self {
        Self { times: true, ..Self::default() }.look(mark, folder)
    }

    /// The same without the times: for a folder in which things come and go, and all that counts is what is left.
    #[must_use]
    pub fn now_timeless(mark: &str, folder: &Path) -> Self {
        Self::default().look(mark, folder)
    }

    fn look(&self, mark: &str, folder: &Path) -> Self {
        let mut machine = Self { mounts: mounts(), processes: processes(mark), times: self.times, ..Self::default() };
        for root in cgroup_roots(&machine.mounts) {
            folders(Path::new(&root), &mut machine.cgroups);
        }
        tree(folder, self.times, &mut machine.files);
        machine
    }

    /// Asserts that the machine is, or within a few seconds is again, as it was.
    #[track_caller]
    pub fn unchanged(&self, mark: &str, folder: &Path) {
        self.unchanged_after(mark, folder, || {});
    }

    /// The same, where somebody has to `collect` first what others have left: again and again, because who is dying
    /// still holds what it has.
    #[track_caller]
    pub fn unchanged_after(&self, mark: &str, folder: &Path, mut collect: impl FnMut()) {
        let start = Instant::now();
        loop {
            collect();
            let now = self.look(mark, folder);
            if now == *self {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not as before:\n{}", self.changes(&now));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn changes(&self, now: &Self) -> String {
        let kinds = [
            ("mount", &self.mounts, &now.mounts),
            ("cgroup", &self.cgroups, &now.cgroups),
            ("process", &self.processes, &now.processes),
            ("file", &self.files, &now.files),
        ];
        let mut lines = String::new();
        for (kind, before, after) in kinds {
            lines.extend(after.difference(before).map(|new| format!("new {kind}: {new}\n")));
            lines.extend(before.difference(after).map(|gone| format!("gone {kind}: {gone}\n")));
        }
        lines
    }
}

fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    table.lines().map(str::to_owned).collect()
}

fn cgroup_roots(mounts: &BTreeSet<String>) -> Vec<String> {
    let roots = mounts.iter().filter(|line| line.contains(" - cgroup2 "));
    roots.filter_map(|line| line.split(' ').nth(4).map(str::to_owned)).collect()
}

fn folders(folder: &Path, all: &mut BTreeSet<String>) {
    all.insert(folder.display().to_string());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_of_another_test(&entry.file_name()) {
            folders(&entry.path(), all);
        }
    }
}

/// The cgroups that other test programs make for themselves (`test-NAME-PID`) come and go while this one runs.
fn is_of_another_test(name: &OsStr) -> bool {
    let own = format!("-{}", std::process::id());
    name.to_str().is_some_and(|name| name.starts_with("test-") && !name.ends_with(&own))
}

fn processes(mark: &str) -> BTreeSet<String> {
    with_mark(mark).iter().map(|pid| format!("{pid} {}", command_line(*pid))).collect()
}

fn tree(path: &Path, times: bool, all: &mut BTreeSet<String>) {
    let Ok(facts) = path.symlink_metadata() else { return };
    let content = if facts.is_file() {
        fs::read(path).map_or(0, |bytes| hash(&bytes))
    } else if facts.is_symlink() {
        fs::read_link(path).map_or(0, |target| hash(target.as_os_str().as_bytes()))
    } else {
        0
    };
    let (mode, uid, gid, nlink) = (facts.mode(), facts.uid(), facts.gid(), facts.nlink());
    let time = times.then(|| (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()));
    all.insert(format!("{} {mode:o} {uid}:{gid} {nlink} {time:?} {:x}", path.display(), content));
    if facts.is_dir() {
        fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| tree(&entry.path(), times, all));
    }
}

/// FNV-1a, 64 bits: this looks for accidents, not for an enemy.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
