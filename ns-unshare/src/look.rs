//! Read-only facts: the caller's ids and privilege, what is to be joined, and the kernel's settings where they matter.

pub mod list;
pub mod owner;
pub mod program;
pub mod settings;
pub mod subids;

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use chain::terminal::Terminal;
use chain::{Call as _, Hint as _, Result, next, refusal, show, sys};
use nix::mount::MsFlags;
use nix::sys::statfs::{FsType, NSFS_MAGIC, Statfs, TMPFS_MAGIC, statfs};
use nix::unistd::{getegid, geteuid, getuid};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, no_new_privs, secure_computing_mode};

use crate::args::Request;
use crate::model::join::Pin;
use crate::model::map::Ids;
use crate::model::namespace::{Namespace, Set};
use crate::model::setup::Propagation;

/// That of statfs(2).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// What the plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The effective ids.
    pub ids: Ids,
    /// Whether any map may be written: CAP_SETUID and CAP_SETGID.
    pub may_map: bool,
    /// The caller's subordinate ids, where they are to be mapped.
    pub subids: Option<subids::Subids>,
    /// Who is to be root in the box, where a descriptor says it.
    pub owner: Option<owner::Owner>,
    /// Whether setuid programs do nothing for the caller.
    pub no_new_privs: bool,
    /// Whether namespaces may be entered as they are: CAP_SYS_ADMIN.
    pub admin: bool,
    pub our_tool_next: bool,
    /// The namespaces that --join-all enters.
    pub join_all: Set,
    /// Whether the new mount namespace would have the kernel's first root, and that can be covered.
    pub first_root: bool,
}

pub fn facts(request: &Request, prog: &[OsString]) -> Result<Facts> {
    request.pins.iter().try_for_each(refuse_pinned)?;
    let may_map = request.new.has(Namespace::User) && may(CapabilitySet::SETUID | CapabilitySet::SETGID)?;
    Ok(Facts {
        ids: ids(),
        may_map,
        owner: request.map_owner.map(|fd| owner::of(fd, may_map)).transpose()?,
        admin: !request.joins.is_empty() && may(CapabilitySet::SYS_ADMIN)?,
        our_tool_next: next::is_our_tool(prog),
        subids: request.subids.then(|| subids::of(getuid().as_raw())).transpose()?,
        no_new_privs: request.subids && no_new_privs().call("prctl(PR_GET_NO_NEW_PRIVS)")?,
        join_all: request.join_all.map_or(Ok(Set::NONE), differing)?,
        first_root: copies_mounts(request) && is_first_root() && may(CapabilitySet::SYS_ADMIN)?,
    })
}

/// Whether the new mount namespace is a copy of the caller's in which none of its mounts is to be seen outside.
fn copies_mounts(request: &Request) -> bool {
    let closed = |mode: Propagation| mode.flag.intersects(MsFlags::MS_PRIVATE | MsFlags::MS_SLAVE);
    let joins = request.join_all.is_some() || !request.joins.is_empty();
    request.new.has(Namespace::Mount) && !joins && request.propagation.is_none_or(closed)
}

/// Whether `/` is the first root of an initramfs, which is its own parent (proc_pid_mountinfo(5)): so it is before Linux 7.0.
fn is_first_root() -> bool {
    let of_memory = |facts: Statfs| matches!(facts.filesystem_type(), TMPFS_MAGIC | RAMFS_MAGIC);
    if !statfs("/").is_ok_and(of_memory) {
        return false;
    }
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table.split(|byte| *byte == b'\n').any(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let (id, parent) = (words.next(), words.next());
        id == parent && words.nth(2) == Some(b"/".as_slice())
    })
}

/// Those that this kernel has, and allows at all.
pub fn supported(kinds: Set) -> Set {
    let there = |kind: &Namespace| Path::new("/proc/self/ns").join(kind.file()).exists();
    let allowed = |kind: &Namespace| settings::sysctl(&format!("user/{}", kind.limit())).is_none_or(|most| most != "0");
    kinds.iter().filter(there).filter(allowed).collect()
}

/// A second namespace on the same file would hide the first one, which nobody could join any more.
fn refuse_pinned(pin: &Pin) -> Result<()> {
    if !statfs(pin.file.as_os_str()).is_ok_and(|facts| facts.filesystem_type() == NSFS_MAGIC) {
        return Ok(());
    }
    let (kind, file) = (pin.kind.word(), show(&pin.file));
    let hint = format!("join what is there by --join TYPE={file}, or end it: umount {file}");
    Err(refusal!("--pin {kind}={file}: a namespace is pinned to it already").hint(hint))
}

/// The effective ids of this process, now.
pub fn ids() -> Ids {
    Ids { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

fn may(needed: CapabilitySet) -> Result<bool> {
    Ok(capabilities(None).call("capget")?.effective.contains(needed))
}

/// Whether a program that shares the caller's terminal could type into it (CVE-2017-5226 and its kind): there is one, the
/// kernel has TIOCSTI (dev.tty.legacy_tiocsti, Linux 6.2), and no filter is there yet that may forbid it.
pub fn can_be_typed_into() -> bool {
    Terminal::controlling().is_ok_and(|terminal| terminal.is_some())
        && settings::sysctl("dev/tty/legacy_tiocsti").is_none_or(|value| value != "0")
        && secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Disabled)
}

/// Holds a process, so that its pid cannot come to mean another.
pub fn pidfd(pid: Pid) -> Result<OwnedFd> {
    pidfd_open(pid, PidfdFlags::empty()).call(&format!("pidfd_open {pid}"))
}

/// The namespaces of a process that are not the caller's.
fn differing(pid: Pid) -> Result<Set> {
    let held = pidfd(pid)?;
    let differs = |kind: Namespace| -> Result<Option<Namespace>> {
        let path = |process: &str| Path::new("/proc").join(process).join("ns").join(kind.file());
        let Ok(own) = fs::metadata(path("self")) else { return Ok(None) };
        let theirs = path(&pid.to_string());
        let other = fs::metadata(&theirs).call(&format!("stat {}", theirs.display()))?;
        Ok(Some(kind).filter(|_| (own.dev(), own.ino()) != (other.dev(), other.ino())))
    };
    let kinds = Namespace::ALL.into_iter().filter_map(|kind| differs(kind).transpose());
    let set = kinds.collect::<Result<Set>>().with_context(|| format!("look at the namespaces of process {pid}"))?;
    // Still the process that was opened, so it was its folder.
    sys::signal_process(&held, 0).call(&format!("process {pid}: pidfd_send_signal"))?;
    Ok(set)
}
