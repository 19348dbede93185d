//! What holds the processes of a run together: a leaf cgroup, or nothing but their descent.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use chain::sys::{Child, Reaped, reap};
use chain::wait;
use chain::{Call as _, Result, refusal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::cgroup::PATIENCE;
use super::leaf::Leaf;
use super::lend;
use super::tree::Tree;
use crate::look::cgroup::whole;
use crate::look::resident::most_resident;
use crate::look::used::used;
use crate::model::accounts::{self, Accounts, Cpu};
use crate::step::Step;

#[derive(Debug)]
pub enum Supervised {
    Leaf(Leaf),
    Tree(Box<Tree>),
}

impl Supervised {
    /// Does a step that belongs to what holds the run together.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match self {
            _ if lend::is(step) => lend::step(step),
            Self::Leaf(leaf) => leaf.step(step),
            Self::Tree(tree) if *step == Step::Adopt => tree.adopt(),
            Self::Tree(_) => Err(refusal!("not a step of a process tree")),
        }
    }

    /// The file that tells the CPU time of a leaf, held open.
    pub fn clock(&self) -> Result<Option<File>> {
        match self {
            Self::Leaf(leaf) => leaf.cgroup()?.file("cpu.stat").map(Some),
            Self::Tree(_) => Ok(None),
        }
    }

    pub fn cpu(&mut self, clock: Option<&File>) -> Result<Duration> {
        match (self, clock) {
            (Self::Tree(tree), _) => tree.cpu(),
            (Self::Leaf(_), Some(file)) => Ok(accounts::cpu(&whole(file)?).total),
            (Self::Leaf(leaf), None) => Ok(accounts::cpu(&leaf.cgroup()?.read("cpu.stat")?).total),
        }
    }

    pub fn reap(&mut self, child: &Child) -> Result<Option<Reaped>> {
        match self {
            Self::Leaf(_) => reap(child.pid, false).call("wait4"),
            Self::Tree(tree) => tree.reap(child.pid),
        }
    }

    pub fn kill_all(&mut self, child: &Child) -> Result<Reaped> {
        // A program that may write to cgroups can have left the leaf.
        wait::kill(child);
        match self {
            Self::Leaf(leaf) => {
                leaf.empty()?;
                collect(child)
            }
            Self::Tree(tree) => tree.kill(child.pid)?.map_or_else(|| collect(child), Ok),
        }
    }

    pub fn kill_rest(&mut self, child: &Child) -> Result<()> {
        match self {
            Self::Leaf(leaf) => leaf.empty(),
            Self::Tree(tree) => tree.kill(child.pid).map(drop),
        }
    }

    /// The most memory that one of its processes has had, of those that are there.
    pub fn most_resident(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.cgroup().map_or(0, |leaf| most_resident(Some(leaf))),
            Self::Tree(_) => most_resident(None),
        }
    }

    pub fn accounts(&self, reaped: &Reaped) -> Result<Accounts> {
        match self {
            Self::Leaf(leaf) => {
                let mut accounts = used(leaf.cgroup()?)?;
                let waited_for = Cpu::of_usage(&reaped.usage).total;
                if waited_for > accounts.cpu.total + ELSEWHERE {
                    let (here, all) = (accounts.cpu.total.as_secs_f64(), waited_for.as_secs_f64());
                    return Err(refusal!("processes have left the leaf: {here} s of {all} s CPU time were used in it"));
                }
                accounts.add_usage(&reaped.usage);
                Ok(accounts)
            }
            Self::Tree(tree) => Ok(tree.accounts()),
        }
    }

    pub fn end(&mut self) {
        match self {
            Self::Leaf(leaf) => leaf.end(),
            Self::Tree(tree) => tree.end(),
        }
    }
}

/// CPU time that may have been used elsewhere: before a process went into the leaf by itself.
const ELSEWHERE: Duration = Duration::from_millis(50);

/// How often it is looked whether whoever traces an ended child has let go of it.
const PAUSE: Duration = Duration::from_millis(1);

/// Collects the killed child. One that waits for a device, or for a server of FUSE, may never end; and who traces an ended one
/// from outside of the run keeps it as long as he likes (ptrace(2)).
fn collect(child: &Child) -> Result<Reaped> {
    let deadline = Instant::now() + PATIENCE;
    if !ends_within(child, PATIENCE)? {
        return Err(refusal!("does not die: process {}", child.pid));
    }
    loop {
        match reap(child.pid, false).call("wait4")? {
            Some(reaped) => return Ok(reaped),
            None if Instant::now() > deadline => {
                return Err(refusal!("process {} has ended, and who traces it does not let go of it", child.pid));
            }
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// Whether the child ends within this time.
pub fn ends_within(child: &Child, time: Duration) -> Result<bool> {
    let mut file = [PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut file, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)).call("poll").map(|ended| ended > 0)
}
