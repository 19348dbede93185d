//! What was used in a leaf, from its files.

use chain::Result;

use super::cgroup::Cgroup;
use crate::model::accounts::{Accounts, PRESSURES, cpu, field, io, stall, throttled};

/// The accounts of a leaf.
/// Errors: a leaf that is gone.
pub fn used(leaf: &Cgroup) -> Result<Accounts> {
    let number = |file: &str| leaf.read_if_there(file)?.trim().parse().ok();
    let keyed = |file: &str, key: &str| field(&leaf.read_if_there(file)?, key);
    let times = leaf.read("cpu.stat")?;
    Ok(Accounts {
        cpu: cpu(&times),
        throttled: throttled(&times),
        memory_peak: number("memory.peak"),
        swap_peak: number("memory.swap.peak"),
        pids_peak: number("pids.peak"),
        pids_denied: keyed("pids.events", "max"),
        ooms: keyed("memory.events", "oom"),
        oom_kills: keyed("memory.events", "oom_kill"),
        io: leaf.read_if_there("io.stat").map(|text| io(&text)),
        pressure: PRESSURES.map(|name| stall(&leaf.read_if_there(&format!("{name}.pressure"))?)),
        ..Accounts::default()
    })
}
