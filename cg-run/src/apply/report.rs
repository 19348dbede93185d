//! The file of the report: opened before anything else happens, with the rights of the caller, and written when
//! everything is over.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt as _;

use chain::{Call as _, Failure, Result, show, sys};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::model::report::Target;

/// Opens the target, close-on-exec.
pub fn open(target: &Target) -> Result<File> {
    match target {
        Target::File(path) => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(path)
            .call(&format!("open {}", show(path))),
        Target::Descriptor(number) => duplicate(*number),
    }
}

/// A copy of the caller's descriptor: the number itself stays the caller's, and closes at exec.
fn duplicate(number: RawFd) -> Result<File> {
    let file = sys::borrowed(number).call(&format!("descriptor {number}: fcntl"))?;
    let mode = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL).call("fcntl(F_GETFL)")?) & OFlag::O_ACCMODE;
    if mode == OFlag::O_RDONLY {
        return Err(Failure::refusal(format!("descriptor {number} is not open for writing")).into());
    }
    Ok(File::from(file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?))
}

/// Writes the whole report at once, so that the lines of parallel runs on one pipe do not mix. A report that was requested
/// and is lost is a failure.
pub fn write(mut file: &File, text: &str) -> Result<()> {
    file.write_all(text.as_bytes()).call("write the report")
}
