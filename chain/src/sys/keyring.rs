//! Session keyrings (session-keyring(7)), by keyctl(2).

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// KEYCTL_GET_KEYRING_ID, KEYCTL_JOIN_SESSION_KEYRING and KEY_SPEC_SESSION_KEYRING of linux/keyctl.h.
const GET_ID: libc::c_int = 0;
const JOIN: libc::c_int = 1;
const SESSION: libc::c_int = -3;

/// Replaces the session keyring of this process by a new one without a name; gives its serial number.
/// Errors: EDQUOT where the user has too many keys, ENOSYS where the kernel has no keyrings.
pub fn join_new() -> Sys<i64> {
    // SAFETY: numbers only; no name.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, JOIN, 0_usize) })
}

/// The serial number of this process's session keyring; none is made.
/// Errors: ENOKEY where there is none.
pub fn session() -> Sys<i64> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, GET_ID, SESSION, 0) })
}
