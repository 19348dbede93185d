//! `--pty`: the box has a pseudo-terminal of its own (pty(7)), and a process carries bytes between it and the caller's.
//!
//! ```text
//! caller's terminal, raw ◄──► bridge (outside, a child of the process outside) ◄──► master ┆ pty ┆ ◄──► the box's session
//! ```
//!
//! The box never has the caller's terminal, so nothing that it does to its own reaches the caller's: input that it
//! injects (TIOCSTI) stays in there. Bridge and process outside watch each other: whoever is left when the other is
//! killed sets the caller's terminal as it was. When the bridge is gone, the pty hangs up, and the box gets SIGHUP.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chain::sys::{self, AtEnd, Child, Fork};
use chain::terminal::{Terminal, unstopped};
use chain::{Call as _, Failure, Result, refusal, wait};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, isatty, read, setsid, write};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::channel::{Channel, Received};
use super::stops::Stops;
use crate::hints;

/// The box's end of the pseudo-terminal.
pub struct Pty(OwnedFd);

/// The bridge, as the process outside sees it.
pub struct Bridge {
    process: Child,
    channel: Channel,
    terminal: Terminal,
    modes: Termios,
    /// What the bridge brings upon the whole job when it uses the terminal from the background.
    stops: Stops,
    /// The box was asked to end in the background: the job does not stop any more, for nobody might continue it.
    asked_to_end: bool,
}

/// The bridge, as it sees itself.
struct Ends {
    terminal: Terminal,
    modes: Termios,
    raw: Termios,
    master: OwnedFd,
    /// Open, so that it does not hang up when nobody in the box has it open for a while.
    _pty: OwnedFd,
    sizes: SignalFd,
    stops: Stops,
    channel: Channel,
}

/// What there is to do.
struct Ready {
    keys: bool,
    output: bool,
    ended: bool,
    stop: bool,
}

/// What the kernel sends the whole group of who reads a terminal or sets it from the background.
const BACKGROUND: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

/// Makes the pseudo-terminal, as large and set as the caller's terminal is, and starts the bridge.
pub fn start() -> Result<(Bridge, Pty)> {
    let Some(terminal) = Terminal::controlling()? else {
        return Err(refusal!("--pty: the caller has no terminal"));
    };
    let modes = terminal.modes()?;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).call("open /dev/ptmx")?;
    unlockpt(&master).call("ioctl(TIOCSPTLCK)")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let pty = ioctl_tiocgptpeer(&master, flags).call("ioctl(TIOCGPTPEER)")?;
    tcsetattr(&pty, OptionalActions::Now, &modes).call("tcsetattr")?;
    let (ours, theirs) = Channel::pair()?;
    let stops = Stops::hold(&BACKGROUND)?;
    match sys::fork(0, AtEnd::Nothing).call("clone").map_err(hints::forking)? {
        Fork::Parent(process) => {
            Ok((Bridge { process, channel: ours, terminal, modes, stops, asked_to_end: false }, Pty(pty)))
        }
        Fork::Child => {
            drop(ours);
            let ends = || stops.let_go().and_then(|()| Ends::new(terminal, modes, master, pty, theirs));
            wait::child_does(|| match ends().and_then(Ends::carry) {
                Ok(()) => sys::exit_now(0),
                Err(error) => error,
            })
        }
    }
}

impl Pty {
    /// Main process: a new session with this as its controlling terminal, and in place of each standard descriptor that
    /// is a terminal. The others (pipes, files) stay.
    pub fn enter(&self) -> Result<()> {
        setsid().call("setsid")?;
        ioctl_tiocsctty(&self.0).call("ioctl(TIOCSCTTY)")?;
        if isatty(std::io::stdin()).unwrap_or(false) {
            dup2_stdin(&self.0).call("dup2")?;
        }
        if isatty(std::io::stdout()).unwrap_or(false) {
            dup2_stdout(&self.0).call("dup2")?;
        }
        if isatty(std::io::stderr()).unwrap_or(false) {
            dup2_stderr(&self.0).call("dup2")?;
        }
        Ok(())
    }
}

impl Bridge {
    /// What the process outside keeps open for it.
    pub fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = [self.process.pidfd.as_fd(), self.channel.as_fd(), self.terminal.as_fd(), self.stops.as_fd()];
        own.into_iter()
    }

    /// The stops of the job by which [`Self::stop`] stops; to be polled.
    pub fn stops(&self) -> Option<&Stops> {
        Some(&self.stops).filter(|_| !self.asked_to_end)
    }

    /// Stops with the job, as the bridge has: in the background it cannot go on.
    pub fn stop(&self) -> Result<()> {
        self.stops().map_or(Ok(()), Stops::stop_once)
    }

    /// The box is asked to end.
    pub fn ask_to_end(&mut self) -> Result<()> {
        if self.terminal.is_ours() || self.asked_to_end {
            return Ok(());
        }
        self.asked_to_end = true;
        for signal in BACKGROUND {
            sys::ignore_signal(signal as c_int, true).call("sigaction")?;
        }
        self.stops.let_go()
    }

    /// The box has ended. Where it was asked to in the background, nobody might continue the bridge, nor those of the job
    /// that it has stopped by using the terminal once more. False elsewhere.
    pub fn give_up(&self) -> bool {
        let gives_up = self.asked_to_end && !self.terminal.is_ours();
        if gives_up {
            wait::kill(&self.process);
            self.reap();
            kill(Pid::from_raw(0), Signal::SIGCONT).unwrap_or_default();
        }
        gives_up
    }

    fn reap(&self) {
        sys::reap(self.process.pid, true).map(drop).unwrap_or_default();
    }

    /// The box has ended: waits until all that it wrote is on the terminal, which is then as it was.
    pub fn end(&self) {
        // Whatever goes wrong here, the terminal is to be set.
        self.channel.send(0).unwrap_or_default();
        self.reap();
        if self.terminal.is_ours() {
            set_back(&self.terminal, &self.modes);
        }
    }
}

impl Ends {
    fn new(terminal: Terminal, modes: Termios, master: OwnedFd, pty: OwnedFd, channel: Channel) -> Result<Self> {
        wait::hide_from_payload()?;
        // Blocked already, with all that is passed on to the box.
        let size = SigSet::from(Signal::SIGWINCH);
        let sizes = SignalFd::with_flags(&size, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).call("signalfd")?;
        let stops = Stops::hold(&[Signal::SIGTSTP])?;
        // Keys may come faster than the box reads; what it writes is to be carried all the same.
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).call("fcntl")?;
        let kept = [terminal.as_fd(), master.as_fd(), pty.as_fd(), sizes.as_fd(), stops.as_fd(), channel.as_fd()];
        sys::close_all_but(kept.into_iter()).call("close_range")?;
        let mut raw = modes.clone();
        raw.make_raw();
        Ok(Self { terminal, modes, raw, master, _pty: pty, sizes, stops, channel })
    }

    /// Until the box has ended, the terminal has hung up, or the process outside is gone.
    fn carry(self) -> Result<()> {
        self.begin();
        let carried = self.carry_on();
        self.finish();
        carried
    }

    /// From the background this stops the whole job, as any program that sets a terminal does.
    fn begin(&self) {
        self.terminal.set(&self.raw);
        self.follow_size();
    }

    /// Sets the terminal as it was, unless somebody has set it since: a shell that saw the process outside die.
    fn finish(&self) {
        if self.terminal.modes().is_ok_and(|now| now.local_modes == self.raw.local_modes) {
            set_back(&self.terminal, &self.modes);
        }
    }

    fn follow_size(&self) {
        if let Ok(size) = tcgetwinsize(&self.terminal) {
            tcsetwinsize(&self.master, size).unwrap_or_default();
        }
    }

    fn carry_on(&self) -> Result<()> {
        let mut typed = vec![];
        loop {
            let ready = self.wait(typed.is_empty())?;
            if self.sizes.read_signal().call("read of a signalfd")?.is_some() {
                self.follow_size();
            }
            if ready.stop {
                self.finish();
                self.stops.let_in(Signal::SIGTSTP)?;
                self.begin();
            }
            if ready.keys && typed.is_empty() {
                typed = match read_some(&self.terminal)? {
                    Some(keys) => keys,
                    None => return Ok(()),
                };
            }
            self.type_in(&mut typed)?;
            if ready.output {
                self.show()?;
            }
            if ready.ended && self.channel.try_receive()? != Received::Nothing {
                while self.show()? {}
                return Ok(());
            }
        }
    }

    /// Waits for keys, if there is `room` for them, or for room otherwise; for output, a signal, a word.
    fn wait(&self, room: bool) -> Result<Ready> {
        let (keys, more) =
            if room { (PollFlags::POLLIN, PollFlags::empty()) } else { (PollFlags::empty(), PollFlags::POLLOUT) };
        let mut files = [
            PollFd::new(self.terminal.as_fd(), keys),
            PollFd::new(self.master.as_fd(), PollFlags::POLLIN | more),
            PollFd::new(self.channel.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stops.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.sizes.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut files, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::call("poll", errno).into()),
        }
        let [keys, output, ended, stop, _] = files.map(|file| file.revents().is_some_and(|events| !events.is_empty()));
        Ok(Ready { keys, output, ended, stop })
    }

    fn type_in(&self, typed: &mut Vec<u8>) -> Result<()> {
        match write(&self.master, typed) {
            Ok(count) => drop(typed.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(Failure::call("write to the pty", errno).into()),
        }
        Ok(())
    }

    /// Shows what there is of output. False where there is none.
    fn show(&self) -> Result<bool> {
        let Some(output) = read_some(&self.master)? else { return Ok(false) };
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            match write(&self.terminal, rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                // It has hung up, which reading the next key says too.
                Err(Errno::EIO) => return Ok(false),
                Err(errno) => return Err(Failure::call("write to the terminal", errno).into()),
            }
        }
        Ok(!output.is_empty())
    }
}

/// What can be read at once; `None` at the end: a terminal that has hung up says EIO.
fn read_some(file: impl AsFd) -> Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; 4096];
    match read(file, &mut bytes) {
        Ok(0) | Err(Errno::EIO | Errno::EAGAIN) => Ok(None),
        Ok(count) => {
            bytes.truncate(count);
            Ok(Some(bytes))
        }
        Err(Errno::EINTR) => Ok(Some(vec![])),
        Err(errno) => Err(Failure::call("read", errno).into()),
    }
}

/// Sets a terminal as it was. What is unread may be its own answer to something that the box wrote, and is dropped.
fn set_back(terminal: &Terminal, modes: &Termios) {
    // A shell may have put us into the background already.
    unstopped(|| {
        terminal.forget_input();
        terminal.set(modes);
    });
}
