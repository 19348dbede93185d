//! Into the new root, and out of reach of the old one.

use std::path::{Path, PathBuf};

use chain::{Call as _, Hint as _, Result, refusal, show, wait};
use rustix::fs::OFlags;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{fchdir, pivot_root};

use super::carry::Carried;
use super::stage::Stage;
use crate::hints;
use crate::look::open::open_in;
use crate::model::Chdir;

/// Makes the assembled tree the root, by descriptor, and detaches the old root: nothing of it is mounted afterwards.
/// pivot_root(2) explains why `.` is both the new root and the place of the old.
pub fn root(stage: &Stage) -> Result<()> {
    if matches!(stage.carried, Some(Carried::Own)) {
        // This process runs a file of the old root until the payload is executed: nobody in the new one may open it.
        wait::hide_from_payload()?;
    }
    let root = stage.root()?;
    fchdir(root).call("fchdir(the new root)").map_err(|error| hints::fuse(root, error))?;
    pivot_root(".", ".").call("pivot_root").hinted(&hints::OLD_ROOT)?;
    unmount(".", UnmountFlags::DETACH).call("umount2(the old root, MNT_DETACH)")
}

/// Goes to the first of these working directories that is there; to `/` where all may be missing and are.
pub fn first_directory(stage: &mut Stage, chdirs: &[Chdir]) -> Result<()> {
    for Chdir { path, nofail, .. } in chdirs {
        match open_in(stage.root()?, path, OFlags::DIRECTORY).and_then(fchdir) {
            Err(_) if *nofail => {}
            result => {
                result.call(&format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)", show(path)))?;
                stage.directory.clone_from(path);
                return refuse_outside();
            }
        }
    }
    top(stage)
}

/// Goes to the caller's own working directory, and to `/` where it is missing in the new root.
pub fn directory_or_root(stage: &mut Stage, path: &Path) -> Result<()> {
    if open_in(stage.root()?, path, OFlags::DIRECTORY).and_then(fchdir).is_err() {
        stage.moved = Some(path.to_owned());
        return top(stage);
    }
    path.clone_into(&mut stage.directory);
    refuse_outside()
}

fn top(stage: &mut Stage) -> Result<()> {
    fchdir(stage.root()?).call("fchdir(/)")?;
    stage.directory = PathBuf::from("/");
    refuse_outside()
}

/// getcwd(2) names no directory outside the root (CVE-2024-21626).
fn refuse_outside() -> Result<()> {
    let inside = nix::unistd::getcwd().is_ok_and(|cwd| cwd.is_absolute());
    if inside { Ok(()) } else { Err(refusal!("the working directory is outside the new root")) }
}
