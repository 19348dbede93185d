//! A file of the old root that an entry needs.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use chain::{Result, refusal, show, values};

/// The number in `fd:N`; `None` for a word that does not start with `fd:`.
pub fn descriptor(word: &OsStr) -> Result<Option<RawFd>> {
    let Some(number) = word.as_bytes().strip_prefix(b"fd:") else { return Ok(None) };
    match values::integer(OsStr::from_bytes(number)) {
        None => Err(refusal!("{}: not fd:N", show(word))),
        fd => Ok(fd),
    }
}

/// Opened before the first effect.
pub struct Source {
    /// As the plan has it, for messages.
    pub path: PathBuf,
    /// Opened with O_PATH, or for reading where the content is needed; or what the caller has on this descriptor.
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
