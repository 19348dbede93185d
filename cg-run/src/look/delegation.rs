//! Whose a cgroup is to arrange: ours, or systemd's.

use chain::process;
use nix::sys::stat::fstat;
use nix::unistd::geteuid;

use super::cgroup::Cgroup;

/// Whether somebody gave the cgroup away to be arranged: by the mark of systemd's system manager (Delegate=yes), or by making
/// this ordinary user its owner, or this root of a user namespace. That root of the machine may write to it says nothing.
pub fn is_delegated(cgroup: &Cgroup) -> bool {
    let owned = || fstat(cgroup).is_ok_and(|facts| facts.st_uid == geteuid().as_raw());
    is_marked(cgroup) || ((!geteuid().is_root() || process::in_user_namespace()) && owned())
}

fn is_marked(cgroup: &Cgroup) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| cgroup.mark(name).as_deref() == Some("1"))
}

/// Whether it is of a unit that systemd's system manager keeps for itself. It marks its services; scopes of its have their
/// name alone. Users' managers mark nothing.
pub fn is_systemds(cgroup: &Cgroup) -> bool {
    let service = ["user.invocation_id", "trusted.invocation_id"].iter().any(|name| cgroup.mark(name).is_some());
    let scope = cgroup.path.extension().is_some_and(|kind| kind == "scope");
    let users = cgroup.path.iter().any(|name| name.as_encoded_bytes().starts_with(b"user@"));
    (service || (scope && !users)) && !is_marked(cgroup)
}
