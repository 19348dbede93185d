//! Read-only facts: the limits as they are.

use std::fs;

use chain::{Call as _, Result, machine, refusal};
use nix::sys::resource::getrlimit;
use rustix::process::getpriority_process;

use crate::args::{Request, Requested};
use crate::model::limit::{Limit, value_text};
use crate::model::setting::Value;
use crate::table::limits;

/// The process's out-of-memory score (proc_pid_oom_score_adj(5)).
pub const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// What the request names, as it is now.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Soft and hard limit of each.
    pub now: Vec<(Limit, (u64, u64))>,
    /// The machine's memory, where a share of it is requested; 0 where none is.
    pub memory: u64,
    /// The nice value, where it is not to fall.
    pub priority: Option<i32>,
    /// The out-of-memory score, where it is not to fall.
    pub oom_score: Option<i32>,
}

pub fn facts(request: &Request) -> Result<Facts> {
    let limits = request.requested.iter().filter_map(|one| match one {
        Requested::Limit(limit, _) => Some(*limit),
        Requested::Setting(..) => None,
    });
    let shares = request.requested.iter().any(|one| matches!(one, Requested::Limit(_, bounds) if bounds.has_share()));
    let sets = |kind: fn(&Value) -> bool| {
        request.tighten
            && request.requested.iter().any(|one| matches!(one, Requested::Setting(_, value) if kind(value)))
    };
    Ok(Facts {
        now: limits.map(|limit| Ok((limit, current(limit)?))).collect::<Result<_>>()?,
        memory: if shares { machine::memory()? } else { 0 },
        priority: sets(|value| matches!(value, Value::Priority(_))).then(priority).transpose()?,
        oom_score: sets(|value| matches!(value, Value::OomScore(_))).then(oom_score).transpose()?,
    })
}

/// The nice value as it is now.
pub fn priority() -> Result<i32> {
    getpriority_process(None).call("getpriority")
}

/// The out-of-memory score as it is now.
pub fn oom_score() -> Result<i32> {
    let text = fs::read_to_string(OOM_SCORE).call(&format!("read of {OOM_SCORE}"))?;
    text.trim().parse().map_err(|_| refusal!("{OOM_SCORE}: not a number"))
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
