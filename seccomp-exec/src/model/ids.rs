//! User and groups of the payload, as numbers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use chain::values::id;
use chain::{Hint as _, Result, refusal, show};

/// The ids of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Real, effective, saved and file system user id.
    pub uid: u32,
    pub gid: u32,
    /// The supplementary groups, sorted, each once.
    pub groups: Vec<u32>,
}

impl Ids {
    /// Reads `UID:GID` or `UID:GID:GROUP,GROUP...`: plain decimal numbers only, as guessing what else might be meant
    /// ends with the wrong user (CVE-2016-3697, CVE-2026-30892); and not 4294967295, which the kernel reads as "leave it
    /// as it is".
    pub fn parse(text: &OsStr) -> Result<Self> {
        let fields: Option<Vec<Vec<u32>>> = text.as_bytes().split(|byte| *byte == b':').map(ids).collect();
        let fields: Option<Vec<&[u32]>> = fields.as_ref().map(|fields| fields.iter().map(Vec::as_slice).collect());
        match fields.as_deref() {
            Some([[uid], [gid]]) => Ok(Self { uid: *uid, gid: *gid, groups: vec![] }),
            Some([[uid], [gid], groups]) => Ok(Self { uid: *uid, gid: *gid, groups: sorted(groups.to_vec()) }),
            _ => Err(refusal!("--user {}: not UID:GID or UID:GID:GROUP,GROUP", show(text))
                .hint("decimal numbers from 0 to 4294967294; names are looked up by the caller: id -u NAME")),
        }
    }
}

/// Groups in one order, so that a list that was set can be compared with the one that the kernel gives back.
pub fn sorted(mut groups: Vec<u32>) -> Vec<u32> {
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// One field: numbers separated by commas.
fn ids(field: &[u8]) -> Option<Vec<u32>> {
    field.split(|byte| *byte == b',').map(|word| id(OsStr::from_bytes(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(u32, u32, Vec<u32>)> {
        Ids::parse(OsStr::new(text)).ok().map(|ids| (ids.uid, ids.gid, ids.groups))
    }

    #[test]
    fn numbers_are_taken_as_they_are() {
        assert_eq!(parsed("0:0"), Some((0, 0, vec![])));
        assert_eq!(parsed("1000:100:7,5,7"), Some((1000, 100, vec![5, 7])));
        assert_eq!(parsed("4294967294:4294967294"), Some((4_294_967_294, 4_294_967_294, vec![])));
    }

    #[test]
    fn nothing_else_is_a_user() {
        let bad = [
            "",
            "1000",
            "1000:",
            ":1000",
            "1000: 1000",
            "1000 :1000",
            "+1:1",
            "-1:1",
            "0x0:0",
            "root:root",
            "1:1:",
            "1:1:,",
            "1:1:1,",
            "1:1:1:1",
            "1,2:1",
            "1:1,2",
            "4294967295:1",
            "1:4294967295",
            "1:1:4294967295",
            "4294967296:1",
            "18446744073709551616:1",
            "1.0:1",
            "1:1\n",
        ];
        for text in bad {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert!(Ids::parse(OsStr::from_bytes(b"1:\xff")).is_err());
    }
}
