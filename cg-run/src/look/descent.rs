//! The descendants of a process, and clock ticks as a time.

use std::collections::BTreeMap;
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

/// The pids below `root`, from one list of children to the next, where the kernel has those: the rest of /proc need not be
/// read. Who is behind one that ends meanwhile may be missed, so it is for a chain that is all there.
pub fn line_below(root: u32) -> Option<Vec<u32>> {
    let mut pids = vec![root];
    let mut at = 0;
    while let Some(pid) = pids.get(at) {
        let new: Vec<u32> = process::children(*pid)?.into_iter().filter(|child| !pids.contains(child)).collect();
        pids.extend(new);
        at += 1;
    }
    pids.remove(0);
    Some(pids)
}

/// Clock ticks as a time.
pub fn ticks(count: u64) -> Result<Duration> {
    let rate = sysconf(SysconfVar::CLK_TCK).call("sysconf(_SC_CLK_TCK)")?.and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| refusal!("sysconf(_SC_CLK_TCK): no clock tick"))?;
    Ok(Duration::from_micros(count.saturating_mul(1_000_000) / rate))
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

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
    fn a_line_is_followed_to_its_end() {
        if process::children(std::process::id()).is_none() {
            let reason = "no lists of children (CONFIG_PROC_CHILDREN)";
            return chainbox_tests::skip(chainbox_tests::Tier::Kernel, "a_line_is_followed_to_its_end", reason);
        }
        let line = "sh -c 'sleep 60 & wait' & wait";
        let mut top = std::process::Command::new("sh").args(["-c", line]).spawn().unwrap();
        let below = loop {
            match line_below(top.id()) {
                Some(pids) if pids.len() == 2 => break pids,
                _ => std::thread::yield_now(),
            }
        };
        let all: Vec<Process> = process::all().unwrap().collect();
        let mut walked: Vec<u32> = descendants(&all, top.id()).iter().map(|process| process.pid).collect();
        walked.sort_unstable_by_key(|pid| below.iter().position(|known| known == pid));
        assert_eq!(walked, below);
        let sleeper = Pid::from_raw(below[1].cast_signed());
        kill(sleeper, Signal::SIGTERM).unwrap();
        top.wait().unwrap();
        assert_eq!(line_below(top.id()), None);
    }

    #[test]
    fn a_circle_ends() {
        assert!(descendants(&[made(2, 3), made(3, 2)], 9).is_empty());
    }
}
