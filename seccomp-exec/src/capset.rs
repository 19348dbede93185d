//! Sets of capabilities as bits, so that a capability newer than any table is dropped like the others.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr as _;

use caps::Capability;
use chain::{Failure, Result, show};
use rustix::thread::CapabilitySet;

/// A set of capabilities: bit N stands for capability number N (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability, also those that no kernel has yet.
    pub const ALL: Self = Self(u64::MAX);
    /// CAP_SETGID, which setgroups(2) needs.
    pub const SETGID: Self = Self(1 << 6);
    /// CAP_SETUID.
    pub const SETUID: Self = Self(1 << 7);
    /// CAP_SETPCAP, which the bounding set and the securebits need.
    pub const SETPCAP: Self = Self(1 << 8);
    /// CAP_SYS_ADMIN, which a filter without no_new_privs needs.
    pub const SYS_ADMIN: Self = Self(1 << 21);

    /// Reads a list of names, as capabilities(7) has them, with or without `CAP_`, in either case: `net_raw,chown`.
    ///
    /// # Errors
    /// A word that names no capability.
    pub fn parse(list: &OsStr) -> Result<Self> {
        let names = list.to_str().ok_or_else(|| unknown(list))?;
        names.split(',').try_fold(Self::EMPTY, |set, name| Ok(set.with(one(name)?)))
    }

    /// Whether all of `other` are in here.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each capability as a set of its own, lowest number first.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..u64::BITS).map(|n| Self(1 << n)).filter(move |one| self.has(*one))
    }

    /// As the system call wrappers take it, unknown bits included.
    #[must_use]
    pub fn bits(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

fn one(name: &str) -> Result<CapSet> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    let known = Capability::from_str(&full).map_err(|_| unknown(OsStr::new(name)))?;
    Ok(CapSet(1 << known.index()))
}

fn unknown(word: &OsStr) -> anyhow::Error {
    Failure::refusal(format!("--keep-caps: {} is no capability", show(word)))
        .hint("names as in capabilities(7), separated by commas: net_bind_service,chown; or all")
        .into()
}

/// `net_raw,chown`, `none`, or `cap_63` for one without a name.
impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<String> = self.each().map(|one| name(one.0.trailing_zeros())).collect();
        f.write_str(&names.join(","))
    }
}

fn name(number: u32) -> String {
    let known = caps::all().into_iter().find(|cap| u32::from(cap.index()) == number);
    known.map_or_else(|| format!("cap_{number}"), |cap| cap.to_string().trim_start_matches("CAP_").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_usual_spelling() {
        let both = CapSet::SETPCAP.with(CapSet::SYS_ADMIN);
        for list in ["setpcap,sys_admin", "CAP_SYS_ADMIN,CAP_SETPCAP", "cap_setpcap,sys_admin,setpcap"] {
            assert_eq!(CapSet::parse(OsStr::new(list)).unwrap(), both);
        }
        assert_eq!(both.to_string(), "setpcap,sys_admin");
        assert_eq!(CapSet(1 << 63).to_string(), "cap_63");
    }

    #[test]
    fn the_numbers_of_the_constants_are_the_kernels() {
        for (name, set) in [
            ("setgid", CapSet::SETGID),
            ("setuid", CapSet::SETUID),
            ("setpcap", CapSet::SETPCAP),
            ("sys_admin", CapSet::SYS_ADMIN),
        ] {
            assert_eq!(CapSet::parse(OsStr::new(name)).unwrap(), set);
        }
    }

    #[test]
    fn what_is_no_capability_is_refused() {
        for bad in ["", "net_raw,", "net-raw", "cap_cap_net_raw", "8", " net_raw", "all,net_raw"] {
            assert!(CapSet::parse(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }
}
