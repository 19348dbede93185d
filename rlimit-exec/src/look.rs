//! Read-only facts: the limits as they are.

use chain::{Call as _, Result};
use nix::sys::resource::getrlimit;

use crate::args::{Request, TABLE};
use crate::limit::{Limit, value_text};

/// The limits that the request names, as they are now, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Soft and hard limit.
    pub now: Vec<(u64, u64)>,
}

/// Reads the limits that the request names.
///
/// # Errors
/// What getrlimit(2) says.
pub fn facts(request: &Request) -> Result<Facts> {
    let now = request.limits.iter().map(|(limit, _)| current(*limit)).collect::<Result<_>>()?;
    Ok(Facts { now })
}

/// One limit as it is now: soft, hard.
///
/// # Errors
/// What getrlimit(2) says.
pub fn current(limit: Limit) -> Result<(u64, u64)> {
    getrlimit(limit.resource).call(&format!("getrlimit({})", limit.kernel_name()))
}

/// `--features`: every limit of this kernel with its present values.
#[must_use]
pub fn features() -> String {
    TABLE.flags.iter().map(|flag| feature(flag.key)).collect()
}

fn feature(limit: Limit) -> String {
    match current(limit) {
        Ok((soft, hard)) => format!("{}: yes, now {}:{}\n", limit.kernel_name(), value_text(soft), value_text(hard)),
        Err(error) => format!("{}: no, {error:#}\n", limit.kernel_name()),
    }
}
