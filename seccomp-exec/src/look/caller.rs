//! The ids, capabilities and other credentials of this process, by system call only.

use chain::privilege::those;
use chain::{Call as _, Result, sys};
use nix::errno::Errno;
use nix::unistd::{getgroups, getresgid, getresuid};
use rustix::thread as rt;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, SecureComputingMode};

use crate::model::ids::sorted;

/// The ABI of this kernel's Landlock, 0 where there is none.
pub fn landlock() -> Result<u32> {
    match sys::landlock::query(1) {
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(0),
        answer => answer.call("landlock_create_ruleset"),
    }
}

pub fn sets() -> Result<CapabilitySets> {
    rt::capabilities(None).call("capget")
}

pub fn bounding() -> Result<CapabilitySet> {
    those(CapabilitySet::all(), rt::capability_is_in_bounding_set).call("prctl(PR_CAPBSET_READ)")
}

/// Those of `among` that are in the ambient set (Linux 4.3).
pub fn ambient(among: CapabilitySet) -> Result<CapabilitySet> {
    those(among, rt::capability_is_in_ambient_set).call("prctl(PR_CAP_AMBIENT_IS_SET)")
}

/// The supplementary groups, sorted.
pub fn groups() -> Result<Vec<u32>> {
    Ok(sorted(getgroups().call("getgroups")?.into_iter().map(|group| group.as_raw()).collect()))
}

pub fn user() -> Result<[u32; 3]> {
    let now = getresuid().call("getresuid")?;
    Ok([now.real, now.effective, now.saved].map(|uid| uid.as_raw()))
}

pub fn group() -> Result<[u32; 3]> {
    let now = getresgid().call("getresgid")?;
    Ok([now.real, now.effective, now.saved].map(|gid| gid.as_raw()))
}

pub fn securebits() -> Result<CapabilitiesSecureBits> {
    rt::capabilities_secure_bits().call("prctl(PR_GET_SECUREBITS)")
}

pub fn has_no_new_privs() -> Result<bool> {
    rt::no_new_privs().call("prctl(PR_GET_NO_NEW_PRIVS)")
}

/// Whether a filter is attached.
pub fn is_filtered() -> Result<bool> {
    Ok(rt::secure_computing_mode().call("prctl(PR_GET_SECCOMP)")? == SecureComputingMode::Filter)
}
