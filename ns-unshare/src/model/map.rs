//! Id maps of a user namespace (user_namespaces(7)).

use std::ffi::OsStr;
use std::fmt;

use chain::values::id_range;
use chain::{Failure, Result, show};

/// The most ranges that the kernel takes (Linux 4.15; 5 before).
const MOST_RANGES: usize = 340;

/// The ids of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// User ids or group ids, and so which map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    User,
    Group,
}

impl IdKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    /// The option that gives ranges of it.
    pub fn option(self) -> String {
        format!("map-{}s", self.word())
    }

    /// The file under /proc/PID.
    pub fn file(self) -> &'static str {
        match self {
            Self::User => "uid_map",
            Self::Group => "gid_map",
        }
    }

    /// newuidmap(1) or newgidmap(1).
    pub fn helper(self) -> &'static str {
        match self {
            Self::User => "newuidmap",
            Self::Group => "newgidmap",
        }
    }
}

/// `IN:OUT:N`: `count` ids from `inside` on, in the box, are the `count` ids from `outside` on of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

impl IdRange {
    pub fn one(inside: u32, outside: u32) -> Self {
        Self { inside, outside, count: 1 }
    }

    /// Reads `IN:OUT:N`, the value of an option of `kind`.
    pub fn parse(kind: IdKind, word: &OsStr) -> Result<Self> {
        let Some((inside, outside, count)) = word.to_str().and_then(id_range) else {
            let text = format!("--{} {}: not an id range", kind.option(), show(word));
            let hint = "IN:OUT:N, three plain numbers: N ids from IN in the box are those from OUT outside";
            return Err(Failure::refusal(text).hint(hint).into());
        };
        Ok(Self { inside, outside, count })
    }

    fn covers_outside(self, id: u32) -> bool {
        id >= self.outside && id - self.outside < self.count
    }

    /// The map where the caller's own id is this range, and `subordinate` ids follow, one range after the other, at all
    /// other ids from 0 on.
    pub fn filled_with(self, subordinate: &[SubidRange]) -> Vec<Self> {
        let (mut ranges, mut inside) = (vec![self], 0_u32);
        for (first, count) in subordinate {
            let (mut outside, mut left) = (*first, *count);
            while left > 0 {
                if inside == self.inside {
                    inside += 1;
                }
                let room = if inside < self.inside { self.inside - inside } else { u32::MAX - inside };
                let count = left.min(room);
                if count == 0 {
                    return ranges;
                }
                ranges.push(Self { inside, outside, count });
                (inside, outside, left) = (inside + count, outside + count, left - count);
            }
        }
        ranges
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

/// A first id that subuid(5) or subgid(5) gives a user, and how many.
pub type SubidRange = (u32, u32);

/// One of the two maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    pub kind: IdKind,
    pub ranges: Vec<IdRange>,
}

impl IdMap {
    /// Its numbers, as the kernel's file and the helpers take them: a range a line, or all in one.
    pub fn numbers(&self, between_ranges: &str) -> String {
        let numbers = self.ranges.iter().map(|range| range.to_string().replace(':', " "));
        numbers.collect::<Vec<_>>().join(between_ranges)
    }

    /// What the caller's `id` becomes in the box, if it is mapped.
    pub fn inside_of(&self, id: u32) -> Option<u32> {
        self.ranges.iter().find(|range| range.covers_outside(id)).map(|range| range.inside + (id - range.outside))
    }

    /// The id that a process takes in a box where its own is not mapped: 0 if there is one, else the first of all.
    pub fn first_inside(&self) -> u32 {
        let has_0 = self.ranges.iter().any(|range| range.inside == 0);
        self.ranges.first().filter(|_| !has_0).map_or(0, |range| range.inside)
    }

    /// Refuses what the kernel would answer with a bare EINVAL: too many ranges, or two that overlap on either side.
    pub fn check(&self) -> Result<()> {
        let option = self.kind.option();
        if self.ranges.len() > MOST_RANGES {
            let text = format!("--{option}: {} ranges, and the kernel takes {MOST_RANGES}", self.ranges.len());
            return Err(Failure::refusal(text).into());
        }
        match self.overlapping(|range| range.inside).or_else(|| self.overlapping(|range| range.outside)) {
            Some((one, other)) => Err(Failure::refusal(format!("--{option}: {one} and {other} overlap")).into()),
            None => Ok(()),
        }
    }

    /// Two ranges that overlap on the side of `first`: neighbours, once they are sorted.
    fn overlapping(&self, first: fn(&IdRange) -> u32) -> Option<(IdRange, IdRange)> {
        let mut sorted = self.ranges.clone();
        sorted.sort_by_key(first);
        sorted.array_windows().find(|[a, b]| first(b) - first(a) < a.count).map(|[a, b]| (*a, *b))
    }
}

/// `0:1000:1 1:100000:65536`.
impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ranges.iter().map(IdRange::to_string).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IdRange {
        IdRange::parse(IdKind::User, OsStr::new(text)).unwrap()
    }

    fn map(ranges: &[IdRange]) -> IdMap {
        IdMap { kind: IdKind::User, ranges: ranges.to_vec() }
    }

    #[test]
    fn a_range_is_three_plain_numbers() {
        assert_eq!(range("0:100000:65536"), IdRange { inside: 0, outside: 100_000, count: 65536 });
        assert_eq!(range("4294967294:0:1"), IdRange::one(4_294_967_294, 0));
        for bad in [
            "",
            "0",
            "0:0",
            "0:0:0",
            "0:0:1:1",
            "0:0:1:",
            ":0:0:1",
            "-1:0:1",
            "+1:0:1",
            "0:0:x",
            "0 0 1",
            "4294967295:0:1",
            "0:4294967290:6",
            "0:0:4294967296",
            "0x0:0:1",
            "a:0:0:1",
        ] {
            assert!(IdRange::parse(IdKind::User, OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_found_through_the_map() {
        let ids = map(&[range("0:1000:1"), range("1:100000:10")]);
        assert_eq!(ids.inside_of(1000), Some(0));
        assert_eq!(ids.inside_of(100_009), Some(10));
        assert_eq!(ids.inside_of(100_010), None);
        assert_eq!(ids.first_inside(), 0);
        assert_eq!(map(&[range("5:1:2")]).first_inside(), 5);
        assert_eq!(map(&[range("5:1:2"), range("0:9:1")]).first_inside(), 0);
        assert_eq!(ids.numbers("\n"), "0 1000 1\n1 100000 10");
        assert_eq!(ids.to_string(), "0:1000:1 1:100000:10");
    }

    #[test]
    fn overlaps_are_refused_on_either_side() {
        assert!(map(&[range("0:0:10"), range("10:10:10")]).check().is_ok());
        assert!(map(&[range("10:10:10"), range("0:100:11")]).check().is_err());
        assert!(map(&[range("0:5:10"), range("20:0:6")]).check().is_err());
        assert!(map(&[range("0:0:1"), range("0:0:1")]).check().is_err());
        let many: Vec<IdRange> = (0..341).map(|n| IdRange::one(n, n)).collect();
        assert!(map(&many).check().is_err() && map(&many[1..]).check().is_ok());
    }

    #[test]
    fn all_other_ids_are_filled_from_0_on() {
        let texts = |own: IdRange, subordinate: &[SubidRange]| map(&own.filled_with(subordinate)).to_string();
        let root = texts(IdRange::one(0, 1000), &[(100_000, 65536), (300_000, 10)]);
        assert_eq!(root, "0:1000:1 1:100000:65536 65537:300000:10");
        let same = texts(IdRange::one(1000, 1000), &[(100_000, 65536)]);
        assert_eq!(same, "1000:1000:1 0:100000:1000 1001:101000:64536");
        assert_eq!(texts(IdRange::one(1000, 1000), &[(100_000, 10)]), "1000:1000:1 0:100000:10");
    }
}
