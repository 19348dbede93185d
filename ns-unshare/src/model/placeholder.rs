//! What a placeholder is known by, and how it is named.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The mode of a file that is one: nobody has an empty file of this mode by accident.
pub const FILE: u32 = 0o1444;

/// The mode of a folder that is one.
pub const FOLDER: u32 = 0o1755;

/// Whether a file with this mode (`st_mode`) and size is a placeholder.
#[must_use]
pub fn is_placeholder(mode: u32, size: u64) -> bool {
    const KIND: u32 = 0o170_000;
    match (mode & KIND, mode & 0o7777) {
        (0o100_000, FILE) => size == 0,
        (0o040_000, FOLDER) => true,
        _ => false,
    }
}

/// What of `BASE//REST` is the base: what is below it, a hostile box may have made.
#[must_use]
pub fn base(path: &Path) -> Option<&Path> {
    let bytes = path.as_os_str().as_bytes();
    let at = bytes.windows(2).rposition(|pair| pair == b"//").filter(|at| *at > 0)?;
    bytes.get(..at).map(|base| Path::new(OsStr::from_bytes(base)))
}
