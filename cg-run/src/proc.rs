//! Processes as proc_pid_stat(5) shows them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use chain::{Call as _, Failure, Result};
use nix::unistd::{SysconfVar, sysconf};

/// One process, as far as cg-run asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// `R`, `S`, `D`, `T`, `Z` ...
    pub state: char,
    /// CPU time of itself and of the children that it has waited for, in clock ticks.
    pub ticks: u64,
    /// When it was started, in clock ticks since boot.
    pub start: u64,
}

impl Process {
    /// Reads the text of a stat file. The name in parentheses may hold anything, parentheses and newlines included, so
    /// the fields are counted from the last one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        Some(Self {
            pid: before.split_once(" (")?.0.parse().ok()?,
            state: fields.first()?.chars().next()?,
            parent: u32::try_from(field(4)?).ok()?,
            ticks: [14, 15, 16, 17].into_iter().filter_map(field).sum(),
            start: field(22)?,
        })
    }

    /// Whether it has ended and only waits to be collected.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The process `pid`, which may be `self`; `None` where there is none, or none that this user may see.
#[must_use]
pub fn process(pid: &str) -> Option<Process> {
    // Not read_to_string: the name of a program may be no UTF-8.
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    Process::parse(&String::from_utf8_lossy(&text))
}

/// Every process that this one may see.
///
/// # Errors
/// No readable /proc.
pub fn all() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").and_then(Iterator::collect::<io::Result<Vec<_>>>).call("read /proc")?;
    let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter_map(|pid| process(&pid)).collect())
}

/// Those of `all` that descend from `root`, without `root` and without what descends from it through one of `without`.
#[must_use]
pub fn descendants(all: &[Process], root: u32, without: &[u32]) -> Vec<Process> {
    let parents: BTreeMap<u32, u32> = all.iter().map(|process| (process.pid, process.parent)).collect();
    let descends = |process: &&Process| {
        let mut pid = process.pid;
        // A list that was read while processes came and went could show a circle: no line is longer than the list.
        for _ in 0..=parents.len() {
            match parents.get(&pid) {
                _ if without.contains(&pid) => return false,
                Some(parent) if *parent == root => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    all.iter().filter(|process| process.pid != root).filter(descends).cloned().collect()
}

/// Clock ticks as a time.
///
/// # Errors
/// A system without clock ticks.
pub fn ticks(count: u64) -> Result<Duration> {
    let rate = sysconf(SysconfVar::CLK_TCK).call("sysconf(_SC_CLK_TCK)")?.and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| Failure::refusal("sysconf(_SC_CLK_TCK): no clock tick"))?;
    Ok(Duration::from_micros(count.saturating_mul(1_000_000) / rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "42 (a) S 1 (b)) R 7 42 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787 2 3";

    fn made(pid: u32, parent: u32) -> Process {
        Process { pid, parent, state: 'R', ticks: 0, start: 0 }
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let process = Process::parse(LINE).unwrap();
        assert_eq!(process, Process { pid: 42, parent: 7, state: 'R', ticks: 18, start: 8787 });
        assert_eq!(Process::parse("42 (x) R 7"), None);
        assert_eq!(Process::parse(""), None);
    }

    #[test]
    fn descendants_are_found_through_every_generation() {
        let all = [made(1, 0), made(5, 1), made(9, 5), made(3, 9), made(4, 1), made(6, 5), made(7, 6)];
        let pids = |without: &[u32]| descendants(&all, 5, without).iter().map(|p| p.pid).collect::<Vec<_>>();
        assert_eq!(pids(&[]), [9, 3, 6, 7]);
        assert_eq!(pids(&[6]), [9, 3]);
    }

    #[test]
    fn a_circle_ends() {
        assert!(descendants(&[made(2, 3), made(3, 2)], 9, &[]).is_empty());
    }

    #[test]
    fn this_process_is_there() {
        let me = process("self").unwrap();
        assert_eq!(me.pid, std::process::id());
        assert!(all().unwrap().iter().any(|process| process.pid == me.pid && process.start == me.start));
    }
}
