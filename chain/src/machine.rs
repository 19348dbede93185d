//! The machine as /proc shows it.

use std::fs;

use crate::failure::Call as _;
use crate::{Result, refusal};

const MEMINFO: &str = "/proc/meminfo";

/// Its memory in bytes: MemTotal of proc_meminfo(5). In a container it may be what the container has (lxcfs).
pub fn memory() -> Result<u64> {
    let text = fs::read_to_string(MEMINFO).call(&format!("read {MEMINFO}"))?;
    total(&text).ok_or_else(|| refusal!("{MEMINFO}: no MemTotal"))
}

fn total(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_in_bytes() {
        assert_eq!(total("MemTotal:       16316420 kB\nMemFree:  5 kB\n"), Some(16_316_420 << 10));
        for bad in ["", "MemFree: 5 kB\n", "MemTotal: 5\n", "MemTotal: x kB\n"] {
            assert_eq!(total(bad), None, "{bad:?}");
        }
        assert!(memory().unwrap() > 1 << 20);
    }
}
