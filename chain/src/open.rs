//! Opening a path in which somebody else may have had a hand.
//!
//! A program that may write to a directory can put a symbolic link in the place of anything in it, also between a look at
//! the path and its use. Whoever has more rights than that program then opens what the link leads to. So no link is
//! followed, in no part of the path, and the kernel sees to it while it opens (openat2(2), Linux 5.6): nothing is looked at
//! before.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::failure::{Call as _, Hint as _};
use crate::{Result, show};

/// Opens a path, close-on-exec, that has no symbolic link in any part of it.
/// Errors: ELOOP where it has one, with a hint that names it.
pub fn without_links(path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let opened = openat2(CWD, path, flags | OFlags::CLOEXEC, mode, ResolveFlags::NO_SYMLINKS);
    let is_link = opened.as_ref().is_err_and(|errno| *errno == rustix::io::Errno::LOOP);
    let opened = opened.call(&format!("openat2 {}", show(path)));
    if is_link { opened.hint(not_followed(path)) } else { opened }
}

/// For the message alone: by now it may be another.
fn not_followed(path: &Path) -> String {
    match first_link(path) {
        Some(link) => format!("{} is a symbolic link, which is not followed: name what it leads to", show(link)),
        None => "a part of it was a symbolic link a moment ago, which is not followed".to_owned(),
    }
}

fn first_link(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    parts.into_iter().find(|part| part.is_symlink()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Failure;

    #[test]
    fn no_link_is_followed_in_any_part() {
        let folder = std::env::temp_dir().canonicalize().unwrap().join(format!("chain-open-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(folder.join("dir")).unwrap();
        fs::write(folder.join("dir/file"), "x").unwrap();
        symlink("dir", folder.join("link")).unwrap();
        symlink("file", folder.join("dir/last")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        let open = |path: &str| {
            let flags = OFlags::WRONLY | OFlags::CREATE;
            without_links(&folder.join(path), flags, Mode::from_raw_mode(0o600)).map(drop)
        };
        open("dir/file").unwrap();
        open("dir/../dir/new").unwrap();
        for (path, link) in [("link/file", "link"), ("dir/last", "dir/last"), ("dangling", "dangling")] {
            let error = open(path).unwrap_err();
            assert!(format!("{error:#}").ends_with("(ELOOP)"), "{error:#}");
            let hint = error.downcast_ref::<Failure>().unwrap().hint.clone().unwrap();
            assert!(hint.starts_with(&format!("{} is a symbolic link", show(folder.join(link)))), "{hint}");
        }
        assert!(!folder.join("nowhere").exists());
        let error = open("no/such").unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().hint, None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
