//! One entry of a plan: what is to be at which place of the new root. `S` is a file of the old root: its path, or the same
//! opened ([`super::source::Source`]).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::rc::Rc;

use chain::show;

use super::attributes::Attributes;
use super::mount::{Mount, Overlay};

/// Where an entry was written, for messages: a plan's file and line, or the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub Option<(Rc<str>, usize)>);

/// One entry of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<S = PathBuf> {
    pub origin: Origin,
    pub target: Target,
    pub what: What<S>,
    pub attributes: Attributes,
    /// Whether the plan goes on (and says so) where this entry cannot be had.
    pub nofail: bool,
    /// The mode of a directory that is made to mount on.
    pub mkdir: u32,
    /// Whether a symbolic link in the path of a source is an error.
    pub no_links: bool,
    /// Whether it is left out in silence where its source does not exist.
    pub if_exists: bool,
    /// Whether what is missing may be made in a bound tree too, where it stays.
    pub make: bool,
}

/// Where an entry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This place in the new root: absolute, without `..`.
    Place(PathBuf),
    /// Nowhere yet: the mount is this descriptor of the next program.
    Fd(RawFd),
}

/// What an entry puts at its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<S = PathBuf> {
    Mount(Mount<S>),
    /// A minimal /dev, with [`super::device::DEVICES`] of the host.
    Dev(Vec<S>),
    /// A symbolic link with this text.
    Symlink(OsString),
    /// A directory with this mode.
    Dir(u32),
    /// A file with this content and mode.
    File(Content<S>, u32),
    /// A mount of one file with this content and mode.
    Data(Content<S>, u32),
    /// What is there already, with this mode.
    Chmod(u32),
    /// The mount that is there already, read-only.
    RemountRo,
    /// Nothing to be seen: an empty read-only directory, or this null device.
    Mask(S),
}

/// Where the content of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<S = PathBuf> {
    /// Read from this descriptor to its end.
    Fd(RawFd),
    /// This text.
    Text(OsString),
    /// Copied from this file of the old root.
    Copy(S),
}

/// The working directory of the next program, in the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chdir {
    pub origin: Origin,
    pub path: PathBuf,
    /// Whether it may be missing: the next one counts then, or `/`.
    pub nofail: bool,
}

/// How the new root is left to the next program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// Whether the root directory itself stays writable.
    pub writable: bool,
    /// Whether PWD says the working directory.
    pub set_pwd: bool,
}

impl Origin {
    /// The error with the place of the line in front.
    pub fn name(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.0 {
            None => error,
            Some((file, line)) => error.context(format!("{file}:{line}")),
        }
    }
}

impl Entry {
    /// The most files of the old root that are open for this entry at a time.
    pub fn most_files(&self) -> usize {
        match &self.what {
            // Each may be cloned, to be shown with other ids.
            What::Mount(Mount::Overlay(Overlay { lowers, .. })) => 2 * lowers.len() + 8,
            What::Mount(_) => 4,
            What::Dev(devices) => devices.len(),
            What::File(..) | What::Data(..) | What::Mask(_) => 1,
            What::Symlink(_) | What::Dir(_) | What::Chmod(_) | What::RemountRo => 1,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |(file, line)| write!(f, "{file}:{line}: "))
    }
}

impl<S: AsRef<OsStr>> fmt::Display for Entry<S> {
    /// The entry in words, without its origin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.to_string();
        let links = if self.no_links { ", no link in a path" } else { "" };
        let made = if self.make { ", in a bound tree too" } else { "" };
        match &self.what {
            What::Mount(mount) => write!(f, "{}{links} ({})", mount.words(&target), self.attributes),
            What::Dev(_) => write!(f, "make a minimal /dev on {target} ({})", self.attributes),
            What::Symlink(text) => write!(f, "link {target} to {}{made}", show(text)),
            What::Dir(mode) => write!(f, "make directory {target}, mode {mode:04o}{made}"),
            What::File(content, mode) => write!(f, "make file {target} from {content}{links}, mode {mode:04o}"),
            What::Data(content, mode) => {
                write!(f, "bind a file of {content}{links} on {target}, mode {mode:04o} ({})", self.attributes)
            }
            What::Chmod(mode) => write!(f, "give {target} the mode {mode:04o}"),
            What::RemountRo => write!(f, "make the mount at {target} read-only"),
            What::Mask(_) => write!(f, "mask {target}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(path) => f.write_str(&show(path)),
            Self::Fd(fd) => write!(f, "fd:{fd}"),
        }
    }
}

impl fmt::Display for Chdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enter {}{}", show(&self.path), if self.nofail { ", if it is there" } else { "" })
    }
}

impl<S: AsRef<OsStr>> fmt::Display for Content<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(fd) => write!(f, "descriptor {fd}"),
            Self::Text(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Copy(path) => f.write_str(&show(path)),
        }
    }
}
