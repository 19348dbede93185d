//! The three standard files of a program.

use std::ffi::OsString;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Input,
    Output,
    Error,
}

impl Stream {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "standard input",
            Self::Output => "standard output",
            Self::Error => "standard error",
        }
    }
}

/// What becomes of one, in the order in which it is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standard {
    /// This file is opened.
    File(Stream, OsString),
    /// Standard error is what standard output is.
    ErrorToOutput,
}
