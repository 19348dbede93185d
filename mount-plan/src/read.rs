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

/// The most that is read of all plans together. Nobody writes that much; it is a wrong file, `/dev/zero`, or few files
/// that include each other many times.
const LARGEST: u64 = 16 << 20;

/// What has been read.
struct Reading {
    entries: Vec<Entry>,
    /// How many bytes may still be.
    left: u64,
}

/// The entries that the parts come to, in order.
///
/// # Errors
/// A plan that cannot be read, or the first line of one that is no entry, with its place.
pub fn entries(parts: Vec<Part>) -> Result<Vec<Entry>> {
    let mut reading = Reading { entries: vec![], left: LARGEST };
    for part in parts {
        match part {
            Part::Line(columns) => add(&mut reading.entries, line::entry(columns)?)?,
            Part::File(name) if name == *"-" => reading.descriptor("standard input", 0)?,
            Part::File(name) => reading.file(Path::new(&name), 0)?,
            Part::Fd(fd) => reading.descriptor(&format!("descriptor {fd}"), fd)?,
        }
    }
    Ok(reading.entries)
}

fn add(entries: &mut Vec<Entry>, entry: Entry) -> Result<()> {
    let origin = entry.origin.clone();
    entries.extend(preset::expanded(entry, &preset::found).map_err(|error| at(&origin, error))?);
    Ok(())
}

impl Reading {
    fn descriptor(&mut self, name: &str, fd: i32) -> Result<()> {
        let copy: OwnedFd = inherited(fd)?.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
        let text = self.text(File::from(copy)).with_context(|| format!("plan of descriptor {fd}"))?;
        self.plan(OsStr::new(name), &text, None, 0)
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<()> {
        let text = File::open(path).call("open").and_then(|file| self.text(file));
        let text = text.with_context(|| format!("plan {}", show(path)))?;
        self.plan(path.as_os_str(), &text, path.parent(), depth)
    }

    fn text(&mut self, file: File) -> Result<Vec<u8>> {
        let mut text = vec![];
        file.take(self.left + 1).read_to_end(&mut text).call("read")?;
        // A small file is work too.
        let left = self.left.checked_sub((text.len() as u64).max(4096));
        self.left = left.ok_or_else(|| Failure::refusal(format!("larger than {LARGEST} bytes, all files together")))?;
        Ok(text)
    }

    fn plan(&mut self, name: &OsStr, text: &[u8], folder: Option<&Path>, depth: usize) -> Result<()> {
        for statement in statements(name, text, &variable)? {
            match statement {
                Statement::Line(columns) => add(&mut self.entries, line::entry(columns)?)?,
                Statement::Include(origin, file_name) => {
                    let included = folder.map_or_else(|| PathBuf::from(&file_name), |folder| folder.join(&file_name));
                    let inner = if depth < DEPTH {
                        self.file(&included, depth + 1)
                    } else {
                        Err(Failure::refusal(format!("include: more than {DEPTH} deep")).into())
                    };
                    inner.map_err(|error| at(&origin, error))?;
                }
            }
        }
        Ok(())
    }
}

fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}
