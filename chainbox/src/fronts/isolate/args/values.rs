//! How values are written on isolate's command line and in its configuration.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use chain::values::integer;
use chain::{Result, refusal, show};

use crate::fronts::chain::is_for_links;

pub fn number<N: TryFrom<u64>>(option: &str, word: &OsStr) -> Result<N> {
    integer(word).ok_or_else(|| refusal!("--{option} {}: not a number", show(word)))
}

/// A size that is a number of bytes, too.
pub fn kibibytes(option: &str, word: &OsStr) -> Result<u64> {
    let size = integer(word).filter(|size: &u64| *size <= u64::MAX >> 11);
    size.ok_or_else(|| refusal!("--{option} {}: not a size in kilobytes", show(word)))
}

/// Seconds as strtod(3) reads them, so `.5` and `1e3` too, in whole milliseconds; what is above 0 is not rounded to it.
pub fn seconds(option: &str, word: &OsStr) -> Result<Duration> {
    let digits =
        word.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)));
    let seconds = digits.and_then(|text| text.parse().ok()).filter(|seconds| (0.0..1e9).contains(seconds));
    let seconds: f64 = seconds.ok_or_else(|| refusal!("--{option} {}: not a time in seconds", show(word)))?;
    let whole = Duration::try_from_secs_f64(seconds)?;
    let milliseconds = u64::try_from((whole + Duration::from_micros(500)).as_millis())?;
    Ok(Duration::from_millis(milliseconds.max(u64::from(seconds > 0.0))))
}

/// What stands before the first `=`, and behind it.
pub fn halves(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next())
}

/// `VAR`, which is handed on, or `VAR=VALUE`.
pub fn variable(word: &OsStr) -> Result<(OsString, Option<OsString>)> {
    let bytes = word.as_bytes();
    let (name, value) = halves(bytes);
    let value = value.map(|value| OsString::from_vec(value.to_vec()));
    if name.is_empty() {
        return Err(refusal!("--env {}: not the name of a variable", show(word)));
    }
    let name = OsStr::from_bytes(name).to_owned();
    if value.is_some() && is_for_links(&name) {
        return Err(refusal!("--env {}: that is for the links", show(name)));
    }
    Ok((name, value))
}
