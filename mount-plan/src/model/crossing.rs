//! The next program, where it crosses the root change (docs/adr/0003).

use std::fmt;
use std::path::PathBuf;

use chain::show;

/// In which form it crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossingForm {
    /// A detached read-only clone of the file.
    Clone,
    /// A sealed copy in memory.
    Sealed,
    /// Not at all: it is the file that this process runs, which goes on as the next tool (docs/adr/0016).
    Own,
}

/// The program that crosses.
pub struct Crossing {
    /// Its path in the old root.
    pub path: PathBuf,
    pub form: CrossingForm,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = show(&self.path);
        match self.form {
            CrossingForm::Clone => write!(f, "carry {path} as a read-only clone"),
            CrossingForm::Sealed => write!(f, "carry {path} as a sealed copy"),
            CrossingForm::Own => write!(f, "carry nothing: go on as {path} in this process"),
        }
    }
}
