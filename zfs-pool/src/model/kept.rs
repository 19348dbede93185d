//! Versions that are kept: for each, how many free clones of it there are to be. They are given only to a request that names the
//! version, and `gc` and `regenerate` leave them.

use std::fmt;

use super::name::version_number;

/// The kept versions of a template, the oldest first, each with its number of free clones, which is never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(Vec<(u32, u32)>);

impl Kept {
    /// Whether no version is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many free clones of `version` there are to be; `None` where it is not kept.
    pub fn count(&self, version: u32) -> Option<u32> {
        self.iter().find(|kept| kept.0 == version).map(|kept| kept.1)
    }

    /// Each kept version with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }

    /// The same with another number for `version`; 0: it is not kept.
    pub fn with(&self, version: u32, count: u32) -> Self {
        let others = self.iter().filter(|kept| kept.0 != version);
        let mut all: Vec<_> = others.chain((count > 0).then_some((version, count))).collect();
        all.sort_unstable();
        Self(all)
    }

    /// Whether a request for the version `requested` may have a clone of `version`: the newest is for everyone, a kept one only
    /// for a request that names it.
    pub fn allows(&self, requested: Option<u32>, version: u32, latest: Option<u32>) -> bool {
        requested.map_or(Some(version) == latest || self.count(version).is_none(), |requested| requested == version)
    }

    /// Reads what it is displayed as; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| version_number(text.as_ref());
        let one =
            |part: &str| part.split_once(':').and_then(|(version, count)| Some((number(version)?, number(count)?)));
        let all: Vec<_> = text.split(',').map(one).collect::<Option<_>>()?;
        all.is_sorted_by(|a, b| a.0 < b.0).then_some(Self(all))
    }
}

impl fmt::Display for Kept {
    /// `VERSION:COUNT,VERSION:COUNT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.iter().map(|(version, count)| format!("{version}:{count}")).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_version_is_for_who_names_it() {
        let kept = Kept::default().with(3, 1).with(1, 2).with(3, 4).with(2, 9).with(2, 0);
        assert_eq!(kept.to_string(), "1:2,3:4");
        assert_eq!(Kept::parse("1:2,3:4"), Some(kept.clone()));
        assert!(kept.allows(Some(1), 1, Some(4)) && !kept.allows(Some(1), 2, Some(4)));
        assert!(!kept.allows(None, 1, Some(4)) && kept.allows(None, 2, Some(4)) && kept.allows(None, 4, Some(4)));
        assert!(kept.allows(None, 3, Some(3)), "the newest is for everyone");
        assert_eq!((kept.count(3), kept.count(2)), (Some(4), None));
    }

    #[test]
    fn what_is_not_whole_is_not_read() {
        for bad in ["", "1", "1:", "0:1", "1:0", "1:1,", "2:1,1:1", "1:1,1:2", "1:1;2:2", "-"] {
            assert_eq!(Kept::parse(bad), None, "{bad:?}");
        }
    }
}
