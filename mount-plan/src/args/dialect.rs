//! Plans that people already have: what LXC, aufs and schroot write where fstab(5) has nothing, or something else.
//!
//! ```text
//! lxc.mount.entry = /usr usr none bind,ro,create=dir,optional 0 0
//! none  /srv/x  aufs  br=/home/me/changes=rw:/home/me/src=ro
//! /dev/pts  /dev/pts  none  rw,bind  0  0
//! ```

use std::ffi::{OsStr, OsString};
use std::mem::take;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use chain::{Result, refusal, show};

use crate::model::{Setting, Upper};

/// Words of fstab(5) and of mount(8) that request what is so in any case: mount-plan waits for no boot, lets no other user
/// mount, and propagates nothing.
pub const IN_ANY_CASE: [&str; 5] = ["auto", "nouser", "async", "private", "rprivate"];

/// A line without the `lxc.mount.entry =` that LXC writes in front of it.
pub fn without_lxc_key<'a>(columns: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let (first, rest) = columns.split_first().map_or((b"".as_slice(), columns), |(first, rest)| (*first, rest));
    let Some(behind) = first.strip_prefix(b"lxc.mount.entry") else { return columns.to_vec() };
    let mut words: Vec<&[u8]> =
        [behind].into_iter().chain(rest.iter().copied()).filter(|word| !word.is_empty()).collect();
    // The equals sign stands alone or touches a neighbour. Without one it is no such line, and refused as it stands.
    match words.first_mut() {
        Some(word) if word.starts_with(b"=") => *word = word.get(1..).unwrap_or_default(),
        _ => return columns.to_vec(),
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Checks the value of LXC's `create=`. What is made to mount on is what the source is, so the word changes nothing.
pub fn check_create(value: &OsStr) -> Result<()> {
    match value.as_bytes() {
        b"dir" | b"file" => Ok(()),
        _ => Err(refusal!("create={}: dir or file", show(value))),
    }
}

/// The branches of aufs, wherever the options have them: `br=A=rw:B=ro`, `br:A=rw:B=ro` or `dirs=...`.
pub fn take_branches(settings: &mut Vec<Setting>) -> Result<OsString> {
    let (found, rest): (Vec<_>, _) = take(settings).into_iter().partition(|setting| branches(setting).is_some());
    *settings = rest;
    match (found.first().and_then(branches), found.get(1)) {
        (Some(list), None) => Ok(list),
        (None, _) => Err(refusal!("aufs needs its branches: br=UPPER=rw:LOWER=ro")),
        (_, Some(again)) => Err(refusal!("branches are given twice: {again}")),
    }
}

fn branches(setting: &Setting) -> Option<OsString> {
    let value = setting.value.as_ref().map_or(OsStr::new(""), OsString::as_os_str);
    match setting.key.as_bytes() {
        b"br" | b"dirs" => Some(value.to_owned()),
        // The first equals sign belongs to the first branch, not to the option.
        [b'b', b'r', b':', first @ ..] => {
            let parts = [first, if setting.value.is_some() { b"=" } else { b"" }, value.as_bytes()];
            Some(OsString::from_vec(parts.concat()))
        }
        _ => None,
    }
}

/// Branches as an overlay has them: at most one that is writable, which is the first. `work`: the directory that
/// overlayfs needs and aufs did not; by the name of the branch with `.work` where the plan names none.
pub fn as_layers(branches: Vec<PathBuf>, work: Option<PathBuf>) -> Result<(Vec<PathBuf>, Upper)> {
    let mut lowers = vec![];
    let mut changes = None;
    for (n, branch) in branches.into_iter().enumerate() {
        match (branch_and_right(&branch, n == 0)?, n) {
            ((path, false), _) => lowers.push(path),
            ((path, true), 0) => changes = Some(path),
            ((path, true), _) => {
                return Err(refusal!(
                    "branch {}: an overlay has one writable layer, and that is the first",
                    show(&path)
                ));
            }
        }
    }
    let beside = |upper: &PathBuf| OsString::from_vec([upper.as_os_str().as_bytes(), b".work"].concat()).into();
    let upper =
        changes.map_or(Upper::None, |upper| Upper::Kept { work: work.unwrap_or_else(|| beside(&upper)), upper });
    Ok((lowers, upper))
}

/// `PATH[=rw|ro|rr]`; without a word the first branch is writable, the others are not (aufs(5)).
fn branch_and_right(branch: &std::path::Path, first: bool) -> Result<(PathBuf, bool)> {
    let bytes = branch.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte == b'=').unwrap_or(bytes.len());
    let (path, right) = bytes.split_at(end);
    let writable = match right {
        b"" => first,
        b"=rw" => true,
        b"=ro" | b"=rr" => false,
        _ => {
            return Err(refusal!("branch {}: rw, ro or rr", show(branch)));
        }
    };
    if path.is_empty() {
        return Err(refusal!("a branch is empty"));
    }
    Ok((PathBuf::from(OsStr::from_bytes(path)), writable))
}
