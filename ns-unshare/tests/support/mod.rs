//! What several of these tests need: running as root and as an ordinary user, and looking at processes from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use chainbox_tests::{Chain, Ran, is_root};

/// A line of options and the program behind it, separated by spaces.
pub fn ns_unshare(line: &str) -> Chain {
    Chain::new("ns-unshare").args(line.split_whitespace())
}

/// `ns-unshare OPTIONS -- sh -c SCRIPT`.
pub fn in_box(options: &str, script: &str) -> Chain {
    ns_unshare(options).args(["--", "sh", "-c", script])
}

/// Runs the same as an ordinary user and, where the test is root's, as root. The answers by name.
pub fn as_each(chain: impl Fn() -> Chain) -> Vec<(&'static str, Ran)> {
    let mut ran = vec![("user", chain().as_user().run())];
    if is_root() {
        ran.push(("root", chain().run()));
    }
    ran
}

/// The processes whose command line contains `mark`, zombies excepted, by pid.
pub fn processes(mark: &str) -> BTreeMap<i32, String> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|pid: i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(mark).then_some((pid, line))
        })
        .collect()
}

/// A word that no other process has on its command line, and that sleep(1) takes as a time.
pub fn mark(test: u32) -> String {
    format!("1{:07}.{test:04}", std::process::id())
}

/// One field of /proc/PID/status.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

/// A chain that runs, with its standard output to read from.
pub fn spawn(mut chain: Chain) -> (Child, ChildStdout) {
    let mut child = chain.command().stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    (child, out)
}

/// A started program by its number.
pub fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// Sends a signal, to a process group by its negative number.
pub fn signal(pid: i32, number: i32) {
    let sent =
        Command::new("/bin/kill").args([format!("-{number}"), "--".to_owned(), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{number} {pid}");
}

/// A process that a system call holds until this is dropped. By strace(1), as root.
pub struct Held {
    pid: i32,
    strace: Child,
}

impl Held {
    /// By the next call of sigprocmask(2) from now on.
    pub fn at_next_mask(pid: i32) -> Self {
        Self::at(pid, "rt_sigprocmask", 1)
    }

    /// By the so-manieth call of this name from now on.
    pub fn at(pid: i32, call: &str, count: u32) -> Self {
        let inject = format!("inject={call}:delay_enter=1000000000:when={count}");
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject, "-p", &pid.to_string()]);
        let mut strace = strace.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(strace.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "{said}");
        Self { pid, strace }
    }

    /// Whether it is in sigprocmask(2).
    pub fn is_there(&self) -> bool {
        is_in(self.pid, nix::libc::SYS_rt_sigprocmask)
    }
}

/// Whether a process is in this system call.
pub fn is_in(pid: i32, call: nix::libc::c_long) -> bool {
    fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap().starts_with(&format!("{call} "))
}

/// It goes on as if nothing had been.
impl Drop for Held {
    fn drop(&mut self) {
        signal(i32::try_from(self.strace.id()).unwrap(), 15);
        self.strace.wait().unwrap();
    }
}
