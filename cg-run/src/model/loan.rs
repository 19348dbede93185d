//! A folder that is lent to a run.

use std::fmt;
use std::path::PathBuf;

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loan {
    pub folder: PathBuf,
    pub user: Ids,
    pub owner: Ids,
    /// Whether what is neither a file nor a directory stays.
    pub special: bool,
}
