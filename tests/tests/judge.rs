//! `scripts/judge`: numbered boxes, made, used and cleaned up, as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chainbox_tests::{Chain, Folder, Ran, USER, bin, checkout, is_root};

/// Whoever judges, with boxes of his own.
struct Judge {
    folder: Folder,
    user: bool,
}

impl Judge {
    fn judge(&self, words: &[&str]) -> Chain {
        let chain = Chain::program(checkout().join("scripts/judge"))
            .args(words)
            .env("CHAINBOX_BIN", bin())
            .env("XDG_STATE_HOME", self.folder.path())
            .env("SECRET", "of the judge");
        if self.user { chain.as_user() } else { chain }
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.judge(words).run()
    }

    /// A new box 0: its folder.
    fn init(&self) -> PathBuf {
        let out = self.run(&["init"]).ok();
        let folder = PathBuf::from(out.trim_end());
        assert!(fs::read_dir(&folder).unwrap().next().is_none());
        folder
    }

    fn meta(&self, words: &[&str]) -> String {
        let (before, run) = words.split_at(words.iter().position(|word| *word == "run").unwrap());
        let file = self.folder.join("meta");
        self.run(&[before, &["--meta", file.to_str().unwrap()], run].concat());
        fs::read_to_string(file).unwrap()
    }
}

fn everybody(test: &str, check: impl Fn(&Judge)) {
    for user in if is_root() { [false, true].as_slice() } else { &[true] } {
        check(&Judge { folder: Folder::new(&format!("judge-{test}-{user}"), *user), user: *user });
    }
}

/// A run can leave a link where the next report is to be written, or a pipe that nobody reads.
#[test]
fn the_report_follows_no_link_of_the_boxs_and_waits_for_no_reader() {
    everybody("link", |judge| {
        let (folder, outside) = (judge.init(), judge.folder.join("outside"));
        fs::write(&outside, "stays").unwrap();
        let link = outside.to_str().unwrap();
        judge.run(&["run", "ln", "-s", link, "/box/meta"]).ok();
        let meta = folder.join("meta");
        let ran = judge.run(&["--meta", meta.to_str().unwrap(), "run", "true"]);
        ran.fails(125, "/box/meta is a symbolic link, which is not followed: name what it leads to");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "stays");
        judge.run(&["run", "mkfifo", "/box/pipe"]).ok();
        let ran = judge.run(&["--meta", folder.join("pipe").to_str().unwrap(), "run", "true"]);
        ran.fails(125, "nobody may ever read it: name a file");
    });
}

#[test]
fn a_box_is_made_used_and_taken_away() {
    everybody("life", |judge| {
        judge.run(&["run", "true"]).fails(125, "box 0 is not there");
        let folder = judge.init();
        fs::write(folder.join("input"), "6 7\n").unwrap();
        let line = "pwd; id -u; read a b <input; echo $((a * b)) >output; ls -I var /; env; cat /etc/shadow 2>&1 | grep -c denied; \
                    grep -c : /proc/net/dev";
        let out = judge.run(&["--processes", "8", "run", "--", "sh", "-c", line]).ok();
        let id = if judge.user && !is_root() { USER } else { u32::from(judge.user) * USER };
        let system = "bin\nbox\ndev\netc\nlib\nlib64\nproc\nsbin\ntmp\nusr\n";
        assert_eq!(out, format!("/box\n{id}\n{system}PATH=/usr/bin:/bin\nPWD=/box\n1\n1\n"));
        assert_eq!(fs::read_to_string(folder.join("output")).unwrap(), "42\n");
        assert_eq!(fs::metadata(folder.join("output")).unwrap().uid(), id);
        assert_eq!(judge.run(&["run", "cat", "output"]).ok(), "42\n", "the next run finds what the last one left");
        judge.run(&["--box", "1", "run", "true"]).fails(125, "box 1 is not there");
        judge.run(&["cleanup"]).ok();
        assert!(!folder.exists());
        judge.run(&["cleanup"]).ok();
    });
}

#[test]
fn the_report_says_how_it_ended() {
    everybody("report", |judge| {
        judge.init();
        for (words, lines) in [
            (["run", "sh", "-c", "exit 3"].as_slice(), ["status:RE", "exitcode:3"]),
            (&["run", "sh", "-c", "kill -SEGV $$"], ["status:SG", "exitsig:11"]),
            (&["--time", "0.2", "run", "sh", "-c", "while :; do :; done"], ["status:TO", "killed:1"]),
            (&["--wall-time", "0.2", "run", "sleep", "60"], ["status:TO", "killed:1"]),
            (&["--fsize", "4K", "run", "sh", "-c", "exec cat /dev/zero >f"], ["status:SG", "exitsig:25"]),
        ] {
            let meta = judge.meta(words);
            assert!(lines.iter().all(|line| meta.lines().any(|found| found == *line)), "{words:?}: {meta}");
        }
        let fine = judge.meta(&["run", "true"]);
        assert!(fine.contains("exitcode:0\n") && !fine.contains("status:"), "{fine}");
    });
}

#[test]
fn processes_are_counted() {
    everybody("processes", |judge| {
        judge.init();
        let line = "sleep 0.1 & sleep 0.1 & wait; echo forked";
        let one = judge.run(&["run", "sh", "-c", line]);
        assert!(one.code != 0 && one.out.is_empty() && one.err.contains("fork"), "{one:?}");
        assert_eq!(judge.run(&["--processes", "3", "run", "sh", "-c", line]).ok(), "forked\n");
    });
}

#[test]
fn a_box_in_use_is_refused_or_waited_for() {
    everybody("lock", |judge| {
        let folder = judge.init();
        let mut first = judge.judge(&["run", "sh", "-c", "echo started; read line; echo first >order"]);
        let mut first = first.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut started = [0; 8];
        std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut started).unwrap();
        for verb in [["run", "true"].as_slice(), &["cleanup"], &["init"]] {
            judge.run(verb).fails(125, "box 0 is in use");
        }
        let mut second = judge.judge(&["--wait", "run", "sh", "-c", "echo second >>order"]);
        let mut second = second.command().spawn().unwrap();
        drop(first.stdin.take());
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        assert_eq!(fs::read_to_string(folder.join("order")).unwrap(), "first\nsecond\n");
    });
}

/// What a hostile program leaves is taken away, and nothing that it points to.
#[test]
fn cleanup_follows_nothing() {
    everybody("hostile", |judge| {
        let folder = judge.init();
        let victim = judge.folder.join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("precious"), "").unwrap();
        let line = format!(
            "ln -s {0} link; ln -s / root; mkfifo pipe; mkdir -p a/b; ln -s {0} a/b/link; chmod 0 a/b a; touch -- -rf '*'",
            victim.display()
        );
        judge.run(&["--processes", "4", "run", "sh", "-c", &line]).ok();
        assert!(fs::symlink_metadata(folder.join("pipe")).unwrap().file_type().is_fifo());
        let mode = fs::metadata(&victim).unwrap().mode();
        judge.run(&["cleanup"]).ok();
        assert!(!folder.exists() && victim.join("precious").exists());
        assert_eq!(fs::metadata(&victim).unwrap().mode(), mode);
    });
}

#[test]
fn bad_words_are_refused() {
    everybody("words", |judge| {
        for (words, said) in [
            (["run"].as_slice(), "box 0 is not there"),
            (&["--box", "../1", "init"], "takes one word"),
            (&["--box", "01", "init"], "not a number from 0 to 999"),
            (&["--box", "1000", "init"], "not a number from 0 to 999"),
            (&["--time", "1 --no-cgroup", "run", "true"], "takes one word"),
            (&["--time", "1", "--time", "2", "run", "true"], "given twice"),
            (&["--processes", "0", "run", "true"], "not a number above 0"),
            (&["--sometimes", "run", "true"], "unknown option or word"),
            (&["--meta"], "value missing"),
            (&[], "init, run or cleanup?"),
        ] {
            judge.run(words).fails(125, said);
        }
        assert!(!Path::new(&judge.folder.join("chainbox-judge/1000")).exists());
    });
}
