//! AppArmor's profile of this file (packaging/apparmor.d/chainbox) is for what ordinary users start: no program that is
//! executed under it has a capability. Root's own runs leave it, for zfs(8), or a payload that root gave to cg-run alone, need theirs;
//! it would hold nobody back who can unload it.

use std::fs;

use nix::unistd::geteuid;

/// The profile that this process is in.
const PROFILE: &str = "/proc/self/attr/apparmor/current";

/// Leaves the profile as root of the machine. Where that is refused (no_new_privs) it stays in force, and a message that names
/// it says what it forbade.
pub fn leave_as_root() {
    let is = |path: &str, text: &[&str]| {
        fs::read_to_string(path).is_ok_and(|found| found.split_whitespace().eq(text.iter().copied()))
    };
    if geteuid().is_root()
        && is(PROFILE, &["chainbox", "(enforce)"])
        && is("/proc/self/uid_map", &["0", "0", "4294967295"])
    {
        fs::write(PROFILE, "changeprofile unconfined").unwrap_or_default();
    }
}
