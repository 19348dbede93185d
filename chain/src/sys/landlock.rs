//! The three system calls of Landlock (landlock(7)), and the question by which its effect is seen.
//!
//! Raw, because the well-kept `landlock` crate is made for best effort, brings proc macros, and wraps these three only
//! (docs/adr/0009).

use std::ffi::{c_int, c_uint};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::Sys;

/// `struct landlock_ruleset_attr` of linux/landlock.h as of ABI 6: the rights that a ruleset takes away wherever no rule
/// gives them back. Older kernels take it where what they do not know is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// LANDLOCK_ACCESS_FS_*.
    pub fs: u64,
    /// LANDLOCK_ACCESS_NET_* (ABI 4).
    pub net: u64,
    /// LANDLOCK_SCOPE_* (ABI 6).
    pub scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Path {
    allowed: u64,
    parent: c_int,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct Port {
    allowed: u64,
    port: u64,
}

/// What landlock_create_ruleset(2) says of itself: its ABI with LANDLOCK_CREATE_RULESET_VERSION (1), the fixed errata as
/// bits with LANDLOCK_CREATE_RULESET_ERRATA (2, Linux 6.15).
/// Errors: ENOSYS before Linux 5.13 or where it is not built in, EOPNOTSUPP where it is not started.
pub fn query(flag: c_uint) -> Sys<u32> {
    let none: *const Rights = ptr::null();
    // SAFETY: a null pointer of size zero, which these two flags demand.
    let said = Errno::result(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, flag) })?;
    Ok(u32::try_from(said).unwrap_or(0))
}

/// landlock_create_ruleset(2): a ruleset without rules, as a close-on-exec descriptor.
/// Errors: EINVAL or E2BIG for a right that this kernel does not know, ENOMSG for none at all.
pub fn ruleset(rights: Rights) -> Sys<OwnedFd> {
    // SAFETY: kernel reads only, `size` bytes of plain integers.
    let file = Errno::result(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rights, mem::size_of::<Rights>(), 0)
    })?;
    // SAFETY: the kernel has just opened this descriptor for us; descriptors are ints.
    Ok(unsafe { OwnedFd::from_raw_fd(c_int::try_from(file).map_err(|_| Errno::EBADF)?) })
}

/// LANDLOCK_RULE_PATH_BENEATH and LANDLOCK_RULE_NET_PORT.
const RULE_PATH: c_int = 1;
const RULE_PORT: c_int = 2;

/// landlock_add_rule(2): `allowed` on the file `parent` and, if it is a folder, on all that is below.
/// Errors: EINVAL for rights that the ruleset does not take away or that a file cannot have, EBADFD for an inner file
/// system.
pub fn allow_path(ruleset: impl AsFd, parent: impl AsFd, allowed: u64) -> Sys<()> {
    let rule = Path { allowed, parent: parent.as_fd().as_raw_fd() };
    let ruleset = ruleset.as_fd().as_raw_fd();
    // SAFETY: kernel reads only, one structure of plain integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH, &raw const rule, 0) })
        .map(drop)
}

/// landlock_add_rule(2): `allowed` on this TCP port (ABI 4).
/// Errors: EINVAL for rights that the ruleset does not take away.
pub fn allow_port(ruleset: impl AsFd, port: u16, allowed: u64) -> Sys<()> {
    let rule = Port { allowed, port: u64::from(port) };
    let ruleset = ruleset.as_fd().as_raw_fd();
    // SAFETY: kernel reads only, one structure of plain integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PORT, &raw const rule, 0) })
        .map(drop)
}

/// landlock_restrict_self(2): from now on for this process and whatever it starts.
/// Errors: EPERM without no_new_privs and CAP_SYS_ADMIN, E2BIG beyond 16 rulesets on top of each other.
pub fn restrict_self(ruleset: impl AsFd) -> Sys<()> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_fd().as_raw_fd(), 0) }).map(drop)
}

/// Whether this process may read the state of `pid` as a debugger may (PTRACE_MODE_READ of ptrace(2)): asked by
/// get_robust_list(2), which every kernel has, and whose answer is thrown away.
/// Errors: EPERM where it may not.
pub fn may_inspect(pid: Pid) -> Sys<()> {
    let (mut head, mut length) = (0_usize, 0_usize);
    // SAFETY: the kernel writes one pointer and one size, both of which have their place here.
    Errno::result(unsafe { libc::syscall(libc::SYS_get_robust_list, pid.as_raw(), &raw mut head, &raw mut length) })
        .map(drop)
}
