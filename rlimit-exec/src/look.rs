//! Read-only facts: the limits as they are.

use chain::sys::{self, Prctl};
use chain::{Call as _, Result};
use nix::sys::resource::getrlimit;

use crate::args::{self, Request, Wish};
use crate::limit::{Limit, value_text};

/// The limits that the request names, as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Soft and hard limit of each.
    pub now: Vec<(Limit, (u64, u64))>,
}

/// Reads the limits that the request names.
///
/// # Errors
/// What getrlimit(2) says.
pub fn facts(request: &Request) -> Result<Facts> {
    let limits =
        request.wishes.iter().filter_map(|wish| if let Wish::Limit(limit, _) = wish { Some(*limit) } else { None });
    let now = limits.map(|limit| Ok((limit, current(limit)?))).collect::<Result<_>>()?;
    Ok(Facts { now })
}

/// One limit as it is now: soft, hard.
///
/// # Errors
/// What getrlimit(2) says.
pub fn current(limit: Limit) -> Result<(u64, u64)> {
    getrlimit(limit.resource).call(&format!("getrlimit({})", limit.kernel_name()))
}

/// The most descriptors that any process may have (fs.nr_open of proc(5)), where /proc is there to say it.
#[must_use]
pub fn most_descriptors() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// A limit that another setting needs, in words: `needs --nice 25, and that limit is 0, its hard limit 0`.
#[must_use]
pub fn in_the_way(name: &str, needed: u64) -> String {
    let now = args::limits().find(|limit| limit.name == name).and_then(|limit| current(limit).ok());
    let now = now.map(|(soft, hard)| {
        format!(", and that limit is {} here, its hard limit {}", value_text(soft), value_text(hard))
    });
    format!("needs --{name} {needed}{}", now.unwrap_or_default())
}

/// `--show`: every limit with its present values and its unit, in columns as prlimit(1) has them.
///
/// # Errors
/// What getrlimit(2) says.
pub fn shown() -> Result<String> {
    let mut text = format!("{:<12}{:>22}{:>22}  {}\n", "RESOURCE", "SOFT", "HARD", "UNITS");
    for limit in args::limits() {
        let (soft, hard) = current(limit)?;
        let name = limit.name.to_ascii_uppercase();
        text.push_str(&format!("{name:<12}{:>22}{:>22}  {}\n", value_text(soft), value_text(hard), limit.unit.words()));
    }
    Ok(text)
}

/// `--features`: every limit of this kernel with its present values, and the settings that not every kernel has.
#[must_use]
pub fn features() -> String {
    let mdwe = sys::prctl_number(Prctl::GetMdwe, 0).is_ok();
    let limits: String = args::limits().map(feature).collect();
    format!("{limits}mdwe: {}, Linux 6.3\n", if mdwe { "yes" } else { "no" })
}

fn feature(limit: Limit) -> String {
    match current(limit) {
        Ok((soft, hard)) => format!("{}: yes, now {}:{}\n", limit.kernel_name(), value_text(soft), value_text(hard)),
        Err(error) => format!("{}: no, {error:#}\n", limit.kernel_name()),
    }
}
