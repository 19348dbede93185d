//! A run without a cgroup: its process tree below cg-run.
//!
//! cg-run makes itself the reaper of the run's orphans (prctl(2), PR_SET_CHILD_SUBREAPER), so that a process that
//! forks twice and leaves its session is still found below it. CPU time is that of the dead that were waited for
//! (wait4(2)) plus that of the living in /proc.

use std::time::{Duration, Instant};

use chain::process::Process;
use chain::sys::{self, Reaped};
use chain::{Call as _, Failure, Result, print_error, refusal};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

use super::cgroup::PATIENCE;
use crate::look::descent::{below, children, is_still, ticks};
use crate::model::accounts::{Accounts, Cpu};

/// The pause where the same processes are still there, for each time: most die at once, others wait for a device. None where
/// others are there: who forks and exits all the time is to be met at some moment.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often those that are children of this process are killed before it looks deeper: who was born behind one look and had
/// become an orphan is found in the next.
const SWEEPS: u32 = 100;

/// The process tree of a run.
#[derive(Debug)]
pub struct Tree {
    dead: Cpu,
    most: Duration,
    accounts: Accounts,
    running: bool,
    /// As [`super::leaf::Leaf`] has it.
    patience: Duration,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            dead: Cpu::default(),
            most: Duration::ZERO,
            accounts: Accounts::default(),
            running: false,
            patience: PATIENCE,
        }
    }
}

impl Tree {
    /// Adopts orphans from now on.
    pub fn adopt(&mut self) -> Result<()> {
        prctl::set_child_subreaper(true).call("prctl(PR_SET_CHILD_SUBREAPER)")
    }

    /// The run begins: from now on whatever is below is killed when this is dropped.
    pub fn begin(&mut self) {
        self.running = true;
    }

    /// Collects everything that has ended; returns the end of `child` if it is among it.
    pub fn reap(&mut self, child: Pid) -> Result<Option<Reaped>> {
        let mut ended = None;
        loop {
            match sys::reap(Pid::from_raw(-1), false) {
                Ok(Some(reaped)) => {
                    self.count(&reaped);
                    if reaped.pid == child {
                        ended = Some(reaped);
                    }
                }
                Ok(None) | Err(Errno::ECHILD) => return Ok(ended),
                Err(errno) => return Err(Failure::call("wait4", errno).into()),
            }
        }
    }

    fn count(&mut self, reaped: &Reaped) {
        self.dead = self.dead.plus(Cpu::of_usage(&reaped.usage));
        self.accounts.add_usage(&reaped.usage);
    }

    /// CPU time of the run so far. It never falls: what a process takes with it that nobody waited for is remembered.
    pub fn cpu(&mut self) -> Result<Duration> {
        let living = self.processes()?.iter().map(used_by).sum::<Result<Duration>>()?;
        self.most = self.most.max(self.dead.total + living);
        Ok(self.most)
    }

    /// The living of the run. A reaper without children has no descendants: then /proc need not be read.
    fn processes(&self) -> Result<Vec<Process>> {
        if has_children()? { below() } else { Ok(vec![]) }
    }

    /// Kills the tree, again and again until nothing is left: what was born meanwhile is found in the next round. That
    /// nothing is left is the kernel's word, never that of a look into /proc, which misses who is born behind it: an
    /// orphan of the run is a child of ours. Returns the end of `child`, if it came now.
    pub fn kill(&mut self, child: Pid) -> Result<Option<Reaped>> {
        let patience = std::mem::take(&mut self.patience);
        let deadline = Instant::now() + patience;
        let (mut ended, mut pause, mut before) = (None, Duration::ZERO, vec![]);
        loop {
            ended = self.sweep(child)?.or(ended);
            if !has_children()? {
                break;
            }
            let left = self.processes()?;
            if Instant::now() > deadline {
                return Err(undead(&left));
            }
            left.iter().for_each(kill);
            pause = if left == before { (pause * 2).clamp(PAUSE, LONGEST_PAUSE) } else { Duration::ZERO };
            std::thread::sleep(pause);
            before = left;
        }
        self.patience = patience;
        Ok(ended)
    }

    /// Kills those that are children of ours until they are the same twice. That takes a few microseconds, and nobody can fork
    /// and exit in less: whoever does so all the time is a child of ours nearly always. Returns the end of `child`, if it came now.
    fn sweep(&mut self, child: Pid) -> Result<Option<Reaped>> {
        let (mut ended, mut before) = (self.reap(child)?, vec![]);
        for _ in 0..SWEEPS {
            let Some(born) = children().filter(|born| *born != before) else { break };
            born.iter().for_each(|pid| kill_child(*pid));
            ended = self.reap(child)?.or(ended);
            before = born;
        }
        Ok(ended)
    }

    pub fn accounts(&self) -> Accounts {
        let mut accounts = self.accounts.clone();
        accounts.cpu = self.dead;
        accounts.cpu.total = accounts.cpu.total.max(self.most);
        accounts
    }

    /// The run is over and nothing is left of it.
    pub fn end(&mut self) {
        self.running = false;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.running {
            return;
        }
        if let Err(error) = self.kill(Pid::from_raw(0)) {
            print_error(&format!("left behind: {error:#}"));
        }
    }
}

/// What a living process has used, by its own clock to the nanosecond, and the children that it has waited for.
fn used_by(process: &Process) -> Result<Duration> {
    let own = clock(process.pid).map_or_else(|| ticks(process.ticks), Ok)?;
    Ok(own + ticks(process.ticks_of_children)?)
}

fn clock(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32));
    clock.and_then(|clock| clock.now()).ok().map(Duration::from)
}

fn undead(left: &[Process]) -> anyhow::Error {
    let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
    let who = if left.is_empty() { "one that /proc does not show".to_owned() } else { pids.join(", ") };
    refusal!("does not die: process {who}")
}

/// Whether there is any child, dead or alive, without taking it away.
fn has_children() -> Result<bool> {
    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
        Ok(_) => Ok(true),
        Err(Errno::ECHILD) => Ok(false),
        Err(errno) => Err(Failure::call("waitid", errno).into()),
    }
}

/// Kills a child of this process. Nobody else can have its number: only we collect it.
fn kill_child(pid: u32) {
    let pid = Pid::from_raw(pid as i32);
    if waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT).is_ok() {
        signal::kill(pid, Signal::SIGKILL).unwrap_or_default();
    }
}

/// Kills exactly this process: a pid that has been given to somebody else has another start time.
fn kill(process: &Process) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw) else { return };
    // A process that is gone is what we want.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if is_still(process) {
        sys::signal_process(&pidfd, libc::SIGKILL).unwrap_or_default();
    }
}
