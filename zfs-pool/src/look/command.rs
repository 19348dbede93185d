//! Running another program for its effect: cp(1) and zfs(8). By absolute path from a fixed list of places, with an
//! environment of our own: nothing of the caller's decides what is run or how it speaks.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chain::{Call as _, Context as _, Failure, Result, show, sys};
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

/// Runs a program to its end, `input` on its standard input.
pub fn run<S: AsRef<OsStr>>(program: &PathBuf, args: &[S], input: &[u8]) -> Result<Done> {
    // A caller that ignores SIGCHLD would make the kernel reap the child before us; and a program that does not read
    // its input must not end us by SIGPIPE. Both are as the caller had them again before anything else is executed.
    let children = sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
    let pipes = sys::ignore_signal(libc::SIGPIPE, true).call("sigaction(SIGPIPE)")?;
    let done = output(program, args, input).call("run").with_context(|| show(program));
    sys::ignore_signal(libc::SIGCHLD, children).call("sigaction(SIGCHLD)")?;
    sys::ignore_signal(libc::SIGPIPE, pipes).call("sigaction(SIGPIPE)")?;
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
        match stdin.write_all(input) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    let output = child.wait_with_output()?;
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
        Err(Failure::refusal(format!("{what}: {words}")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_read_its_input_does_not_end_us() {
        let program = find("true").unwrap();
        for _ in 0..20 {
            assert!(run::<&str>(&program, &[], &[b'x'; 200_000]).unwrap().good);
        }
    }

    #[test]
    fn the_first_line_of_a_complaint_is_repeated() {
        let program = find("sh").unwrap();
        let done = run(&program, &["-c", "cat; echo one >&2; echo two >&2; exit 1"], b"in").unwrap();
        assert_eq!(done.out, b"in");
        assert_eq!(done.checked("sh").unwrap_err().to_string(), "sh: one");
    }
}
