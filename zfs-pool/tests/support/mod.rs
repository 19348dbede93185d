//! A pool for one test, used as root or as an ordinary user.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

pub use chainbox_tests::wait_for;
use chainbox_tests::{Chain, Folder, Ran};

/// A folder with a source tree and a pool in it.
pub struct Pool {
    pub folder: Folder,
    user: bool,
}

impl Pool {
    /// A pool without templates, beside a small tree. `user`: all commands run as an ordinary user.
    pub fn empty(test: &str, user: bool) -> Self {
        let folder = Folder::new(&format!("zp-{test}-{user}"), user);
        let pool = Self { folder, user };
        pool.sh(
            "mkdir -p tree/etc && echo one > tree/etc/file && ln tree/etc/file tree/hard && ln -s etc/file tree/soft",
        );
        pool
    }

    /// The same with template `t`.
    pub fn new(test: &str, user: bool) -> Self {
        let pool = Self::empty(test, user);
        pool.zp("init t --from tree").run().ok();
        pool
    }

    /// A zfs-pool command line for this pool, split at spaces.
    pub fn zp(&self, line: &str) -> Chain {
        self.command(Chain::new("zfs-pool")).args(line.split(' '))
    }

    /// The same with the program of `run`.
    pub fn zp_with<const N: usize>(&self, line: &str, prog: [&str; N]) -> Chain {
        self.zp(line).args(prog)
    }

    /// A shell line in the pool's folder.
    pub fn shell(&self, line: &str) -> Chain {
        self.command(Chain::shell(line))
    }

    /// A shell line that must succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        self.shell(line).run().ok()
    }

    fn command(&self, chain: Chain) -> Chain {
        let chain = chain.env("CHAINBOX_POOL", self.path("pool")).at(self.folder.path());
        if self.user { chain.as_user() } else { chain }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The names in one of the folders of template `t`.
    pub fn names(&self, place: &str) -> Vec<String> {
        names(&self.path("pool/t").join(place))
    }

    /// Asserts that nothing is leased, dead or half made, and how many clones are free.
    #[track_caller]
    pub fn is_at_rest(&self, free: usize) {
        for place in ["leased", "dead", "making"] {
            assert_eq!(self.names(place), Vec::<String>::new(), "{place}");
        }
        assert_eq!(self.names("free").len(), free, "free");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Overlay work directories have mode 000, which the folder's own removal cannot pass as an ordinary user.
        let chmod = self.shell("find . -type d ! -perm -700 -exec chmod u+rwx {} + 2>/dev/null; true");
        assert!(std::thread::panicking() || chmod.run().code == 0);
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Starts a command in the background.
pub fn start(mut chain: Chain) -> Child {
    chain.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether a process runs (a zombie does not).
pub fn runs(pid: u32) -> bool {
    chain::process::process(pid).unwrap().is_some_and(|process| !process.has_ended())
}

/// The number that a file holds, once it is there.
pub fn number_in(path: &Path) -> u32 {
    let read = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    wait_for(&format!("{}", path.display()), || read().is_some());
    read().unwrap().trim().parse().unwrap()
}

/// The value of a variable in the lines that `acquire` and env(1) print.
pub fn variable(ran: &Ran, name: &str) -> Option<String> {
    let value = ran.out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('\'').to_owned())
}
