//! Read-only facts: who this process is and what it may do. By system call only: inside a box /proc need not be there.

use chain::{Call as _, Context as _, Failure, Result, show, sys};
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::utsname::uname;
use nix::unistd::{getgroups, getresgid, getresuid};
use rustix::thread::{
    CapabilitiesSecureBits, SecureComputingMode, capabilities, capabilities_secure_bits, capability_is_in_ambient_set,
    capability_is_in_bounding_set, no_new_privs, secure_computing_mode,
};

use crate::args::{Keep, Request};
use crate::capset::CapSet;
use crate::filters::{self, Filter};
use crate::ids::sorted;
use crate::learn;
use crate::oci::{self, Conditions};

/// The facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The permitted set.
    pub permitted: CapSet,
    /// The bounding set, where something depends on it: reading it takes a call for each capability.
    pub bounding: Option<CapSet>,
    /// The supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// The ABI of Landlock, where it was asked for; 0 where there is none.
    pub landlock: u32,
    /// The filters, read.
    pub filters: Vec<Filter>,
    /// What marks the message with the listener of a filter that asks.
    pub mark: u64,
    /// An earlier link has only explained itself: what it would have changed is not in these facts.
    pub explaining: bool,
}

/// Reads the facts that the request depends on.
///
/// # Errors
/// What capget(2), prctl(2) or getgroups(2) say; a path that is not there.
pub fn facts(request: &Request, explaining: bool) -> Result<Facts> {
    let needs_bounding = request.allow_new_privs || request.keep != Keep::Only(CapSet::EMPTY);
    let wants_landlock = request.landlock.is_anything();
    if !explaining {
        request.landlock.paths.iter().try_for_each(|(grant, path)| {
            stat(path.as_os_str()).call("stat").map(drop).with_context(|| format!("--landlock-{grant} {}", show(path)))
        })?;
    }
    Ok(Facts {
        permitted: sets()?.permitted,
        bounding: needs_bounding.then(bounding).transpose()?,
        groups: if request.user.is_some() { groups()? } else { vec![] },
        landlock: if wants_landlock { landlock()? } else { 0 },
        filters: filters(request)?,
        mark: if request.notify_fd.is_some() { sys::random().call("getrandom")? } else { 0 },
        explaining,
    })
}

/// The filters of the request, read.
///
/// # Errors
/// A file that cannot be read, or is no filter.
pub fn filters(request: &Request) -> Result<Vec<Filter>> {
    let learning = request.learn.iter().map(|_| learn::filter());
    if request.filters.is_empty() {
        return learning.collect();
    }
    let conditions = conditions(request)?;
    let load = |source| filters::load(source, &conditions);
    let logged = |filter: Filter| if request.log { filter.logged() } else { Ok(filter) };
    request.filters.iter().map(|source| load(source).and_then(logged)).chain(learning).collect()
}

/// What conditions of a profile are about.
///
/// # Errors
/// What capget(2) or uname(2) say.
pub fn conditions(request: &Request) -> Result<Conditions> {
    let caps = match request.keep {
        Keep::Only(caps) => caps,
        Keep::All => sets()?.permitted,
    };
    let release = uname().call("uname")?.release().to_string_lossy().into_owned();
    let kernel =
        oci::version(&release).ok_or_else(|| Failure::refusal(format!("uname: {}: no version", show(&release))))?;
    Ok(Conditions { caps, kernel })
}

/// The ABI of this kernel's Landlock, 0 where there is none.
///
/// # Errors
/// What landlock_create_ruleset(2) says besides "there is none".
pub fn landlock() -> Result<u32> {
    match sys::landlock::query(1) {
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(0),
        answer => answer.call("landlock_create_ruleset"),
    }
}

/// The three sets of capget(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names are those of capabilities(7)")]
pub struct Sets {
    pub effective: CapSet,
    pub permitted: CapSet,
    pub inheritable: CapSet,
}

/// The effective, permitted and inheritable set.
///
/// # Errors
/// What capget(2) says.
pub fn sets() -> Result<Sets> {
    let now = capabilities(None).call("capget")?;
    let set = |bits: rustix::thread::CapabilitySet| CapSet(bits.bits());
    Ok(Sets { effective: set(now.effective), permitted: set(now.permitted), inheritable: set(now.inheritable) })
}

/// The bounding set.
///
/// # Errors
/// What prctl(2) says.
pub fn bounding() -> Result<CapSet> {
    collected(|one| capability_is_in_bounding_set(one.bits())).call("prctl(PR_CAPBSET_READ)")
}

/// The ambient set (Linux 4.3).
///
/// # Errors
/// What prctl(2) says.
pub fn ambient() -> Result<CapSet> {
    collected(is_ambient).call("prctl(PR_CAP_AMBIENT_IS_SET)")
}

/// Those of `these` that are in the ambient set.
///
/// # Errors
/// What prctl(2) says.
pub fn ambient_among(these: CapSet) -> Result<CapSet> {
    let held = |one: &CapSet| is_ambient(*one).call("prctl(PR_CAP_AMBIENT_IS_SET)");
    these.each().try_fold(CapSet::EMPTY, |set, one| Ok(if held(&one)? { set.with(one) } else { set }))
}

fn is_ambient(one: CapSet) -> rustix::io::Result<bool> {
    capability_is_in_ambient_set(one.bits())
}

/// The capabilities for which `is_in` holds, asked one by one up to the last that this kernel has (EINVAL).
fn collected(is_in: impl Fn(CapSet) -> rustix::io::Result<bool>) -> rustix::io::Result<CapSet> {
    let mut set = CapSet::EMPTY;
    for one in CapSet::ALL.each() {
        match is_in(one) {
            Ok(true) => set = set.with(one),
            Ok(false) => {}
            Err(rustix::io::Errno::INVAL) if one.0 > 1 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(set)
}

/// The supplementary groups, sorted.
///
/// # Errors
/// What getgroups(2) says.
pub fn groups() -> Result<Vec<u32>> {
    Ok(sorted(getgroups().call("getgroups")?.into_iter().map(|group| group.as_raw()).collect()))
}

/// Real, effective and saved user id.
///
/// # Errors
/// What getresuid(2) says.
pub fn user() -> Result<[u32; 3]> {
    let now = getresuid().call("getresuid")?;
    Ok([now.real, now.effective, now.saved].map(|uid| uid.as_raw()))
}

/// Real, effective and saved group id.
///
/// # Errors
/// What getresgid(2) says.
pub fn group() -> Result<[u32; 3]> {
    let now = getresgid().call("getresgid")?;
    Ok([now.real, now.effective, now.saved].map(|gid| gid.as_raw()))
}

/// The securebits.
///
/// # Errors
/// What prctl(2) says.
pub fn securebits() -> Result<CapabilitiesSecureBits> {
    capabilities_secure_bits().call("prctl(PR_GET_SECUREBITS)")
}

/// Whether no_new_privs is set.
///
/// # Errors
/// What prctl(2) says.
pub fn has_no_new_privs() -> Result<bool> {
    no_new_privs().call("prctl(PR_GET_NO_NEW_PRIVS)")
}

/// Whether a filter is attached.
///
/// # Errors
/// What prctl(2) says.
pub fn is_filtered() -> Result<bool> {
    let mode = secure_computing_mode().call("prctl(PR_GET_SECCOMP)")?;
    Ok(mode == SecureComputingMode::Filter)
}

/// That there are keyrings at all: a session without one says ENOKEY.
fn session_keyring() -> std::result::Result<String, Errno> {
    match sys::keyring::session() {
        Ok(_) => Ok("this session has one".to_owned()),
        Err(Errno::ENOKEY) => Ok("this session has none".to_owned()),
        Err(errno) => Err(errno),
    }
}

/// `--features`: what this kernel offers the layer.
#[must_use]
pub fn features() -> String {
    let yes_no = |outcome: Result<String>| outcome.map_or_else(|e| format!("no, {e:#}"), |now| format!("yes, {now}"));
    let filters = chain::sys::seccomp_has_action(nix::libc::SECCOMP_RET_KILL_PROCESS).call("seccomp");
    let asks = chain::sys::seccomp_has_action(nix::libc::SECCOMP_RET_USER_NOTIF).call("seccomp");
    let abi = |abi| if abi == 0 { "no".to_owned() } else { format!("yes, ABI {abi}") };
    let errata = |bits| format!("fixed errata {bits:#b}");
    let lines = [
        ("Landlock", landlock().map_or_else(|error| format!("no, {error:#}"), abi), "5.13"),
        ("Landlock errata", yes_no(sys::landlock::query(2).call("landlock_create_ruleset").map(errata)), "6.15"),
        ("no_new_privs", yes_no(has_no_new_privs().map(|on| format!("now {on}"))), "3.5"),
        ("seccomp filters that kill the process", yes_no(filters.map(|()| "on x86_64".to_owned())), "4.14"),
        ("seccomp filters that ask", yes_no(asks.map(|()| "with a listener".to_owned())), "5.0"),
        ("bounding set", yes_no(bounding().map(|set| format!("now {set}"))), "2.6.25"),
        ("ambient set", yes_no(ambient().map(|set| format!("now {set}"))), "4.3"),
        ("session keyrings", yes_no(session_keyring().call("keyctl")), "2.6.11"),
        ("securebits", yes_no(securebits().map(|bits| format!("now {:#x}", bits.bits()))), "2.6.26"),
    ];
    lines.iter().map(|(name, found, since)| format!("{name}: {found}, Linux {since}\n")).collect()
}
