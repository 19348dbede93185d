//! The most memory that a process had at once, while it is there: of one that the kernel collects with its pid namespace nobody
//! is told (zap_pid_ns_processes() adds up nothing).

use std::fs;
use std::time::{Duration, Instant};

use chain::process;

use super::cgroup::Cgroup;
use super::descent::below;
use super::family::members;

/// A kill waits for no more of it than this.
const LONGEST: Duration = Duration::from_millis(1);

/// The most that one process had of those that descend from this one, and of those in the leaf; in bytes.
pub fn most_resident(leaf: Option<&Cgroup>) -> u64 {
    let until = Instant::now() + LONGEST;
    // The numbers of the leaf are ours, and /proc may have others.
    let is_ours = || process::process("self").is_ok_and(|me| me.is_some_and(|me| me.pid == std::process::id()));
    let inside = leaf.filter(|_| is_ours()).and_then(|leaf| members(leaf).ok()).unwrap_or_default();
    let descend = below().unwrap_or_default().into_iter().map(|process| process.pid);
    let in_time = inside.into_iter().chain(descend).take_while(|_| Instant::now() < until);
    in_time.filter_map(high_water).max().unwrap_or(0)
}

/// VmHWM of proc_pid_status(5). One that has ended has none.
fn high_water(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    kilobytes.parse().ok().map(|count: u64| count * 1024)
}
