//! Presets: entries that stand under one name. A preset is a plan, behind what it shows of the host's system.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use chain::{Failure, Result, show};
use rustix::mount::MountAttrFlags;

use crate::entry::{Attributes, Entry, What};
use crate::grammar::{Statement, statements};
use crate::line;

/// One preset.
struct Preset {
    name: &'static str,
    /// Paths of the host, shown read-only where they exist. `/usr` comes first: the others are mostly links into it.
    host: &'static [&'static str],
    /// The rest, as a plan.
    plan: &'static str,
}

const PRESETS: [Preset; 3] = [
    Preset {
        name: "host-ro",
        host: &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"],
        plan: "",
    },
    // The directory rules that the sandbox of the olympiad in informatics has where nothing else is said: isolate(1).
    Preset {
        name: "isolate",
        host: &["/usr", "/bin", "/lib", "/lib64"],
        plan: "box  /box  none  rbind\n\
               none /dev  dev\n\
               proc /proc proc  hidepid=invisible\n\
               tmp  /tmp  tmpfs\n\
               none /box  chdir\n",
    },
    // /dev as bubblewrap's --dev makes it.
    Preset { name: "bwrap-dev", host: &[], plan: "none /dev dev rw\n/proc/kcore /dev/core symlink\n" },
];

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

/// The entries of the preset that `entry` names, below its target; `entry` itself if it names none.
///
/// # Errors
/// A name that is no preset.
pub fn expanded(entry: Entry, look: &dyn Fn(&Path) -> Found) -> Result<Vec<Entry>> {
    let What::Preset(name) = &entry.what else { return Ok(vec![entry]) };
    let Some(preset) = PRESETS.iter().find(|preset| name == preset.name) else {
        let names = PRESETS.map(|preset| preset.name).join(", ");
        return Err(Failure::refusal(format!("unknown preset {}", show(name))).hint(names).into());
    };
    let host = preset.host.iter().filter_map(|path| read_only(&entry, path, look)).map(Ok);
    host.chain(planned(&entry, preset.plan)?).collect()
}

/// The entries of a preset's own plan.
fn planned(preset: &Entry, plan: &str) -> Result<impl Iterator<Item = Result<Entry>>> {
    let lines = statements(OsStr::new("preset"), plan.as_bytes(), &|_| None)?.into_iter();
    let entries = lines.filter_map(|statement| match statement {
        Statement::Line(columns) => Some(line::entry(columns)),
        Statement::Include(..) => None,
    });
    let (origin, target, nofail) = (preset.origin.clone(), preset.target.clone(), preset.nofail);
    Ok(entries.map(move |entry| {
        let entry = entry?;
        let target = below(&target, &entry.target);
        Ok(Entry { origin: origin.clone(), target, nofail, ..entry })
    }))
}

fn below(top: &Path, path: &Path) -> PathBuf {
    top.join(path.strip_prefix("/").unwrap_or(path))
}

/// One path of the host as it is there: a link again as a link, a tree bound read-only.
fn read_only(entry: &Entry, path: &str, look: &dyn Fn(&Path) -> Found) -> Option<Entry> {
    let what = match look(Path::new(path)) {
        Found::Nothing => return None,
        Found::Link(text) => What::Symlink(text),
        Found::Tree => What::Bind { source: PathBuf::from(path), recursive: true, subdir: None, idmap: None },
    };
    let target = below(&entry.target, Path::new(path));
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
    fn a_preset_can_be_a_plan() {
        let at = Entry { target: "/root".into(), nofail: true, ..preset("bwrap-dev") };
        let entries = expanded(at, &|_| Found::Tree).unwrap();
        let words: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let dev = "make a minimal /dev on /root/dev (nosuid,nodev,noexec)";
        assert_eq!(words, [dev, "link /root/dev/core to /proc/kcore"]);
        assert!(entries.iter().all(|entry| entry.nofail));
        for known in &PRESETS {
            assert!(!expanded(preset(known.name), &|_| Found::Tree).unwrap().is_empty());
        }
    }

    #[test]
    fn an_unknown_preset_is_refused() {
        assert!(expanded(preset("host-rw"), &|_| Found::Tree).is_err());
    }
}
