//! The sixteen limits of setrlimit(2): their names, units and how a value is written.

use chain::{Hint as _, Result, refusal, values};
use nix::sys::resource::{RLIM_INFINITY, Resource};

/// What a limit counts: how a value is written, and the suffixes that it may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    pub words: &'static str,
    suffixes: &'static [(&'static str, u64)],
}

const BYTES: &Unit = &Unit { words: "bytes (K, M, G, T; or 1% to 100% of the memory)", suffixes: &values::BYTES };
const SECONDS: &Unit = &Unit { words: "seconds (s, m, h)", suffixes: &[("s", 1), ("m", 60), ("h", 3600)] };
const MICROSECONDS: &Unit =
    &Unit { words: "microseconds (us, ms, s)", suffixes: &[("us", 1), ("ms", 1000), ("s", 1_000_000)] };
const COUNT: &Unit = &Unit { words: "a number", suffixes: &[] };

/// One limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub resource: Resource,
    /// The option, without dashes; in capitals behind `RLIMIT_` it is the kernel's name.
    pub name: &'static str,
    pub unit: &'static Unit,
}

/// A value as it was requested: `SOFT:HARD`, or one value for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What the kernel enforces.
    pub soft: Side,
    /// Up to where the process may raise the soft limit.
    pub hard: Side,
}

/// One side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It stays as it is.
    Keep,
    /// [`RLIM_INFINITY`] is `unlimited`.
    Value(u64),
    /// So many percent of the machine's memory.
    Percent(u64),
}

impl Side {
    /// What it is to be, where it is `now`, and this is the machine's memory.
    pub fn value(self, now: u64, memory: u64) -> u64 {
        match self {
            Self::Keep => now,
            Self::Value(value) => value,
            Self::Percent(percent) => values::share(percent, memory),
        }
    }
}

impl Bounds {
    /// Whether one has to know the machine's memory.
    pub fn has_share(self) -> bool {
        [self.soft, self.hard].iter().any(|side| matches!(side, Side::Percent(_)))
    }
}

impl Limit {
    pub const AS: Self = Self::new(Resource::RLIMIT_AS, "as", BYTES);
    pub const CORE: Self = Self::new(Resource::RLIMIT_CORE, "core", BYTES);
    pub const CPU: Self = Self::new(Resource::RLIMIT_CPU, "cpu", SECONDS);
    pub const DATA: Self = Self::new(Resource::RLIMIT_DATA, "data", BYTES);
    pub const FSIZE: Self = Self::new(Resource::RLIMIT_FSIZE, "fsize", BYTES);
    pub const LOCKS: Self = Self::new(Resource::RLIMIT_LOCKS, "locks", COUNT);
    pub const MEMLOCK: Self = Self::new(Resource::RLIMIT_MEMLOCK, "memlock", BYTES);
    pub const MSGQUEUE: Self = Self::new(Resource::RLIMIT_MSGQUEUE, "msgqueue", BYTES);
    pub const NICE: Self = Self::new(Resource::RLIMIT_NICE, "nice", COUNT);
    pub const NOFILE: Self = Self::new(Resource::RLIMIT_NOFILE, "nofile", COUNT);
    pub const NPROC: Self = Self::new(Resource::RLIMIT_NPROC, "nproc", COUNT);
    pub const RSS: Self = Self::new(Resource::RLIMIT_RSS, "rss", BYTES);
    pub const RTPRIO: Self = Self::new(Resource::RLIMIT_RTPRIO, "rtprio", COUNT);
    pub const RTTIME: Self = Self::new(Resource::RLIMIT_RTTIME, "rttime", MICROSECONDS);
    pub const SIGPENDING: Self = Self::new(Resource::RLIMIT_SIGPENDING, "sigpending", COUNT);
    pub const STACK: Self = Self::new(Resource::RLIMIT_STACK, "stack", BYTES);

    const fn new(resource: Resource, name: &'static str, unit: &'static Unit) -> Self {
        Self { resource, name, unit }
    }

    /// Reads `SOFT:HARD`, `SOFT:`, `:HARD` or one value for both, as prlimit(1) has it.
    pub fn bounds(self, text: &str) -> Result<Bounds> {
        match text.split_once(':') {
            Some(("", "")) => Err(self.refused(text)),
            None if text.is_empty() => Err(self.refused(text)),
            None => self.side(text).map(|both| Bounds { soft: both, hard: both }),
            Some((soft, hard)) => Ok(Bounds { soft: self.side(soft)?, hard: self.side(hard)? }),
        }
    }

    fn side(self, text: &str) -> Result<Side> {
        match text {
            "" | "keep" => Ok(Side::Keep),
            "unlimited" => Ok(Side::Value(RLIM_INFINITY)),
            _ => self.number(text).map(Side::Value).or_else(|| self.share(text)).ok_or_else(|| self.refused(text)),
        }
    }

    fn share(self, text: &str) -> Option<Side> {
        if self.unit == BYTES { values::percent(text).map(Side::Percent) } else { None }
    }

    /// A number with this unit's suffix. `None` also where it would mean `unlimited` by accident.
    fn number(self, text: &str) -> Option<u64> {
        values::scaled(text, self.unit.suffixes).filter(|value| *value < RLIM_INFINITY)
    }

    fn refused(self, text: &str) -> anyhow::Error {
        refusal!("--{} {}: not a limit", self.name, chain::show(text))
            .hint(format!("SOFT:HARD or one value for both; each {}, unlimited or keep", self.unit.words))
    }

    /// The kernel's name: `RLIMIT_NOFILE`.
    pub fn kernel_name(self) -> String {
        format!("RLIMIT_{}", self.name.to_ascii_uppercase())
    }
}

/// A value as it is shown: `unlimited` for [`RLIM_INFINITY`].
pub fn value_text(value: u64) -> String {
    if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(value: u64) -> Bounds {
        Bounds { soft: Side::Value(value), hard: Side::Value(value) }
    }

    #[test]
    fn one_value_sets_both_sides() {
        assert_eq!(Limit::NOFILE.bounds("64").unwrap(), both(64));
        assert_eq!(Limit::AS.bounds("512M").unwrap(), both(512 << 20));
        assert_eq!(Limit::CPU.bounds("2m").unwrap(), both(120));
        assert_eq!(Limit::AS.bounds("unlimited").unwrap(), both(RLIM_INFINITY));
    }

    #[test]
    fn an_empty_side_is_kept() {
        assert_eq!(Limit::NOFILE.bounds("10:").unwrap(), Bounds { soft: Side::Value(10), hard: Side::Keep });
        assert_eq!(Limit::NOFILE.bounds(":10").unwrap(), Bounds { soft: Side::Keep, hard: Side::Value(10) });
        assert_eq!(Limit::NOFILE.bounds("keep:10").unwrap(), Limit::NOFILE.bounds(":10").unwrap());
    }

    #[test]
    fn nothing_is_guessed() {
        for bad in ["", ":", "-1", "+1", "1k", "1 ", "0x10", "1:2:3", "64M", "18446744073709551615", "infinity"] {
            assert!(Limit::NOFILE.bounds(bad).is_err(), "{bad:?}");
        }
        assert!(Limit::AS.bounds("16777216T").is_err(), "2^64 overflows");
    }

    #[test]
    fn sizes_may_be_shares_and_counts_may_not() {
        let bounds = Limit::DATA.bounds("25%:50%").unwrap();
        assert_eq!((bounds.soft.value(1, 4096), bounds.hard.value(1, 4096), bounds.has_share()), (1024, 2048, true));
        for bad in ["0%", "101%", "-5%", "%", "1.5%", "50%%", ":%"] {
            assert!(Limit::DATA.bounds(bad).is_err(), "{bad:?}");
        }
        for limit in [Limit::NPROC, Limit::CPU, Limit::RTTIME] {
            assert!(limit.bounds("50%").is_err(), "{}", limit.name);
        }
    }
}
