//! The front `bwrap` beside Debian's bubblewrap: the same command line, by root and by an ordinary user, and what the payload
//! sees is the same but for what docs/fronts.md lists.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod agents;
mod callers;
mod ends;
mod joined;
mod newer;
mod options;
mod print;
mod words;

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use chainbox_tests::{Chain, Folder, Ran, Tier, USER, bin, is_root, skip, tool};

/// Debian's.
const GENUINE: &str = "/usr/bin/bwrap";

/// What runs in boxes and around them: read when this is compiled, as an ordinary user may not read the checkout.
const SCRIPTS: &[(&str, &str)] = &[
    ("probe.sh", include_str!("probe.sh")),
    ("flatpak.sh", include_str!("flatpak.sh")),
    ("opam.sh", include_str!("opam.sh")),
    ("thumbnailer.py", include_str!("thumbnailer.py")),
];

/// One of the two, and who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    genuine: bool,
    user: bool,
}

/// A folder with a few files: `data`, the directories `low`, `low2`, `up`, `work` and `home`, a filter that allows all, and the
/// scripts.
struct World {
    folder: Folder,
}

impl World {
    fn new(test: &str) -> Self {
        let folder = Folder::new(&format!("fronts-{test}"), true);
        for name in ["low", "low2", "up", "work", "home"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let files = [("data", "data\n"), ("low/a", "low\n"), ("low2/a", "low2\n"), ("home/mine", "mine\n")];
        for (name, text) in files.iter().chain(SCRIPTS) {
            fs::write(folder.join(name), text).unwrap();
        }
        // BPF_RET|BPF_K with SECCOMP_RET_ALLOW.
        fs::write(folder.join("filter"), [6, 0, 0, 0, 0, 0, 0xff, 0x7f]).unwrap();
        let world = Self { folder };
        world.own(world.folder.path());
        world
    }

    fn own(&self, path: &Path) {
        if is_root() {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| self.own(&entry.unwrap().path()));
        }
    }

    /// A shell line by one of them; `$BWRAP` is the program.
    fn line(&self, caller: Caller, line: &str) -> Chain {
        let program = if caller.genuine { GENUINE.into() } else { self.folder.join("bwrap") };
        let mut chain = Chain::program("sh").args(["-ec", line]).at(self.folder.path());
        chain.command().env_clear();
        chain = chain.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("TOOLS", bin());
        for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] {
            let outside = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            chain = chain.env(&format!("H_{name}"), outside);
        }
        let chain = chain.env("BWRAP", program).env("HOME", self.folder.join("home"));
        if caller.user { chain.as_user() } else { chain }
    }

    fn run(&self, caller: Caller, line: &str) -> Ran {
        self.line(caller, line).run()
    }
}

/// Everybody who can run both, or a skip.
fn everybody(test: &str) -> Vec<bool> {
    if !Path::new(GENUINE).exists() {
        skip(Tier::Machine, test, "Debian's package bubblewrap is not installed");
        return vec![];
    }
    let mut callers = if is_root() { vec![false] } else { vec![] };
    if Chain::program("unshare").args(["-Ur", "true"]).as_user().run().code == 0 {
        callers.push(true);
    } else {
        skip(Tier::UserNamespace, test, "no user namespaces for ordinary users");
    }
    callers
}

/// A world with the front in it, alone in its folder as packages have it.
fn world(test: &str) -> World {
    let world = World::new(test);
    std::os::unix::fs::symlink(tool("chainbox"), world.folder.join("bwrap")).unwrap();
    world
}

/// Runs a line with both, as each who can, and compares status and output but for the lines that begin with one of `differs`.
/// The runs with the front.
#[track_caller]
fn same(test: &str, line: &str, differs: &[&str]) -> Vec<Ran> {
    let compared = |user: bool| {
        let [genuine, front] = [true, false].map(|genuine| world(test).run(Caller { genuine, user }, line));
        let shown = |ran: &Ran| {
            let lines = ran.out.lines().filter(|line| !differs.iter().any(|start| line.starts_with(start)));
            (ran.code, lines.map(str::to_owned).collect::<Vec<_>>(), ran.err.is_empty())
        };
        let (one, other) = (shown(&genuine), shown(&front));
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>().join("\n")
        };
        assert!(
            one == other,
            "user {user}: {line}\nstatus {} and {}\nbubblewrap alone:\n{}\n{}\nthe front alone:\n{}\n{}",
            one.0,
            other.0,
            only(&one.1, &other.1),
            genuine.err,
            only(&other.1, &one.1),
            front.err
        );
        assert!(one.1.len() > 1, "nothing was compared: {genuine:?}");
        front
    };
    everybody(test).into_iter().map(compared).collect()
}

/// The same, of a line that prints `word` where all goes well.
#[track_caller]
fn same_with(test: &str, line: &str, word: &str, differs: &[&str]) {
    for ran in same(test, line, differs) {
        assert!(ran.code == 0 && ran.out.contains(word), "{word}: {ran:#?}");
    }
}

/// Runs a line with the front alone, as each who can.
#[track_caller]
fn each(test: &str, line: &str, check: impl Fn(&World, &Ran)) {
    for user in everybody(test) {
        let world = world(test);
        check(&world, &world.run(Caller { genuine: false, user }, line));
    }
}
