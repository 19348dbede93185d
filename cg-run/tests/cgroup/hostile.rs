//! What a run does that may write to cgroups, or waits where no signal reaches it.
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{Place, marked, marker, wait_for};
use chainbox_tests::processes::TRACED;
use chainbox_tests::{Chain, Folder, Tier, root_or_skip, skip};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Runs this under a limit of time. Returns the exit code (137 for the kill) and what was said.
fn limited(place: &Place, seconds: &str, payload: &[&str]) -> (Option<i32>, String) {
    let mut chain = place.cg_run().args(["--name", "box", "--wall-time", seconds, "--"]).args(payload);
    // A file: who does not die holds the other end of a pipe.
    let folder = Folder::new(&format!("said-by-{}", payload.concat().len()), false);
    let said = File::create(folder.join("said")).unwrap();
    let mut child = chain.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
    wait_for("the end of cg-run", || child.try_wait().unwrap().is_some());
    (child.wait().unwrap().code(), fs::read_to_string(folder.join("said")).unwrap())
}

#[test]
fn who_leaves_the_leaf_dies_all_the_same() {
    let Some(place) = Place::new("leaves") else { return };
    let (elsewhere, marker) = (place.child("elsewhere"), marker(21));
    let leave = format!("echo 0 >{}/cgroup.procs", elsewhere.display());
    let stay = format!("exec setpriv --pdeathsig clear sleep {marker}");
    for remove in ["", &format!("rmdir {}/box;", place.text())] {
        let (code, said) = limited(&place, "0.5", &["sh", "-c", &format!("{leave}; {remove} {stay}")]);
        assert!(code.is_none() || code == Some(125), "{code:?}: {said}");
        wait_for("its end", || marked(&marker).is_empty());
    }
}

#[test]
fn who_is_traced_by_its_own_child_has_ended_when_it_ends() {
    let Some(place) = Place::new("traced") else { return };
    let marker = marker(32);
    let (code, said) = limited(&place, "20", &["perl", "-e", TRACED, &marker]);
    assert_eq!((code, marked(&marker).len()), (Some(3), 0), "{said}");
}

/// Whoever has the leaf may nest cgroups in it, and take its mark away.
#[test]
fn what_is_done_to_a_delegated_leaf_does_not_stay() {
    let test = "what_is_done_to_a_delegated_leaf_does_not_stay";
    if !root_or_skip(test) {
        return;
    }
    let Some(place) = Place::new("delegated") else { return };
    let run = |name: &str, line: &str| {
        let given = ["--name", name, "--delegate", "1000:1000", "--", "setpriv", "--reuid=1000", "--regid=1000"];
        place.cg_run().args(given).args(["--clear-groups", "perl", "-e", line, place.text()])
    };
    run("deep", "chdir \"$ARGV[0]/deep\" or die; for (0..99) { mkdir 'd' and chdir 'd' or exit 0 }").run().ok();
    assert_eq!(place.children(), Vec::<String>::new());
    // As if some were aside for it: the end of another run does not move them back.
    place.child("chainbox-callers");
    let line = "$mark = 'user.chainbox.owner'; syscall(197, \"$ARGV[0]/own\", $mark) == 0 or die; \
        mkdir \"$ARGV[0]/own/done\"; sleep 100";
    let mut child = run("own", line).command().spawn().unwrap();
    wait_for("the mark to be gone", || place.path().join("own/done").exists());
    place.cg_run().args(["--", "true"]).run().ok();
    let left = place.children();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left.contains(&"chainbox-callers".to_owned()), "{left:?}");
}

/// A file system of FUSE that hears everything and answers nothing: who waits for it cannot be killed.
struct Silent(Folder);

impl Silent {
    fn new(test: &str) -> Option<Self> {
        let at = Folder::new(test, false);
        let Ok(mut server) = OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
            skip(Tier::Kernel, test, "no /dev/fuse");
            return None;
        };
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        mount(Some("silent"), at.path(), Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
        // FUSE_INIT (linux/fuse.h): asked with a header of 40 bytes, whose third field is the number of the question;
        // answered with a header of 16 and a fuse_init_out of 64.
        let mut asked = [0; 1 << 16];
        assert!(server.read(&mut asked).unwrap() > 40);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        let answer = [words(&[80, 0]), asked[8..16].to_vec(), words(&[7, 31, 0, 0, 0x000a_000c, 4096]), vec![0; 40]];
        server.write_all(&answer.concat()).unwrap();
        std::thread::spawn(move || while server.read(&mut asked).is_ok() {});
        Some(Self(at))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // All questions fail.
        umount2(self.0.path(), MntFlags::MNT_FORCE).unwrap_or_default();
        umount2(self.0.path(), MntFlags::MNT_DETACH).unwrap_or_default();
    }
}

#[test]
fn who_cannot_die_is_named_and_not_waited_for() {
    let test = "who_cannot_die_is_named_and_not_waited_for";
    if !root_or_skip(test) {
        return;
    }
    let Some(place) = Place::new("undead") else { return };
    let Some(silent) = Silent::new("undead") else { return };
    // By the limit it has to have begun to ask, on a slow machine too.
    let asked = silent.0.join("x");
    let (code, said) = limited(&place, "4", &["cat", asked.to_str().unwrap()]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("box: does not die: process "), "{said}");
}

/// The ten seconds that the killed may take are spent once: with the four of the limit, and a slow machine's start.
#[test]
fn who_cannot_die_costs_the_time_once() {
    let test = "who_cannot_die_costs_the_time_once";
    if !root_or_skip(test) {
        return;
    }
    let Some(silent) = Silent::new("undead-once") else { return };
    let asked = silent.0.join("x");
    let folder = Folder::new("said-once", false);
    let said = File::create(folder.join("said")).unwrap();
    let mut chain = Chain::new("cg-run").args(["--no-cgroup", "--wall-time", "4", "--", "cat"]).args([asked]);
    let since = Instant::now();
    let code = chain.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).status().unwrap().code();
    let said = fs::read_to_string(folder.join("said")).unwrap();
    assert_eq!((code, said.contains("does not die: process ")), (Some(125), true), "{said}");
    assert!(since.elapsed() < Duration::from_secs(4 + 2 * 10), "{:?}", since.elapsed());
}
