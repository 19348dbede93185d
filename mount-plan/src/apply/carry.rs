//! The one file that crosses: the next program, taken hold of before any effect, executed by descriptor after the pivot
//! (docs/adr/0003). It has no path, no directory to climb from, and cannot be written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use chain::elf::{Loader, loader};
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::mount::MountAttrFlags;

use super::tree;
use crate::model::{Attributes, Crossing, CrossingForm};

/// What has crossed.
pub enum Carried {
    /// An open file.
    File(OwnedFd),
    /// This process.
    Own,
}

/// Takes hold of the program, in its form.
pub fn take(crossing: &Crossing) -> Result<Carried> {
    if crossing.form == CrossingForm::Own {
        return Ok(Carried::Own);
    }
    let file = File::open(&crossing.path).call(&format!("open {}", show(&crossing.path)))?;
    refuse_dynamic(&file)?;
    if crossing.form == CrossingForm::Sealed {
        return sealed(file, crossing.path.file_name().unwrap_or_default()).map(Carried::File);
    }
    tree::clone(&file, false, Attributes::safe_and(MountAttrFlags::MOUNT_ATTR_RDONLY)).map(Carried::File)
}

/// Refuses what is not a static ELF program: a dynamic one would take its loader from the new root, a script its
/// interpreter.
fn refuse_dynamic(file: &File) -> Result<()> {
    let why = match loader(file)? {
        Loader::Kernel => return Ok(()),
        Loader::NotElf => "not an ELF program of this byte order",
        Loader::Path(_) => "a dynamic program, whose loader would come from the new root",
    };
    Err(refusal!("{why}: only a static program can be carried across the root change")
        .hint("link it with -static, or give its path in the new root and --carry=no"))
}

/// A copy in memory that nobody can change any more, whatever capabilities it has.
fn sealed(mut file: File, name: &OsStr) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create(name, flags | MemfdFlags::EXEC) {
        // MFD_EXEC is known since Linux 6.3; before that a memfd is executable without it.
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
    .call("memfd_create")?;
    let mut copy = File::from(memory);
    file.rewind().call("lseek")?;
    std::io::copy(&mut file, &mut copy).call("copy into the memfd").context("carry")?;
    copy.flush().call("write")?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(copy.as_fd(), seals).call("fcntl(F_ADD_SEALS)")?;
    if !fcntl_get_seals(copy.as_fd()).call("fcntl(F_GET_SEALS)")?.contains(seals) {
        return Err(refusal!("the kernel left the copy without its seals"));
    }
    read_only(copy)
}

/// The copy again, open for reading only: execve(2) refuses a file that is open for writing (ETXTBSY).
fn read_only(copy: File) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    File::open(path).map(OwnedFd::from).call("open the copy for reading")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_and_a_text_are_refused() {
        let refused = |path: &str| format!("{:#}", refuse_dynamic(&File::open(path).unwrap()).unwrap_err());
        assert!(refused("/bin/sh").starts_with("a dynamic program"));
        assert!(refused("/etc/passwd").starts_with("not an ELF"));
        assert!(refused("/dev/null").starts_with("not an ELF"));
    }
}
