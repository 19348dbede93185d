//! Loop devices (loop(4)).

use std::ffi::c_int;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// Of linux/loop.h.
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// The number of a loop device that nobody uses at this moment, from an open /dev/loop-control.
/// Errors: EPERM without CAP_SYS_ADMIN over the machine.
pub fn free(control: impl AsFd) -> Sys<c_int> {
    // SAFETY: no argument; the answer is a number.
    Errno::result(unsafe { libc::ioctl(control.as_fd().as_raw_fd(), LOOP_CTL_GET_FREE) })
}

/// Makes an open loop device show `file`, until its last user closes it (LOOP_CONFIGURE, Linux 5.8).
/// Errors: EBUSY where somebody else was faster.
pub fn configure(device: impl AsFd, file: impl AsFd, read_only: bool) -> Sys<()> {
    // SAFETY: plain integers; zero means "not used" in each.
    let mut config: Config = unsafe { mem::zeroed() };
    config.fd = u32::try_from(file.as_fd().as_raw_fd()).map_err(|_| Errno::EBADF)?;
    config.info.flags = LO_FLAGS_AUTOCLEAR | if read_only { LO_FLAGS_READ_ONLY } else { 0 };
    // SAFETY: kernel reads only, one structure of the size that the number of the ioctl stands for.
    Errno::result(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CONFIGURE, &raw const config) }).map(drop)
}
