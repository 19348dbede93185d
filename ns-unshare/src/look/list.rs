//! `--list` and `--tree`: the namespaces that processes are in, as far as the caller may look (proc_pid_ns(5)). Read-only.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use chain::sys::namespace;
use chain::{Result, process, show};

use crate::model::namespace::Namespace;

/// One namespace, by its inode number.
struct Seen {
    kind: Namespace,
    number: u64,
    processes: usize,
    lowest_pid: u32,
}

/// A line for each namespace: its kind, its inode number, the number of processes in it, the lowest of their pids and
/// that process's name; `*` marks those that the caller is in.
pub fn list() -> Result<String> {
    let mut lines = format!("{:8} {:>10} {:>6} {:>8} NAME\n", "TYPE", "NUMBER", "PROCS", "PID");
    for seen in all()? {
        let Seen { number, processes, lowest_pid, .. } = seen;
        let (word, name) = (seen.marked(), seen.name());
        writeln!(lines, "{word:8} {number:>10} {processes:>6} {lowest_pid:>8} {name}")?;
    }
    Ok(lines)
}

/// The user namespaces, each below the one that it was made in, and under each what it owns.
pub fn tree() -> Result<String> {
    let leaves: Vec<Leaf> = all()?.map(Leaf::of).collect();
    let known = |number| leaves.iter().any(|leaf| leaf.seen.kind == Namespace::User && leaf.seen.number == number);
    let roots = leaves.iter().filter(|leaf| !leaf.above.is_some_and(known));
    Ok(roots.map(|root| branch(&leaves, root, 0)).collect())
}

/// One namespace of the tree, and the number of the user namespace that it hangs on, if the caller may see that.
struct Leaf {
    seen: Seen,
    above: Option<u64>,
}

impl Leaf {
    fn of(seen: Seen) -> Self {
        let related = if seen.kind == Namespace::User { namespace::parent } else { namespace::owner };
        let file = fs::File::open(path(seen.lowest_pid, seen.kind)).ok();
        let above = file.and_then(|file| fs::File::from(related(file).ok()?).metadata().ok());
        Self { seen, above: above.map(|facts| facts.ino()) }
    }
}

fn branch(leaves: &[Leaf], Leaf { seen, .. }: &Leaf, depth: usize) -> String {
    let (indent, word, name) = ("  ".repeat(depth), seen.marked(), seen.name());
    let Seen { number, processes, lowest_pid, .. } = seen;
    let line = format!("{indent}{word} {number}: {processes} from {lowest_pid} on ({name})\n");
    // The kernel nests user namespaces 32 deep at most; what says otherwise has changed while we looked.
    if seen.kind != Namespace::User || depth > 32 {
        return line;
    }
    let mut below: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.above == Some(*number)).collect();
    below.sort_by_key(|leaf| leaf.seen.kind == Namespace::User);
    line + &below.into_iter().map(|leaf| branch(leaves, leaf, depth + 1)).collect::<String>()
}

impl Seen {
    /// Its word, with `*` if the caller is in it.
    fn marked(&self) -> String {
        let mark = if inode("self", self.kind) == Some(self.number) { "*" } else { "" };
        format!("{}{mark}", self.kind.word())
    }

    fn name(&self) -> String {
        show(fs::read_to_string(format!("/proc/{}/comm", self.lowest_pid)).unwrap_or_default().trim_end())
    }
}

/// All namespaces, kind by kind, each kind by number.
fn all() -> Result<impl Iterator<Item = Seen>> {
    let mut pids: Vec<u32> = process::all()?.map(|process| process.pid).collect();
    pids.sort_unstable();
    Ok(Namespace::ALL.into_iter().flat_map(move |kind| {
        let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
        for pid in &pids {
            // One that has ended meanwhile, or that the caller may not look at.
            let Some(number) = inode(pid, kind) else { continue };
            seen.entry(number).or_insert(Seen { kind, number, processes: 0, lowest_pid: *pid }).processes += 1;
        }
        seen.into_values()
    }))
}

fn path(pid: impl Display, kind: Namespace) -> PathBuf {
    format!("/proc/{pid}/ns/{}", kind.file()).into()
}

fn inode(pid: impl Display, kind: Namespace) -> Option<u64> {
    fs::metadata(path(pid, kind)).ok().map(|facts| facts.ino())
}
