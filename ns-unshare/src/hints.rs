//! Why the kernel refused, and the way out. It answers with a bare errno; its settings say more. Nothing here is read
//! unless a step has failed.

use std::ffi::OsStr;
use std::fs;

use anyhow::Error;
use chain::failure::errno_of;
use chain::{Hint as _, next, process};
use nix::errno::Errno;
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, secure_computing_mode};

use crate::look::ids;
use crate::look::settings::{APPARMOR_PROFILE, FORBIDDING, Setting, limit, supported, sysctl};
use crate::model::map::UNMAPPED;
use crate::model::namespace::{Namespace, Set};
use crate::step::Step;

/// Adds the cause to a failure to make the namespaces of `set`.
pub fn creation(error: Error, set: Set) -> Error {
    let hint = match errno_of(&error) {
        Some(Errno::EPERM) => Some(denied(set)),
        Some(Errno::EACCES) => confined(),
        Some(Errno::ENOSPC | Errno::EUSERS) => Some(limited(set)),
        Some(Errno::EINVAL) => Some(missing(set)),
        Some(Errno::ENOSYS) => Some("a seccomp filter denies this call".to_owned()),
        _ => None,
    };
    forking(with(error, hint))
}

/// Adds the cause to a failure to make a process.
pub fn forking(error: Error) -> Error {
    error.hinted(&[(Errno::EAGAIN, "RLIMIT_NPROC, or pids.max of this cgroup or one above")])
}

const NO_PROC: (Errno, &str) = (Errno::ENOENT, "a /proc of the caller's must be mounted");

/// Adds the cause to a failure to find a process in /proc.
pub fn finding(error: Error) -> Error {
    error.hinted(&[NO_PROC])
}

/// Adds the cause to a failure to open a file that the command line names.
pub fn opening(error: Error, file: &OsStr) -> Error {
    if next::in_removed_directory(file) {
        return error.hinted(&[(Errno::ENOENT, next::REMOVED_DIRECTORY)]);
    }
    error
}

fn with(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Adds the cause to a failure to enter namespaces.
pub fn entering(error: Error, set: Set) -> Error {
    const NO_NAMESPACE: &str = "not a namespace";
    let denied = if set.has(Namespace::Mount) {
        "a mount namespace needs CAP_SYS_ADMIN and CAP_SYS_CHROOT in the caller's user namespace, and CAP_SYS_ADMIN \
         in the one that owns it: join that one too"
    } else {
        "it needs CAP_SYS_ADMIN in the user namespace that owns it: join that one too"
    };
    let invalid = if set.has(Namespace::User) {
        "not a user namespace; or it is the caller's own already, which cannot be entered again"
    } else {
        "not a namespace of this type; a file that kept one keeps none after umount"
    };
    error.hinted(&[
        (Errno::EPERM, denied),
        (Errno::EINVAL, invalid),
        (Errno::ENOTTY, NO_NAMESPACE),
        (Errno::EBADF, NO_NAMESPACE),
    ])
}

fn denied(set: Set) -> String {
    if !set.has(Namespace::User) {
        return without_user();
    }
    if let Some(hint) = forbidden() {
        return hint;
    }
    if process::in_chroot() {
        return "a process in a chroot(2) may not make a user namespace; enter the tree with pivot_root instead"
            .to_owned();
    }
    if let Some(hint) = confined() {
        return if filtered() { format!("{hint}; or a seccomp filter forbids it, for there is one too") } else { hint };
    }
    let ids = ids();
    if ids.uid == UNMAPPED || ids.gid == UNMAPPED {
        return "the caller's ids must be mapped in its own user namespace".to_owned();
    }
    // A chroot whose root is a mount point, or that has no /proc, cannot be told.
    let hint = if filtered() { "a seccomp filter is in force and may forbid it; or " } else { "" };
    format!("{hint}the caller is in a chroot(2), where no user namespace can be made, or a security module forbids it")
}

fn without_user() -> String {
    let admin = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    if admin {
        return "the caller has CAP_SYS_ADMIN: a seccomp filter or security module forbids it".to_owned();
    }
    "it needs CAP_SYS_ADMIN in the caller's user namespace; --user gives it in a new one".to_owned()
}

/// The first setting that forbids user namespaces here.
fn forbidden() -> Option<String> {
    let active = |setting: &&Setting| sysctl(setting.file).as_deref() == Some(setting.forbids);
    let setting = FORBIDDING.iter().find(active)?;
    let alone = setting.alone.map_or_else(String::new, |way| format!("for this program by {way}, for all by "));
    let (name, Setting { forbids, allows, .. }) = (setting.name(), setting);
    Some(format!("{name} is {forbids}; root can allow it: {alone}sysctl {name}={allows}"))
}

/// AppArmor's profile where it confines this process. It refuses namespaces from Linux 6.7 on (EACCES), and before that
/// their capabilities.
fn confined() -> Option<String> {
    let label = fs::read_to_string("/proc/self/attr/apparmor/current").ok()?;
    let label = label.trim_end_matches(['\n', '\0']);
    let (profile, _) =
        label.strip_suffix(')')?.rsplit_once(" (").filter(|(_, mode)| matches!(*mode, "enforce" | "kill"))?;
    Some(format!(
        "AppArmor's profile {profile} confines this process; root can allow it: for this program by {APPARMOR_PROFILE}"
    ))
}

/// Whether a seccomp filter is in force: a container has both.
fn filtered() -> bool {
    secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Filter)
}

fn limited(set: Set) -> String {
    let name = |kind: Namespace| format!("user.{}", kind.limit());
    if let Some(kind) = set.iter().find(|kind| limit(*kind).as_deref() == Some("0")) {
        return format!("{} is 0; whoever owns this user namespace can raise it", name(kind));
    }
    let names: Vec<String> = set.iter().map(name).collect();
    let nest = set.has(Namespace::User) || set.has(Namespace::Pid);
    let depth = if nest { "; or namespaces are nested more than 32 deep" } else { "" };
    format!("a limit is reached, here or in a user namespace around this one: {}{depth}", names.join(", "))
}

fn missing(set: Set) -> String {
    let missing = set.iter().filter(|kind| !supported(*kind));
    let missing: Vec<String> =
        missing.map(|kind| format!("{} namespaces (Linux {})", kind.word(), kind.since())).collect();
    if missing.is_empty() {
        return "this kernel has all of these namespaces, but not in this combination".to_owned();
    }
    format!("this kernel has no {}", missing.join(", no "))
}

/// Adds the cause to a step that failed in the new namespaces, or to a map.
pub fn inside(error: Error, step: &Step) -> Error {
    const READ_ONLY: (Errno, &str) = (
        Errno::EROFS,
        "this /proc is read-only, as mount-plan --proc makes it: a box in which boxes are made has --proc /proc -o \
         rw,subset=pid",
    );
    const NO_FILE: (Errno, &str) = (Errno::ENOTDIR, "what keeps a namespace is a file, not a directory");
    const UNMAPPED: &str =
        "each OUT id must be mapped in the caller's own user namespace, and id 0 needs CAP_SETFCAP there";
    const OLDER: &str = "to the kernel the new mount namespace is older than the caller's: 6.18 numbers them by processor, \
                         and taskset -c 0 keeps the order";
    const PIN: (Errno, &str) = (
        Errno::EPERM,
        "it needs CAP_SYS_ADMIN over the mount namespace of the file; an ordinary user has that in one of its own: \
         --user --mount --keep-caps",
    );
    let hints: &[(Errno, &str)] = match step {
        Step::NewTime => return creation(error, Namespace::Time.into()),
        Step::Map(_) => &[NO_PROC, READ_ONLY, (Errno::EPERM, UNMAPPED), (Errno::EACCES, UNMAPPED)],
        Step::DenySetgroups | Step::EnterTime | Step::DisableUserns => &[NO_PROC, READ_ONLY],
        Step::SetClocks(_) => {
            &[NO_PROC, READ_ONLY, (Errno::ERANGE, "a clock may not become negative, nor pass 146 years")]
        }
        Step::Propagate(_) => &[(
            Errno::EINVAL,
            "the root directory is no mount point (a chroot): bind it on itself first, or --propagation unchanged",
        )],
        Step::BecomeMapped => &[(
            Errno::EINVAL,
            "neither the caller's own ids nor 0 are mapped there: start it as a user who is (setpriv --reuid UID --regid GID \
             --clear-groups); with --maps-fd, write both maps before the byte",
        )],
        Step::Pin(pin) if pin.kind == Namespace::Mount => &[PIN, NO_FILE, (Errno::EINVAL, OLDER)],
        Step::Pin(_) => &[PIN, NO_FILE],
        _ => &[],
    };
    let setting = match (step, errno_of(&error)) {
        (Step::Pin(_), Some(Errno::EPERM)) => None,
        (_, Some(Errno::EPERM | Errno::EACCES)) => forbidden().or_else(confined),
        _ => None,
    };
    with(error, setting).hinted(hints)
}
