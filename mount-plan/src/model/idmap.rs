//! Which ids a bind shows for the ids on disk: `X-mount.idmap=` of mount(8), by mount_setattr(2) with MOUNT_ATTR_IDMAP
//! (Linux 5.12).
//!
//! ```text
//! X-mount.idmap=b:0:100000:65536            users and groups 0 to 65535 on disk are 100000 and up in the mount
//! X-mount.idmap=u:0:1000:1 g:0:100:1        several ranges, separated by spaces (\040 in a plan)
//! X-mount.idmap=/proc/PID/ns/user           the maps of that user namespace
//! X-mount.owner=1879050000                  the owner on disk, whoever that is, is this user; all others are set apart
//! ```
//!
//! util-linux's own manual has the first two numbers the wrong way round; this is what its mount(8) does. The kernel
//! takes the map from a user namespace, and nothing else of it: one that lives no longer than it takes to open it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use chain::{Hint as _, Result, refusal, show, values};

/// The most ranges of one kind that the kernel takes (user_namespaces(7), Linux 4.15).
const MOST: usize = 340;

/// Which ids are shown for those on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idmap<S = PathBuf> {
    /// The map stands in the plan.
    Ranges(Vec<IdRange>),
    /// It is the one of this user namespace, named by a file of /proc or one that is bound to it.
    Namespace(S),
    /// It comes of the owner of what is mounted ([`of_owner`]), who is shown as this user and this group.
    Owner(u32),
}

/// The owner of a source, and the map that shows him as somebody else.
pub struct Owner {
    pub path: PathBuf,
    pub user: u32,
    pub ranges: Vec<IdRange>,
}

/// From here on are the ids of all others: user N is shown as `OTHERS` + N.
const OTHERS: u32 = 1 << 31;

/// The last id that has a place there.
const LAST: u32 = OTHERS - 2;

/// Reads what stands behind `X-mount.owner=`: an id that cannot be one of the others'.
pub fn read_owner(word: &OsStr) -> Result<u32> {
    values::integer(word)
        .filter(|id| *id < OTHERS)
        .ok_or_else(|| refusal!("X-mount.owner={}: not a user id up to {}", show(word), OTHERS - 1))
}

/// The map that shows this user and this group as the user and the group `shown`, and keeps every other id apart from all
/// that the machine has: nothing on disk is without an id in the mount, so that an overlay can copy whatever it is
/// (EOVERFLOW otherwise). Id 0 takes the place that the owner leaves among the others.
pub fn of_owner(user: u32, group: u32, shown: u32) -> Vec<IdRange> {
    [("u:", user), ("g:", group)].into_iter().flat_map(|(kind, owner)| of_one(kind, owner, shown)).collect()
}

fn of_one(kind: &'static str, owner: u32, shown: u32) -> impl Iterator<Item = IdRange> {
    let range = move |on_disk, shown, count| IdRange { kind, on_disk, shown, count };
    let left = if owner <= LAST { owner } else { 0 };
    let zero = range(0, OTHERS + left, u32::from(owner != 0));
    let below = range(1, OTHERS + 1, owner.min(LAST + 1).saturating_sub(1));
    let above = range(left + 1, OTHERS + left + 1, LAST.saturating_sub(owner));
    [range(owner, shown, 1), zero, below, above].into_iter().filter(|range| range.count > 0)
}

/// `count` ids from `on_disk` on are shown as the ids from `shown` on. All other ids are nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// `u:` for users, `g:` for groups, `b:` for both.
    kind: &'static str,
    pub on_disk: u32,
    /// The first id in the mount, as the namespace of the one who mounts it counts.
    pub shown: u32,
    pub count: u32,
}

/// Reads what stands behind `X-mount.idmap=`. The kernel takes no map without users or without groups.
pub fn read(word: &OsStr) -> Result<Idmap> {
    if word.as_bytes().starts_with(b"/") {
        return Ok(Idmap::Namespace(PathBuf::from(word)));
    }
    let refused = |why: &str| {
        refusal!("X-mount.idmap={}: {why}", show(word)).hint(
            "[u:|g:|b:]DISK:SHOWN:N, separated by spaces: N ids from DISK on the disk are those from SHOWN in the mount; or \
             a /proc/PID/ns/user",
        )
    };
    let text = word.to_str().ok_or_else(|| refused("not a map"))?;
    let ranges = text.split_whitespace().map(range).collect::<Option<Vec<_>>>().ok_or_else(|| refused("not a map"))?;
    match (users(&ranges).count(), groups(&ranges).count()) {
        (0, _) | (_, 0) => Err(refused("users and groups need a range each")),
        (users, groups) if users.max(groups) > MOST => Err(refused("more ranges than the kernel takes")),
        _ => Ok(Idmap::Ranges(ranges)),
    }
}

fn range(text: &str) -> Option<IdRange> {
    let kinds = ["u:", "g:", "b:"].into_iter();
    let (kind, numbers) =
        kinds.filter_map(|kind| Some((kind, text.strip_prefix(kind)?))).next().unwrap_or(("b:", text));
    let (on_disk, shown, count) = values::id_range(numbers)?;
    Some(IdRange { kind, on_disk, shown, count })
}

/// The ranges for users.
pub fn users(ranges: &[IdRange]) -> impl Iterator<Item = &IdRange> {
    ranges.iter().filter(|range| range.kind != "g:")
}

/// The ranges for groups.
pub fn groups(ranges: &[IdRange]) -> impl Iterator<Item = &IdRange> {
    ranges.iter().filter(|range| range.kind != "u:")
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}:{}", self.kind, self.on_disk, self.shown, self.count)
    }
}

impl<S: AsRef<OsStr>> fmt::Display for Idmap<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(path) => f.write_str(&show(path)),
            Self::Ranges(ranges) => f.write_str(&words(ranges)),
            Self::Owner(shown) => write!(f, "that show its owner as {shown}"),
        }
    }
}

/// The ranges as a plan has them.
pub fn words(ranges: &[IdRange]) -> String {
    ranges.iter().map(IdRange::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(text: &str) -> Option<String> {
        read(OsStr::new(text)).ok().map(|map| map.to_string())
    }

    #[test]
    fn a_map_is_ranges_or_a_file() {
        assert_eq!(read_back("0:5:1").as_deref(), Some("b:0:5:1"));
        assert_eq!(read_back("b:0:1879050000:1").as_deref(), Some("b:0:1879050000:1"));
        assert_eq!(read_back("u:0:1000:1  g:0:100:2").as_deref(), Some("u:0:1000:1 g:0:100:2"));
        assert_eq!(read_back("/proc/1/ns/user").as_deref(), Some("/proc/1/ns/user"));
        for bad in ["", " ", "x:0:0:1", "b:0:0", "b:0:0:0", "b:-1:0:1", "b:0:4294967295:1", "b:+1:0:1", "b:0:0:1,1:1:1"]
        {
            assert_eq!(read_back(bad), None, "{bad:?}");
        }
        assert_eq!(read_back("u:0:0:1"), None, "no groups");
        assert_eq!(read_back("g:0:0:1"), None, "no users");
        let many = |n: usize| (0..n).map(|id| format!("{id}:{id}:1")).collect::<Vec<_>>().join(" ");
        assert!(read_back(&many(340)).is_some() && read_back(&many(341)).is_none());
    }

    #[test]
    fn every_id_on_disk_is_shown_as_one_of_its_own() {
        let one = |owner| words(&of_one("u:", owner, 7).collect::<Vec<_>>());
        assert_eq!(one(0), "u:0:7:1 u:1:2147483649:2147483646");
        assert_eq!(one(1), "u:1:7:1 u:0:2147483649:1 u:2:2147483650:2147483645");
        assert_eq!(one(1000), "u:1000:7:1 u:0:2147484648:1 u:1:2147483649:999 u:1001:2147484649:2147482646");
        assert_eq!(one(LAST), "u:2147483646:7:1 u:0:4294967294:1 u:1:2147483649:2147483645");
        // Ids above the last one are somebody's only where the owner is one of them.
        assert_eq!(one(LAST + 1), "u:2147483647:7:1 u:0:2147483648:1 u:1:2147483649:2147483646");
        assert_eq!(words(&of_owner(0, 0, 7)), format!("{} g:0:7:1 g:1:2147483649:2147483646", one(0)));
        assert_eq!(read_owner(OsStr::new("2147483647")).unwrap(), 2_147_483_647);
        for bad in ["", "2147483648", "-1", "root"] {
            assert!(read_owner(OsStr::new(bad)).is_err(), "{bad}");
        }
    }
}
