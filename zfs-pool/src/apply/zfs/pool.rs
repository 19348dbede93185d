//! The place of mounts and locks.

use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use chain::{Call as _, Context as _, Result, show};

use crate::apply::lock;
use crate::look::folder::Folder;
use crate::look::zfs::pool::{PLACE, ZfsPool};
use crate::model::name::Name;

/// The place, made and checked to be root's alone.
pub fn place() -> Result<Folder> {
    DirBuilder::new().recursive(true).mode(0o700).create(PLACE).call("mkdir").context(PLACE)?;
    Folder::open(Path::new(PLACE))
}

/// Takes the maintenance lock of a template.
pub fn lock_of(pool: &ZfsPool, name: &Name) -> Result<OwnedFd> {
    place()?;
    // No name of a dataset has a comma in it.
    let path = Path::new(PLACE).join(format!("{},{name}.lock", pool.dataset.replace('/', ",")));
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(nix::libc::O_NOFOLLOW).open(&path).call("open").with_context(|| show(&path))?;
    lock::waiting(&file).with_context(|| show(&path))?;
    Ok(file.into())
}
