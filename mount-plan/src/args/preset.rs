//! Presets: entries that stand under one name. A preset is a plan, behind what it shows of the host's system.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use chain::text::meant;
use chain::{Hint as _, Result, refusal, show};
use rustix::mount::MountAttrFlags;

use super::entry::{Item, Preset, item};
use super::text::{Statement, statements};
use crate::model::{Attributes, Bind, Chdir, Entry, Mount, NULL, Target, What};

/// What a preset has.
struct Known {
    name: &'static str,
    /// Paths of the host, shown read-only where they exist. `/usr` comes first: the others are mostly links into it.
    host: &'static [&'static str],
    /// Those of them in which is hidden what this process may read and not everybody may.
    guarded: &'static [&'static str],
    /// The rest, as a plan.
    plan: &'static str,
}

const PRESETS: [Known; 3] = [
    Known {
        name: "host-ro",
        // The last three are what programs of /usr have outside of it, by links.
        host: &[
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/etc",
            "/var/lib/gems",
            "/var/lib/ghc",
            "/var/lib/texmf",
        ],
        guarded: &["/etc"],
        plan: "",
    },
    // The default directory rules of isolate(1), the sandbox of the olympiad in informatics.
    Known {
        name: "isolate",
        host: &["/usr", "/bin", "/lib", "/lib64"],
        guarded: &[],
        plan: "box  /box  none  rbind\n\
               none /dev  dev\n\
               proc /proc proc  hidepid=invisible\n\
               tmp  /tmp  tmpfs\n\
               none /box  chdir\n",
    },
    // /dev as bubblewrap's --dev makes it.
    Known { name: "bwrap-dev", host: &[], guarded: &[], plan: "none /dev dev rw\n/proc/kcore /dev/core symlink\n" },
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

/// What is asked about the host.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// What it has at a path.
    pub found: &'a dyn Fn(&Path) -> Found,
    /// The paths below a tree that this process may read and not everybody may.
    pub private: &'a dyn Fn(&Path) -> Result<Vec<PathBuf>>,
}

/// The entries and the working directory of a preset, below its target.
pub fn items(preset: &Preset, look: Host<'_>) -> Result<Vec<Item>> {
    let Some(known) = PRESETS.iter().find(|known| preset.name == known.name) else {
        let names = PRESETS.map(|known| known.name);
        let hint = meant(&preset.name, names, &format!("there are: {}", names.join(", ")));
        return Err(refusal!("unknown preset {}", show(&preset.name)).hint(hint));
    };
    let host = known.host.iter().filter_map(|path| read_only(preset, path, look.found));
    let mut entries: Vec<Entry> = host.collect();
    for tree in known.guarded {
        entries.extend((look.private)(Path::new(tree))?.into_iter().map(|path| hidden(preset, &path)));
    }
    let host = entries.into_iter().map(|entry| Ok(Item::Entry(entry)));
    let plan = statements(OsStr::new("preset"), known.plan.as_bytes(), &|_| None)?.into_iter();
    host.chain(plan.filter_map(|statement| planned(preset, statement))).collect()
}

/// One line of a preset's own plan, which includes nothing.
fn planned(preset: &Preset, statement: Statement) -> Option<Result<Item>> {
    let Statement::Entry(columns) = statement else { return None };
    let (origin, nofail) = (preset.origin.clone(), preset.nofail);
    Some(item(columns).map(|item| match item {
        Item::Entry(entry) => {
            let target = match &entry.target {
                Target::Place(path) => Target::Place(below(&preset.target, path)),
                Target::Fd(fd) => Target::Fd(*fd),
            };
            Item::Entry(Entry { origin, target, nofail, ..entry })
        }
        Item::Chdir(chdir) => {
            Item::Chdir(Chdir { origin, path: below(&preset.target, &chdir.path), nofail: chdir.nofail })
        }
        Item::Preset(inner) => Item::Preset(inner),
    }))
}

fn below(top: &Path, path: &Path) -> PathBuf {
    top.join(path.strip_prefix("/").unwrap_or(path))
}

/// One path of the host as it is there: a link again as a link, a tree bound read-only.
fn read_only(preset: &Preset, path: &str, look: &dyn Fn(&Path) -> Found) -> Option<Entry> {
    let what = match look(Path::new(path)) {
        Found::Nothing => return None,
        Found::Link(text) => What::Symlink(text),
        Found::Tree => {
            let source = path.into();
            What::Mount(Mount::Bind(Bind { source, recursive: true, subdir: None, idmap: None, fresh: false }))
        }
    };
    Some(Entry {
        origin: preset.origin.clone(),
        target: Target::Place(below(&preset.target, Path::new(path))),
        what,
        attributes: Attributes::safe_and(MountAttrFlags::MOUNT_ATTR_RDONLY),
        nofail: preset.nofail,
        mkdir: preset.mkdir,
        no_links: false,
        if_exists: false,
        make: false,
    })
}

/// The mask of one path. It is never left out: with nofail either, what is below would show.
fn hidden(preset: &Preset, path: &Path) -> Entry {
    Entry {
        origin: preset.origin.clone(),
        target: Target::Place(below(&preset.target, path)),
        what: What::Mask(NULL.path.into()),
        attributes: Attributes::safe(),
        nofail: false,
        mkdir: preset.mkdir,
        no_links: false,
        if_exists: false,
        make: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    fn preset(name: &str) -> Preset {
        Preset { origin: Origin::default(), name: name.into(), target: "/".into(), nofail: false, mkdir: 0o755 }
    }

    fn host(found: &dyn Fn(&Path) -> Found) -> Host<'_> {
        Host { found, private: &|tree| Ok(vec![tree.join("shadow")]) }
    }

    fn entries(preset: &Preset, found: &dyn Fn(&Path) -> Found) -> Vec<Entry> {
        let entry = |item| match item {
            Item::Entry(entry) => entry,
            other => panic!("{other:?}"),
        };
        items(preset, host(found)).unwrap().into_iter().map(entry).collect()
    }

    #[test]
    fn host_ro_shows_what_the_host_has_as_it_has_it() {
        let merged = |path: &Path| match path.to_str() {
            Some("/usr" | "/etc" | "/lib") => Found::Tree,
            Some("/bin") => Found::Link("usr/bin".into()),
            _ => Found::Nothing,
        };
        let words: Vec<String> = entries(&preset("host-ro"), &merged).iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "bind /usr on /usr (ro,nosuid,nodev)",
                "link /bin to usr/bin",
                "bind /lib on /lib (ro,nosuid,nodev)",
                "bind /etc on /etc (ro,nosuid,nodev)",
                "mask /etc/shadow",
            ]
        );
        let at = Preset { target: "/root".into(), nofail: true, ..preset("host-ro") };
        let all = entries(&at, &merged);
        let mask = all.last().unwrap();
        assert_eq!((mask.to_string().as_str(), mask.nofail), ("mask /root/etc/shadow", false));
    }

    #[test]
    fn a_preset_can_be_a_plan() {
        let at = Preset { target: "/root".into(), nofail: true, ..preset("bwrap-dev") };
        let entries = entries(&at, &|_| Found::Tree);
        let words: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let dev = "make a minimal /dev on /root/dev (nosuid,nodev,noexec)";
        assert_eq!(words, [dev, "link /root/dev/core to /proc/kcore"]);
        assert!(entries.iter().all(|entry| entry.nofail));
        for known in &PRESETS {
            assert!(!items(&preset(known.name), host(&|_| Found::Tree)).unwrap().is_empty());
        }
    }

    #[test]
    fn an_unknown_preset_is_refused() {
        assert!(items(&preset("host-rw"), host(&|_| Found::Tree)).is_err());
    }

    #[test]
    fn the_manual_names_every_preset() {
        let table = &crate::table::TABLE;
        let flag = table.flags.iter().find(|flag| flag.long == "preset").unwrap();
        let detail = chain::pages::part(table.manual, "--preset");
        for known in &PRESETS {
            assert!(flag.help.contains(known.name) && detail.contains(&format!("{}: ", known.name)), "{}", known.name);
        }
    }
}
