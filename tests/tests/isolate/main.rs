//! The front `isolate`: boxes, made, used and cleaned up, as root and as an ordinary user; what callers say and read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod boxes;
mod callers;
mod cgroup;
mod ends;
mod files;
mod inside;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use chainbox_tests::{Chain, Folder, Ran, is_root, tool};

/// Whoever judges, with boxes of his own.
struct Judge {
    folder: Folder,
    user: bool,
    /// The first id of its boxes: no other test's, for the kernel counts the processes of an id.
    first: u32,
}

static JUDGES: AtomicU32 = AtomicU32::new(0);

impl Judge {
    /// A folder with the front in it, alone as packages have it, and a configuration.
    fn new(test: &str, user: bool) -> Self {
        let folder = Folder::new(&format!("isolate-{test}-{user}"), user);
        symlink(tool("chainbox"), folder.join("isolate")).unwrap();
        let first = 2_134_901_000 + std::process::id() % 30_000 * 100 + JUDGES.fetch_add(1, Ordering::Relaxed) % 100;
        let judge = Self { folder, user, first };
        judge.configure("");
        judge
    }

    /// Where boxes are, and these lines.
    fn configure(&self, more: &str) {
        let path = self.folder.path().display();
        let ids = if more.contains("first_uid") { String::new() } else { format!("first_uid = {}\n", self.first) };
        let text = format!("box_root = {path}/boxes\nlock_root = {path}/locks\n{ids}{more}");
        fs::write(self.folder.join("conf"), text).unwrap();
    }

    fn isolate<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Chain {
        let chain = Chain::program(self.folder.join("isolate"))
            .args(words)
            .env("ISOLATE_CONFIG", self.folder.join("conf"))
            .env("SECRET", "of the judge")
            .at(self.folder.path());
        if self.user { chain.as_user() } else { chain }
    }

    /// A line of words without spaces in them.
    fn run(&self, line: &str) -> Ran {
        self.isolate(line.split_whitespace()).run()
    }

    /// Options, and a line for a shell in the box, which may start others.
    fn shell(&self, options: &str, line: &str) -> Ran {
        let words = format!("--processes {options} --run -- /bin/sh -c");
        self.isolate(words.split_whitespace().chain([line])).run()
    }

    /// A new box 0: its inner folder.
    fn init(&self) -> PathBuf {
        let out = self.run("--init").ok();
        assert_eq!(out, format!("{}\n", self.folder.join("boxes/0").display()));
        let inner = Path::new(out.trim_end()).join("box");
        assert!(fs::read_dir(&inner).unwrap().next().is_none());
        inner
    }

    /// The meta file of such a run, and how that ended.
    fn meta(&self, options: &str, line: &str) -> (String, Ran) {
        let ran = self.shell(&format!("--meta=meta {options}"), line);
        (fs::read_to_string(self.folder.join("meta")).unwrap(), ran)
    }
}

/// The value of a key.
fn value<'a>(meta: &'a str, key: &str) -> Option<&'a str> {
    meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
}

fn everybody(test: &str, check: impl Fn(&Judge)) {
    for user in if is_root() { [false, true].as_slice() } else { &[true] } {
        check(&Judge::new(test, *user));
    }
}
