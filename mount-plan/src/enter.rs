//! Into the new root, and out of reach of the old one.

use std::path::Path;

use chain::failure::{Call as _, Failure};
use chain::{Result, show, wait};
use rustix::fs::OFlags;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{fchdir, pivot_root};

use crate::carry::Carried;
use crate::hints;
use crate::stage::Stage;
use crate::walk::open_in;

/// Makes the assembled tree the root, by descriptor, and detaches the old root: nothing of it is mounted afterwards.
/// pivot_root(2) explains why `.` is both the new root and the place of the old.
///
/// # Errors
/// What the system calls say; EINVAL of pivot_root with its cause.
pub fn root(stage: &Stage) -> Result<()> {
    if matches!(stage.carried, Some(Carried::Own)) {
        // This process runs a file of the old root until the payload is executed: nobody in the new one may open it.
        wait::hide_from_payload()?;
    }
    fchdir(stage.root()?).call("fchdir(the new root)")?;
    pivot_root(".", ".").call("pivot_root").map_err(hints::old_root)?;
    unmount(".", UnmountFlags::DETACH).call("umount2(the old root, MNT_DETACH)")
}

/// Goes to `path` in the new root and checks to be inside it (CVE-2024-21626). The caller's own directory, where it is
/// not `wanted` by the plan, may be missing: then it is `/`.
///
/// # Errors
/// A wanted directory that cannot be entered; a working directory outside the root.
pub fn directory(stage: &Stage, path: &Path, wanted: bool) -> Result<()> {
    let found = open_in(stage.root()?, path, OFlags::DIRECTORY);
    let entered = found.and_then(fchdir);
    if wanted {
        entered.call(&format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)", show(path)))?;
    } else if entered.is_err() {
        fchdir(stage.root()?).call("fchdir(/)")?;
    }
    let inside = nix::unistd::getcwd().is_ok_and(|cwd| cwd.is_absolute());
    if inside { Ok(()) } else { Err(Failure::refusal("the working directory is outside the new root").into()) }
}
