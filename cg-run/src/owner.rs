//! Who made a leaf: enough to tell, later and from another process, whether that run is still alive.
//!
//! A pid alone would be trusted after it has been given to somebody else; with the start time it is one process for as
//! long as the machine is up. Both mean something only in one pid namespace and (start times are shifted by it) one
//! time namespace, so these are part of the mark: a leaf of another namespace is not judged, hence not killed.

use std::fmt;

use chain::values::number;

/// The run that made a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start: u64,
    /// The inode of its pid namespace.
    pub pid_namespace: u64,
    /// The inode of its time namespace; 0 where the kernel has none.
    pub time_namespace: u64,
}

/// What stands before the numbers in the name of a leaf that the user did not name.
const PREFIX: &str = "chainbox-";

/// What stands behind the numbers in the name of the leaf that cg-run itself waits in.
const OWN: &str = ".self";

impl Owner {
    /// The name of a leaf of this owner.
    #[must_use]
    pub fn leaf(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// The name of the leaf that the owner itself moves into (no-internal-process rule).
    #[must_use]
    pub fn own_leaf(&self) -> String {
        format!("{PREFIX}{self}{OWN}")
    }

    /// Reads the owner out of the name of a leaf; `None` for a name that is not of this form to the letter.
    #[must_use]
    pub fn of_leaf(name: &str) -> Option<Self> {
        let mark = name.strip_prefix(PREFIX)?;
        Self::of_mark(mark.strip_suffix(OWN).unwrap_or(mark))
    }

    /// Reads the mark that `Display` writes.
    #[must_use]
    pub fn of_mark(mark: &str) -> Option<Self> {
        let mut numbers = mark.split('-').map(|word| number(word.as_ref()));
        let mut next = || numbers.next().flatten();
        let owner =
            Self { pid: u32::try_from(next()?).ok()?, start: next()?, pid_namespace: next()?, time_namespace: next()? };
        // Only the one spelling: no leading zeros, nothing behind.
        (owner.to_string() == mark).then_some(owner)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.pid, self.start, self.pid_namespace, self.time_namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { pid: 12, start: 345, pid_namespace: 4_026_531_836, time_namespace: 0 };

    #[test]
    fn a_name_is_read_as_it_was_written() {
        assert_eq!(OWNER.leaf(), "chainbox-12-345-4026531836-0");
        assert_eq!(Owner::of_leaf(&OWNER.leaf()), Some(OWNER));
        assert_eq!(Owner::of_leaf(&OWNER.own_leaf()), Some(OWNER));
        let longest = Owner { pid: u32::MAX, start: 1 << 40, pid_namespace: u32::MAX.into(), time_namespace: 1 << 32 };
        assert!(longest.own_leaf().len() <= 64);
    }

    #[test]
    fn no_other_name_is_ours() {
        for name in [
            "chainbox-12",
            "chainbox-12-345-1",
            "chainbox-12-345-1-2-3",
            "chainbox-012-345-1-2",
            "chainbox-12-345-1-2.self.self",
            "chainbox--1-345-1-2",
            "chainbox-4294967296-1-1-1",
            "box-12-345-1-2",
            "user.slice",
        ] {
            assert_eq!(Owner::of_leaf(name), None, "{name}");
        }
    }
}
