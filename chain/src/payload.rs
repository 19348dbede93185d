//! A look at a payload before it is executed by a link that has changed the root.
//!
//! While mount-plan runs, or a link that went on in its process ([`crate::in_process`]), `/proc/self/exe` is the link's own
//! executable: a file of the old root. A payload that is a link to it,
//! a script whose `#!` names it, or a program that names it as its loader, would make the kernel execute that file inside the box, where `/proc/PID/exe` then
//! leads to it (CVE-2019-5736). So the payload and its interpreters must be reachable without a magic link of /proc.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::elf::{self, Loader};
use crate::failure::{Call as _, Failure, Kind};
use crate::{Result, show};

/// How many interpreters the kernel follows from one to the next (fs/exec.c); the last may have a loader.
const INTERPRETERS: usize = 5;

/// Refuses a payload that leads through a magic link of /proc, by its own path, by a `#!` line or by its loader's path.
/// Errors: 126 with the path at fault.
pub fn refuse_magic(program: &Path) -> Result<()> {
    let mut path = program.to_owned();
    for _ in 0..=INTERPRETERS + 1 {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat2(CWD, &path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(magic(program, &path)),
            // A missing interpreter is execve's to report.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(errno) => {
                return Err(errno)
                    .call(&format!("{}: open, to look for its interpreter", show(&path)))
                    .map_err(not_executable);
            }
        };
        match interpreter(&file)? {
            Some(next) => path = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

fn not_executable(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) => failure.kind(Kind::NotExecutable).into(),
        Err(error) => error,
    }
}

fn magic(program: &Path, path: &Path) -> anyhow::Error {
    Failure::refusal(format!("{}: {} leads through a magic link of /proc", show(program), show(path)))
        .kind(Kind::NotExecutable)
        .into()
}

/// What the kernel opens next: the interpreter of a script, or the loader of a program.
fn interpreter(file: &File) -> Result<Option<PathBuf>> {
    let mut line = [0; 256];
    let length = file.read_at(&mut line, 0).call("read of the payload's first line")?;
    if let Some(name) = shebang(line.get(..length).unwrap_or_default()) {
        return Ok(Some(name.into()));
    }
    match elf::loader(file).map_err(not_executable)? {
        Loader::Path(path) => Ok(Some(path)),
        Loader::NotElf | Loader::Kernel => Ok(None),
    }
}

/// The interpreter of a `#!` line, as the kernel reads it: spaces or tabs, then the name up to the next one or the end of the line.
fn shebang(line: &[u8]) -> Option<&OsStr> {
    let rest = line.strip_prefix(b"#!")?;
    let rest = rest.split(|byte| *byte == b'\n').next()?;
    let name = rest.split(|byte| matches!(byte, b' ' | b'\t' | 0)).find(|word| !word.is_empty())?;
    Some(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_names_its_interpreter() {
        assert_eq!(shebang(b"#! /bin/sh -e\nx"), Some(OsStr::new("/bin/sh")));
        assert_eq!(shebang(b"#!/proc/self/exe"), Some(OsStr::new("/proc/self/exe")));
        assert_eq!(shebang(b"#!\n/bin/sh"), None);
        assert_eq!(shebang(b"\x7fELF"), None);
    }
}
