//! Filters of system calls (seccomp(2)).

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// seccomp(2) SECCOMP_SET_MODE_FILTER (Linux 3.17): attaches a filter to this thread, on top of those it has. All or
/// nothing; a link has one thread, so SECCOMP_FILTER_FLAG_TSYNC has nothing to do.
/// Errors: EACCES without no_new_privs and CAP_SYS_ADMIN; EINVAL for a program that the kernel does not accept; ENOMEM
/// where all filters together are too long.
pub fn seccomp_attach(program: &[libc::sock_filter]) -> Sys<()> {
    attach_with(program, 0).map(drop)
}

/// The same with SECCOMP_FILTER_FLAG_*: 0, or the descriptor that one of them asks for.
pub(super) fn attach_with(program: &[libc::sock_filter], flags: libc::c_ulong) -> Sys<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel only reads the program; the C structure lacks the const.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: kernel reads only: one sock_fprog and the `len` instructions behind it, both alive during the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

/// seccomp(2) SECCOMP_GET_ACTION_AVAIL (Linux 4.14): whether filters may answer with this SECCOMP_RET_* action.
/// Errors: EOPNOTSUPP where the kernel does not know the action; EINVAL or ENOSYS on older kernels.
pub fn seccomp_has_action(action: u32) -> Sys<()> {
    // SAFETY: kernel reads only: one u32.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .map(drop)
}
