//! The descendants of this process, and clock ticks as a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use chain::process::{self, Process};
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

/// The children of this process, which has one thread, by the kernel's own list; `None` where it keeps none
/// (CONFIG_PROC_CHILDREN).
pub fn children() -> Option<Vec<u32>> {
    listed("/proc/thread-self/children")
}

/// Whether /proc is that of this process's pid namespace: another's has other processes under the same numbers.
pub fn is_own_proc() -> bool {
    process::process("self").is_ok_and(|me| me.is_some_and(|me| me.pid == std::process::id()))
}

/// What descends from this process, by those lists, which cost no more than the run is large; where there are none, by a walk
/// through all of /proc. Nothing below /proc says what a number means by the time that it is used: each process is asked for its
/// parent, and that one whether it still is the same. Nothing where /proc is another pid namespace's.
pub fn below() -> Result<Vec<Process>> {
    let me = std::process::id();
    if !is_own_proc() {
        return Ok(vec![]);
    }
    let Some(first) = children() else { return Ok(descendants(&process::all()?.collect::<Vec<_>>(), me)) };
    let mut seen = BTreeSet::new();
    let mut found = born(first, me, &mut seen);
    let mut at = 0;
    while let Some(parent) = found.get(at).cloned() {
        let born = born(children_of(&parent), parent.pid, &mut seen);
        if !born.is_empty() && is_still(&parent) {
            found.extend(born);
        }
        at += 1;
    }
    Ok(found)
}

fn listed(path: &str) -> Option<Vec<u32>> {
    let list = String::from_utf8(process::whole(path).ok()?).ok()?;
    list.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect()
}

/// Each thread has its own.
fn children_of(parent: &Process) -> Vec<u32> {
    let pid = parent.pid;
    if parent.threads <= 1 {
        return listed(&format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| listed(thread.path().join("children").to_str()?));
    lists.flatten().collect()
}

/// Those of the numbers that are new, and children of `parent`.
fn born(pids: Vec<u32>, parent: u32, seen: &mut BTreeSet<u32>) -> Vec<Process> {
    let new = pids.into_iter().filter(|pid| seen.insert(*pid));
    let born = new.filter_map(|pid| process::process(pid).ok().flatten());
    born.filter(|process| process.parent == parent).collect()
}

/// Whether it is the same process that has its number now.
pub fn is_still(process: &Process) -> bool {
    process::process(process.pid).is_ok_and(|now| now.is_some_and(|now| now.start == process.start))
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
