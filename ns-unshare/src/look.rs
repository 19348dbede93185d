//! Read-only facts about the caller: ids, privilege, and the kernel where it matters.

use std::ffi::OsString;
use std::path::Path;

use chain::terminal::Terminal;
use chain::{Call as _, Result, next};
use nix::unistd::{getegid, geteuid, getuid};
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, no_new_privs, secure_computing_mode};

use crate::args::Request;
use crate::join;
use crate::namespace::{Namespace, Set};
use crate::subids::{self, Subids};

/// What the plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Whether any map may be written: CAP_SETUID and CAP_SETGID.
    pub may_map: bool,
    /// The caller's subordinate ids, where they are to be mapped.
    pub subids: Option<Subids>,
    /// Whether setuid programs do nothing for the caller (no_new_privs).
    pub no_new_privs: bool,
    /// Whether namespaces may be entered as they are: CAP_SYS_ADMIN.
    pub admin: bool,
    /// Whether the next program is a tool of ours.
    pub family_next: bool,
    /// The namespaces that --join-all enters.
    pub join_all: Set,
}

/// Looks at the caller.
///
/// # Errors
/// What capget(2) says.
pub fn facts(request: &Request, prog: &[OsString]) -> Result<Facts> {
    Ok(Facts {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        may_map: request.new.has(Namespace::User) && may(CapabilitySet::SETUID | CapabilitySet::SETGID)?,
        admin: !request.joins.is_empty() && may(CapabilitySet::SYS_ADMIN)?,
        family_next: next::is_our_tool(prog),
        subids: request.subids.then(|| subids::of(getuid().as_raw())).transpose()?,
        no_new_privs: request.subids && no_new_privs().call("prctl(PR_GET_NO_NEW_PRIVS)")?,
        join_all: request.join_all.map_or(Ok(Set::default()), join::differing)?,
    })
}

fn may(needed: CapabilitySet) -> Result<bool> {
    Ok(capabilities(None).call("capget")?.effective.contains(needed))
}

/// Whether a program that shares the caller's terminal could type into it (CVE-2017-5226 and its kind): there is one, the
/// kernel has TIOCSTI (dev.tty.legacy_tiocsti, Linux 6.2), and no filter is there yet that may forbid it.
#[must_use]
pub fn can_be_typed_into() -> bool {
    Terminal::controlling().is_ok_and(|terminal| terminal.is_some())
        && sysctl("dev/tty/legacy_tiocsti").is_none_or(|value| value != "0")
        && secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Disabled)
}

/// Whether this kernel has such namespaces.
#[must_use]
pub fn supported(kind: Namespace) -> bool {
    Path::new("/proc/self/ns").join(kind.file()).exists()
}

/// One number under /proc/sys, as text; `None` where this kernel does not have it.
#[must_use]
pub fn sysctl(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// `--features`: every namespace, the settings that can forbid them, and what else the layer uses.
#[must_use]
pub fn features() -> String {
    let namespaces: String = Namespace::ALL.into_iter().map(feature).collect();
    namespaces + &settings()
}

fn feature(kind: Namespace) -> String {
    let answer = if supported(kind) { "yes" } else { "no" };
    let limit = sysctl(&format!("user/max_{}_namespaces", kind.file()));
    let limit = limit.map_or(String::new(), |max| format!(", at most {max}"));
    format!("{} namespace: {answer}{limit}, Linux {}\n", kind.word(), kind.since())
}

fn settings() -> String {
    crate::hint::FORBIDDING
        .iter()
        .filter_map(|setting| sysctl(setting.file).map(|value| (setting, value)))
        .map(|(setting, value)| {
            let answer = if value == setting.forbids { "no" } else { "yes" };
            format!("user namespaces for everybody: {answer}, {} = {value}\n", setting.name)
        })
        .collect()
}
