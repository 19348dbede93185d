//! What the tests of cg-run share: a cgroup of their own, and looking for processes that should be gone.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use chainbox_tests::{Chain, Ran, Tier, USER, skip};
use nix::fcntl::{Flock, FlockArg};

/// A run without a cgroup.
pub fn cg_run(words: &[&str]) -> Chain {
    Chain::new("cg-run").args(["--no-cgroup"]).args(words)
}

/// The same with its report on standard output.
pub fn reported(words: &[&str]) -> (Ran, serde_json::Value) {
    let ran = cg_run(&["--report", "1"]).args(words).run();
    let report = json(&ran.out);
    (ran, report)
}

/// A cgroup for one test under the one that the test runs in, removed at its end with everything inside.
pub struct Place(PathBuf);

impl Place {
    /// A new one, or a recorded skip where no cgroup v2 can be written.
    pub fn new(test: &str) -> Option<Self> {
        let own = match own_cgroup() {
            Ok(path) => path,
            Err(reason) => {
                skip(Tier::Cgroup, test, &reason);
                return None;
            }
        };
        let path = own.join(format!("test-{test}-{}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                skip(Tier::Cgroup, test, &format!("mkdir {}: {error}", path.display()));
                None
            }
        }
    }

    /// One whose children can have these controllers, or a recorded skip.
    pub fn with(test: &str, controllers: &[&str]) -> Option<Self> {
        let place = Self::new(test)?;
        let there = place.read("cgroup.controllers");
        let missing = controllers.iter().find(|name| !there.split_whitespace().any(|known| known == **name));
        let Some(missing) = missing else { return Some(place) };
        skip(Tier::Controllers, test, &format!("no controller {missing} on cgroup v2 here"));
        None
    }

    /// Marks it as systemd's system manager does with Delegate=yes.
    pub fn mark(&self) {
        self.set_mark("user.delegate");
    }

    pub fn set_mark(&self, name: &str) {
        let place = fs::File::open(&self.0).expect("the place");
        rustix::fs::fsetxattr(place, name, b"1", rustix::fs::XattrFlags::empty()).expect("a mark");
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn text(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// `cg-run --parent` this place.
    pub fn cg_run(&self) -> Chain {
        Chain::new("cg-run").args(["--parent", self.text()])
    }

    /// The names of the cgroups in it.
    pub fn children(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the place");
        let entries = entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
    }

    pub fn write(&self, file: &str, value: &str) -> std::io::Result<()> {
        write(&self.0.join(file), value)
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Gives it to the ordinary user, as a delegation does.
    pub fn delegate(&self) {
        for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(self.0.join(name), Some(USER), Some(USER)).expect("chown");
        }
    }

    /// A child of it that is not a leaf of ours.
    pub fn child(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).expect("a child");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.write("cgroup.kill", "1").unwrap_or_default();
        wait_for("the test's cgroup to be empty", || self.read("cgroup.events").contains("populated 0"));
        remove(&self.0);
    }
}

/// Does the work in a place whose children can have hugetlb, the one controller that hardly any machine binds to cgroup v1;
/// otherwise records a skip. It is enabled above for as long as that lasts, for one test at a time.
pub fn with_hugetlb(test: &str, work: impl FnOnce(&Place)) {
    let Ok(own) = own_cgroup() else { return skip(Tier::Cgroup, test, "no cgroup v2") };
    let words = |file: &str| fs::read_to_string(own.join(file)).unwrap_or_default();
    let has = |text: String| text.split_whitespace().any(|word| word == "hugetlb");
    if !has(words("cgroup.controllers")) {
        return skip(Tier::Controllers, test, "no hugetlb controller");
    }
    // Of the cgroup itself: it has the tests of every checkout in it.
    let _lock = Flock::lock(fs::File::open(&own).expect("the cgroup"), FlockArg::LockExclusive).expect("a lock");
    let was_enabled = has(words("cgroup.subtree_control"));
    if !was_enabled && write(&own.join("cgroup.subtree_control"), "+hugetlb").is_err() {
        return skip(Tier::Controllers, test, "hugetlb cannot be enabled here");
    }
    let _enabled = (!was_enabled).then(|| Enabled(own));
    if let Some(place) = Place::new(test) {
        work(&place);
    }
}

/// A cgroup whose children have hugetlb until this is dropped, by a test that fails too.
struct Enabled(PathBuf);

impl Drop for Enabled {
    fn drop(&mut self) {
        // EBUSY where somebody has made use of it meanwhile.
        write(&self.0.join("cgroup.subtree_control"), "-hugetlb").unwrap_or_default();
    }
}

/// The cgroup that cg-run is in here, or why there is none.
pub fn own_cgroup() -> Result<PathBuf, String> {
    let features = Chain::new("cg-run").args(["--features"]).run().ok();
    let first = features.lines().next().expect("a first line").to_owned();
    first.strip_prefix("cgroup2: yes, ").map(PathBuf::from).ok_or(first)
}

fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    fs::remove_dir(path).unwrap_or_default();
}

/// One write, as the kernel wants it.
pub fn write(path: &Path, value: &str) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

pub use chainbox_tests::wait_for;

/// A number for sleep(1) that no other process on the machine has in its command line.
pub fn marker(test: u32) -> String {
    format!("{}{:07}", 9_000 + test, std::process::id())
}

/// The sleeping processes that have the marker.
pub fn marked(marker: &str) -> Vec<u32> {
    marked_in(marker, |words| words.first() == Some(&b"sleep".as_slice()))
}

/// The processes whose command line contains the marker and fits.
fn marked_in(marker: &str, fits: impl Fn(&[&[u8]]) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
        fits(&words) && text.windows(marker.len()).any(|window| window == marker.as_bytes())
    })
    .collect()
}

/// The cg-run above the processes with the marker.
pub fn parent_of_tree(marker: &str) -> u32 {
    let supervisors = marked_in(marker, |words| words.first().is_some_and(|word| word.ends_with(b"cg-run")));
    let above =
        |pid: &u32| chain::process::process(*pid).expect("/proc").is_some_and(|it| supervisors.contains(&it.parent));
    supervisors.iter().copied().find(|pid| !above(pid)).expect("one cg-run")
}

/// Kills the process of a run that measures: nobody is left then who could end the rest.
pub fn kill_clock(run: &std::process::Child) {
    let clock = chain::process::all().expect("/proc").find(|process| process.parent == run.id()).expect("the clock");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(clock.pid as i32), nix::sys::signal::Signal::SIGKILL)
        .expect("kill");
}

/// A shell command that leaves processes in every corner: in the background, in a new session, forked twice and
/// orphaned, ignoring every signal that can be ignored, and one more in the foreground.
pub fn scattered(marker: &str) -> String {
    format!(
        "sleep {marker} & setsid sleep {marker} & (setsid sh -c 'sleep {marker} & sleep {marker} & exit' &) ; \
         (trap '' HUP INT TERM QUIT USR1; exec nohup sleep {marker} >/dev/null 2>&1) & sleep {marker}"
    )
}

/// How many processes [`scattered`] leaves.
pub const SCATTERED: usize = 6;

/// The one JSON line of a report.
pub fn json(text: &str) -> serde_json::Value {
    assert_eq!(text.lines().count(), 1, "one line: {text:?}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}
