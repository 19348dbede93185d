//! Id maps of a user namespace (user_namespaces(7)).

use std::ffi::OsStr;
use std::fmt;

use chain::values::id_range;
use chain::{Hint as _, Result, refusal, show};

/// The most ranges that the kernel takes (Linux 4.15; 5 before).
const MOST_RANGES: usize = 340;

/// What unmapped ids look like (user_namespaces(7)); the setting that could change it would be read in a tree that may
/// be somebody else's.
pub const UNMAPPED: u32 = 65534;

/// How far an id of a box whose ids are in the upper half of all lies above itself.
const UPPER_HALF: u32 = 1 << 31;

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

    /// Ids 1 to 2147483646, each 2147483648 above that outside; without the one that is `id` outside.
    pub fn upper_half_without(id: u32) -> Vec<Self> {
        let end = UPPER_HALF - 1;
        let range = |first: u32, end: u32| Self { inside: first, outside: UPPER_HALF + first, count: end - first };
        let parts = match id.checked_sub(UPPER_HALF).filter(|id| (1..end).contains(id)) {
            Some(left_out) => vec![range(1, left_out), range(left_out + 1, end)],
            None => vec![range(1, end)],
        };
        parts.into_iter().filter(|range| range.count > 0).collect()
    }

    /// Whether this line of a namespace's map has all ids that `range`, of a namespace made in it, wants of outside. The
    /// kernel wants them all of one line.
    pub fn has_outside_of(self, range: Self) -> bool {
        let end = |first: u32, count: u32| u64::from(first) + u64::from(count);
        range.outside >= self.inside && end(range.outside, range.count) <= end(self.inside, self.count)
    }

    /// Reads `IN:OUT:N`, the value of an option of `kind`.
    pub fn parse(kind: IdKind, word: &OsStr) -> Result<Self> {
        let Some((inside, outside, count)) = word.to_str().and_then(id_range) else {
            let hint = "IN:OUT:N, three plain numbers: N ids from IN in the box are those from OUT outside";
            return Err(refusal!("--{} {}: not an id range", kind.option(), show(word)).hint(hint));
        };
        Ok(Self { inside, outside, count })
    }

    /// A line of the kernel's file: three numbers, the columns filled with spaces.
    pub fn from_kernel(line: &str) -> Option<Self> {
        let numbers: Vec<u32> = line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [inside, outside, count] = *numbers.as_slice() else { return None };
        Some(Self { inside, outside, count })
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
            return Err(refusal!("--{option}: {} ranges, and the kernel takes {MOST_RANGES}", self.ranges.len()));
        }
        match self.overlapping(|range| range.inside).or_else(|| self.overlapping(|range| range.outside)) {
            Some((one, other)) => Err(refusal!("--{option}: {one} and {other} overlap")),
            None => Ok(()),
        }
    }

    /// Two ranges that overlap on the side of `first`: neighbours, once they are sorted.
    fn overlapping(&self, first: fn(&IdRange) -> u32) -> Option<(IdRange, IdRange)> {
        let mut sorted = self.ranges.clone();
        sorted.sort_by_key(first);
        sorted.windows(2).find_map(|pair| match pair {
            [a, b] if first(b) - first(a) < a.count => Some((*a, *b)),
            _ => None,
        })
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
    fn the_upper_half_has_every_id_but_one() {
        let texts = |id: u32| map(&IdRange::upper_half_without(id)).to_string();
        let all = "1:2147483649:2147483646";
        for id in [0, 1000, 65534, 2_147_483_647, 2_147_483_648, 4_294_967_295] {
            assert_eq!(texts(id), all, "{id}");
        }
        assert_eq!(texts(2_147_483_649), "2:2147483650:2147483645");
        assert_eq!(texts(2_147_483_653), "1:2147483649:4 6:2147483654:2147483641");
        assert_eq!(texts(4_294_967_294), "1:2147483649:2147483645");
        for id in [0, 2_147_483_649, 2_147_483_650, 3_000_000_000, 4_294_967_293, 4_294_967_294] {
            let ranges = [vec![IdRange::one(0, id)], IdRange::upper_half_without(id)].concat();
            assert!(map(&ranges).check().is_ok(), "{id}");
        }
    }

    #[test]
    fn a_line_has_what_lies_within_it() {
        let all = IdRange { inside: 0, outside: 0, count: u32::MAX };
        assert!(IdRange::upper_half_without(0).into_iter().all(|upper| all.has_outside_of(upper)));
        let some = range("0:100000:65536");
        assert!(some.has_outside_of(range("0:65535:1")) && !some.has_outside_of(range("0:65535:2")));
        assert!(!range("10:0:5").has_outside_of(range("0:9:2")));
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
