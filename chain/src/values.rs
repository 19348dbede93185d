//! How values are written on a command line: numbers, sizes, times, descriptors, ids, processors, names. Exact: nothing is
//! guessed or rounded, and a value that does not fit is refused. `None` where the word is no such value; the caller knows
//! which option it belongs to.

use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::failure::{Call as _, Failure};
use crate::{Result, refusal, show, sys};

/// A plain decimal number without sign, space or prefix, as ids and descriptors are written (CVE-2016-3697 came of
/// guessing what a number is).
pub fn number(word: &OsStr) -> Option<u64> {
    let text = word.to_str()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A plain decimal number that fits into `N`.
pub fn integer<N: TryFrom<u64>>(word: &OsStr) -> Option<N> {
    number(word).and_then(|number| N::try_from(number).ok())
}

/// The suffixes of a number of bytes: powers of 1024.
pub const BYTES: [(&str, u64); 4] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];

/// A number of bytes, with `K`, `M`, `G`, `T` as powers of 1024.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, &BYTES)
}

/// A number, alone or with one of these suffixes, times what that stands for.
pub fn scaled(text: &str, suffixes: &[(&str, u64)]) -> Option<u64> {
    let (digits, suffix) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = suffixes.iter().chain(&[("", 1)]).find(|known| known.0 == suffix)?.1;
    number(digits.as_ref())?.checked_mul(unit)
}

/// A share of something: a whole number from `1%` to `100%`.
pub fn percent(text: &str) -> Option<u64> {
    number(text.strip_suffix('%')?.as_ref()).filter(|percent| (1..=100).contains(percent))
}

/// So many percent of `whole`, rounded down.
pub fn share(percent: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(whole)
}

/// A time: seconds, or with `ms`, `s`, `m`, `h`; fractions allowed. Never zero.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, suffix) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let nanoseconds = match suffix {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    fixed(digits, nanoseconds).filter(|time| *time > 0).map(Duration::from_nanos)
}

/// A decimal fraction, times `unit`; `None` also where that is no whole number, or too large.
pub fn fixed(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let whole = number(whole.as_ref())?.checked_mul(unit)?;
    let Some(fraction) = fraction else { return Some(whole) };
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(number(fraction.as_ref())?) * u128::from(unit);
    if part % scale != 0 {
        return None;
    }
    whole.checked_add(u64::try_from(part / scale).ok()?)
}

/// The number of a descriptor, open or not; `option` stands in the message.
pub fn descriptor(option: &str, word: &OsStr) -> Result<RawFd> {
    integer(word).ok_or_else(|| refusal!("--{option} {}: not a descriptor number", show(word)))
}

/// The number of an open descriptor; `option` stands in the message.
/// Errors: Any other word; a descriptor that is not open. So is one of 0, 1 and 2 that only has its place held
/// ([`crate::start()`]), which close-on-exec tells: no caller could have handed such a one on.
pub fn open_descriptor(option: &str, word: &OsStr) -> Result<RawFd> {
    let fd = descriptor(option, word)?;
    let call = format!("--{option} {fd}: fcntl");
    let file = sys::borrowed(fd).call(&call)?;
    let flags = FdFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFD).call(&call)?);
    if fd <= 2 && flags.contains(FdFlag::FD_CLOEXEC) {
        return Err(Failure::call(&call, Errno::EBADF).into());
    }
    Ok(fd)
}

/// A user or group id. 4294967295 is none: it means "no change" to setuid(2).
pub fn id(word: &OsStr) -> Option<u32> {
    integer(word).filter(|id| *id != u32::MAX)
}

/// `FIRST:OTHER:COUNT`, a range of ids and what it is mapped to (user_namespaces(7)). Neither range is empty or reaches
/// 4294967295, which is no id.
pub fn id_range(text: &str) -> Option<(u32, u32, u32)> {
    let numbers: Vec<u32> = text.split(':').map(|part| integer(part.as_ref())).collect::<Option<_>>()?;
    let fits = |first: u32, count: u32| count > 0 && first.checked_add(count).is_some();
    match *numbers.as_slice() {
        [first, other, count] if fits(first, count) && fits(other, count) => Some((first, other, count)),
        _ => None,
    }
}

/// The highest processor number that a list may name (the kernel's largest CONFIG_NR_CPUS is 8192), so that a typing error
/// fills no memory.
const MOST_PROCESSORS: usize = 1 << 16;

/// Processors or memory nodes, as cpuset(7) writes them: `0,2-3`, and every second one by `0-6:2`. Sorted, each once.
pub fn processors(text: &str) -> Option<Vec<usize>> {
    let one = |text: &str| integer(text.as_ref()).filter(|n| *n < MOST_PROCESSORS);
    let mut all = vec![];
    for range in text.split(',') {
        let (range, stride) = range.split_once(':').map_or((range, Some(1)), |(range, stride)| (range, one(stride)));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, stride) = (one(first)?, one(last)?, stride.filter(|stride| *stride > 0)?);
        if first > last {
            return None;
        }
        all.extend((first..=last).step_by(stride));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// Whether `text` may name something of ours, a cgroup or a template: `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 64 bytes,
/// no `..`. So it is one component of a path, and no option.
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_is_a_number() {
        assert_eq!(number(OsStr::new("4294967294")), Some(4_294_967_294));
        for bad in ["", "+1", "-1", "0x1", " 1", "1 ", "1:", "18446744073709551616", "\u{661}"] {
            assert_eq!(number(OsStr::new(bad)), None, "{bad:?}");
        }
        assert_eq!(integer::<u16>(OsStr::new("65536")), None);
        assert_eq!((id(OsStr::new("4294967294")), id(OsStr::new("4294967295"))), (Some(4_294_967_294), None));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("0"), Some(0));
        assert_eq!(bytes("512M"), Some(512 << 20));
        for bad in ["", "M", "1m", "1.5G", "-1", "1 M", "16777216T", "max"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn shares_are_whole_and_neither_nothing_nor_more_than_all() {
        assert_eq!((percent("1%"), percent("50%"), percent("100%")), (Some(1), Some(50), Some(100)));
        for bad in ["", "%", "0%", "101%", "-5%", "+5%", "1.5%", "5 %", "5%%", "50", "%5", "18446744073709551616%"] {
            assert_eq!(percent(bad), None, "{bad:?}");
        }
        assert_eq!((share(50, 1001), share(1, 99), share(100, u64::MAX)), (500, 0, u64::MAX));
    }

    #[test]
    fn times_may_be_fractions() {
        assert_eq!(duration("10"), Some(Duration::from_secs(10)));
        assert_eq!(duration("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1.5ms"), Some(Duration::from_micros(1500)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for bad in ["", "0", "0.0", ".5", "5.", "-1", "1e3", "1.0000000001", "1.2.3", "1 s", "inf", "99999999999999h"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_fraction_is_exact_or_refused() {
        assert_eq!(fixed("1.5", 100_000), Some(150_000));
        assert_eq!(fixed("0.00001", 100_000), Some(1));
        assert_eq!(fixed("0.000001", 100_000), None);
    }

    #[test]
    fn no_range_of_ids_reaches_the_id_that_is_none() {
        assert_eq!(id_range("0:1000:1"), Some((0, 1000, 1)));
        assert_eq!(id_range("0:4294967294:1"), Some((0, 4_294_967_294, 1)));
        for bad in ["", "0:0", "0:0:0", "0:0:1:1", "0:4294967295:1", "4294967294:0:2", "0:0:-1", "a:0:1"] {
            assert_eq!(id_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn processors_are_ranges_with_strides() {
        assert_eq!(processors("3,0-1,1"), Some(vec![0, 1, 3]));
        assert_eq!(processors("0-7:3,1:1"), Some(vec![0, 1, 3, 6]));
        for bad in ["", "1-", "3-1", "65536", "a", "0,,1", "0-3:0", "0-3:", "0:1:1"] {
            assert_eq!(processors(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_component_of_a_path() {
        assert!(is_name("a") && is_name("0_.-"));
        for bad in ["", ".", "..", "a..b", "-a", "a/b", "a b", "\u{e9}"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name(&"a".repeat(64)) && !is_name(&"a".repeat(65)));
    }
}
