//! What a caller has open: other programs hand that on.

use std::fs;
use std::os::fd::RawFd;

use chain::{Call as _, Result, sys};
use nix::sys::stat::{SFlag, fstat};

/// The descriptors above 2 that are open, but for the one that is used to look.
pub fn open() -> Result<Vec<RawFd>> {
    let folder = "/proc/self/fd";
    let names = fs::read_dir(folder).call(&format!("open {folder}"))?;
    let numbers: Vec<RawFd> =
        names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    let mut open: Vec<RawFd> = numbers.into_iter().filter(|fd| sys::borrowed(*fd).is_ok()).collect();
    open.sort_unstable();
    Ok(open)
}

/// By one of these a program could leave its root.
pub fn is_directory(fd: RawFd) -> bool {
    let facts = sys::borrowed(fd).and_then(fstat);
    facts.is_ok_and(|facts| SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}
