//! `--list`: the namespaces that processes are in, as far as the caller may look (proc_pid_ns(5)). Read-only.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chain::{Call as _, Result, show};

use crate::namespace::Namespace;

/// One namespace: how many processes are in it, and the lowest of their numbers.
struct Seen {
    processes: usize,
    lowest: u32,
}

/// A line for each namespace: its kind, its inode number, the number of processes in it, the lowest of their numbers and
/// that process's name; `*` marks those that the caller is in.
///
/// # Errors
/// A /proc that cannot be read.
pub fn list() -> Result<String> {
    let mut lines = format!("{:8} {:>10} {:>6} {:>8} NAME\n", "TYPE", "NUMBER", "PROCS", "PID");
    let pids = pids()?;
    for kind in Namespace::ALL {
        let own = inode(Path::new("/proc/self"), kind);
        for (number, seen) in seen(kind, &pids) {
            let mark = if own == Some(number) { "*" } else { "" };
            let name = fs::read_to_string(format!("/proc/{}/comm", seen.lowest)).unwrap_or_default();
            let (word, name) = (format!("{}{mark}", kind.word()), show(name.trim_end()));
            lines.push_str(&format!("{word:8} {number:>10} {:>6} {:>8} {name}\n", seen.processes, seen.lowest));
        }
    }
    Ok(lines)
}

fn pids() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").call("open /proc")?;
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

fn seen(kind: Namespace, pids: &[u32]) -> BTreeMap<u64, Seen> {
    let mut all: BTreeMap<u64, Seen> = BTreeMap::new();
    for pid in pids {
        // One that has ended meanwhile, or that the caller may not look at.
        let Some(number) = inode(&Path::new("/proc").join(pid.to_string()), kind) else { continue };
        all.entry(number).or_insert(Seen { processes: 0, lowest: *pid }).processes += 1;
    }
    all
}

fn inode(process: &Path, kind: Namespace) -> Option<u64> {
    fs::metadata(process.join("ns").join(kind.file())).ok().map(|facts| facts.ino())
}
