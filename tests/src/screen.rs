//! A terminal with somebody in front of it: a real pseudo-terminal, keys that are pressed, text that is waited for.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::Chain;

/// How long to wait for a text. Longer is a failure, and no measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// The terminal, and what runs on it.
#[derive(Debug)]
pub struct Screen {
    master: std::fs::File,
    program: Child,
    unread: String,
}

impl Screen {
    /// A new terminal of 24 lines and 80 columns, with this chain as the leader of its session, run by an ordinary user
    /// if `user` is set.
    #[must_use]
    pub fn start(chain: &Chain, user: bool) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let name = ptsname(&master, vec![]).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let screen: OwnedFd = rustix::fs::open(name, flags, Mode::empty()).expect("the terminal");
        resize(&master, 24, 80);
        let copy = || screen.try_clone().expect("a descriptor");
        // setsid(1) makes what is its standard input the controlling terminal.
        let leader = chain.within("setsid", &["--ctty"]);
        let mut leader = if user { leader.as_user() } else { leader };
        let command = leader.command().env("TERM", "dumb").stdin(copy()).stdout(copy()).stderr(copy());
        let program = command.spawn().expect("setsid");
        Self { master: std::fs::File::from(master), program, unread: String::new() }
    }

    /// A shell as people have it, which prompts with `outer> `.
    #[must_use]
    pub fn shell(user: bool) -> Self {
        let bash = Chain::program("bash").args(["--norc", "--noprofile", "-i"]).env("PS1", "outer> ");
        let mut screen = Self::start(&bash, user);
        screen.expect("outer> ");
        screen
    }

    /// Types these bytes.
    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal");
    }

    /// Types a line. Its echo is text on the screen: what is waited for must not stand in it.
    pub fn line(&mut self, line: &str) {
        self.keys(&format!("{line}\n"));
    }

    /// Waits until this text appears; gives what stood before it.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "often only the waiting matters")]
    pub fn expect(&mut self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.unread, rest);
                before.truncate(at);
                return before;
            }
            assert!(begin.elapsed() < PATIENCE && self.read(200), "no {text:?} on the screen: {:?}", self.unread);
        }
    }

    /// Types a line for the shell and gives what it printed, up to its next prompt.
    #[track_caller]
    pub fn say(&mut self, line: &str, prompt: &str) -> String {
        self.line(line);
        self.expect("\n");
        self.expect(prompt).replace('\r', "")
    }

    /// What appears until nothing has for half a second: to see that something does not.
    #[must_use]
    pub fn rest(&mut self) -> String {
        loop {
            let before = self.unread.len();
            if !self.read(500) || self.unread.len() == before {
                return std::mem::take(&mut self.unread);
            }
        }
    }

    /// Reads what is there, or comes within so many milliseconds. False where nobody has the terminal open any more.
    fn read(&mut self, wait: u16) -> bool {
        let mut files = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut files, PollTimeout::from(wait)).expect("poll") == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        let Ok(count) = self.master.read(&mut bytes) else { return false };
        self.unread.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
        true
    }

    /// How the terminal is set.
    #[must_use]
    pub fn modes(&self) -> Modes {
        Modes::from(tcgetattr(&self.master).expect("tcgetattr"))
    }

    /// The group in the foreground.
    #[must_use]
    pub fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.master).expect("tcgetpgrp").as_raw()
    }

    /// Makes the window this large.
    pub fn resize(&self, lines: u16, columns: u16) {
        resize(&self.master, lines, columns);
    }

    /// The pid of what runs on it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.program.id()).expect("a number")
    }

    /// Waits for the end of what runs on it.
    pub fn end(&mut self) -> ExitStatus {
        self.program.wait().expect("wait")
    }
}

/// The terminal hangs up: its session leader gets SIGHUP, and is collected.
impl Drop for Screen {
    fn drop(&mut self) {
        self.program.kill().unwrap_or_default();
        self.program.wait().map(drop).unwrap_or_default();
    }
}

fn resize(master: impl std::os::fd::AsFd, lines: u16, columns: u16) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("tcsetwinsize");
}

/// What stty(1) would show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes(String);

impl From<Termios> for Modes {
    fn from(modes: Termios) -> Self {
        Self(format!(
            "{:?} {:?} {:?} {:?} {:?}",
            modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes, modes.special_codes
        ))
    }
}
