//! Finding and executing the next program.
//!
//! A path is taken as it is. A bare name is searched in `PATH` as a shell does, with one exception: one of our
//! tools is looked for beside the running link first, by the path under which the kernel executed it, and is the running
//! file where that is all of them and nothing of that name stands beside it. A link that was
//! carried across a root change (executed by descriptor) has nothing beside it, and refuses to look for one of our
//! tools by name at all: in the new root that name is the enemy's.
//!
//! Everything is found before the first effect; executing is the last thing that a link does.

mod search;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::getcwd;

use crate::failure::{Call as _, Failure, Kind};
use crate::parse::{self, Explain};
use crate::{Result, TOOLS, fault, in_process, message, payload, privilege, refusal, show, sys, terminal};
pub use search::find;

/// The next program, found and ready.
#[derive(Debug)]
pub struct Next {
    program: Program,
    argv: Vec<CString>,
    extra: Vec<CString>,
    ours: bool,
    keeps_capabilities: bool,
    needs_exec: bool,
    warns_of_typing: bool,
    closes_descriptors: bool,
}

#[derive(Debug)]
enum Program {
    Path(CString),
    Fd(OwnedFd),
    /// The file of this process, which is not executed again.
    Own,
}

/// The words of the next program; no words mean `${SHELL:-/bin/sh}`.
pub fn or_shell(prog: &[OsString]) -> Vec<OsString> {
    if !prog.is_empty() {
        return prog.to_vec();
    }
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    vec![shell.unwrap_or_else(|| "/bin/sh".into())]
}

/// Whether the next program is one of our tools: by its bare name, or by a path of the very file that stands beside the
/// running link. Whoever chooses a payload's file name could choose one of ours.
pub fn is_our_tool(prog: &[OsString]) -> bool {
    let Some(word) = prog.first() else { return false };
    let Some(name) = tool_named(word) else { return false };
    !word.as_bytes().contains(&b'/') || own_folder().is_some_and(|own| same_file(&own.join(name), Path::new(word)))
}

/// Whether both paths lead to one file, or to one folder, that is there.
pub fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|facts| (facts.dev(), facts.ino())).ok();
    identity(one).is_some() && identity(one) == identity(other)
}

/// The tool that `word` names, by its last component.
pub fn tool_named(word: &OsStr) -> Option<&'static str> {
    let name = Path::new(word).file_name()?;
    TOOLS.into_iter().find(|tool| name == OsStr::new(tool))
}

/// The folder of the running link, from the path under which the kernel executed it; `None` for one that was
/// executed by descriptor (it was carried, and nothing stands beside it).
pub fn own_folder() -> Option<PathBuf> {
    let name = in_process::executed_as()?;
    Path::new(&name)
        .parent()
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.to_owned())
}

/// Where a tool of ours is, by its name: beside the running link, else in the one file that is all of them.
pub fn beside(tool: &str) -> Option<PathBuf> {
    let executable = |path: &Path| search::executable(path).ok();
    executable(&own_folder()?.join(tool)).or_else(|| executable(in_process::file_of_all()?))
}

impl Next {
    /// Finds the program that `prog` names, in the file tree as it is now.
    /// Errors: 127 where there is none, 126 where it is not executable, 125 for one of our tools that may not be looked
    /// up.
    pub fn resolve(prog: &[OsString]) -> Result<Self> {
        let words = or_shell(prog);
        let path = find(words.first().map_or(OsStr::new(""), OsString::as_os_str))?;
        if in_process::has_crossed() {
            payload::refuse_magic(&path)?;
        }
        let path = c_string(path.into_os_string())?;
        Self::new(Program::Path(path), prog, is_our_tool(&words))
    }

    /// A program that is already open, whatever its path: nothing is looked up any more. `ours`: what [`is_our_tool`] said
    /// where it was opened.
    pub fn opened(file: OwnedFd, prog: &[OsString], ours: bool) -> Result<Self> {
        Self::new(Program::Fd(file), prog, ours).map(Self::force_exec)
    }

    /// The program that runs already, as the tool that `prog` names ([`crate::in_process`]).
    pub fn own(prog: &[OsString]) -> Result<Self> {
        Self::new(Program::Own, prog, true)
    }

    fn new(program: Program, prog: &[OsString], ours: bool) -> Result<Self> {
        let mut words = or_shell(prog);
        if let (Some(first), Some(name)) = (words.first_mut(), sys::payload_name()) {
            if ours {
                return Err(refusal!("--argv0 {}: PROG is {}, which is known by its name", show(&name), show(first)));
            }
            *first = name;
        }
        Ok(Self {
            program,
            argv: c_strings(&words)?,
            extra: vec![],
            ours,
            keeps_capabilities: ours,
            needs_exec: !ours,
            warns_of_typing: !ours,
            closes_descriptors: true,
        })
    }

    /// The program is untrusted, whatever its name: it was found in a root that somebody else may have made.
    pub fn untrusted(self) -> Self {
        Self { ours: false, keeps_capabilities: false, needs_exec: true, warns_of_typing: true, ..self }
    }

    /// It is executed in any case: the link has changed something that takes effect at an exec, or that can make an exec
    /// fail.
    pub fn force_exec(self) -> Self {
        Self { needs_exec: true, ..self }
    }

    /// The path that will be executed; `None` for an open file.
    pub fn path(&self) -> Option<&Path> {
        match &self.program {
            Program::Path(path) => Some(Path::new(as_os(path))),
            Program::Fd(_) | Program::Own => None,
        }
    }

    /// Sets a variable in the next program's environment; all others stay as they are, byte for byte.
    pub fn setenv(&mut self, name: &str, value: &OsStr) -> Result<()> {
        let mut variable = OsString::from(name);
        variable.push("=");
        variable.push(value);
        self.extra.push(c_string(variable)?);
        Ok(())
    }

    /// Takes a variable out of the next program's environment, whoever set it.
    pub fn unsetenv(&mut self, name: &str) -> Result<()> {
        self.extra.push(c_string(name.into())?);
        Ok(())
    }

    /// The program gets the capabilities that this process has: somebody said so, or the link has seen to them itself.
    pub fn keeping_capabilities(self) -> Self {
        Self { keeps_capabilities: true, ..self }
    }

    /// Nothing is said about a terminal that the program could type into: the link has said it, or that is the least of what
    /// the program shares with the caller.
    pub fn without_warning(self) -> Self {
        Self { warns_of_typing: false, ..self }
    }

    /// Marks now what the program is not to get: descriptors other than 0, 1, 2 and `keep`. Behind a filter it may be too
    /// late. What is opened from here on has to be close-on-exec.
    pub fn descriptors_marked(self, keep: &[RawFd]) -> Result<Self> {
        close_all_but(&self.with_faults(keep))?;
        Ok(Self { closes_descriptors: false, ..self })
    }

    /// Says now that the program is executed, if it is the payload: behind a filter it may be too late.
    pub fn announce(&self) {
        if !self.ours {
            fault::announce();
        }
    }

    /// Who is above hears of failures of links alone.
    fn faults(&self) -> Option<RawFd> {
        fault::descriptor().filter(|_| self.ours)
    }

    fn with_faults(&self, keep: &[RawFd]) -> Vec<RawFd> {
        keep.iter().copied().chain(self.faults()).collect()
    }

    /// Executes the program with descriptors 0, 1, 2 and `keep`, or begins it in this process, where that makes no
    /// difference ([`crate::in_process`]). One that is not of the family does not get the capabilities that `ns-unshare`
    /// handed on to the links ([`privilege`]), and is warned of where it could type into the caller's terminal ([`terminal`]).
    /// Returns only the failure.
    #[must_use]
    pub fn exec(mut self, keep: &[RawFd]) -> anyhow::Error {
        let taken = if self.keeps_capabilities { Ok(()) } else { privilege::take_back() };
        // A chain in the payload speaks for itself.
        let taken = if self.ours { taken } else { taken.and_then(|()| self.unsetenv(message::SPEAKER)) };
        let (faults, keep) = (self.faults(), &self.with_faults(keep));
        let marked = taken.and_then(|()| if self.closes_descriptors { close_all_but(keep) } else { Ok(()) });
        if let Err(error) = marked {
            return error;
        }
        if self.warns_of_typing {
            terminal::warn_of_typing(|_| false);
        }
        let here = self.is_here();
        let passed = if here { Ok(()) } else { self.pass_mark().and_then(|()| self.pass_faults(faults)) };
        if let Err(error) = passed {
            return error;
        }
        self.announce();
        let errno = match &self.program {
            Program::Own => return in_process::begin(&self.argv, None, keep),
            Program::Path(path) if here => return in_process::begin(&self.argv, Some(as_os(path)), keep),
            Program::Path(path) => sys::exec(path, &self.argv, &self.extra),
            Program::Fd(file) => sys::exec_fd(file.as_fd(), &self.argv, &self.extra),
        };
        not_executed(&self.name(), errno).into()
    }

    /// A tool is told that what it has was handed on: one that keeps capabilities and is called like one of ours, be it
    /// another file (`ns-unshare --keep-caps`, where the tools are in two folders).
    fn pass_mark(&mut self) -> Result<()> {
        let named = self.argv.first().is_some_and(|word| tool_named(as_os(word)).is_some());
        if self.keeps_capabilities && named && privilege::has_handed_on()? {
            self.setenv(privilege::MARK, OsStr::new("handed-on"))?;
        }
        Ok(())
    }

    fn pass_faults(&mut self, descriptor: Option<RawFd>) -> Result<()> {
        descriptor.map_or(Ok(()), |fd| self.setenv(fault::VARIABLE, OsStr::new(&fd.to_string())))
    }

    /// Whether executing it would change nothing but what [`in_process::begin`] does. What cannot be told is executed.
    fn is_here(&self) -> bool {
        !self.needs_exec
            && self.extra.is_empty()
            && self.path().is_some_and(|path| in_process::may_go_on_as(path, &in_process::words(&self.argv)))
            && privilege::exec_changes_nothing().unwrap_or(false)
    }

    /// Executes one of our tools so that it explains itself and asks the next.
    #[must_use]
    pub fn exec_explaining(mut self, form: Explain, keep: &[RawFd]) -> anyhow::Error {
        let value = if form == Explain::Json { "json" } else { "1" };
        match self.setenv(parse::EXPLAIN, OsStr::new(value)) {
            Ok(()) => self.exec(keep),
            Err(error) => error,
        }
    }

    fn name(&self) -> OsString {
        let bytes = match &self.program {
            Program::Path(path) => path.as_bytes(),
            Program::Fd(_) | Program::Own => self.argv.first().map_or(b"".as_slice(), |word| word.as_bytes()),
        };
        OsStr::from_bytes(bytes).to_owned()
    }
}

/// What execve(2) said, as one line. 127 only where the program itself is missing: ENOENT for a file that exists is a
/// missing interpreter or loader, which costs everybody an hour once.
fn not_executed(name: &OsStr, errno: Errno) -> Failure {
    let failure = Failure::call(&format!("{}: execve", show(name)), errno);
    match errno {
        Errno::ENOENT if Path::new(name).exists() => failure
            .kind(Kind::NotExecutable)
            .hint("the file exists: its #! interpreter or its loader does not, in this root"),
        Errno::ENOENT if in_removed_directory(name) => failure.kind(Kind::NotFound).hint(REMOVED_DIRECTORY),
        Errno::ENOENT | Errno::ENOTDIR => failure.kind(Kind::NotFound),
        Errno::ENOEXEC => {
            failure.kind(Kind::NotExecutable).hint("neither a binary for this machine nor a script with a #! line")
        }
        _ => failure.kind(Kind::NotExecutable),
    }
}

/// The hint for what is not found [`in_removed_directory`].
pub const REMOVED_DIRECTORY: &str = "the current directory has been removed: cd to one that is there";

/// Whether a path begins at a current directory that has been removed.
pub fn in_removed_directory(path: &OsStr) -> bool {
    Path::new(path).is_relative() && getcwd() == Err(Errno::ENOENT)
}

/// Marks every descriptor but 0, 1, 2 and `keep` close-on-exec, whatever it was before.
fn close_all_but(keep: &[RawFd]) -> Result<()> {
    sys::close_on_exec_from(3).call("close_range(3, ~0, CLOSE_RANGE_CLOEXEC)")?;
    keep.iter().filter(|fd| **fd > 2).try_for_each(|fd| {
        sys::borrowed(*fd)
            .and_then(|file| fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())))
            .map(drop)
            .call(&format!("--keep-fd {fd}: fcntl"))
    })
}

fn as_os(word: &CStr) -> &OsStr {
    OsStr::from_bytes(word.to_bytes())
}

fn c_strings(words: &[OsString]) -> Result<Vec<CString>> {
    words.iter().cloned().map(c_string).collect()
}

fn c_string(word: OsString) -> Result<CString> {
    CString::new(word.into_vec()).map_err(|_| refusal!("a NUL byte in an argument"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_ours_is_known_by_its_last_component() {
        assert_eq!(tool_named(OsStr::new("/opt/x/mount-plan")), Some("mount-plan"));
        assert_eq!(tool_named(OsStr::new("mount-plan2")), None);
        assert_eq!(tool_named(OsStr::new("")), None);
    }
}
