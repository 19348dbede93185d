//! The most memory that a process had at once, while it is there: of one that the kernel collects with its pid namespace nobody
//! is told (zap_pid_ns_processes() adds up nothing).

use std::fs;

use super::cgroup::Cgroup;
use super::descent::{below, is_own_proc};
use super::family::members;

/// How many are asked: who is to be killed does not run on for the sake of a figure.
const MOST: usize = 64;

/// The most that one process had of those in the leaf, or of those that descend from this one; in bytes.
pub fn most_resident(leaf: Option<&Cgroup>) -> u64 {
    let pids = match leaf {
        Some(leaf) => inside(leaf),
        None => below().unwrap_or_default().into_iter().map(|process| process.pid).collect(),
    };
    pids.into_iter().take(MOST).filter_map(high_water).max().unwrap_or(0)
}

/// Those in it, and in the leaves of runs inside the run. Its numbers are ours, and /proc may have others.
fn inside(leaf: &Cgroup) -> Vec<u32> {
    if !is_own_proc() {
        return vec![];
    }
    let below = leaf.children().unwrap_or_default();
    let below = below.iter().filter_map(|name| members(&leaf.child(name).ok()?).ok()).flatten();
    members(leaf).unwrap_or_default().into_iter().chain(below).collect()
}

/// VmHWM of proc_pid_status(5). One that has ended has none.
fn high_water(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    kilobytes.parse().ok().map(|count: u64| count * 1024)
}
