//! `--map-subids`: the subordinate ids of the caller (subuid(5), subgid(5)), which newuidmap(1) may map for it.
//!
//! Both files are keyed by the user, the one of the groups too: it says which groups a user may map, not a group.

use std::fs;

use chain::{Call as _, Hint as _, Result, refusal, show};

use crate::model::map::SubidRange;

/// What the caller may have mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subids {
    pub users: Vec<SubidRange>,
    pub groups: Vec<SubidRange>,
}

/// The ranges of a user; refused where a file has none.
pub fn of(uid: u32) -> Result<Subids> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&passwd, uid);
    let ranges = |file: &str| -> Result<Vec<SubidRange>> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.call(&format!("--map-subids: read {file}"))?,
        };
        let found = ranges_of(&text, name, uid);
        if found.is_empty() { Err(none(file, name, uid)) } else { Ok(found) }
    };
    Ok(Subids { users: ranges("/etc/subuid")?, groups: ranges("/etc/subgid")? })
}

fn none(file: &str, name: Option<&str>, uid: u32) -> anyhow::Error {
    let who = name.map_or_else(|| uid.to_string(), show);
    let option = if file == "/etc/subuid" { "--add-subuids" } else { "--add-subgids" };
    refusal!("--map-subids: {file} has no range for user {who}")
        .hint(format!("root can give one: usermod {option} 100000-165535 {who}"))
}

fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The ranges of a user: lines `NAME:FIRST:COUNT` or `UID:FIRST:COUNT`. A line of another form is nobody's.
fn ranges_of(text: &str, name: Option<&str>, uid: u32) -> Vec<SubidRange> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let theirs = Some(who) == name || who.parse() == Ok(uid);
        (theirs && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "root:1:2\nann:100000:65536\n# ann:5:5\n1000:300000:10\nannabel:7:7\nann:x:1\nann:200000:1\n1000:4294967295:2\n";
        assert_eq!(ranges_of(text, Some("ann"), 1000), [(100_000, 65536), (300_000, 10), (200_000, 1)]);
        assert_eq!(ranges_of(text, None, 1000), [(300_000, 10)]);
        assert_eq!(ranges_of(text, Some("bob"), 5), []);
        assert_eq!(name_of("root:x:0:0::/:/bin/sh\nann:x:1000:100::/:/bin/sh\n", 1000), Some("ann"));
        assert_eq!(name_of("odd\n", 1000), None);
    }
}
