//! How values are written on bubblewrap's command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use caps::Capability;
use chain::values::id;
use chain::{Result, refusal, show};

use super::Which;
use crate::fronts::chain::is_for_links;

/// A place in the new root, from its top in any case.
pub fn in_root(word: &OsStr) -> PathBuf {
    Path::new("/").join(word)
}

pub fn number(option: &str, word: &OsStr) -> Result<u32> {
    id(word).ok_or_else(|| refusal!("--{option} {}: not a number from 0 to 4294967294", show(word)))
}

/// A mode, octal.
pub fn mode(option: &str, word: &OsStr) -> Result<u32> {
    let digits = word.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| refusal!("--{option} {}: not an octal mode up to 7777", show(word)))
}

/// A number of bytes as strtoull(3) reads it, so decimal, octal with 0 or hexadecimal with 0x in front.
pub fn size(word: &OsStr) -> Result<u64> {
    let text = word.to_str().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
    let parsed = text.and_then(|text| match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    });
    let most = u64::MAX / 2;
    let size = parsed.filter(|size| (1..=most).contains(size));
    size.ok_or_else(|| refusal!("--size {}: not a number of bytes from 1 to {most}", show(word)))
}

pub fn variable<'a>(option: &str, name: &'a OsStr) -> Result<&'a OsStr> {
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return Err(refusal!("--{option} {}: not the name of a variable", show(name)));
    }
    if option == "setenv" && is_for_links(name) {
        return Err(refusal!("--{option} {}: that is for the links", show(name)));
    }
    Ok(name)
}

/// The name of a capability as our tools have it.
pub fn name_of(capability: Capability) -> String {
    capability.to_string().trim_start_matches("CAP_").to_ascii_lowercase()
}

pub fn capability(option: &str, word: &OsStr) -> Result<Which> {
    let upper = word.to_string_lossy().to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(Which::All);
    }
    let known = upper.parse::<Capability>().map_err(|_| refusal!("--{option} {}: no capability", show(word)))?;
    Ok(Which::One(name_of(known)))
}
