//! The next program: found in the caller's tree, or to be found in the one that is entered.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use chain::{Hint as _, Next, Result, next, refusal};

use crate::model::namespace::{Namespace, Set};

pub enum Program {
    Found(Next),
    /// The program's name in the tree that is entered, and its arguments.
    InJoinedTree {
        words: Vec<OsString>,
        keep_caps: bool,
    },
}

impl Program {
    /// Finds it in the caller's tree, unless another tree is among the namespaces that are `joined`. Where anything is
    /// joined the program is executed in any case: what this process has in memory is not for the processes in there.
    /// Refuses a tool of ours that would be looked up by name in a tree that is somebody else's.
    pub fn find(prog: &[OsString], joined: Set, keep_caps: bool) -> Result<Self> {
        let words = next::or_shell(prog);
        if !joined.has(Namespace::Mount) {
            let next = kept(Next::resolve(&words)?, keep_caps);
            return Ok(Self::Found(if joined.is_empty() { next } else { next.force_exec() }));
        }
        let by_name = words.first().is_some_and(|word| !word.as_bytes().contains(&b'/'));
        if by_name && next::is_our_tool(&words) {
            return Err(refusal!("one of our tools is not looked up by name in the tree that is joined")
                .hint("name it by its path there"));
        }
        Ok(Self::InJoinedTree { words, keep_caps })
    }

    /// Found in the caller's tree, nothing is said about the caller's terminal ([`Next::without_warning`]).
    pub fn without_warning(self) -> Self {
        match self {
            Self::Found(next) => Self::Found(next.without_warning()),
            other @ Self::InJoinedTree { .. } => other,
        }
    }

    /// What to execute. Once everything is joined.
    pub fn resolve(self) -> Result<Next> {
        match self {
            Self::Found(next) => Ok(next),
            // No file of a tree that is joined is opened to ask about the terminal: the plan has refused or guarded it.
            Self::InJoinedTree { words, keep_caps } => {
                Ok(kept(Next::resolve(&words)?.untrusted().without_warning(), keep_caps))
            }
        }
    }
}

fn kept(next: Next, keep_caps: bool) -> Next {
    if keep_caps { next.keeping_capabilities() } else { next }
}
