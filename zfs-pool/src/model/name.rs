//! What may be a name. A name that came from a user, a directory or a dataset list is none of these until it has been
//! checked here (CVE-2022-2787: names that were not checked became paths).

use std::ffi::OsStr;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use chain::values::{integer, is_name};
use chain::{Hint as _, Result, refusal, show};

/// A template's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`, without `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// The part of a clone's name that the pool gives it: sixteen hexadecimal digits. Never given twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

/// A clone, as it is written on the command line: `TEMPLATE/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneName {
    pub template: Name,
    pub id: Id,
}

/// A template, or one version of it, as it is written on the command line: `TEMPLATE` or `TEMPLATE@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    pub template: Name,
    /// Which version; `None` where the user leaves that to the pool.
    pub version: Option<u32>,
}

/// A version's number as it is written in names: decimal, from 1, without a leading zero.
pub fn version_number(word: &OsStr) -> Option<u32> {
    integer::<u32>(word).filter(|number| *number > 0 && word.to_str() == Some(&number.to_string()))
}

impl Name {
    /// Checks a name.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let good = word.to_str().filter(|text| is_name(text));
        good.map(|text| Self(text.to_owned())).ok_or_else(|| {
            refusal!("{}: not a name", show(word))
                .hint("a name is a letter or digit, then up to 63 letters, digits, '_', '.' or '-'")
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Id {
    /// Checks an id; `None` for anything else.
    pub fn parse(word: &OsStr) -> Option<Self> {
        let text = word.to_str()?;
        let good = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }

    /// An id that follows from the time: ids sort by age. Where it is taken, the caller asks again.
    pub fn now() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Self(format!("{:016x}", u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CloneName {
    /// Checks `TEMPLATE/ID`.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let parts = word.to_str().and_then(|text| text.split_once('/'));
        let clone = parts.and_then(|(template, id)| {
            Some(Self { template: Name::parse(template.as_ref()).ok()?, id: Id::parse(id.as_ref())? })
        });
        clone.ok_or_else(|| {
            refusal!("{}: not the name of a clone", show(word))
                .hint("a clone is TEMPLATE/ID, as acquire prints it in ROOTFS_CLONE and list shows it")
        })
    }
}

impl Requested {
    /// Checks `TEMPLATE` or `TEMPLATE@VERSION`.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let Some((template, version)) = word.to_str().and_then(|text| text.split_once('@')) else {
            return Ok(Self { template: Name::parse(word)?, version: None });
        };
        let template = Name::parse(template.as_ref())?;
        let version = version_number(version.as_ref()).ok_or_else(|| {
            refusal!("{}: not a version", show(word)).hint("a version is TEMPLATE@V, with V as zfs-pool list shows it")
        })?;
        Ok(Self { template, version: Some(version) })
    }
}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.template.fmt(f)?;
        self.version.map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CloneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.template, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn only_the_pattern_is_a_name() {
        for good in ["a", "0", "debian-12.5_x", &"a".repeat(64)] {
            assert_eq!(Name::parse(good.as_ref()).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", ".", "..", "-a", "_a", "a/b", "../a", "a b", "a\n", "a@b", "\u{e9}", long.as_str()] {
            assert!(Name::parse(bad.as_ref()).is_err(), "{bad:?}");
        }
        assert!(Name::parse(OsStr::from_bytes(b"a\xff")).is_err());
    }

    #[test]
    fn a_version_is_named_by_its_number() {
        let requested = |text: &str| Requested::parse(text.as_ref()).map(|of| (of.to_string(), of.version));
        assert_eq!(requested("t").unwrap(), ("t".to_owned(), None));
        assert_eq!(requested("t.1@12").unwrap(), ("t.1@12".to_owned(), Some(12)));
        for bad in ["t@", "t@0", "t@01", "t@-1", "t@v1", "t@1@2", "@1", "t@4294967296", "../t@1", "t@1/x", "t@ 1"] {
            assert!(requested(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_clone_is_template_and_id() {
        let clone = CloneName::parse("t.1/00000000000000ff".as_ref()).unwrap();
        assert_eq!(clone.to_string(), "t.1/00000000000000ff");
        for bad in ["t", "t/", "/00000000000000ff", "t/00000000000000FF", "t/../0000000000000", "t/a/00000000000000ff"]
        {
            assert!(CloneName::parse(bad.as_ref()).is_err(), "{bad:?}");
        }
        let id = Id::now();
        assert_eq!(Id::parse(id.as_str().as_ref()), Some(id));
    }
}
