//! `--pin`: a file that keeps a new namespace when no process is left in it.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use chain::{Call as _, Result, show};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use super::proc::Proc;
use crate::hints;
use crate::model::join::Pin;
use crate::model::namespace::Namespace;

/// Mounts the namespace of the process on the file, which is made if it is not there.
pub fn put(pin: &Pin, process: &Proc) -> Result<()> {
    let name = if pin.kind == Namespace::Time { "time_for_children" } else { pin.kind.file() };
    let namespace = process.read(&format!("ns/{name}"))?;
    let opening = format!("open {}", show(&pin.file));
    // Its mode does not matter: nobody reads what is below the mount.
    match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&pin.file) {
        Err(error) if error.raw_os_error() != Some(Errno::EEXIST as i32) => {
            return Err(error).call(&opening).map_err(|error| hints::opening(error, &pin.file));
        }
        _ => {}
    }
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let target = openat(AT_FDCWD, pin.file.as_os_str(), flags, Mode::empty()).call(&opening)?;
    let by_descriptor = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
    let (source, target) = (by_descriptor(&namespace), by_descriptor(&target));
    mount(Some(source.as_str()), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>).call("mount")
}
