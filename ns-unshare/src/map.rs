//! Id maps of a user namespace (user_namespaces(7)): lines of `IN:OUT:N`.

use std::ffi::OsStr;
use std::fmt;

use chain::values::number;
use chain::{Failure, Result, show};

/// The most lines that the kernel takes (Linux 4.15; 5 before).
pub const MOST_LINES: usize = 340;

/// `N` ids from `inside` on, in the box, are the `N` ids from `outside` on of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first id in the new namespace.
    pub inside: u32,
    /// The first id in the caller's namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl Line {
    /// One id.
    #[must_use]
    pub fn one(inside: u32, outside: u32) -> Self {
        Self { inside, outside, count: 1 }
    }

    /// Reads `IN:OUT:N`. 4294967295 is no id (it means "no change" to setuid(2)), so no line may reach it.
    ///
    /// # Errors
    /// Anything else; `option` names it in the message.
    pub fn parse(option: &str, word: &OsStr) -> Result<Self> {
        let refused = || {
            Failure::refusal(format!("--{option} {}: not a map line", show(word)))
                .hint("IN:OUT:N, three plain numbers: N ids from IN in the box are those from OUT outside")
        };
        let text = word.to_str().ok_or_else(refused)?;
        let numbers: Vec<u32> = text.split(':').filter_map(id).collect();
        match (text.split(':').count(), numbers.as_slice()) {
            (3, &[inside, outside, count]) if fits(inside, count) && fits(outside, count) => {
                Ok(Self { inside, outside, count })
            }
            _ => Err(refused().into()),
        }
    }

    fn covers_outside(self, id: u32) -> bool {
        id >= self.outside && id - self.outside < self.count
    }

    fn covers_inside(self, id: u32) -> bool {
        id >= self.inside && id - self.inside < self.count
    }
}

fn id(text: &str) -> Option<u32> {
    number(OsStr::new(text)).and_then(|n| u32::try_from(n).ok())
}

fn fits(first: u32, count: u32) -> bool {
    count > 0 && first.checked_add(count).is_some()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

/// What is written to uid_map or gid_map.
#[must_use]
pub fn file_text(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{} {} {}\n", line.inside, line.outside, line.count)).collect()
}

/// The lines in one word, for people: `0:1000:1 1:100000:65536`.
#[must_use]
pub fn words(lines: &[Line]) -> String {
    lines.iter().map(Line::to_string).collect::<Vec<_>>().join(" ")
}

/// What the caller's `id` becomes in the box, if it is mapped.
#[must_use]
pub fn inside_of(lines: &[Line], id: u32) -> Option<u32> {
    lines.iter().find(|line| line.covers_outside(id)).map(|line| line.inside + (id - line.outside))
}

/// The id that a process takes in a box where its own is not mapped: 0 if there is one, else the first of all.
#[must_use]
pub fn first_inside(lines: &[Line]) -> Option<u32> {
    if lines.iter().any(|line| line.covers_inside(0)) { Some(0) } else { lines.first().map(|line| line.inside) }
}

/// Checks what the kernel would answer with a bare EINVAL.
///
/// # Errors
/// Too many lines, or two that overlap on either side.
pub fn check(option: &str, lines: &[Line]) -> Result<()> {
    if lines.len() > MOST_LINES {
        let text = format!("--{option}: {} lines, and the kernel takes {MOST_LINES}", lines.len());
        return Err(Failure::refusal(text).into());
    }
    overlapping(lines).map_or(Ok(()), |(a, b)| Err(Failure::refusal(format!("--{option}: {a} and {b} overlap")).into()))
}

/// Two lines that overlap inside or outside: neighbours, once they are sorted.
fn overlapping(lines: &[Line]) -> Option<(Line, Line)> {
    let side = |first: fn(&Line) -> u32| {
        let mut sorted = lines.to_vec();
        sorted.sort_by_key(first);
        let clash = |pair: &[Line]| match *pair {
            [a, b] if first(&b) - first(&a) < a.count => Some((a, b)),
            _ => None,
        };
        sorted.windows(2).find_map(clash)
    };
    side(|line| line.inside).or_else(|| side(|line| line.outside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::parse("map-users", OsStr::new(text)).unwrap()
    }

    #[test]
    fn a_line_is_three_plain_numbers() {
        assert_eq!(line("0:100000:65536"), Line { inside: 0, outside: 100_000, count: 65536 });
        assert_eq!(line("4294967294:0:1"), Line::one(4_294_967_294, 0));
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
            assert!(Line::parse("map-users", OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_found_through_the_map() {
        let lines = [line("0:1000:1"), line("1:100000:10")];
        assert_eq!(inside_of(&lines, 1000), Some(0));
        assert_eq!(inside_of(&lines, 100_009), Some(10));
        assert_eq!(inside_of(&lines, 100_010), None);
        assert_eq!(first_inside(&lines), Some(0));
        assert_eq!(first_inside(&[line("5:1:2")]), Some(5));
        assert_eq!(file_text(&lines), "0 1000 1\n1 100000 10\n");
    }

    #[test]
    fn overlaps_are_refused_on_either_side() {
        assert!(check("x", &[line("0:0:10"), line("10:10:10")]).is_ok());
        assert!(check("x", &[line("10:10:10"), line("0:100:11")]).is_err());
        assert!(check("x", &[line("0:5:10"), line("20:0:6")]).is_err());
        assert!(check("x", &[line("0:0:1"), line("0:0:1")]).is_err());
        let many: Vec<Line> = (0..341).map(|n| Line::one(n, n)).collect();
        assert!(check("x", &many).is_err() && check("x", &many[1..]).is_ok());
    }
}
