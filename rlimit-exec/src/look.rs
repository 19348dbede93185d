//! Read-only facts: the limits as they are.

use chain::{Call as _, Result};
use nix::sys::resource::getrlimit;

use crate::args::{Request, Requested};
use crate::model::limit::{Limit, value_text};
use crate::table::limits;

/// The limits that the request names, as they are now.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Soft and hard limit of each.
    pub now: Vec<(Limit, (u64, u64))>,
}

pub fn facts(request: &Request) -> Result<Facts> {
    let limits = request.requested.iter().filter_map(|one| match one {
        Requested::Limit(limit, _) => Some(*limit),
        Requested::Setting(..) => None,
    });
    Ok(Facts { now: limits.map(|limit| Ok((limit, current(limit)?))).collect::<Result<_>>()? })
}

/// One limit as it is now: soft, hard.
pub fn current(limit: Limit) -> Result<(u64, u64)> {
    getrlimit(limit.resource).call(&format!("getrlimit({})", limit.kernel_name()))
}

/// The most descriptors that any process may have (fs.nr_open of proc(5)), where /proc is there to say it.
pub fn most_descriptors() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// `--show`: every limit with its present values and its unit, in columns as prlimit(1) has them.
pub fn shown() -> Result<String> {
    let mut text = format!("{:<12}{:>22}{:>22}  {}\n", "RESOURCE", "SOFT", "HARD", "UNITS");
    for limit in limits() {
        let (soft, hard) = current(limit)?;
        let name = limit.name.to_ascii_uppercase();
        text.push_str(&format!("{name:<12}{:>22}{:>22}  {}\n", value_text(soft), value_text(hard), limit.unit.words));
    }
    Ok(text)
}
