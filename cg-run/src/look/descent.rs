//! The descendants of a process, and clock ticks as a time.

use std::collections::BTreeMap;
use std::time::Duration;

use chain::process::Process;
use chain::{Call as _, Result, refusal};
use nix::unistd::{SysconfVar, sysconf};

/// Those of `all` processes that descend from `root`, without `root`.
pub fn descendants(all: &[Process], root: u32) -> Vec<Process> {
    let parents: BTreeMap<u32, u32> = all.iter().map(|process| (process.pid, process.parent)).collect();
    let descends = |process: &&Process| {
        let mut pid = process.pid;
        // A list that was read while processes came and went could show a circle: no line is longer than the list.
        for _ in 0..=parents.len() {
            match parents.get(&pid) {
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
pub fn ticks(count: u64) -> Result<Duration> {
    let rate = sysconf(SysconfVar::CLK_TCK).call("sysconf(_SC_CLK_TCK)")?.and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| refusal!("sysconf(_SC_CLK_TCK): no clock tick"))?;
    Ok(Duration::from_micros(count.saturating_mul(1_000_000) / rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pid: u32, parent: u32) -> Process {
        Process { pid, parent, ..Process::default() }
    }

    #[test]
    fn descendants_are_found_through_every_generation() {
        let all = [made(1, 0), made(5, 1), made(9, 5), made(3, 9), made(4, 1), made(6, 5), made(7, 6)];
        let pids: Vec<u32> = descendants(&all, 5).iter().map(|process| process.pid).collect();
        assert_eq!(pids, [9, 3, 6, 7]);
    }

    #[test]
    fn a_circle_ends() {
        assert!(descendants(&[made(2, 3), made(3, 2)], 9).is_empty());
    }
}
