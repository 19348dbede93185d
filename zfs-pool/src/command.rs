//! Running another program for its effect: cp(1) and zfs(8). By absolute path from a fixed list of places, with an
//! environment of our own: nothing of the caller's decides what is run or how it speaks.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chain::{Call as _, Context as _, Failure, Result, show, sys};
use nix::libc;

/// Where programs of the system stand. Only root can put something there.
const PLACES: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin"];

/// The path of a program of the system, if there is one of that name.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| PathBuf::from(place).join(name)).find(|path| path.is_file())
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Whether it exited with 0.
    pub good: bool,
    /// Its standard output.
    pub out: Vec<u8>,
    /// The first line of its standard error.
    pub complaint: String,
}

/// Runs a program to its end, `input` on its standard input.
///
/// # Errors
/// A program that cannot be started.
pub fn run<S: AsRef<OsStr>>(program: &PathBuf, args: &[S], input: &[u8]) -> Result<Done> {
    // A caller that ignores SIGCHLD would make the kernel reap the child before us.
    let ignored = sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
    let done = output(program, args, input).call("run").with_context(|| show(program));
    if ignored {
        sys::ignore_signal(libc::SIGCHLD, true).call("sigaction(SIGCHLD)")?;
    }
    done
}

fn output<S: AsRef<OsStr>>(program: &PathBuf, args: &[S], input: &[u8]) -> std::io::Result<Done> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PLACES.join(":"))
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("").trim().to_owned();
    Ok(Done { good: output.status.success(), out: output.stdout, complaint })
}

impl Done {
    /// Turns a command that failed into a failure that repeats its words.
    ///
    /// # Errors
    /// A command that failed.
    pub fn checked(self, what: &str) -> Result<Vec<u8>> {
        if self.good {
            return Ok(self.out);
        }
        let words = if self.complaint.is_empty() { "failed without a word" } else { &self.complaint };
        Err(Failure::refusal(format!("{what}: {words}")).into())
    }
}
