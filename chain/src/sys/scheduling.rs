//! How a process is scheduled, and settings of it that are plain numbers.

use std::ffi::c_int;
use std::mem;

use nix::errno::Errno;
use nix::libc;

use super::Sys;

/// The first version of the kernel's `struct sched_attr` (sched_setattr(2), Linux 3.14).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Size of this structure.
    pub size: u32,
    /// SCHED_OTHER, SCHED_FIFO, ...
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Nice value, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// Static priority, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds of CPU in each period, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds until the deadline, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds of a period, for SCHED_DEADLINE.
    pub period: u64,
}

impl SchedAttr {
    const SIZE: u32 = mem::size_of::<Self>() as u32;
}

/// Sets the scheduling policy of this process.
/// Errors: EPERM above RLIMIT_RTPRIO without CAP_SYS_NICE, EINVAL for a combination that does not exist.
pub fn sched_setattr(attr: SchedAttr) -> Sys<()> {
    let attr = SchedAttr { size: SchedAttr::SIZE, ..attr };
    // SAFETY: kernel reads only, `size` bytes.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// The scheduling policy of this process.
pub fn sched_getattr() -> Sys<SchedAttr> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel writes at most the size that it is told.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, SchedAttr::SIZE, 0) })?;
    Ok(attr)
}

/// ioprio_set(2) of this process: class in the bits from 13, level below.
/// Errors: EPERM for the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn ioprio_set(value: c_int) -> Sys<()> {
    // SAFETY: numbers only; 1 is IOPRIO_WHO_PROCESS, 0 this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, value) }).map(drop)
}

/// ioprio_get(2) of this process.
pub fn ioprio_get() -> Sys<c_int> {
    // SAFETY: numbers only.
    let value = Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) })?;
    Ok(c_int::try_from(value).unwrap_or(0))
}

/// prctl(2) with numbers only: for the settings of a process that take no pointer. Returns the call's value.
/// Errors: EINVAL for an option that this kernel does not have.
pub fn prctl_number(option: Prctl, value: u64) -> Sys<c_int> {
    // SAFETY: none of the options of `Prctl` takes a pointer; unused arguments are zero as the kernel demands.
    Errno::result(unsafe {
        libc::prctl(option as c_int, value, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong)
    })
}

/// The options of prctl(2) that take numbers only and that no crate wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Prctl {
    /// Whether reading the time stamp counter is allowed (x86).
    SetTsc = libc::PR_SET_TSC,
    /// Memory-Deny-Write-Execute (Linux 6.3).
    SetMdwe = 65,
    /// The flags that [`Prctl::SetMdwe`] set.
    GetMdwe = 66,
    /// Core scheduling (Linux 5.14); value 1 makes a new cookie for this process.
    SchedCore = 62,
}
