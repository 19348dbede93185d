//! A pool in a directory: the names in it.

use std::path::{Path, PathBuf};

use chain::{Result, refusal, show};

use crate::look::folder::{Folder, absent_is_none};
use crate::model::name::Name;
use crate::model::pool::missing;
use crate::step::{DEAD, FREE, LEASED, MAKING};

pub const VERSIONS: &str = "versions";
pub const FOLDERS: [&str; 5] = [VERSIONS, MAKING, FREE, LEASED, DEAD];
pub const ABOUT: &str = "about";
pub const ABOUT_PART: &str = ".about";
pub const LOCK: &str = "lock";
pub const MARK: &str = "mark";
/// A mark that is being written: all that a process which is killed at that moment leaves in a cell.
pub const MARK_PART: &str = ".mark";
pub const LEASE: &str = "lease";

/// A pool in a directory.
#[derive(Debug)]
pub struct DirPool {
    pub path: PathBuf,
}

impl DirPool {
    /// The pool at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The template's directory; `None` where the template, or the pool, is not there.
    pub fn template(&self, name: &Name) -> Result<Option<Folder>> {
        let Some(pool) = absent_is_none(Folder::open(&self.path))? else { return Ok(None) };
        pool.find(name.as_str())
    }

    pub fn present(&self, name: &Name) -> Result<Folder> {
        self.template(name)?.ok_or_else(|| missing(name))
    }
}

/// The refusal for what lies in a pool without our mark.
pub fn not_ours(path: &Path) -> anyhow::Error {
    refusal!("{}: without our mark, so it is not ours", show(path))
}
