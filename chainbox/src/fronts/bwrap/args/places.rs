//! Where operations act: which of them count, and what of the caller's tree they would have made.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::{Operation, Request};
use crate::fronts::bwrap::table::{Access, What};

/// What is left to be done: the last mount at / hides whatever was done before it, and a directory / is there.
pub fn effective(request: &Request) -> Vec<&Operation> {
    let is_mounted = |operation: &Operation| operation.is_root() && is_mount_point(operation.what);
    let root = request.operations.iter().rposition(is_mounted);
    let rest = request.operations.iter().skip(root.unwrap_or(0));
    rest.filter(|operation| !(operation.is_root() && operation.what == What::Dir)).collect()
}

/// Where on the caller's side the target of each operation lies, if that is below a tree of the caller's that is shown
/// writable: what is not there would be made there.
pub fn made(operations: &[&Operation]) -> Vec<Option<PathBuf>> {
    let mut mounts: HashMap<&Path, usize> = HashMap::new();
    let places = operations.iter().enumerate().map(|(at, &operation)| {
        let above = operation.target.ancestors().filter_map(|path| mounts.get(path)).max();
        let cover = above.and_then(|at| operations.get(*at));
        let place = cover.and_then(|cover| below(cover, operation));
        if is_mount_point(operation.what) {
            mounts.insert(&operation.target, at);
        }
        place
    });
    places.collect()
}

fn below(cover: &Operation, operation: &Operation) -> Option<PathBuf> {
    let (What::Bind(access) | What::BindTry(access) | What::BindFd(access)) = cover.what else { return None };
    let changes = matches!(operation.what, What::Chmod | What::RemountRo);
    if access == Access::Read || changes || operation.target == cover.target {
        return None;
    }
    shown(cover, &operation.target)
}

/// Where on the caller's side a file of the new root lies, if that is in a tree of the caller's.
pub fn outside(operations: &[&Operation], file: &Path) -> Option<PathBuf> {
    let mut mounts =
        operations.iter().filter(|operation| is_mount_point(operation.what) && file.starts_with(&operation.target));
    shown(mounts.next_back()?, file)
}

/// What of the caller's a bind shows there. A payload of an earlier box may have put links below the source: the path has a
/// base (ns-unshare's --placeholder), unless that is the whole root.
fn shown(bind: &Operation, path: &Path) -> Option<PathBuf> {
    let source = match bind.what {
        What::Bind(_) | What::BindTry(_) => PathBuf::from(bind.sources.first()?),
        What::BindFd(_) => PathBuf::from(format!("/proc/self/fd/{}", bind.fd?)),
        _ => return None,
    };
    let rest: PathBuf = path.strip_prefix(&bind.target).ok()?.components().collect();
    Some(match rest == Path::new("") {
        true => source,
        false if source.components().eq([Component::RootDir]) => source.join(rest),
        false => [source.as_os_str(), OsStr::new("//"), rest.as_os_str()].into_iter().collect::<OsString>().into(),
    })
}

pub fn is_mount_point(what: What) -> bool {
    !matches!(what, What::Chmod | What::RemountRo | What::Symlink | What::Dir | What::File)
}
