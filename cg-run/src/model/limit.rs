//! Limits of a cgroup: which file is written, and whether what is read back is what was requested.

use chain::values::{bytes, is_name, percent, processors, share};

/// One file of the leaf and what is written into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The file, for example `memory.max`.
    pub file: String,
    pub value: String,
    /// Whether the file may be missing where the machine has no swap at all: the swap limit that comes with --memory.
    pub only_with_swap: bool,
}

impl Write {
    /// A write that must succeed.
    pub fn new(file: impl Into<String>, value: impl Into<String>) -> Self {
        Self { file: file.into(), value: value.into(), only_with_swap: false }
    }

    /// What of the file it sets: two writes of the same are a contradiction. A file with a line per device is set line
    /// by line.
    pub fn target(&self) -> String {
        let by_line = ["io.", "rdma.", "misc.", "dmem."].iter().any(|start| self.file.starts_with(start));
        let line = if by_line { self.value.split_whitespace().next().unwrap_or("") } else { "" };
        format!("{} {line}", self.file)
    }

    /// How much of the machine's memory it asks for, in percent, if it does. Only files of memory take that.
    pub fn percent(&self) -> Option<u64> {
        percent(&self.value).filter(|_| self.file.starts_with("memory."))
    }

    /// The same write with such a share in bytes.
    pub fn in_bytes(&self, memory: u64) -> Self {
        let bytes = self.percent().map(|percent| share(percent, memory).to_string());
        Self { value: bytes.unwrap_or_else(|| self.value.clone()), ..self.clone() }
    }

    /// The controller that offers the file; `None` for a file of the core.
    pub fn controller(&self) -> Option<&str> {
        self.file.split('.').next().filter(|word| *word != "cgroup")
    }
}

/// Whether `--set` may write this file: a limit in a leaf, not a way to move, kill, freeze or rebuild.
pub fn is_limit_file(file: &str) -> bool {
    let core = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];
    is_name(file) && file.contains('.') && (!file.starts_with("cgroup.") || core.contains(&file))
}

/// Whether the kernel, which shows `read` now, does what was `written`. It rounds amounts of memory down to whole
/// pages, adds the values that were not mentioned, and writes lists of numbers in its own way.
pub fn agrees(file: &str, written: &str, read: &str, page: u64) -> bool {
    let (written, read) = (written.trim(), read.trim());
    if written == read {
        return true;
    }
    if let Some(unit) = page_of(file, page) {
        return amounts_agree(written, read, unit);
    }
    if file.starts_with("cpuset.") {
        return processors(written).is_some_and(|requested| processors(read) == Some(requested));
    }
    lines_agree(written, read)
}

/// In what steps a file counts bytes.
fn page_of(file: &str, page: u64) -> Option<u64> {
    if file.starts_with("memory.") {
        return Some(page);
    }
    let size = file.strip_prefix("hugetlb.")?.split('.').next()?;
    bytes(size.strip_suffix('B')?)
}

fn amounts_agree(written: &str, read: &str, unit: u64) -> bool {
    let Some(requested) = kernel_bytes(written) else { return false };
    if read == "max" {
        // What needs more pages than a counter has is no limit.
        return requested / unit >= (i64::MAX as u64) / unit;
    }
    kernel_bytes(read) == Some(requested - requested % unit)
}

/// A size as the kernel's memparse() reads it: small letters too.
fn kernel_bytes(text: &str) -> Option<u64> {
    bytes(&text.to_ascii_uppercase())
}

/// Whether the processors, or memory nodes, that a leaf has are among those that were `written`. The kernel gives it those of
/// the cgroup above where none of its own is there (offline, or not handed down).
pub fn holds(written: &str, effective: &str) -> bool {
    let Some(written) = processors(written.trim()) else { return false };
    processors(effective.trim()).is_some_and(|effective| effective.iter().all(|one| written.contains(one)))
}

/// Each word that was written stands in the line that it concerns: `8:0 rbps=1048576` in
/// `8:0 rbps=1048576 wbps=max riops=max wiops=max`, and `50000` in `50000 100000`.
fn lines_agree(written: &str, read: &str) -> bool {
    let mut words = written.split_whitespace();
    let Some(first) = words.next() else { return false };
    let line = read.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.is_some_and(|line| words.all(|word| line.split_whitespace().any(|found| found == word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(file: &str, written: &str, read: &str) -> bool {
        agrees(file, written, read, 4096)
    }

    #[test]
    fn memory_is_rounded_down_to_pages_and_no_further() {
        assert!(both("memory.max", "1G", "1073741824\n"));
        assert!(both("memory.max", "10000", "8192\n"));
        assert!(both("memory.max", "max", "max\n"));
        assert!(both("memory.max", "9223372036854775807", "max\n"));
        assert!(!both("memory.max", "10000", "4096\n"));
        assert!(!both("memory.max", "10000", "12288\n"));
        assert!(!both("memory.max", "1G", "max\n"));
        assert!(both("hugetlb.2MB.max", "5M", "4194304\n"));
        assert!(!both("hugetlb.2MB.max", "5M", "5242880\n"));
        assert!(both("hugetlb.1GB.max", "1g", "1073741824\n"));
    }

    #[test]
    fn what_was_not_mentioned_may_be_added() {
        assert!(both("cpu.max", "50000", "50000 100000\n"));
        assert!(both("cpu.max", "50000 100000", "50000 100000\n"));
        assert!(!both("cpu.max", "50000 100000", "50000 50000\n"));
        let io = "8:16 rbps=max wbps=1 riops=max wiops=max\n8:0 rbps=1048576 wbps=max riops=max wiops=max\n";
        assert!(both("io.max", "8:0 rbps=1048576", io));
        assert!(!both("io.max", "8:0 rbps=1", io));
        assert!(!both("io.max", "8:32 rbps=1", io));
        assert!(!both("pids.max", "10", "100\n"));
        assert!(!both("pids.max", "10", ""));
    }

    #[test]
    fn lists_of_processors_are_compared_as_sets() {
        assert!(both("cpuset.cpus", "0,1,2", "0-2\n"));
        assert!(both("cpuset.cpus", "1,0", "0-1\n"));
        assert!(!both("cpuset.cpus", "0-3", "0-1\n"));
        assert!(!both("cpuset.cpus", "0-4294967295", "0-1\n"));
    }

    #[test]
    fn fewer_processors_than_written_hold_and_others_do_not() {
        assert!(holds("0-3", "0-1\n") && holds("1,0", "0-1\n"));
        assert!(!holds("99", "0-1\n") && !holds("0", "0-1\n") && !holds("0", "\n"));
    }

    #[test]
    fn only_limits_can_be_set() {
        for file in ["memory.max", "hugetlb.2MB.max", "cpu.max.burst", "cgroup.max.descendants", "misc.max"] {
            assert!(is_limit_file(file), "{file}");
        }
        for file in [
            "",
            "max",
            "../memory.max",
            "a/memory.max",
            "memory..max",
            ".memory",
            "memory max",
            "cgroup.procs",
            "cgroup.kill",
            "cgroup.freeze",
            "cgroup.subtree_control",
            "cgroup.type",
            "cgroup.threads",
            "memory.max\n",
        ] {
            assert!(!is_limit_file(file), "{file:?}");
        }
    }

    #[test]
    fn only_memory_is_shared_out() {
        let value = |file: &str, value: &str| Write::new(file, value).in_bytes(4096).value;
        assert_eq!(value("memory.max", "50%"), "2048");
        assert_eq!((value("memory.max", "101%"), value("memory.swap.max", "max")), ("101%".into(), "max".into()));
        assert_eq!(value("hugetlb.2MB.max", "50%"), "50%");
    }

    #[test]
    fn one_thing_is_set_once() {
        assert_eq!(Write::new("io.max", "8:0 rbps=1").target(), Write::new("io.max", "8:0 wbps=1").target());
        assert_ne!(Write::new("io.max", "8:0 rbps=1").target(), Write::new("io.max", "8:16 rbps=1").target());
        assert_eq!(Write::new("pids.max", "1").target(), Write::new("pids.max", "2").target());
    }
}
