//! `scripts/sandbox`, the main job: what a command finds in its box and what the host keeps.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod changes;
mod given;
mod inside;
mod kept;
mod places;

use std::fs;
use std::path::{Path, PathBuf};

use chainbox_tests::{Chain, Folder, Ran, USER, bin, checkout, is_root};

/// A folder to stand in, of root or of the ordinary user.
struct Place {
    folder: Folder,
    user: bool,
    shell: Vec<PathBuf>,
}

impl Place {
    fn new(test: &str, user: bool) -> Self {
        let folder = Folder::new(&format!("sandbox-{test}-{user}"), user);
        for name in ["work", "home"] {
            fs::create_dir(folder.join(name)).unwrap();
            own(&folder.join(name), user);
        }
        Self { folder, user, shell: vec!["sh".into()] }
    }

    fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// `scripts/sandbox` with these words, run in the folder.
    fn sandbox(&self, words: &[&str]) -> Chain {
        let chain = Chain::program(&self.shell[0])
            .args(&self.shell[1..])
            .args([checkout().join("scripts/sandbox")])
            .args(words)
            .env("CHAINBOX_BIN", bin())
            .env("HOME", self.folder.join("home"))
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .at(self.work());
        if self.user { chain.as_user() } else { chain }
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.sandbox(words).run()
    }

    /// What a shell line in the box prints.
    fn box_says(&self, line: &str) -> String {
        self.run(&["--", "sh", "-c", line]).ok()
    }
}

fn own(path: &Path, user: bool) {
    if user && is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// This, as an ordinary user of wherever it is run.
fn user(run: &Chain) -> Chain {
    run.within("setpriv", &["--reuid", "1000", "--regid", "1000", "--clear-groups"])
}

/// Whether an ordinary user's changes lie in a folder and not in memory: before Linux 6.6.
fn in_a_folder() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (6, 6)
}

/// As who runs the test and, where that is root, as an ordinary user too.
fn everybody(test: &str, check: impl Fn(&Place)) {
    check(&Place::new(test, !is_root()));
    if is_root() {
        check(&Place::new(test, true));
    }
}

/// As it is run by hand: the tools are one file (docs/adr/0016), of which there may be links from before or not.
#[test]
fn the_tools_are_one_file_where_nothing_else_is_said() {
    if bin() != checkout().join("target/release") {
        return;
    }
    everybody("one", |place| {
        let line = format!("ls {}; echo $((1 + 1))", checkout().join("target/release").display());
        let ran = place.sandbox(&["--", "sh", "-c", &line]).env_remove("CHAINBOX_BIN").run();
        assert_eq!(ran.out, "2\n", "{ran:#?}");
        let link = checkout().join("target/release/one/cg-run");
        assert!(!is_root() || fs::read_link(link).unwrap() == Path::new("../chainbox"));
    });
}
