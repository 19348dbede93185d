//! Copying a tree.

use std::ffi::OsStr;
use std::path::Path;

use chain::{Hint as _, Result, refusal};

use crate::hints::NOT_COPIED;
use crate::look::command;

/// Copies a tree with everything that cp(1) can keep, within one file system, sharing blocks where that is possible.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let cp = command::find("cp").ok_or_else(|| refusal!("cp: not found in /usr/bin or /bin"))?;
    let options = ["-a", "-x", "--reflink=auto", "-T", "--"].map(OsStr::new);
    let args: Vec<&OsStr> = options.into_iter().chain([from.as_os_str(), to.as_os_str()]).collect();
    command::run(&cp, &args)?.checked("cp").map(drop).hint(NOT_COPIED)
}
