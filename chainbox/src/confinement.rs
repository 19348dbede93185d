//! AppArmor's profile of this file (packaging/apparmor.d/chainbox) is for what ordinary users start: no program that is
//! executed under it has a capability. Root's own runs leave it, for zfs(8), or a payload that root gave to cg-run alone, need theirs;
//! it would hold nobody back who can unload it.

use std::fs;

use chain::process;
use nix::unistd::geteuid;

/// The profile that this process is in.
const PROFILE: &str = "/proc/self/attr/apparmor/current";

/// Leaves the profile as root of the machine. Where that is refused (no_new_privs) it stays in force, and a message that names
/// it says what it forbade.
pub fn leave_as_root() {
    let is_in_it = || fs::read_to_string(PROFILE).is_ok_and(|found| found.trim() == "chainbox (enforce)");
    if geteuid().is_root() && is_in_it() && !process::in_user_namespace() {
        fs::write(PROFILE, "changeprofile unconfined").unwrap_or_default();
    }
}
