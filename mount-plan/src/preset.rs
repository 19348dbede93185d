//! Presets: entries that stand under one name, made out of what the host has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chain::{Failure, Result, show};
use rustix::mount::MountAttrFlags;

use crate::entry::{Attributes, Entry, What};

/// What of the host system `host-ro` shows, where it exists. `/usr` comes first: the others are mostly links into it.
const HOST_RO: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];

/// What the host has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A link with this text.
    Link(OsString),
    /// A file or directory.
    Tree,
}

/// Looks at the host (lstat(2), readlink(2)).
#[must_use]
pub fn found(path: &Path) -> Found {
    match (std::fs::read_link(path), path.symlink_metadata()) {
        (Ok(text), _) => Found::Link(text.into_os_string()),
        (_, Ok(_)) => Found::Tree,
        _ => Found::Nothing,
    }
}

/// The entries of the preset that `entry` names; `entry` itself if it names none.
///
/// # Errors
/// A name that is no preset.
pub fn expanded(entry: Entry, look: &dyn Fn(&Path) -> Found) -> Result<Vec<Entry>> {
    let What::Preset(name) = &entry.what else { return Ok(vec![entry]) };
    match name.to_str() {
        Some("host-ro") => Ok(HOST_RO.iter().filter_map(|path| read_only(&entry, path, look)).collect()),
        _ => Err(Failure::refusal(format!("unknown preset {}", show(name))).hint("host-ro").into()),
    }
}

/// One path of the host as it is there: a link again as a link, a tree bound read-only.
fn read_only(entry: &Entry, path: &str, look: &dyn Fn(&Path) -> Found) -> Option<Entry> {
    let what = match look(Path::new(path)) {
        Found::Nothing => return None,
        Found::Link(text) => What::Symlink(text),
        Found::Tree => What::Bind { source: PathBuf::from(path), recursive: true, subdir: None, idmap: None },
    };
    let target = entry.target.join(path.trim_start_matches('/'));
    let safe = Attributes::safe();
    let attributes = Attributes { set: safe.set | MountAttrFlags::MOUNT_ATTR_RDONLY, ..safe };
    Some(Entry { target, what, attributes, ..entry.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Origin;

    fn preset(name: &str) -> Entry {
        Entry {
            origin: Origin::default(),
            target: "/".into(),
            what: What::Preset(name.into()),
            attributes: Attributes::safe(),
            nofail: false,
            mkdir: 0o755,
        }
    }

    #[test]
    fn host_ro_shows_what_the_host_has_as_it_has_it() {
        let merged = |path: &Path| match path.to_str() {
            Some("/usr" | "/etc" | "/lib") => Found::Tree,
            Some("/bin") => Found::Link("usr/bin".into()),
            _ => Found::Nothing,
        };
        let words: Vec<String> =
            expanded(preset("host-ro"), &merged).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "bind /usr on /usr (ro,nosuid,nodev)",
                "link /bin to usr/bin",
                "bind /lib on /lib (ro,nosuid,nodev)",
                "bind /etc on /etc (ro,nosuid,nodev)",
            ]
        );
    }

    #[test]
    fn an_unknown_preset_is_refused() {
        assert!(expanded(preset("host-rw"), &|_| Found::Tree).is_err());
    }
}
