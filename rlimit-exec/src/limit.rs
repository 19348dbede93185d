//! The sixteen limits of setrlimit(2): their names, units and how a value is written.

use chain::{Failure, Result};
use nix::sys::resource::{RLIM_INFINITY, Resource};

/// What a limit counts, which decides the suffixes that its value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, with `K`, `M`, `G`, `T` as powers of 1024.
    Bytes,
    /// Seconds, with `s`, `m`, `h`.
    Seconds,
    /// Microseconds, with `us`, `ms`, `s`.
    Microseconds,
    /// A plain number.
    Count,
}

/// One limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The kernel's number for it.
    pub resource: Resource,
    /// The option, without dashes; in capitals behind `RLIMIT_` it is the kernel's name.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
}

/// One side of a limit as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As it is now.
    Keep,
    /// This much; [`RLIM_INFINITY`] is `unlimited`.
    Set(u64),
}

/// A value as it was asked for: `SOFT:HARD`, or one value for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What the kernel enforces.
    pub soft: Bound,
    /// Up to where the process may raise the soft limit.
    pub hard: Bound,
}

impl Limit {
    /// A limit by its row of the table.
    #[must_use]
    pub const fn new(resource: Resource, name: &'static str, unit: Unit) -> Self {
        Self { resource, name, unit }
    }

    /// Reads `SOFT:HARD`, `SOFT:`, `:HARD` or one value for both, as prlimit(1) has it.
    ///
    /// # Errors
    /// A word that is no value of this limit's unit.
    pub fn bounds(self, text: &str) -> Result<Bounds> {
        match text.split_once(':') {
            None => self.bound(text).map(|both| Bounds { soft: both, hard: both }),
            Some(("", "")) => Err(self.refused(text)),
            Some((soft, hard)) => Ok(Bounds { soft: self.side(soft)?, hard: self.side(hard)? }),
        }
    }

    fn side(self, text: &str) -> Result<Bound> {
        if text.is_empty() { Ok(Bound::Keep) } else { self.bound(text) }
    }

    fn bound(self, text: &str) -> Result<Bound> {
        match text {
            "keep" => Ok(Bound::Keep),
            "unlimited" => Ok(Bound::Set(RLIM_INFINITY)),
            _ => self.number(text).map(Bound::Set).ok_or_else(|| self.refused(text)),
        }
    }

    /// A number with this unit's suffix. `None` also where it would not fit, or would mean `unlimited` by accident.
    fn number(self, text: &str) -> Option<u64> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, suffix) = text.split_at(end);
        let value = chain::values::number(digits.as_ref())?.checked_mul(self.unit.factor(suffix)?)?;
        (value < RLIM_INFINITY).then_some(value)
    }

    fn refused(self, text: &str) -> anyhow::Error {
        Failure::refusal(format!("--{} {}: not a limit", self.name, chain::show(text)))
            .hint(format!("SOFT:HARD or one value for both; each {}, unlimited or keep", self.unit.words()))
            .into()
    }

    /// The kernel's name: `RLIMIT_NOFILE`.
    #[must_use]
    pub fn kernel_name(self) -> String {
        format!("RLIMIT_{}", self.name.to_ascii_uppercase())
    }
}

impl Unit {
    fn factor(self, suffix: &str) -> Option<u64> {
        match (self, suffix) {
            (_, "") | (Self::Seconds, "s") | (Self::Microseconds, "us") => Some(1),
            (Self::Bytes, "K") => Some(1 << 10),
            (Self::Bytes, "M") => Some(1 << 20),
            (Self::Bytes, "G") => Some(1 << 30),
            (Self::Bytes, "T") => Some(1 << 40),
            (Self::Seconds, "m") => Some(60),
            (Self::Seconds, "h") => Some(3600),
            (Self::Microseconds, "ms") => Some(1000),
            (Self::Microseconds, "s") => Some(1_000_000),
            _ => None,
        }
    }

    /// How a value of this unit is written.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Bytes => "bytes (K, M, G, T)",
            Self::Seconds => "seconds (s, m, h)",
            Self::Microseconds => "microseconds (us, ms, s)",
            Self::Count => "a number",
        }
    }
}

/// A value as it is shown: `unlimited` for [`RLIM_INFINITY`].
#[must_use]
pub fn value_text(value: u64) -> String {
    if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS: Limit = Limit::new(Resource::RLIMIT_AS, "as", Unit::Bytes);
    const CPU: Limit = Limit::new(Resource::RLIMIT_CPU, "cpu", Unit::Seconds);
    const NOFILE: Limit = Limit::new(Resource::RLIMIT_NOFILE, "nofile", Unit::Count);

    fn both(value: u64) -> Bounds {
        Bounds { soft: Bound::Set(value), hard: Bound::Set(value) }
    }

    #[test]
    fn one_value_sets_both_sides() {
        assert_eq!(NOFILE.bounds("64").unwrap(), both(64));
        assert_eq!(AS.bounds("512M").unwrap(), both(512 << 20));
        assert_eq!(CPU.bounds("2m").unwrap(), both(120));
        assert_eq!(AS.bounds("unlimited").unwrap(), both(RLIM_INFINITY));
    }

    #[test]
    fn an_empty_side_is_kept() {
        assert_eq!(NOFILE.bounds("10:").unwrap(), Bounds { soft: Bound::Set(10), hard: Bound::Keep });
        assert_eq!(NOFILE.bounds(":10").unwrap(), Bounds { soft: Bound::Keep, hard: Bound::Set(10) });
        assert_eq!(NOFILE.bounds("keep:10").unwrap(), NOFILE.bounds(":10").unwrap());
    }

    #[test]
    fn nothing_is_guessed() {
        for bad in ["", ":", "-1", "+1", "1k", "1 ", "0x10", "1:2:3", "64M", "18446744073709551615", "infinity"] {
            assert!(NOFILE.bounds(bad).is_err(), "{bad:?}");
        }
        assert!(AS.bounds("16777216T").is_err(), "2^64 overflows");
    }
}
