//! What this kernel offers the layer.

use chain::sys::{self, Prctl};

use crate::look::current;
use crate::model::limit::{Limit, value_text};
use crate::table::limits;

/// `--features`: every limit of this kernel with its present values, and the settings that not every kernel has.
pub fn features() -> String {
    let mdwe = sys::prctl_number(Prctl::GetMdwe, 0).is_ok();
    let limits: String = limits().map(feature).collect();
    format!("{limits}mdwe: {}, Linux 6.3\n", if mdwe { "yes" } else { "no" })
}

fn feature(limit: Limit) -> String {
    match current(limit) {
        Ok((soft, hard)) => format!("{}: yes, now {}:{}\n", limit.kernel_name(), value_text(soft), value_text(hard)),
        Err(error) => format!("{}: no, {error:#}\n", limit.kernel_name()),
    }
}
