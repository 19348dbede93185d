//! The eight namespaces of namespaces(7): their names, flags, and the kernel that brought each.

use nix::libc::{self, c_int};

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// User and group ids, capabilities, keyrings.
    User,
    /// The file tree.
    Mount,
    /// Process ids.
    Pid,
    /// Interfaces, addresses, ports, abstract sockets.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// The root of the cgroup tree.
    Cgroup,
    /// The monotonic and boot-time clocks.
    Time,
}

impl Namespace {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time];

    /// The CLONE_NEW* flag.
    #[must_use]
    pub const fn flag(self) -> c_int {
        match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Net => libc::CLONE_NEWNET,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            Self::Time => libc::CLONE_NEWTIME,
        }
    }

    /// The flag's name.
    #[must_use]
    pub fn constant(self) -> &'static str {
        match self {
            Self::User => "CLONE_NEWUSER",
            Self::Mount => "CLONE_NEWNS",
            Self::Pid => "CLONE_NEWPID",
            Self::Net => "CLONE_NEWNET",
            Self::Ipc => "CLONE_NEWIPC",
            Self::Uts => "CLONE_NEWUTS",
            Self::Cgroup => "CLONE_NEWCGROUP",
            Self::Time => "CLONE_NEWTIME",
        }
    }

    /// The word for it: the option's long name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            other => other.file(),
        }
    }

    /// The file under /proc/PID/ns, which is also the word in `user.max_WORD_namespaces`.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The kernel that brought it; for the user namespace, the one that gave it to ordinary users.
    #[must_use]
    pub fn since(self) -> &'static str {
        match self {
            Self::User => "3.8",
            Self::Mount => "2.4.19",
            Self::Pid | Self::Net => "2.6.24",
            Self::Ipc | Self::Uts => "2.6.19",
            Self::Cgroup => "4.6",
            Self::Time => "5.6",
        }
    }
}

/// A set of namespaces, as the kernel's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(c_int);

impl Set {
    /// None.
    pub const NONE: Self = Self(0);

    /// All eight.
    #[must_use]
    pub fn all() -> Self {
        Namespace::ALL.into_iter().fold(Self::default(), Self::with)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with one more.
    #[must_use]
    pub fn with(self, namespace: Namespace) -> Self {
        Self(self.0 | namespace.flag())
    }

    /// The set without one.
    #[must_use]
    pub fn without(self, namespace: Namespace) -> Self {
        Self(self.0 & !namespace.flag())
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn has(self, namespace: Namespace) -> bool {
        self.0 & namespace.flag() != 0
    }

    /// For unshare(2) and clone(2).
    #[must_use]
    pub fn flags(self) -> c_int {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set, in the order of the manual.
    pub fn iter(self) -> impl Iterator<Item = Namespace> {
        Namespace::ALL.into_iter().filter(move |namespace| self.has(*namespace))
    }

    /// Their words: `user, mount, pid`.
    #[must_use]
    pub fn words(self) -> String {
        self.iter().map(Namespace::word).collect::<Vec<_>>().join(", ")
    }

    /// Their flags' names: `CLONE_NEWUSER|CLONE_NEWNS`; `0` for none.
    #[must_use]
    pub fn constants(self) -> String {
        if self.is_empty() {
            return "0".to_owned();
        }
        self.iter().map(Namespace::constant).collect::<Vec<_>>().join("|")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_flags_of_its_members() {
        let all = Namespace::ALL.into_iter().fold(Set::default(), Set::with);
        assert_eq!(all.iter().count(), 8);
        let two = Set::default().with(Namespace::User).with(Namespace::Pid);
        assert_eq!(two.flags(), libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
        assert_eq!((two.words(), two.constants()), ("user, pid".to_owned(), "CLONE_NEWUSER|CLONE_NEWPID".to_owned()));
        assert!(two.without(Namespace::Pid).without(Namespace::User).is_empty());
    }
}
