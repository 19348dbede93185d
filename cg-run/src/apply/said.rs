//! What is said once, and not at every run.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::unistd::geteuid;

/// Whether this user is told for the first time since the machine was started. A file remembers it, in the folder of the
/// user's run-time files: by its usual name, for a script may have cleared the environment. Where it cannot be made, every
/// time is the first.
pub fn first_time() -> bool {
    let user = geteuid();
    let folder = if user.is_root() { "/run".to_owned() } else { format!("/run/user/{user}") };
    // With O_EXCL whatever has the name already, a link too, is left alone.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder + "/chainbox-no-cgroup");
    made.err().is_none_or(|error| error.kind() != ErrorKind::AlreadyExists)
}
