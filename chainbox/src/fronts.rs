//! Fronts: the command lines of other programs, each a pure function to a chain, and a few lines that execute that.
//!
//! A front isolates nothing by itself. `CHAIN_PRINT=1` in the environment prints the chain as a shell script.

pub mod bwrap;
mod chain;
mod descriptors;
pub mod isolate;

use ::chain::completion::Syntax;

use crate::Tool;

/// The fronts in this file.
pub const FRONTS: [Tool; 2] = [("bwrap", bwrap::run), ("isolate", isolate::run)];

/// What completion knows of them.
pub fn syntaxes() -> [Syntax; 2] {
    [bwrap::syntax(), isolate::syntax()]
}
