//! `--list` and `--tree`: the namespaces that processes are in, as far as the caller may look (proc_pid_ns(5)). Read-only.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chain::sys::namespace;
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
            let (word, name) = (format!("{}{mark}", kind.word()), name(seen.lowest));
            lines.push_str(&format!("{word:8} {number:>10} {:>6} {:>8} {name}\n", seen.processes, seen.lowest));
        }
    }
    Ok(lines)
}

/// One namespace of the tree, and the user namespace that it hangs on, if the caller may see that.
struct Leaf {
    kind: Namespace,
    number: u64,
    seen: Seen,
    above: Option<u64>,
}

/// The user namespaces, each below the one that it was made in, and under each what it owns.
///
/// # Errors
/// A /proc that cannot be read.
pub fn tree() -> Result<String> {
    let pids = pids()?;
    let all = Namespace::ALL.into_iter().flat_map(|kind| seen(kind, &pids).into_iter().map(move |one| (kind, one)));
    let leaves: Vec<Leaf> = all.map(|(kind, (number, seen))| leaf(kind, number, seen)).collect();
    let known = |number: u64| leaves.iter().any(|leaf| leaf.kind == Namespace::User && leaf.number == number);
    let mut lines = String::new();
    for root in leaves.iter().filter(|leaf| !leaf.above.is_some_and(known)) {
        branch(&leaves, root, 0, &mut lines);
    }
    Ok(lines)
}

fn leaf(kind: Namespace, number: u64, seen: Seen) -> Leaf {
    let path = Path::new("/proc").join(seen.lowest.to_string()).join("ns").join(kind.file());
    let file = fs::File::open(path).ok();
    let related = if kind == Namespace::User { namespace::parent } else { namespace::owner };
    let above = file.and_then(|file| related(file).ok()).and_then(|above| fs::File::from(above).metadata().ok());
    Leaf { kind, number, seen, above: above.map(|facts| facts.ino()) }
}

fn branch(leaves: &[Leaf], leaf: &Leaf, depth: usize, lines: &mut String) {
    let Leaf { kind, number, seen, .. } = leaf;
    let mark = if inode(Path::new("/proc/self"), *kind) == Some(*number) { "*" } else { "" };
    let Seen { processes, lowest } = seen;
    let indent = "  ".repeat(depth);
    lines.push_str(&format!(
        "{indent}{}{mark} {number}: {processes} from {lowest} on ({})\n",
        kind.word(),
        name(*lowest)
    ));
    // The kernel nests user namespaces 32 deep at most; what says otherwise has changed while we looked.
    if *kind == Namespace::User && depth <= 32 {
        let mut below: Vec<&Leaf> = leaves.iter().filter(|one| one.above == Some(*number)).collect();
        below.sort_by_key(|one| one.kind == Namespace::User);
        below.into_iter().for_each(|one| branch(leaves, one, depth + 1, lines));
    }
}

fn name(pid: u32) -> String {
    show(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end())
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
