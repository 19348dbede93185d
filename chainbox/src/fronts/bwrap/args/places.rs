//! Where operations act: which of them count, and what of the caller's tree they would have made.

use std::path::{Path, PathBuf};

use super::{Operation, Request};
use crate::fronts::bwrap::table::{Access, What};

/// What is left to be done: the last mount at / hides whatever was done before it, and a directory / is there.
pub fn effective(request: &Request) -> Vec<&Operation> {
    let is_mounted = |operation: &Operation| operation.is_root() && is_mount_point(operation.what);
    let root = request.operations.iter().rposition(is_mounted);
    let rest = request.operations.iter().skip(root.unwrap_or(0));
    rest.filter(|operation| !(operation.is_root() && operation.what == What::Dir)).collect()
}

/// The places of the caller's tree on which something would be made, if they are not there.
pub fn would_be_made(request: &Request) -> Vec<PathBuf> {
    let operations = effective(request);
    (0..operations.len()).filter_map(|at| made(&operations, at)).collect()
}

/// Where on the caller's side the target of an operation lies: below a tree of the caller's that is shown writable.
pub fn made(operations: &[&Operation], at: usize) -> Option<PathBuf> {
    let operation = operations.get(at).filter(|operation| !matches!(operation.what, What::Chmod | What::RemountRo))?;
    let covers = |other: &&&Operation| operation.target.starts_with(&other.target) && is_mount_point(other.what);
    let cover = operations.get(..at)?.iter().rev().find(covers)?;
    let rest = operation.target.strip_prefix(&cover.target).ok().filter(|rest| *rest != Path::new(""))?;
    let source = match cover.what {
        What::Bind(access) | What::BindTry(access) if access != Access::Read => PathBuf::from(cover.sources.first()?),
        What::BindFd(Access::Write) => PathBuf::from(format!("/proc/self/fd/{}", cover.fd?)),
        _ => return None,
    };
    Some(source.join(rest))
}

pub fn is_mount_point(what: What) -> bool {
    !matches!(what, What::Chmod | What::RemountRo | What::Symlink | What::Dir | What::File)
}
