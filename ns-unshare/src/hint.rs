//! Why the kernel refused, and the way out. It answers with a bare errno; its settings say more. Nothing here is read
//! unless a step has failed.

use std::fs;

use chain::Hint as _;
use chain::failure::errno_of;
use nix::errno::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::look::{supported, sysctl};
use crate::namespace::{Namespace, Set};
use crate::step::Step;

/// A setting that keeps user namespaces from ordinary users.
#[derive(Debug)]
pub struct Setting {
    /// Its name for sysctl(8).
    pub name: &'static str,
    /// Its file under /proc/sys.
    pub file: &'static str,
    /// The value that forbids.
    pub forbids: &'static str,
    /// The value that allows.
    pub allows: &'static str,
    /// What allows it to this program alone, where something does.
    alone: Option<&'static str>,
}

/// Debian's and Ubuntu's setting, Ubuntu's AppArmor restriction (23.10), and the limit that every kernel has.
pub const FORBIDDING: [Setting; 3] = [
    Setting {
        name: "kernel.unprivileged_userns_clone",
        file: "kernel/unprivileged_userns_clone",
        forbids: "0",
        allows: "1",
        alone: None,
    },
    Setting {
        name: "kernel.apparmor_restrict_unprivileged_userns",
        file: "kernel/apparmor_restrict_unprivileged_userns",
        forbids: "1",
        allows: "0",
        alone: Some(PROFILE),
    },
    Setting {
        name: "user.max_user_namespaces",
        file: "user/max_user_namespaces",
        forbids: "0",
        allows: "10000",
        alone: None,
    },
];

/// AppArmor's profile that allows it to this program.
const PROFILE: &str = "the profile packaging/apparmor.d/chainbox";

/// Adds the cause to a failure to make the namespaces of `set`.
#[must_use]
pub fn creation(error: anyhow::Error, set: Set) -> anyhow::Error {
    let hint = match errno_of(&error) {
        Some(Errno::EPERM) => denied(set),
        Some(Errno::EACCES) => match confined() {
            Some(hint) => hint,
            None => return error,
        },
        Some(Errno::ENOSPC | Errno::EUSERS) => limit(set),
        Some(Errno::EINVAL) => missing(set),
        Some(Errno::ENOSYS) => "a seccomp filter denies clone(2)".to_owned(),
        _ => return error,
    };
    error.hint(hint)
}

/// Adds the cause to a failure to enter namespaces.
#[must_use]
pub fn entering(error: anyhow::Error, set: Set) -> anyhow::Error {
    let hint = match errno_of(&error) {
        Some(Errno::EPERM) if set.has(Namespace::Mount) => {
            "a mount namespace needs CAP_SYS_ADMIN and CAP_SYS_CHROOT in the caller's user namespace, and CAP_SYS_ADMIN \
             in the one that owns it: join that one too"
        }
        Some(Errno::EPERM) => "it needs CAP_SYS_ADMIN in the user namespace that owns it: join that one too",
        Some(Errno::EINVAL) if set.has(Namespace::User) => {
            "not a user namespace; or it is the caller's own already, which cannot be entered again"
        }
        Some(Errno::EINVAL) => "not a namespace of this type; a file that kept one keeps none after umount",
        Some(Errno::ENOTTY | Errno::EBADF) => "not a namespace",
        _ => return error,
    };
    error.hint(hint)
}

fn denied(set: Set) -> String {
    if !set.has(Namespace::User) {
        return without_user();
    }
    if let Some(hint) = forbidden() {
        return hint;
    }
    if in_chroot() {
        return "a process in a chroot(2) may not make a user namespace; enter the tree with pivot_root instead"
            .to_owned();
    }
    if let Some(hint) = confined() {
        return if filtered() { format!("{hint}; or a seccomp filter forbids it, for there is one too") } else { hint };
    }
    "the caller's ids must be mapped in its own user namespace, and no seccomp filter or security module may forbid it"
        .to_owned()
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
    Some(format!(
        "{} is {}; root can allow it: {alone}sysctl {}={}",
        setting.name, setting.forbids, setting.name, setting.allows
    ))
}

/// AppArmor's profile where it confines this process. It refuses namespaces from Linux 6.7 on (EACCES), and before that
/// their capabilities.
fn confined() -> Option<String> {
    let label = fs::read_to_string("/proc/self/attr/apparmor/current").ok()?;
    let label = label.trim_end_matches(['\n', '\0']);
    let (profile, _) =
        label.strip_suffix(')')?.rsplit_once(" (").filter(|(_, mode)| matches!(*mode, "enforce" | "kill"))?;
    Some(format!(
        "AppArmor's profile {profile} confines this process; root can allow it: for this program by {PROFILE}"
    ))
}

/// Whether a seccomp filter is in force: a container has both.
fn filtered() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:\t2"))
}

/// In a chroot whose root is no mount point, no mount is at "/".
fn in_chroot() -> bool {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else { return false };
    !mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

fn limit(set: Set) -> String {
    let name = |kind: Namespace| format!("user.max_{}_namespaces", kind.file());
    let zero = |kind: &Namespace| sysctl(&format!("user/max_{}_namespaces", kind.file())).as_deref() == Some("0");
    if let Some(kind) = set.iter().find(zero) {
        return format!("{} is 0; whoever owns this user namespace can raise it", name(kind));
    }
    let names: Vec<String> = set.iter().map(name).collect();
    format!("a limit is reached: {}; or namespaces are nested more than 32 deep", names.join(", "))
}

fn missing(set: Set) -> String {
    let missing: Vec<String> = set
        .iter()
        .filter(|kind| !supported(*kind))
        .map(|kind| format!("{} namespaces (Linux {})", kind.word(), kind.since()))
        .collect();
    if missing.is_empty() {
        return "this kernel has all of these namespaces, but not in this combination".to_owned();
    }
    format!("this kernel has no {}", missing.join(", no "))
}

/// Adds the cause to a step that failed in the new namespaces, or to a map.
#[must_use]
pub fn inside(error: anyhow::Error, step: &Step) -> anyhow::Error {
    let hint = match (step, errno_of(&error)) {
        (
            Step::MapUsers(_) | Step::MapGroups(_) | Step::DenySetgroups | Step::SetClocks(_) | Step::EnterTime,
            Some(Errno::ENOENT),
        ) => "a /proc of the caller's must be mounted".to_owned(),
        (Step::NewTime, _) => return creation(error, Set::default().with(Namespace::Time)),
        (Step::SetClocks(_), Some(Errno::ERANGE)) => "a clock may not become negative, nor pass 146 years".to_owned(),
        (Step::Propagate(_), Some(Errno::EINVAL)) => {
            "the root directory is no mount point (a chroot): bind it on itself first, or --propagation unchanged"
                .to_owned()
        }
        (Step::Pin(pin), Some(Errno::EINVAL)) if pin.kind == Namespace::Mount => {
            "to the kernel the new mount namespace is older than the caller's: 6.18 numbers them by processor, and \
             taskset -c 0 keeps the order"
                .to_owned()
        }
        (Step::Pin(_), Some(Errno::EPERM)) => {
            "it needs CAP_SYS_ADMIN over the mount namespace of the file; an ordinary user has that in one of its own: \
             --user --mount --keep-caps"
                .to_owned()
        }
        (_, Some(Errno::EPERM | Errno::EACCES)) => match (forbidden().or_else(confined), step) {
            (Some(hint), _) => hint,
            (None, Step::MapUsers(_) | Step::MapGroups(_)) => {
                "each OUT id must be mapped in the caller's own user namespace, and id 0 needs CAP_SETFCAP there"
                    .to_owned()
            }
            (None, _) => return error,
        },
        _ => return error,
    };
    error.hint(hint)
}
