//! Races that have cost others dearly (CVE-2021-30465, CVE-2024-45310, CVE-2017-1002101): somebody exchanges directories
//! for symbolic links, under the sources and under the targets, while plans run.
//!
//! `CHAINBOX_FLIPS=10000` runs as many plans; without it there are fewer.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use chainbox_tests::{Folder, Ran};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::{Who, people};

/// Entries whose targets, or whose sources, lead through what is exchanged. None may leave anything outside.
const PLAN: &str = "\
tree    /t                none   rbind
tmpfs   /t/abs/mnt        tmpfs  nofail
text:in /t/up/mnt/file    file   nofail
none    /t/up/made/deep   dir    nofail
x       /t/abs/link       symlink nofail
text:in /t/proc/new       file   nofail
none    /t/abs/secret     mask   nofail
/usr    /t/cwd/mnt        none   rbind,ro,nofail
tmpfs   /t/proc/mnt/new   tmpfs  nofail
tree    /beneath          none   rbind,ro,nofail,X-mount.subdir=abs/data
tree    /beneath2         none   rbind,ro,nofail,X-mount.subdir=up/data
src     /s                none   rbind,ro,nofail
tmpfs   /s/mnt            tmpfs  nofail
none    /s/new            dir    nofail
text:in /s/new2           file   nofail
";

/// A directory that is exchanged for a link of this text, again and again.
struct Flip {
    path: PathBuf,
    other: PathBuf,
}

fn flips(folder: &Path) -> Vec<Flip> {
    let outside = folder.join("outside");
    let through_proc = format!("/proc/1/root{}", outside.display());
    let links = [
        ("tree/abs", outside.to_str().unwrap()),
        ("tree/up", "../outside"),
        ("tree/proc", &through_proc),
        ("tree/cwd", "/proc/self/cwd/outside"),
        ("src", outside.to_str().unwrap()),
    ];
    links
        .iter()
        .map(|(name, text)| {
            let (path, other) = (folder.join(name), folder.join(format!("{name}.other")));
            fill(&path, "inside");
            symlink(text, &other).unwrap();
            Flip { path, other }
        })
        .collect()
}

fn fill(path: &Path, text: &str) {
    fs::create_dir_all(path.join("mnt")).unwrap();
    fs::create_dir_all(path.join("data")).unwrap();
    for name in ["secret", "data/marker"] {
        fs::write(path.join(name), text).unwrap();
    }
}

/// Every file below `path`, itself and what is in it; of what lies outside the exchanges also when it was changed.
fn files(path: &Path) -> Vec<String> {
    let facts = path.symlink_metadata().unwrap();
    let content = if facts.is_file() { fs::read(path).unwrap() } else { vec![] };
    let changed =
        path.components().any(|name| name.as_os_str() == "outside").then(|| (facts.ctime(), facts.ctime_nsec()));
    let own = format!(
        "{path:?} {} {:o} {} {} {content:?} {changed:?}",
        facts.ino(),
        facts.mode(),
        facts.uid(),
        facts.nlink()
    );
    let mut all = vec![own];
    if facts.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| all.extend(files(&entry.unwrap().path())));
    }
    all.sort();
    all
}

/// What became of the plans.
#[derive(Debug, Default)]
struct Count {
    plans: usize,
    left_out: usize,
    beneath: usize,
}

impl Count {
    fn add(&mut self, who: Who, ran: &Ran) {
        // A target that changes while it is walked may be refused, and the plan with it; nothing else may go wrong.
        assert!(ran.code == 0 || ran.code == 125, "{who:?} {ran:?}");
        assert!(!ran.out.contains("outside"), "{who:?} {ran:?}");
        self.plans += 1;
        self.left_out += ran.err.matches("(nofail: left out)").count();
        self.beneath += ran.out.matches("inside").count();
    }
}

#[test]
fn nothing_outside_changes_while_links_and_directories_are_exchanged() {
    let wanted: usize = std::env::var("CHAINBOX_FLIPS").map_or(150, |number| number.parse().unwrap());
    let people = people("nothing_outside_changes_while_links_and_directories_are_exchanged");
    let each = wanted.div_ceil(people.len().max(1));
    for who in people {
        let folder = Folder::new(&format!("mp-flips-{who:?}"), who == Who::User);
        fill(&folder.join("outside"), "outside");
        let flips = flips(folder.path());
        fs::write(folder.join("plan"), PLAN).unwrap();
        let before = files(folder.path());
        let (done, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut count = Count::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for _ in 0..2 {
                        for flip in &flips {
                            renameat_with(CWD, &flip.path, CWD, &flip.other, RenameFlags::EXCHANGE).unwrap();
                        }
                        turns.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let line = "cat /beneath/marker /beneath2/marker; exit 0";
            let run = || {
                let args = ["--proc", "/proc", "--plan", "plan", "--", "sh", "-c", line];
                who.host(args).at(folder.path()).run()
            };
            let plans = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..each {
                    count.add(who, &run());
                }
            }));
            done.store(true, Ordering::Relaxed);
            plans.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        assert_eq!(files(folder.path()), before, "{who:?}");
        println!("{who:?}: {count:?} in {turns:?} turns");
        // The race was one: what was walked through was sometimes a directory and sometimes a link.
        let both = each / 10..2 * each - each / 10;
        assert!(count.plans == each && count.left_out > each && both.contains(&count.beneath), "{count:?}");
        assert!(turns.into_inner() > each, "too slow to race with");
    }
}
