//! Running another program for its effect: cp(1) and zfs(8). By absolute path from a fixed list of places, with an
//! environment of our own: nothing of the caller's decides what is run or how it speaks.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chain::{Call as _, Context as _, Result, refusal, show, sys};
use nix::libc;

/// Where programs of the system stand. Only root can put something there.
const PLACES: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin"];

/// The path of a program of the system, if there is one of that name.
pub fn find(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| PathBuf::from(place).join(name)).find(|path| path.is_file())
}

#[derive(Debug)]
pub struct Done {
    /// Whether it exited with 0.
    pub good: bool,
    pub out: Vec<u8>,
    /// The first line of its standard error.
    pub complaint: String,
}

/// Runs a program to its end, with nothing on its standard input.
pub fn run<S: AsRef<OsStr>>(program: &PathBuf, args: &[S]) -> Result<Done> {
    // A caller that ignores SIGCHLD would make the kernel reap the child before us. It is as the caller had it again
    // before anything else is executed.
    let ignored = sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
    let output = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PLACES.join(":"))
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    sys::ignore_signal(libc::SIGCHLD, ignored).call("sigaction(SIGCHLD)")?;
    let output = output.call("run").with_context(|| show(program))?;
    let complaint = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("").trim().to_owned();
    Ok(Done { good: output.status.success(), out: output.stdout, complaint })
}

impl Done {
    /// Turns a command that failed into a failure that repeats its words.
    pub fn checked(self, what: &str) -> Result<Vec<u8>> {
        if self.good {
            return Ok(self.out);
        }
        let words = if self.complaint.is_empty() { "failed without a word" } else { &self.complaint };
        Err(refusal!("{what}: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_complaint_is_repeated() {
        let program = find("sh").unwrap();
        let done = run(&program, &["-c", "cat; echo out; echo one >&2; echo two >&2; exit 1"]).unwrap();
        assert_eq!(done.out, b"out\n");
        assert_eq!(done.checked("sh").unwrap_err().to_string(), "sh: one");
    }
}
