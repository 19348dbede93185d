//! A file of the old root that an entry needs.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Opened before the first effect.
pub struct Source {
    /// As the plan has it, for messages.
    pub path: PathBuf,
    /// Opened with O_PATH, or for reading where the content is needed.
    pub file: OwnedFd,
}

impl AsRef<OsStr> for Source {
    fn as_ref(&self) -> &OsStr {
        self.path.as_os_str()
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
