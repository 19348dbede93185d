//! The file of the report: opened before anything else happens, with the rights of the caller, and written when
//! everything is over.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::Path;

use chain::{Call as _, Hint as _, Result, open, refusal, show, sys};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::fs::{Mode, OFlags};

use crate::hints;
use crate::model::report::Target;

/// An open report.
#[derive(Debug)]
pub struct Report {
    file: File,
    /// Whether it is a file that holds nothing else.
    whole: bool,
}

impl Report {
    /// Opens the target, close-on-exec.
    pub fn open(target: &Target) -> Result<Self> {
        match target {
            Target::File(path) => {
                let file = file(path).map_err(hints::report_not_opened)?;
                let whole = file.metadata().call("fstat")?.is_file();
                Ok(Self { file, whole })
            }
            Target::Descriptor(number) => Ok(Self { file: duplicate(*number)?, whole: false }),
        }
    }

    /// What it says until the run has ended, where it can be taken back: cg-run may be killed, and then nobody writes any more.
    pub fn begin(&self, text: &str) -> Result<()> {
        if self.whole { self.write(text) } else { Ok(()) }
    }

    /// Writes the whole report at once, so that the lines of parallel runs on one pipe do not mix. A report that was requested
    /// and is lost is a failure.
    pub fn write(&self, text: &str) -> Result<()> {
        if self.whole {
            self.file.set_len(0).call("ftruncate of the report")?;
            return self.file.write_all_at(text.as_bytes(), 0).call("write the report");
        }
        (&self.file).write_all(text.as_bytes()).call("write the report")
    }
}

/// A file that is made or truncated. No link leads to it, which a box could have made, and nobody waits for it: a pipe has
/// perhaps no reader, now or later.
fn file(path: &Path) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = File::from(open::without_links(path, flags, Mode::from_raw_mode(0o666))?);
    if file.metadata().call("fstat")?.file_type().is_fifo() {
        return Err(refusal!("{}: a pipe", show(path)).hint(hints::NO_PIPE));
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).call("fcntl(F_SETFL)")?;
    Ok(file)
}

/// A copy of the caller's descriptor: the number itself stays the caller's, and closes at exec.
fn duplicate(number: RawFd) -> Result<File> {
    let file = sys::borrowed(number).call(&format!("descriptor {number}: fcntl"))?;
    let mode = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL).call("fcntl(F_GETFL)")?) & OFlag::O_ACCMODE;
    if mode == OFlag::O_RDONLY {
        return Err(refusal!("descriptor {number} is not open for writing"));
    }
    Ok(File::from(file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?))
}
