//! The kernel's settings about namespaces.

use std::fs;
use std::path::Path;

use crate::model::namespace::Namespace;

/// A setting that keeps user namespaces from ordinary users.
pub struct Setting {
    /// Its file under /proc/sys.
    pub file: &'static str,
    /// The value that forbids.
    pub forbids: &'static str,
    /// The value that allows.
    pub allows: &'static str,
    /// What allows it to this program alone, where something does.
    pub alone: Option<&'static str>,
}

impl Setting {
    /// Its name for sysctl(8).
    pub fn name(&self) -> String {
        self.file.replace('/', ".")
    }
}

/// Debian's and Ubuntu's setting, Ubuntu's AppArmor restriction (23.10), and the limit that every kernel has.
pub const FORBIDDING: [Setting; 3] = [
    Setting { file: "kernel/unprivileged_userns_clone", forbids: "0", allows: "1", alone: None },
    Setting {
        file: "kernel/apparmor_restrict_unprivileged_userns",
        forbids: "1",
        allows: "0",
        alone: Some(APPARMOR_PROFILE),
    },
    Setting { file: "user/max_user_namespaces", forbids: "0", allows: "10000", alone: None },
];

/// AppArmor's profile that allows it to this program.
pub const APPARMOR_PROFILE: &str = "the profile packaging/apparmor.d/chainbox";

/// Whether this kernel has such namespaces.
pub fn supported(kind: Namespace) -> bool {
    Path::new("/proc/self/ns").join(kind.file()).exists()
}

/// One number under /proc/sys, as text; `None` where this kernel does not have it.
pub fn sysctl(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// The most namespaces of a kind, as text.
pub fn limit(kind: Namespace) -> Option<String> {
    sysctl(&format!("user/{}", kind.limit()))
}
