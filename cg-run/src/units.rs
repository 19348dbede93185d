//! How amounts are written on the command line: sizes, times, shares of a processor. Exact: nothing is rounded, and
//! what cannot be said exactly is refused.

use std::time::Duration;

pub use chain::values::bytes;
use chain::values::number;

/// A time: seconds, or with `ms`, `s`, `m`, `h`; fractions allowed. Never zero.
#[must_use]
pub fn time(text: &str) -> Option<Duration> {
    let (digits, suffix) = split(text);
    let nanoseconds = match suffix {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    fixed(digits, nanoseconds).filter(|time| *time > 0).map(Duration::from_nanos)
}

/// `text` as a decimal fraction, times `unit`; `None` where that is no whole number, or too large.
#[must_use]
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

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// Seconds as they are shown: `10 s`, `0.5 s`.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("0"), Some(0));
        assert_eq!(bytes("512M"), Some(512 << 20));
        for bad in ["", "M", "1m", "1.5G", "-1", "1 M", "16777216T", "max"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_may_be_fractions() {
        assert_eq!(time("10"), Some(Duration::from_secs(10)));
        assert_eq!(time("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(time("1.5ms"), Some(Duration::from_micros(1500)));
        assert_eq!(time("2m"), Some(Duration::from_secs(120)));
        for bad in ["", "0", "0.0", ".5", "5.", "-1", "1e3", "1.0000000001", "1.2.3", "1 s", "inf", "99999999999999h"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_fraction_is_exact_or_refused() {
        assert_eq!(fixed("1.5", 100_000), Some(150_000));
        assert_eq!(fixed("0.00001", 100_000), Some(1));
        assert_eq!(fixed("0.000001", 100_000), None);
    }
}
