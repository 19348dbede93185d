//! From the parts of the command line to the entries: plans are read, includes followed, presets replaced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chain::failure::{Call as _, Failure};
use chain::{Context as _, Result, show};

use crate::args::Part;
use crate::entry::Entry;
use crate::grammar::{Statement, at, statements};
use crate::look::inherited;
use crate::{line, preset};

/// How deep includes may nest: enough for people, an end for circles.
const DEPTH: usize = 16;

/// The largest plan that is read. Nobody writes one; it is a wrong file, or `/dev/zero`.
const LARGEST: u64 = 16 << 20;

/// The entries that the parts come to, in order.
///
/// # Errors
/// A plan that cannot be read, or the first line of one that is no entry, with its place.
pub fn entries(parts: Vec<Part>) -> Result<Vec<Entry>> {
    let mut entries = vec![];
    for part in parts {
        match part {
            Part::Line(columns) => add(&mut entries, line::entry(columns)?)?,
            Part::File(name) if name == *"-" => {
                plan(&mut entries, OsStr::new("standard input"), &fd_text(0)?, None, 0)?
            }
            Part::File(name) => file(&mut entries, Path::new(&name), 0)?,
            Part::Fd(fd) => plan(&mut entries, OsStr::new(&format!("descriptor {fd}")), &fd_text(fd)?, None, 0)?,
        }
    }
    Ok(entries)
}

fn add(entries: &mut Vec<Entry>, entry: Entry) -> Result<()> {
    let origin = entry.origin.clone();
    entries.extend(preset::expanded(entry, &preset::found).map_err(|error| at(&origin, error))?);
    Ok(())
}

fn file(entries: &mut Vec<Entry>, path: &Path, depth: usize) -> Result<()> {
    let open = || -> Result<Vec<u8>> { text(File::open(path).call("open")?) };
    let text = open().with_context(|| format!("plan {}", show(path)))?;
    plan(entries, path.as_os_str(), &text, path.parent(), depth)
}

fn fd_text(fd: i32) -> Result<Vec<u8>> {
    let copy: OwnedFd = inherited(fd)?.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
    text(File::from(copy)).with_context(|| format!("plan of descriptor {fd}"))
}

fn text(file: File) -> Result<Vec<u8>> {
    let mut text = vec![];
    file.take(LARGEST + 1).read_to_end(&mut text).call("read")?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::refusal(format!("larger than {LARGEST} bytes")).into());
    }
    Ok(text)
}

fn plan(entries: &mut Vec<Entry>, name: &OsStr, text: &[u8], folder: Option<&Path>, depth: usize) -> Result<()> {
    for statement in statements(name, text, &variable)? {
        match statement {
            Statement::Line(columns) => add(entries, line::entry(columns)?)?,
            Statement::Include(origin, file_name) => {
                let included = folder.map_or_else(|| PathBuf::from(&file_name), |folder| folder.join(&file_name));
                let inner = if depth < DEPTH {
                    file(entries, &included, depth + 1)
                } else {
                    Err(Failure::refusal(format!("include: more than {DEPTH} deep")).into())
                };
                inner.map_err(|error| at(&origin, error))?;
            }
        }
    }
    Ok(())
}

fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}
