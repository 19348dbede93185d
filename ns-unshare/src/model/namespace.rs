//! The eight namespaces of namespaces(7).

use nix::libc::{self, c_int};

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    User,
    Mount,
    Pid,
    Net,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

struct Row {
    flag: c_int,
    constant: &'static str,
    word: &'static str,
    since: &'static str,
}

impl Namespace {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time];

    const fn row(self) -> Row {
        let (flag, constant, word, since) = match self {
            Self::User => (libc::CLONE_NEWUSER, "CLONE_NEWUSER", "user", "3.8"),
            Self::Mount => (libc::CLONE_NEWNS, "CLONE_NEWNS", "mount", "2.4.19"),
            Self::Pid => (libc::CLONE_NEWPID, "CLONE_NEWPID", "pid", "2.6.24"),
            Self::Net => (libc::CLONE_NEWNET, "CLONE_NEWNET", "net", "2.6.24"),
            Self::Ipc => (libc::CLONE_NEWIPC, "CLONE_NEWIPC", "ipc", "2.6.19"),
            Self::Uts => (libc::CLONE_NEWUTS, "CLONE_NEWUTS", "uts", "2.6.19"),
            Self::Cgroup => (libc::CLONE_NEWCGROUP, "CLONE_NEWCGROUP", "cgroup", "4.6"),
            Self::Time => (libc::CLONE_NEWTIME, "CLONE_NEWTIME", "time", "5.6"),
        };
        Row { flag, constant, word, since }
    }

    /// The word for it: the option's long name.
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The file under /proc/PID/ns.
    pub fn file(self) -> &'static str {
        if self == Self::Mount { "mnt" } else { self.word() }
    }

    /// The setting for the most that there may be: its file under /proc/sys/user.
    pub fn limit(self) -> String {
        format!("max_{}_namespaces", self.file())
    }

    /// The kernel that brought it; for the user namespace, the one that gave it to ordinary users.
    pub fn since(self) -> &'static str {
        self.row().since
    }
}

/// A set of namespaces, as the kernel's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(c_int);

impl Set {
    pub const NONE: Self = Self(0);

    pub fn all() -> Self {
        Namespace::ALL.into_iter().collect()
    }

    pub fn with(self, namespace: Namespace) -> Self {
        Self(self.0 | namespace.row().flag)
    }

    pub fn without(self, namespace: Namespace) -> Self {
        Self(self.0 & !namespace.row().flag)
    }

    pub fn has(self, namespace: Namespace) -> bool {
        self.0 & namespace.row().flag != 0
    }

    /// For unshare(2), setns(2) and clone(2).
    pub fn flags(self) -> c_int {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set, in the order of the manual.
    pub fn iter(self) -> impl Iterator<Item = Namespace> {
        Namespace::ALL.into_iter().filter(move |namespace| self.has(*namespace))
    }

    /// Their words: `user, mount, pid`.
    pub fn words(self) -> String {
        self.iter().map(Namespace::word).collect::<Vec<_>>().join(", ")
    }

    /// Their flags' names: `CLONE_NEWUSER|CLONE_NEWNS`; `0` for none.
    pub fn constants(self) -> String {
        if self.is_empty() {
            return "0".to_owned();
        }
        self.iter().map(|kind| kind.row().constant).collect::<Vec<_>>().join("|")
    }
}

impl From<Namespace> for Set {
    fn from(one: Namespace) -> Self {
        Self::NONE.with(one)
    }
}

impl FromIterator<Namespace> for Set {
    fn from_iter<I: IntoIterator<Item = Namespace>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_flags_of_its_members() {
        assert_eq!(Set::all().iter().count(), 8);
        let two: Set = [Namespace::User, Namespace::Pid].into_iter().collect();
        assert_eq!(two.flags(), libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
        assert_eq!((two.words(), two.constants()), ("user, pid".to_owned(), "CLONE_NEWUSER|CLONE_NEWPID".to_owned()));
        assert!(two.without(Namespace::Pid).without(Namespace::User).is_empty());
    }
}
