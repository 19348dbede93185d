//! Filters that ask: the listener by which another process answers for system calls (seccomp_unotify(2), Linux 5.0).

use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use super::Sys;
use super::seccomp::attach_with;

/// seccomp(2) SECCOMP_SET_MODE_FILTER with a new listener, close-on-exec. Where the kernel can (Linux 5.19), a call whose
/// question has been received is interrupted by fatal signals only: otherwise a process that gets many signals asks
/// for ever.
/// Errors: as `seccomp_attach`; EBUSY where a filter of this process has a listener already.
pub fn attach(program: &[libc::sock_filter]) -> Sys<OwnedFd> {
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let file = match attach_with(program, listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(Errno::EINVAL) => attach_with(program, listening),
        answer => answer,
    }?;
    // SAFETY: the kernel has just opened this descriptor for us; descriptors are ints.
    Ok(unsafe { OwnedFd::from_raw_fd(libc::c_int::try_from(file).map_err(|_| Errno::EBADF)?) })
}

/// sendmsg(2) of one byte with a descriptor (SCM_RIGHTS), with `mark` in the sixth argument, which the kernel does not
/// read and a filter sees.
pub fn send(socket: impl AsFd, file: impl AsFd, mark: u64) -> Sys<()> {
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // A cmsghdr and one descriptor, in words so that it is aligned as cmsghdr wants.
    let mut control = [0_usize; 4];
    // SAFETY: msghdr is plain integers and pointers; zero is valid in each.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    let size = libc::c_uint::try_from(mem::size_of::<libc::c_int>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: CMSG_SPACE and CMSG_LEN compute; CMSG_FIRSTHDR and CMSG_DATA give places within `control`, which is
    // larger than CMSG_SPACE of one int (24 bytes of 32).
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
        libc::CMSG_DATA(header).cast::<libc::c_int>().write_unaligned(file.as_fd().as_raw_fd());
    }
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: kernel reads only: the message and what it points to, all alive during the call.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_sendmsg, socket, &raw const message, libc::MSG_NOSIGNAL, 0_usize, 0_usize, mark)
    })
    .map(drop)
}

/// The next question (SECCOMP_IOCTL_NOTIF_RECV): waits for one.
/// Errors: ENOENT where the process that asked is gone already.
pub fn receive(listener: impl AsFd) -> Sys<libc::seccomp_notif> {
    // SAFETY: plain integers; the kernel demands zeros.
    let mut question: libc::seccomp_notif = unsafe { mem::zeroed() };
    let file = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one seccomp_notif.
    Errno::result(unsafe { libc::ioctl(file, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question) })?;
    Ok(question)
}

/// Answers a question (SECCOMP_IOCTL_NOTIF_SEND): the call fails with this errno, or is made as it is
/// (SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5), which is no way to keep anybody from anything: its arguments may
/// have changed since.
/// Errors: ENOENT where the process that asked is gone.
pub fn answer(listener: impl AsFd, id: u64, errno: Option<Errno>) -> Sys<()> {
    let (error, flags) = errno.map_or((0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE), |errno| (-(errno as i32), 0));
    let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
    let file = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one seccomp_notif_resp.
    Errno::result(unsafe { libc::ioctl(file, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) }).map(drop)
}
