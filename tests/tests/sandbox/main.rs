//! `scripts/sandbox`, the main job: what a command finds in its box and what the host keeps.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chainbox_tests::machine::Machine;
use chainbox_tests::{Chain, Folder, Ran, USER, bin, checkout, is_root, root_or_skip};

/// A folder to stand in, of root or of the ordinary user.
struct Place {
    folder: Folder,
    user: bool,
    shell: &'static [&'static str],
}

impl Place {
    fn new(test: &str, user: bool) -> Self {
        let folder = Folder::new(&format!("sandbox-{test}-{user}"), user);
        for name in ["work", "home"] {
            fs::create_dir(folder.join(name)).unwrap();
            own(&folder.join(name), user);
        }
        Self { folder, user, shell: &["sh"] }
    }

    fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// `scripts/sandbox` with these words, run in the folder.
    fn sandbox(&self, words: &[&str]) -> Chain {
        let chain = Chain::program(self.shell[0])
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

/// As who runs the test and, where that is root, as an ordinary user too.
fn everybody(test: &str, check: impl Fn(&Place)) {
    check(&Place::new(test, !is_root()));
    if is_root() {
        check(&Place::new(test, true));
    }
}

#[test]
fn the_command_has_a_box_of_its_own() {
    let line = "id -u; hostname; ls /; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs|Seccomp:'; touch x && ls x";
    everybody("own", |place| {
        for shell in [["sh"].as_slice(), &["dash"], &["busybox", "sh"]] {
            let place = Place { shell, folder: Folder::new("sandbox-shell", place.user), user: place.user };
            fs::create_dir(place.work()).unwrap();
            own(&place.work(), place.user);
            let out = place.box_says(line);
            let id = if place.user && is_root() { USER } else { nix::unistd::getuid().as_raw() };
            assert!(out.starts_with(&format!("{id}\nbox\n")), "{out}");
            for fact in ["\nusr\n", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
                assert!(out.contains(fact), "no {fact:?} in {out}");
            }
            assert!(out.ends_with("\nx\n"), "{out}");
            assert_eq!(fs::read_dir(place.work()).unwrap().count(), 0, "x stays in the box");
        }
    });
}

#[test]
fn the_environment_is_three_variables_and_a_home() {
    everybody("environment", |place| {
        let run = place.sandbox(&["--", "env"]).env("SECRET", "1").env("TERM", "vt100").env("LANG", "C").run();
        let mut names: Vec<String> =
            run.ok().lines().map(|line| line.split('=').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["HOME", "LANG", "PATH", "TERM"]);
    });
}

#[test]
fn tmp_and_home_are_the_boxs_own_and_empty() {
    everybody("tmp", |place| {
        fs::write(place.folder.join("home/secret"), "").unwrap();
        let out = place.box_says("ls -A \"$HOME\"; touch \"$HOME/x\" /tmp/x; ls /tmp; stat -c %a \"$HOME\"; pwd");
        // The folder of this test lies in /tmp: of the way to the current directory the box has the names alone.
        let folder = place.folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(out, format!("{folder}\nhome\nx\n700\n{}\n", place.work().display()));
        assert!(!Path::new("/tmp/x").exists());
    });
}

#[test]
fn the_system_is_there_and_not_to_be_changed() {
    everybody("system", |place| {
        let line = "touch /usr/x /etc/x /x /proc/sys/kernel/core_pattern; echo 1 > /proc/sys/kernel/hostname; \
                    ls -d /work /root/.ssh /home/*; [ -r /etc/passwd ] && [ -x /usr/bin/env ] && echo there";
        let ran = place.run(&["--", "sh", "-c", line]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "there\n"), "{ran:#?}");
        let refused = ran.err.matches("Read-only file system").count() + ran.err.matches("Permission denied").count();
        assert_eq!(refused, 5, "{ran:#?}");
    });
}

#[test]
fn root_in_the_box_reads_and_writes_no_more_than_everybody() {
    if !root_or_skip("root_in_the_box_reads_and_writes_no_more_than_everybody") {
        return;
    }
    let place = Place::new("root", false);
    // A secret of root where every machine has one, and the kernel's switches that check for uid 0 and for nothing else.
    let line = "cat /etc/shadow 2>&1 | grep -c denied; for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \
                /proc/irq/default_smp_affinity /proc/self/oom_score_adj; do [ ! -w $f ] || echo $f; done; \
                ls /sys /run 2>&1 | grep -c 'cannot access'";
    assert_eq!(place.box_says(line), "1\n2\n");
    let core = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let write = "echo box > /proc/sys/kernel/core_pattern";
    assert_ne!(place.run(&["--", "sh", "-c", write]).code, 0);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), core);
}

/// Root of the box is an id that nobody else has; to it, trees that it may change look as if it were root's.
#[test]
fn root_in_the_box_is_nobody_outside() {
    if !root_or_skip("root_in_the_box_is_nobody_outside") {
        return;
    }
    let place = Place::new("nobody", false);
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.work().join("mine"), "root's own").unwrap();
    fs::set_permissions(place.work().join("mine"), fs::Permissions::from_mode(0o600)).unwrap();
    let ids = |line: &str| -> Vec<u32> {
        let out = place.box_says(line);
        out.split_whitespace().map(|word| word.parse().unwrap_or_else(|_| panic!("{out}"))).collect()
    };
    let map =
        "id -u; stat -c %u mine /usr/bin/env; echo more >>mine; stat -c %u mine; sed 's/  */ /g' /proc/self/uid_map";
    let [first, second] = [ids(map), ids(map)];
    for found in [&first, &second] {
        assert_eq!((&found[..4], found[4], found[6]), ([0, 0, 65534, 0].as_slice(), 0, 1), "{found:?}");
        assert!(found[5] > 2_000_200_000, "{found:?}");
    }
    assert_ne!(first[5], second[5], "two boxes have two ids");
    assert_eq!(fs::read_to_string(place.work().join("mine")).unwrap(), "root's own");
}

/// The owner of what a box leaves on the host is who runs it: a setuid file would be his hand for anybody.
#[test]
fn what_a_box_leaves_on_the_host_is_never_setuid() {
    everybody("setuid", |place| {
        let out = place.work().join("../home/out");
        fs::create_dir(&out).unwrap();
        own(&out, place.user);
        let out = fs::canonicalize(out).unwrap();
        let path = out.to_str().unwrap();
        let line = format!(
            "for f in {path}/s kept; do cp /usr/bin/env $f; for m in u+s g+s 4755 2755; do chmod $m $f && echo $m; done; done \
             2>/dev/null; chmod 755 kept; :"
        );
        assert_eq!(place.run(&["--rw", path, "--keep", "k", "--", "sh", "-c", &line]).ok(), "");
        for file in [out.join("s"), place.folder.join("state/chainbox/k/upper/kept")] {
            let facts = fs::metadata(&file).unwrap();
            assert_eq!((facts.mode() & 0o7777, facts.uid()), (0o755, if place.user { USER } else { 0 }), "{file:?}");
        }
    });
}

/// The bit of a file that is there already outlives a write through a mapping.
#[test]
fn a_setuid_file_is_not_for_the_box_to_change() {
    everybody("was-setuid", |place| {
        let (tree, file) = (place.folder.join("home/tree"), place.folder.join("home/tree/file"));
        fs::create_dir(&tree).unwrap();
        fs::write(&file, "").unwrap();
        [&tree, &file].into_iter().for_each(|path| own(path, place.user));
        for mode in [0o4755, 0o2755] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            for path in [&file, &tree] {
                let ran = place.run(&["--rw", path.to_str().unwrap(), "--", "true"]);
                ran.fails(125, &format!("{} is set-user-ID or set-group-ID", file.display()));
            }
            let ran = place.sandbox(&["--keep", "k", "--", "true"]).at(&tree).run();
            ran.fails(125, "--keep: ./file is set-user-ID");
            place.sandbox(&["--", "true"]).at(&tree).run().ok();
        }
    });
}

/// What a box may write, it may fill with links for the next run.
#[test]
fn a_link_to_what_is_not_the_boxs_own_is_not_followed() {
    everybody("links", |place| {
        let (out, victim) = (place.folder.join("home/out"), place.folder.join("victim"));
        for folder in [&out, &victim] {
            fs::create_dir(folder).unwrap();
            own(folder, place.user);
        }
        fs::write(victim.join("file"), "precious").unwrap();
        own(&victim.join("file"), place.user);
        let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
        let line = format!("ln -s {} {}", victim.display(), path("link"));
        place.run(&["--rw", out.to_str().unwrap(), "--", "sh", "-c", &line]).ok();
        let (link, below) = (path("link"), path("link/file"));
        for name in [&link, &format!("{link}/"), &below, &"../home/out/link//file".to_owned()] {
            for option in ["--rw", "--report", "--template"] {
                place
                    .run(&[option, name, "--", "true"])
                    .fails(125, "out/link is a symbolic link: name what it leads to");
            }
        }
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "precious");
        place.run(&["--rw", "../work/../home/out/", "--report", "../home/out/r", "--", "true"]).ok();
    });
}

/// Whoever starts a box shares a process group with its links, and the box has one of its own.
#[test]
fn a_signal_to_its_whole_group_stays_in_the_box() {
    everybody("group", |place| {
        let sandbox = checkout().join("scripts/sandbox");
        let script =
            "\"$0\" -- sh -c 'kill -9 0'; echo box $?; \"$0\" --wall-time 2 -- sh -c 'kill -STOP 0'; echo box $?";
        let chain = Chain::program("sh").args([OsStr::new("-c"), OsStr::new(script), sandbox.as_os_str()]);
        let chain = chain.env("CHAINBOX_BIN", bin()).env("HOME", place.folder.join("home")).at(place.work());
        let ran = if place.user { chain.as_user().run() } else { chain.run() };
        assert_eq!((ran.code, ran.out.as_str()), (0, "box 137\nbox 137\n"), "{ran:#?}");
    });
}

#[test]
fn there_is_no_network_unless_asked_for() {
    everybody("net", |place| {
        assert_eq!(place.box_says("grep -c : /proc/net/dev"), "1\n", "lo alone");
        let host = fs::read_to_string("/proc/net/dev").unwrap().matches(':').count();
        assert_eq!(place.run(&["--net", "--", "grep", "-c", ":", "/proc/net/dev"]).ok(), format!("{host}\n"));
    });
}

#[test]
fn the_exit_status_is_the_commands() {
    everybody("status", |place| {
        for code in [0, 1, 42, 124, 255] {
            assert_eq!(place.run(&["--", "sh", "-c", &format!("exit {code}")]).code, code);
        }
        assert_eq!(place.run(&["--", "sh", "-c", "kill -TERM $$"]).code, 128 + 15);
        place.run(&["--", "no-such-program"]).fails(127, "seccomp-exec: no-such-program: not found in PATH");
        place.run(&["--", "/etc/passwd"]).fails(126, "seccomp-exec: /etc/passwd: execve: Permission denied (EACCES)");
    });
}

#[test]
fn without_a_command_it_is_a_shell() {
    let place = Place::new("shell", !is_root());
    fs::write(place.folder.join("line"), "echo $0; echo in $(hostname)\n").unwrap();
    let mut chain = place.sandbox(&[]);
    chain.command().stdin(fs::File::open(place.folder.join("line")).unwrap());
    assert_eq!(chain.run().ok(), "/bin/sh\nin box\n");
}

#[test]
fn what_is_kept_is_the_change_alone() {
    everybody("keep", |place| {
        for (name, text) in [("edited", "old"), ("removed", "old"), ("same", "old")] {
            fs::write(place.work().join(name), text).unwrap();
            own(&place.work().join(name), place.user);
        }
        let before = Machine::now("no such process", &place.work());
        let change = ["--keep", "k", "--", "sh", "-c", "echo new > edited; rm removed; mkdir d; echo made > d/new"];
        let ran = place.run(&change);
        let upper = place.folder.join("state/chainbox/k/upper");
        assert!(ran.err.contains(&format!("stay in {}", upper.display())), "{ran:#?}");
        assert_eq!(ran.code, 0, "{ran:#?}");
        before.unchanged("no such process", &place.work());
        assert_eq!(fs::read_to_string(upper.join("d/new")).unwrap(), "made\n");
        assert_eq!(fs::read_to_string(upper.join("edited")).unwrap(), "new\n");
        assert!(!upper.join("same").exists());
        // The next run of the name goes on from there; one from elsewhere is refused.
        assert_eq!(place.run(&["--keep", "k", "--", "sh", "-c", "cat edited; ls"]).ok(), "new\nd\nedited\nsame\n");
        fs::create_dir(place.folder.join("elsewhere")).unwrap();
        let elsewhere = place.sandbox(&["--keep", "k", "--", "true"]).at(place.folder.join("elsewhere"));
        elsewhere.run().fails(125, "keeps changes to");
        assert_eq!(fs::metadata(place.folder.join("state/chainbox/k")).unwrap().permissions().mode() & 0o777, 0o700);
    });
}

/// A name of one's own in a place of others': what they have put there is neither written to nor mounted.
#[test]
fn a_kept_folder_that_others_can_write_to_is_refused() {
    everybody("planted", |place| {
        let (kept, victim) = (place.folder.join("state/chainbox/k"), place.folder.join("victim"));
        fs::create_dir_all(&kept).unwrap();
        for path in [place.folder.join("state"), place.folder.join("state/chainbox"), kept.clone()] {
            own(&path, place.user);
        }
        fs::write(&victim, "precious").unwrap();
        own(&victim, place.user);
        symlink(&victim, kept.join("lock")).unwrap();
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)).unwrap();
        place.run(&["--keep", "k", "--", "true"]).fails(125, "not a directory of this user's alone");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    });
}

#[test]
fn a_kept_overlay_serves_one_run_at_a_time() {
    everybody("lock", |place| {
        let started = place.folder.join("started");
        fs::write(&started, "").unwrap();
        own(&started, place.user);
        let path = started.to_str().unwrap();
        let line = format!("echo yes > {path}; sleep 60");
        let mut first = place.sandbox(&["--keep", "k", "--rw", path, "--", "sh", "-c", &line]);
        let mut first = first.command().stderr(Stdio::null()).spawn().unwrap();
        wait_until("the first run to start", || fs::read_to_string(&started).is_ok_and(|text| !text.is_empty()));
        place.run(&["--keep", "k", "--", "true"]).fails(125, "is in use by another run");
        // After the first process was killed the whole box ends, and with it the use.
        first.kill().unwrap();
        first.wait().unwrap();
        wait_until("the box to end", || place.run(&["--keep", "k", "--", "true"]).code == 0);
    });
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_path_can_be_made_writable() {
    everybody("rw", |place| {
        let out = place.folder.join("out");
        fs::create_dir(&out).unwrap();
        own(&out, place.user);
        let path = out.to_str().unwrap();
        place.run(&["--rw", path, "--", "sh", "-c", &format!("echo made > {path}/file")]).ok();
        assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "made\n");
        place.run(&["--rw", &format!("{path}/missing"), "--", "true"]).fails(125, "missing");
        // One name, two paths: the second would be the writable one.
        let two = out.join(format!("x\n{path}"));
        fs::create_dir_all(&two).unwrap();
        symlink(&two, out.join("link")).unwrap();
        place.run(&["--rw", two.to_str().unwrap(), "--", "true"]).fails(125, "a path with a newline");
        place.run(&["--rw", &format!("{path}/link"), "--", "true"]).fails(125, "a path with a newline");
    });
}

#[test]
fn a_name_of_any_kind_can_be_the_current_directory() {
    everybody("name", |place| {
        for name in ["a b", "a:b", "a,b", "a\\b", "-a", "a=b;c", "'\"$a`"] {
            let work = place.work().join(name);
            fs::create_dir(&work).unwrap();
            own(&work, place.user);
            fs::write(work.join("file"), "").unwrap();
            let out = place.sandbox(&["--", "sh", "-c", "pwd; touch x; ls"]).at(&work).run().ok();
            assert_eq!(out, format!("{}\nfile\nx\n", work.display()));
            assert!(!work.join("x").exists());
        }
        let work = place.work().join("a b\n");
        fs::create_dir(&work).unwrap();
        own(&work, place.user);
        place.sandbox(&["--", "true"]).at(&work).run().fails(125, "ends in a newline");
    });
}

/// Who may rename it could put a link to something else in its place, at any time. Here while the script calls awk.
#[test]
fn the_current_directory_is_where_one_stands_and_not_its_name() {
    everybody("renamed", |place| {
        let (fake, secret) = (place.folder.join("fake"), place.folder.join("secret"));
        for (folder, text) in [(place.work(), "mine"), (secret.clone(), "not for the box")] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
            own(&folder, place.user);
        }
        fs::create_dir(&fake).unwrap();
        let swap = "cd \"${0%/*}/..\" && [ -L work ] || { mv work old && ln -s secret work; }";
        fs::write(fake.join("awk"), format!("#!/bin/sh\n({swap})\nPATH=/usr/bin:/bin exec awk \"$@\"\n")).unwrap();
        fs::set_permissions(fake.join("awk"), fs::Permissions::from_mode(0o755)).unwrap();
        own(place.folder.path(), place.user);
        let path = format!("{}:/usr/bin:/bin", fake.display());
        for words in [["--keep", "k", "--", "cat", "file"].as_slice(), &["cat", "file"]] {
            assert_eq!(place.sandbox(words).env("PATH", &path).run().ok(), "mine", "{words:?}");
            assert!(place.work().is_symlink());
            fs::remove_file(place.work()).unwrap();
            fs::rename(place.folder.join("old"), place.work()).unwrap();
        }
    });
}

#[test]
fn a_directory_that_contains_home_or_tmp_is_refused() {
    everybody("refused", |place| {
        let (home, folder) = (place.folder.join("home"), place.folder.path().to_owned());
        for here in [home.as_path(), &folder, Path::new("/tmp"), Path::new("/")] {
            let ran = place.sandbox(&["--", "true"]).at(here).run();
            ran.fails(125, "of which a box has its own: go where the command works");
        }
        // Under another name it is the same directory.
        let name = place.work().join("link");
        symlink(&home, &name).unwrap();
        place.sandbox(&["--", "true"]).at(&name).run().fails(125, "of which a box has its own");
    });
}

#[test]
fn a_template_is_the_system_of_the_box() {
    everybody("template", |place| {
        let tree = place.folder.join("tree");
        for folder in ["bin", "etc"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
        fs::copy(busybox.iter().find(|path| path.exists()).unwrap(), tree.join("bin/busybox")).unwrap();
        for name in ["sh", "ls", "touch", "pwd"] {
            symlink("busybox", tree.join("bin").join(name)).unwrap();
        }
        if place.user && is_root() {
            let status = std::process::Command::new("chown").args(["-R", "1000:1000"]).arg(&tree).status();
            assert!(status.unwrap().success());
        }
        let before = Machine::now("no such process", &tree);
        let line = "touch /etc/made here && ls / /etc . && pwd";
        let out = place.run(&["--template", tree.to_str().unwrap(), "--", "/bin/sh", "-c", line]).ok();
        for name in ["bin\n", "etc\n", "proc\n", "made\n", "here\n"] {
            assert!(out.contains(name), "no {name:?} in {out}");
        }
        assert!(!out.contains("usr\n") && out.ends_with(&format!("{}\n", place.work().display())), "{out}");
        before.unchanged("no such process", &tree);
    });
}

#[test]
fn explain_prints_every_link_and_runs_nothing() {
    everybody("explain", |place| {
        let before = Machine::now("no such process", place.folder.path());
        let words = ["--keep", "k", "--", "touch", "x"];
        let out = place.sandbox(&words).env("CHAIN_EXPLAIN", "1").run().ok();
        for link in ["cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"] {
            assert!(
                out.contains(&format!("\n{link}: 1. ")) || out.starts_with(&format!("{link}: 1. ")),
                "{link}: {out}"
            );
        }
        assert!(out.ends_with("payload: touch x\n"), "{out}");
        before.unchanged("no such process", place.folder.path());
    });
}

#[test]
fn limits_hold_and_are_reported() {
    everybody("limits", |place| {
        let report = place.folder.join("home/report");
        let path = report.to_str().unwrap();
        let spin = ["--cpu-time", "0.3", "--report", path, "--", "sh", "-c", "while :; do :; done"];
        assert_eq!(place.run(&spin).code, 128 + 9);
        assert!(fs::read_to_string(&report).unwrap().contains("\"verdict\":\"TO\""));
        let wait = ["--wall-time", "0.3", "--report", path, "--", "sleep", "60"];
        assert_eq!(place.run(&wait).code, 128 + 9);
        assert!(fs::read_to_string(&report).unwrap().contains("\"verdict\":\"TO\""));
        assert_eq!(place.box_says("ulimit -c"), "0\n");
    });
}

/// A limit that was asked for by name is had or is an error; the default is had as well as the machine can, and said.
#[test]
fn a_limit_that_cannot_be_had_is_an_error_only_where_it_was_asked_for() {
    everybody("had", |place| {
        let cgroup = Chain::new("cg-run").args(["--check", "--memory", "64M", "--pids", "64", "--", "true"]);
        let can = if place.user { cgroup.as_user() } else { cgroup }.run().code == 0;
        let (asked, default) = (place.run(&["--memory", "64M", "--", "true"]), place.run(&["--", "true"]));
        assert_eq!(default.code, 0, "{default:#?}");
        if can {
            assert_eq!((asked.code, default.err.as_str()), (0, ""), "{asked:#?}");
        } else {
            asked.fails(125, "sandbox: --memory and --pids need a cgroup: cg-run: ");
            assert!(
                default.err.starts_with("sandbox: no cgroup to be had") && default.err.lines().count() == 1,
                "{default:#?}"
            );
        }
    });
}

#[test]
fn bad_words_are_refused() {
    let place = Place::new("bad", !is_root());
    for (words, says) in [
        (["--nonsense", "--"].as_slice(), "--nonsense: unknown option"),
        (&["--net", "--net", "--", "true"], "--net is given twice"),
        (&["--keep", "a", "--keep", "a", "--", "true"], "--keep is given twice"),
        (&["--keep"], "--keep: value missing"),
        (&["--keep", "../a", "--", "true"], "--keep ../a: a name is"),
        (&["--keep", "", "--", "true"], "a name is"),
        (&["--memory", "1 --set", "--", "true"], "--memory"),
        (&["--template", "missing", "--", "true"], "missing"),
        (&["--cpu-time", "never", "--", "true"], "--cpu-time never"),
    ] {
        place.run(words).fails(125, says);
    }
    let xs = "x".repeat(65);
    place.run(&["--keep", &xs, "--", "true"]).fails(125, "at most 64");
}
