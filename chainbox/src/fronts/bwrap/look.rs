//! What is looked at before the chain is made. Nothing is changed.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chain::next::same_file;
use chain::values::open_descriptor;
use chain::{Call as _, Result, sys};
use nix::unistd::{Gid, Uid, ttyname};

use super::args::places::{effective, made};
use super::args::values::name_of;
use super::args::{Operation, Request};
use super::table::What;
use crate::fronts::descriptors;

/// The caller and its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub uid: u32,
    pub gid: u32,
    /// The capabilities that it has not, where it is root: a new user namespace would have them all.
    pub lacking: Vec<String>,
    /// Its working directory as it calls it; `None` where that has no path.
    pub cwd: Option<PathBuf>,
    pub home: Option<OsString>,
    /// Its open descriptors besides 0, 1 and 2.
    pub open: Vec<RawFd>,
    /// Those of them that are directories.
    pub directories: Vec<RawFd>,
    /// The terminal that is standard output.
    pub terminal: Option<PathBuf>,
    /// Of the places in the caller's trees on which something is to be put ([`made`]), those that are not there.
    /// Whether a folder is to be mounted there.
    pub missing: BTreeMap<PathBuf, bool>,
}

pub fn facts(request: &Request) -> Result<Facts> {
    request
        .descriptors()
        .into_iter()
        .try_for_each(|(option, fd)| open_descriptor(option, fd.to_string().as_ref()).map(drop))?;
    let open = descriptors::open()?;
    let uid = Uid::current().as_raw();
    Ok(Facts {
        uid,
        lacking: if uid == 0 { lacking()? } else { vec![] },
        gid: Gid::current().as_raw(),
        cwd: cwd(),
        home: env::var_os("HOME"),
        directories: open.iter().copied().filter(|fd| descriptors::is_directory(*fd)).collect(),
        open,
        terminal: ttyname(std::io::stdout()).ok(),
        missing: missing(&effective(request)),
    })
}

fn missing(operations: &[&Operation]) -> BTreeMap<PathBuf, bool> {
    let is_folder = |operation: &Operation| match operation.what {
        What::Bind(_) | What::BindTry(_) => operation.sources.first().is_some_and(|source| Path::new(source).is_dir()),
        What::BindFd(_) => operation.fd.is_some_and(|fd| Path::new(&format!("/proc/self/fd/{fd}")).is_dir()),
        What::Data(_) | What::File => false,
        _ => true,
    };
    let places = operations.iter().zip(made(operations));
    let missing = places.filter_map(|(operation, place)| Some((place?, is_folder(operation))));
    // What another box has put there ends with that one, unless it is held here too.
    let is_there =
        |path: &Path| path.metadata().is_ok_and(|facts| !ns_unshare::is_placeholder(facts.mode(), facts.len()));
    missing.filter(|(path, _)| !is_there(path)).collect()
}

fn lacking() -> Result<Vec<String>> {
    let effective = rustix::thread::capabilities(None).call("capget")?.effective.bits();
    let lacking = caps::all().into_iter().filter(|cap| effective & cap.bitmask() == 0);
    let mut names: Vec<String> = lacking.map(name_of).collect();
    names.sort_unstable();
    Ok(names)
}

/// As `PWD` has it, if that is true: it may lead through links.
fn cwd() -> Option<PathBuf> {
    let named = env::var_os("PWD").map(PathBuf::from);
    named.filter(|path| path.is_absolute() && same_file(path, Path::new("."))).or_else(|| env::current_dir().ok())
}

/// What a descriptor holds, to its end. It is closed then, unless it is 0, 1 or 2.
pub fn taken(fd: RawFd) -> Result<Vec<u8>> {
    let call = format!("--args {fd}: read");
    let file = sys::borrowed(fd).call(&call)?;
    let mut data = vec![];
    File::from(file.try_clone_to_owned().call(&call)?).read_to_end(&mut data).call(&call)?;
    if fd > 2 {
        drop(sys::adopt(fd).call(&call)?);
    }
    Ok(data)
}
