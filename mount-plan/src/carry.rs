//! The one file that crosses: the next program, taken hold of before any effect, executed by descriptor after the pivot
//! (docs/adr/0003). It has no path, no directory to climb from, and cannot be written.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chain::failure::{Call as _, Failure};
use chain::{Context as _, Result, in_process, next, privilege, show};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::mount::MountAttrFlags;

use crate::args::Carry;
use crate::entry::Attributes;
use crate::{elf, tree};

/// In which form it crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A detached read-only clone of the file.
    Clone,
    /// A sealed copy in memory.
    Sealed,
    /// Not at all: it is the file that this process runs, which goes on as the next tool (docs/adr/0016).
    Own,
}

/// What has crossed.
#[derive(Debug)]
pub enum Carried {
    /// An open file.
    File(OwnedFd),
    /// This process.
    Own,
}

/// The program that crosses.
#[derive(Debug)]
pub struct Chosen {
    /// Its path in the old root.
    pub path: PathBuf,
    /// In which form.
    pub how: How,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = show(&self.path);
        match self.how {
            How::Clone => write!(f, "carry {path} as a read-only clone"),
            How::Sealed => write!(f, "carry {path} as a sealed copy"),
            How::Own => write!(f, "carry nothing: go on as {path} in this process"),
        }
    }
}

/// Decides whether the next program is carried, and which file that is. `None`: it is found in the new root.
///
/// # Errors
/// A tool of this family that can neither be carried nor be found safely; 126 and 127 for one that must be carried.
pub fn choose(carry: Carry, prog: &[OsString]) -> Result<Option<Chosen>> {
    let words = next::or_shell(prog);
    let word = words.first().map_or(OsStr::new(""), OsString::as_os_str);
    match carry {
        Carry::Clone => Ok(Some(Chosen { path: next::find(word)?, how: How::Clone })),
        Carry::Sealed => Ok(Some(Chosen { path: next::find(word)?, how: How::Sealed })),
        Carry::No => refuse_bare_tool(word).map(|()| None),
        Carry::Auto => match beside(word) {
            Some(path) => Ok(Some(Chosen { how: form(&path), path })),
            None => refuse_bare_tool(word).map(|()| None),
        },
    }
}

/// Nothing has to cross where this process can go on as the next tool, and nobody in the box can ever look into it: in
/// a user namespace that is as old as this process there may be somebody. What it runs is a file of the old root, which must
/// be as harmless as the clone to whoever gets hold of it. Who is hidden cannot write to its own files in /proc (proc(5)),
/// as other tools do (`uid_map`, `oom_score_adj`): they are executed.
fn form(path: &Path) -> How {
    let here = next::tool_named(path.as_os_str()) == Some("seccomp-exec")
        && in_process::may_go_on_as(path)
        && in_process::has_a_namespace_of_its_own()
        && in_process::is_out_of_reach(path)
        && privilege::exec_changes_nothing().unwrap_or(false);
    if here { How::Own } else { How::Clone }
}

/// The path of `word` if it names a tool of this family that stands beside this executable.
fn beside(word: &OsStr) -> Option<PathBuf> {
    let name = next::tool_named(word)?;
    let own = next::own_folder()?;
    let path = own.join(name);
    let named = match word.as_bytes().contains(&b'/') {
        false => true,
        true => next::same_file(&own, Path::new(word).parent()?),
    };
    (named && path.is_file()).then_some(path)
}

/// A tool of ours that is found by name in the new root is the enemy's (law 7).
fn refuse_bare_tool(word: &OsStr) -> Result<()> {
    if word.as_bytes().contains(&b'/') || next::tool_named(word).is_none() {
        return Ok(());
    }
    let text = format!("{}: no tool of that name is carried, and the new root is not searched for it", show(word));
    Err(Failure::refusal(text)
        .hint("put it beside mount-plan, or say --carry=clone for the one in PATH, or give its path in the new root")
        .into())
}

/// Takes hold of the program, in its form.
///
/// # Errors
/// A program that is not static; what the system calls say.
pub fn take(chosen: &Chosen) -> Result<Carried> {
    if chosen.how == How::Own {
        return Ok(Carried::Own);
    }
    let file = File::open(&chosen.path).call(&format!("open {}", show(&chosen.path)))?;
    elf::refuse_dynamic(&file)?;
    if chosen.how == How::Sealed {
        return sealed(file, chosen.path.file_name().unwrap_or_default()).map(Carried::File);
    }
    let set = Attributes::safe().set | MountAttrFlags::MOUNT_ATTR_RDONLY;
    tree::clone(&file, false, Attributes { set, atime: None }).map(Carried::File)
}

/// A copy in memory that nobody can change any more, whatever capabilities he has.
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
        return Err(Failure::refusal("the kernel left the copy without its seals").into());
    }
    read_only(copy)
}

/// The copy again, open for reading only: execve(2) refuses a file that is open for writing (ETXTBSY).
fn read_only(copy: File) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd as _;
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    File::open(path).map(OwnedFd::from).call("open the copy for reading")
}
