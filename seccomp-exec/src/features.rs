//! What this kernel offers the layer.

use chain::{Call as _, Result, sys};
use nix::errno::Errno;
use nix::libc;

use rustix::thread::CapabilitySet;

use crate::look::caller::{ambient, bounding, has_no_new_privs, landlock, securebits};
use crate::model::capabilities::names;

/// That there are keyrings at all: a session without one says ENOKEY.
fn session_keyring() -> std::result::Result<String, Errno> {
    match sys::keyring::session() {
        Ok(_) => Ok("this session has one".to_owned()),
        Err(Errno::ENOKEY) => Ok("this session has none".to_owned()),
        Err(errno) => Err(errno),
    }
}

/// `--features`: what this kernel offers the layer.
pub fn features() -> String {
    let yes_no = |outcome: Result<String>| outcome.map_or_else(|e| format!("no, {e:#}"), |now| format!("yes, {now}"));
    let filters = sys::seccomp_has_action(libc::SECCOMP_RET_KILL_PROCESS).call("seccomp");
    let asks = sys::seccomp_has_action(libc::SECCOMP_RET_USER_NOTIF).call("seccomp");
    let abi = |abi| if abi == 0 { "no".to_owned() } else { format!("yes, ABI {abi}") };
    let errata = |bits| format!("fixed errata {bits:#b}");
    let lines = [
        ("Landlock", landlock().map_or_else(|error| format!("no, {error:#}"), abi), "5.13"),
        ("Landlock errata", yes_no(sys::landlock::query(2).call("landlock_create_ruleset").map(errata)), "6.15"),
        ("no_new_privs", yes_no(has_no_new_privs().map(|on| format!("now {on}"))), "3.5"),
        ("seccomp filters that kill the process", yes_no(filters.map(|()| "on x86_64".to_owned())), "4.14"),
        ("seccomp filters that ask", yes_no(asks.map(|()| "with a listener".to_owned())), "5.0"),
        ("bounding set", yes_no(bounding().map(|set| format!("now {}", names(set)))), "2.6.25"),
        ("ambient set", yes_no(ambient(CapabilitySet::all()).map(|set| format!("now {}", names(set)))), "4.3"),
        ("session keyrings", yes_no(session_keyring().call("keyctl")), "2.6.11"),
        ("securebits", yes_no(securebits().map(|bits| format!("now {:#x}", bits.bits()))), "2.6.26"),
    ];
    lines.iter().map(|(name, found, since)| format!("{name}: {found}, Linux {since}\n")).collect()
}
