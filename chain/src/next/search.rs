//! Where a program is: its path, or the folders of `PATH`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::{beside, not_executed, tool_named};
use crate::failure::{Failure, Kind};
use crate::text::nearest;
use crate::{Result, TOOLS, in_process, show};

/// The search path where `PATH` is not set, as execvp(3) has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The path of the program that `word` names, in the file tree as it is now.
pub fn find(word: &OsStr) -> Result<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return executable(Path::new(word)).map_err(|errno| not_executed(word, errno).into());
    }
    if let Some(tool) = tool_named(word) {
        if in_process::executed_as().is_none() {
            return Err(carried_only_once(word).into());
        }
        if let Some(path) = beside(tool) {
            return Ok(path);
        }
    }
    search(word, &std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
}

fn carried_only_once(word: &OsStr) -> Failure {
    Failure::refusal(format!("{}: a tool of this family is not looked up by name in the new root", show(word)))
        .hint("one program is carried across a root change: put the other links before mount-plan")
}

/// Searches `path` as execvp(3) does: the first executable wins, and a file that is there but not executable is
/// remembered, so that the message and the code are the right ones.
fn search(word: &OsStr, path: &OsStr) -> Result<PathBuf> {
    let missing = || Failure::refusal(format!("{}: not found in PATH", show(word))).kind(Kind::NotFound);
    if word.is_empty() {
        return Err(missing().into());
    }
    let mut seen = None;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        let folder = if folder.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(folder) };
        let candidate = Path::new(folder).join(word);
        match executable(&candidate) {
            Ok(path) => return Ok(path),
            Err(Errno::EACCES) if seen.is_none() => seen = Some(candidate),
            _ => {}
        }
    }
    Err(match (seen, absent(path)) {
        (Some(found), _) => not_executed(found.as_os_str(), Errno::EACCES).into(),
        (None, absent) => [mistyped(word), absent].into_iter().flatten().fold(missing(), Failure::hint).into(),
    })
}

/// What was meant, where it can be told: one of our tools, or an option that stands behind those of a link.
fn mistyped(word: &OsStr) -> Option<String> {
    let option = word.as_bytes().starts_with(b"-").then(|| "options stand before --, PROG behind it".to_owned());
    option.or_else(|| nearest(word, TOOLS).map(|tool| format!("did you mean {tool}?")))
}

/// The folders of `path` that are not there: in a box PATH is often that of the host.
fn absent(path: &OsStr) -> Option<String> {
    let folders = path.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes);
    let missing = |folder: &OsStr| matches!(access(folder, AccessFlags::F_OK), Err(Errno::ENOENT | Errno::ENOTDIR));
    let absent: Vec<String> = folders.filter(|folder| !folder.is_empty() && missing(folder)).map(show).collect();
    match absent.as_slice() {
        [] => None,
        [one] => Some(format!("PATH has {one}, which is not there in this root")),
        [first @ .., last] => {
            Some(format!("PATH has {} and {last}, which are not there in this root", first.join(", ")))
        }
    }
}

/// `path` again if it is a regular file that this process may execute.
pub(super) fn executable(path: &Path) -> std::result::Result<PathBuf, Errno> {
    access(path, AccessFlags::X_OK)?;
    match path.metadata() {
        Ok(facts) if facts.is_file() => Ok(path.to_owned()),
        _ => Err(Errno::EACCES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_tells_missing_from_not_executable() {
        let code = |word: &str, path: &str| {
            crate::failure::exit_code(&search(OsStr::new(word), OsStr::new(path)).unwrap_err())
        };
        assert_eq!(code("passwd", "/etc"), 126);
        assert_eq!(code("no-such-program", "/etc:/usr/bin"), 127);
        assert_eq!(code("", "/usr/bin"), 127);
        let hint = |word: &str, path: &str| {
            let error = search(OsStr::new(word), OsStr::new(path)).unwrap_err();
            error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone())
        };
        assert_eq!(hint("no-such-program", "/usr/bin::/etc/passwd"), None);
        let one = "PATH has /nowhere, which is not there in this root";
        assert_eq!(hint("no-such-program", "/bin:/nowhere:/usr/bin").as_deref(), Some(one));
        let two = "PATH has /nowhere, /etc/passwd/x and 'x\\x0a', which are not there in this root";
        assert_eq!(hint("no-such-program", "/nowhere:/etc/passwd/x:/bin:x\n").as_deref(), Some(two));
        assert_eq!(hint("mount-plam", "/bin:/nowhere").as_deref(), Some("did you mean mount-plan?"));
        assert_eq!(hint("--user", "/bin").as_deref(), Some("options stand before --, PROG behind it"));
        assert_eq!(hint("passwd", "/etc:/nowhere"), None, "it is there, and not executable");
        assert_eq!(search(OsStr::new("sh"), OsStr::new("/nowhere:/bin")).unwrap(), Path::new("/bin/sh"));
    }
}
