//! Network interfaces (netdevice(7)).

use std::ffi::{CStr, c_char};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// An `ifreq` for the interface `name` (netdevice(7)), all else zero.
fn interface(name: &CStr) -> Sys<libc::ifreq> {
    // SAFETY: ifreq is a name and a union of plain integers and addresses; zero is valid in each.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let bytes = name.to_bytes_with_nul();
    if bytes.len() > request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    request.ifr_name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from as c_char);
    Ok(request)
}

/// The flags of a network interface: IFF_UP and others (netdevice(7), SIOCGIFFLAGS).
/// Errors: ENODEV where there is none of this name in the socket's network namespace.
pub fn interface_flags(socket: BorrowedFd<'_>, name: &CStr) -> Sys<libc::c_short> {
    let mut request = interface(name)?;
    // SAFETY: the kernel reads and writes one ifreq.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as libc::Ioctl, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has filled in this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// Sets them (SIOCSIFFLAGS).
/// Errors: EPERM without CAP_NET_ADMIN over the network namespace.
pub fn set_interface_flags(socket: BorrowedFd<'_>, name: &CStr, flags: libc::c_short) -> Sys<()> {
    let mut request = interface(name)?;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: kernel reads only, one ifreq.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) })
        .map(drop)
}
