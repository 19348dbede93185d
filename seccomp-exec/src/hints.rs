//! Why a step failed, as far as it can be known.

use chain::Hint as _;
use chain::failure::errno_of;
use nix::errno::Errno;
use rustix::thread::CapabilitySet;

use crate::args::Request;
use crate::look::caller;
use crate::model::capabilities::names;
use crate::plan::TAKEN;

/// Why ids could not be changed: the capability is missing, the user namespace forbids it, or it does not know the id.
pub fn of_ids(error: anyhow::Error, needed: CapabilitySet) -> anyhow::Error {
    let denied = if caller::sets().is_ok_and(|now| now.effective.contains(needed)) {
        "this user namespace denies setgroups(2) (/proc/self/setgroups), so the groups of the caller cannot be dropped in \
         it: leave --user away, or map groups with newgidmap(1)"
            .to_owned()
    } else {
        missing(needed)
    };
    error.hinted(&[(Errno::EPERM, &denied), (Errno::EINVAL, "the id is not mapped in this process's user namespace")])
}

/// Why a capability may not be there.
pub fn missing(needed: CapabilitySet) -> String {
    if caller::bounding().is_ok_and(|bounding| bounding.is_empty()) {
        return TAKEN.to_owned();
    }
    format!("CAP_{} in this process's user namespace is needed", names(needed).to_uppercase())
}

/// An exec that Landlock denied looks like any other.
pub fn of_exec(error: anyhow::Error, request: &Request) -> anyhow::Error {
    if request.landlock.paths.is_empty() || errno_of(&error) != Some(Errno::EACCES) {
        return error;
    }
    error.hint("Landlock lets nothing be executed but what --landlock-rx names: PROG, its loader or interpreter")
}
