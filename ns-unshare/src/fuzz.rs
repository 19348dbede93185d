//! Id maps, ranges and joins that nobody would write. `CHAINBOX_FUZZ_SECONDS` (1 where it is not set) is how long each test
//! goes on; `CHAINBOX_FUZZ_SEED` is where the draws begin. A failure prints the input.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::{Duration, Instant};

use chainbox_tests::draws::Draws;
use chainbox_tests::{Chain, is_root};

use crate::model::join::{Join, Pin};
use crate::model::map::{IdKind, IdMap, IdRange};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |word| word.parse().unwrap())
}

fn map(ranges: &[IdRange]) -> IdMap {
    IdMap { kind: IdKind::User, ranges: ranges.to_vec() }
}

fn in_box(options: &str, script: &str) -> Chain {
    Chain::new("ns-unshare").args(options.split_whitespace()).args(["--", "sh", "-c", script])
}

/// Calls `try_one` until the time is up, at least `least` times.
fn rounds(least: u64, mut try_one: impl FnMut(&mut Draws)) {
    let end = Instant::now() + Duration::from_secs(number("CHAINBOX_FUZZ_SECONDS", 1));
    let (mut draws, mut count) = (Draws(number("CHAINBOX_FUZZ_SEED", 1)), 0);
    while count < least || Instant::now() < end {
        try_one(&mut draws);
        count += 1;
    }
    println!("{count} rounds");
}

/// A word of pieces that mean something, with now and then a byte that does not.
fn word(draws: &mut Draws) -> OsString {
    const PIECES: [&str; 22] = [
        "0",
        "1",
        "4294967295",
        "4294967294",
        "4294967296",
        "99999999999999999999",
        ":",
        ":",
        ":",
        "-",
        "+",
        " ",
        "0x",
        "=",
        "net",
        "user",
        "pid",
        "fd:",
        "/proc/1/ns/net",
        "\n",
        "é",
        "18446744073709551616",
    ];
    let mut bytes = vec![];
    if draws.below(2) == 0 {
        let mut number = || draws.of(&["0", "1", "1000", "4294967295", "4294967294", "65536", "-1", "07"]);
        bytes.extend(format!("{}:{}:{}", number(), number(), number()).bytes());
    }
    for _ in 0..draws.below(8) * draws.below(2) {
        if draws.below(12) == 0 {
            bytes.push(u8::try_from(draws.below(255) + 1).unwrap());
        } else {
            bytes.extend(draws.of(&PIECES).bytes());
        }
    }
    OsString::from_vec(bytes)
}

#[test]
fn whatever_is_read_is_three_numbers_that_fit() {
    let mut read = 0;
    rounds(20_000, |draws| {
        let word = word(draws);
        if let Ok(range) = IdRange::parse(IdKind::User, &word) {
            read += 1;
            let end = |first: u32| u64::from(first) + u64::from(range.count);
            assert!(
                range.count > 0 && end(range.inside) <= 0xffff_ffff && end(range.outside) <= 0xffff_ffff,
                "{word:?}"
            );
            assert_eq!(IdRange::parse(IdKind::User, range.to_string().as_ref()).unwrap(), range, "{word:?}");
        }
        let (join, pin) = (Join::parse(&word), Pin::parse(&word));
        assert!(join.is_err() || word.to_str().unwrap().contains('='), "{word:?}");
        assert!(pin.is_err() || word.to_str().unwrap().contains('='), "{word:?}");
        assert!(pin.is_err() || !word.to_str().unwrap().starts_with("pid="), "{word:?}");
    });
    assert!(read >= 20, "only {read} words were a range");
}

/// A first id and a count, close to others or to the end of all ids.
fn first_and_count(draws: &mut Draws) -> (u32, u32) {
    let first = u32::try_from(draws.below(60)).unwrap() + draws.of(&[0, 0, 0, 4_294_967_200]);
    (first, u32::try_from(draws.below(12) + 1).unwrap())
}

fn ranges(draws: &mut Draws, most: u64) -> Vec<IdRange> {
    let one = |draws: &mut Draws| {
        let ((inside, count), (outside, _)) = (first_and_count(draws), first_and_count(draws));
        IdRange { inside, outside, count }
    };
    (0..draws.below(most) + 1).map(|_| one(draws)).collect()
}

/// Whether two ranges share an id, found the slow way.
fn overlap(ranges: &[IdRange]) -> bool {
    let shares = |a: u32, b: u32, a_count: u32, b_count: u32| (0..a_count).any(|n| a + n >= b && a + n - b < b_count);
    ranges.iter().enumerate().any(|(at, a)| {
        ranges[at + 1..]
            .iter()
            .any(|b| shares(a.inside, b.inside, a.count, b.count) || shares(a.outside, b.outside, a.count, b.count))
    })
}

#[test]
fn ranges_are_refused_exactly_where_two_overlap() {
    let (mut good, mut bad) = (0, 0);
    rounds(5_000, |draws| {
        let ranges = ranges(draws, 5);
        let accepted = map(&ranges).check().is_ok();
        assert_eq!(accepted, !overlap(&ranges), "{ranges:?}");
        if accepted {
            good += 1
        } else {
            bad += 1
        }
        for id in (0..90).chain([4_294_967_205, u32::MAX]) {
            let inside = ranges.iter().find(|range| (0..range.count).any(|n| range.outside + n == id));
            assert_eq!(
                map(&ranges).inside_of(id),
                inside.map(|range| range.inside + (id - range.outside)),
                "{id} {ranges:?}"
            );
        }
    });
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}

#[test]
fn ranges_fill_every_id_once() {
    rounds(5_000, |draws| {
        let own = IdRange::one(u32::try_from(draws.below(80)).unwrap(), 5_000_000);
        let subordinate: Vec<_> =
            (0..draws.below(5)).map(|n| (100_000 * u32::try_from(n + 1).unwrap(), first_and_count(draws).1)).collect();
        let ranges = own.filled_with(&subordinate);
        assert!(map(&ranges).check().is_ok(), "{own:?} {subordinate:?}");
        let total: u32 = subordinate.iter().map(|range| range.1).sum();
        assert_eq!(ranges.iter().map(|range| range.count).sum::<u32>(), total + 1, "{own:?} {subordinate:?}");
        let mut ids: Vec<u32> =
            ranges.iter().flat_map(|range| (0..range.count).map(move |n| range.inside + n)).collect();
        ids.retain(|id| *id != own.inside);
        let expected: Vec<u32> = (0..).filter(|id| *id != own.inside).take(ids.len()).collect();
        assert_eq!(ids, expected, "{own:?} {subordinate:?}");
    });
}

/// The kernel takes what is accepted, and shows it again unchanged (CVE-2018-18955: beyond five ranges it sorts them).
#[test]
fn the_kernel_takes_what_is_accepted() {
    if !is_root() {
        return chainbox_tests::skip(chainbox_tests::Tier::Root, "the_kernel_takes_what_is_accepted", "not root");
    }
    rounds(20, |draws| {
        let most = draws.of(&[3, 12]);
        let mut ranges = ranges(draws, most);
        while map(&ranges).check().is_err() {
            ranges.pop();
        }
        let options: String = ranges.iter().map(|range| format!(" --map-users {range} --map-groups {range}")).collect();
        let ran = in_box(&format!("-U{options}"), "cat /proc/self/uid_map; echo; cat /proc/self/gid_map").run();
        let mut expected: Vec<_> = ranges.iter().map(|range| format!("{range}").replace(':', " ")).collect();
        expected.sort_unstable();
        for shown in ran.ok().split("\n\n") {
            let mut shown: Vec<_> =
                shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            shown.sort_unstable();
            assert_eq!(shown, expected, "{ranges:?}");
        }
    });
}
