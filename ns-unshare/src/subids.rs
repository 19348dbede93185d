//! `--map-subids`: the subordinate ids of the caller (subuid(5), subgid(5)), which newuidmap(1) may map for it.
//!
//! Both files are keyed by the user, the one of the groups too: it says which groups a user may map, not a group.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use chain::{Call as _, Failure, Result, next, show, sys};
use nix::libc;

use crate::map::Line;

/// A first id, and how many.
pub type Range = (u32, u32);

/// What the caller may have mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subids {
    /// User ids.
    pub users: Vec<Range>,
    /// Group ids.
    pub groups: Vec<Range>,
}

/// Looks up the ranges of a user.
///
/// # Errors
/// A file that cannot be read, or that has no range for the user.
pub fn of(uid: u32) -> Result<Subids> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&passwd, uid);
    let ranges = |file: &str| -> Result<Vec<Range>> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.call(&format!("--map-subids: read {file}"))?,
        };
        let found = ranges_of(&text, name, uid);
        if found.is_empty() { Err(none(file, name, uid).into()) } else { Ok(found) }
    };
    Ok(Subids { users: ranges("/etc/subuid")?, groups: ranges("/etc/subgid")? })
}

fn none(file: &str, name: Option<&str>, uid: u32) -> Failure {
    let who = name.map_or_else(|| uid.to_string(), show);
    let option = if file == "/etc/subuid" { "--add-subuids" } else { "--add-subgids" };
    Failure::refusal(format!("--map-subids: {file} has no range for user {who}"))
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
fn ranges_of(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let theirs = Some(who) == name || who.parse() == Ok(uid);
        (theirs && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

/// The map: the caller's own id where `own` says, and the ranges, one after the other, at all other ids from 0 on.
#[must_use]
pub fn fill(own: Line, ranges: &[Range]) -> Vec<Line> {
    let (mut lines, mut inside) = (vec![own], 0_u32);
    for (first, count) in ranges {
        let (mut outside, mut left) = (*first, *count);
        while left > 0 {
            if inside == own.inside {
                inside += 1;
            }
            let room = if inside < own.inside { own.inside - inside } else { u32::MAX - inside };
            let count = left.min(room);
            if count == 0 {
                return lines;
            }
            lines.push(Line { inside, outside, count });
            (inside, outside, left) = (inside + count, outside + count, left - count);
        }
    }
    lines
}

/// The words of newuidmap(1) or newgidmap(1) behind the process number.
#[must_use]
pub fn words(lines: &[Line]) -> Vec<String> {
    lines.iter().flat_map(|line| [line.inside, line.outside, line.count]).map(|n| n.to_string()).collect()
}

/// Has the helper write a map. It is setuid root and sees to it that the ranges are the caller's.
///
/// # Errors
/// A helper that is not there, or that refuses; what it said is part of the message.
pub fn have_mapped(helper: &str, process: &str, lines: &[Line]) -> Result<()> {
    let path = next::find(&OsString::from(helper)).map_err(|_| missing(helper))?;
    // Somebody who ignores SIGCHLD would have the kernel take the helper's status.
    sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
    let mut command = Command::new(path);
    let command = command.arg(process).args(words(lines)).stdin(Stdio::null());
    let output = command.output().call(helper)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it said nothing").trim();
    let said = said.strip_prefix(&format!("{helper}: ")).unwrap_or(said);
    Err(Failure::refusal(format!("{helper}: {said}")).hint(REFUSED).into())
}

const REFUSED: &str = "it must be setuid root or have file capabilities (Debian: package uidmap), and the caller must \
                       have a name in /etc/passwd and the ranges in /etc/subuid and /etc/subgid";

fn missing(helper: &str) -> Failure {
    Failure::refusal(format!("{helper}: not found in PATH"))
        .hint("Debian and Ubuntu have it in the package uidmap, others in shadow-utils")
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

    #[test]
    fn all_other_ids_are_filled_from_0_on() {
        let texts = |lines: Vec<Line>| lines.iter().map(Line::to_string).collect::<Vec<_>>();
        let root = fill(Line::one(0, 1000), &[(100_000, 65536), (300_000, 10)]);
        assert_eq!(texts(root), ["0:1000:1", "1:100000:65536", "65537:300000:10"]);
        let same = fill(Line::one(1000, 1000), &[(100_000, 65536)]);
        assert_eq!(texts(same), ["1000:1000:1", "0:100000:1000", "1001:101000:64536"]);
        let small = fill(Line::one(1000, 1000), &[(100_000, 10)]);
        assert_eq!(texts(small), ["1000:1000:1", "0:100000:10"]);
    }
}
