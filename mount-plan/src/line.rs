//! What the columns of an entry mean. An option of the command line and a line of a plan come to the same columns,
//! so both forms are read here and cannot differ.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use chain::{Failure, Result, show};
use rustix::mount::MountAttrFlags;

use crate::entry::{ATIMES, ATTRIBUTES, Attributes, Content, Entry, Setting, Upper, What};
use crate::grammar::{Line, at};
use crate::idmap::Idmap;
use crate::{dialect, idmap, image};

const NO_EXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;

/// The kernel's own controls can be written by user 0 of the machine without any capability (sysctl_perm() looks at the
/// uid alone), and that is who a box of root's runs as: /proc/sys/kernel/core_pattern names a program that the kernel
/// executes as root outside of every box.
const CONTROLS: MountAttrFlags = NO_EXEC.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// The filesystems of the kernel that a plan may make, and what they have beyond [`Attributes::safe`].
const FILESYSTEMS: [(&str, MountAttrFlags); 5] = [
    ("tmpfs", MountAttrFlags::empty()),
    ("proc", CONTROLS),
    ("sysfs", CONTROLS),
    ("devpts", NO_EXEC),
    ("mqueue", NO_EXEC),
];

/// Gives the columns their meaning.
///
/// # Errors
/// Columns that mean nothing, with the place where they were written.
pub fn entry(line: Line) -> Result<Entry> {
    let origin = line.origin.clone();
    meaning(line).map_err(|error| at(&origin, error))
}

fn meaning(line: Line) -> Result<Entry> {
    let mut words = Words::new(line.options)?;
    // On a command line a relative target is a slip; in plans of LXC it is the rule.
    let target = target(&line.target, line.origin.0.is_some())?;
    let what = what(&line.source, &line.fstype, &mut words)?;
    let attributes = words.attributes(attributes(&what));
    words.refuse_rest(&what)?;
    Ok(Entry { origin: line.origin, target, what, attributes, nofail: words.nofail, mkdir: words.mkdir })
}

/// A place in the new root, from its top where it is not absolute. `..` is refused because it is never needed there, and
/// always suspicious; `none` is fstab(5)'s word for no place.
fn target(word: &OsStr, in_plan: bool) -> Result<PathBuf> {
    let path = Path::new(word);
    let bad = |why: &str| Failure::refusal(format!("target {}: {why}", show(word)));
    if !path.is_absolute() && (!in_plan || word.is_empty() || word == "none") {
        return Err(bad("not an absolute path").into());
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(bad("'..' is refused").into());
    }
    Ok(Path::new("/").join(path).components().collect())
}

fn what(source: &OsStr, fstype: &OsStr, words: &mut Words) -> Result<What> {
    let (bind, rbind) = (words.flag("bind")?, words.flag("rbind")?);
    if bind || rbind {
        let idmap = words.idmap()?;
        let subdir = words.value("X-mount.subdir")?.map(|part| named(&part, "X-mount.subdir")).transpose()?;
        return Ok(What::Bind { source: named(source, "a source")?, recursive: rbind, subdir, idmap });
    }
    if let Some((fstype, _)) = FILESYSTEMS.into_iter().find(|(known, _)| fstype == *known) {
        return Ok(What::Filesystem { fstype, settings: words.take_rest() });
    }
    if let Some((fstype, _)) = image::TYPES.into_iter().find(|(known, _)| fstype == *known) {
        let (file, idmap) = (device(source)?, words.idmap()?);
        return Ok(What::Image { fstype, file, idmap, settings: words.take_rest() });
    }
    match fstype.to_str() {
        Some("overlay") => overlay(words),
        Some("aufs") => aufs(words),
        Some("dev") => Ok(What::Dev),
        Some("symlink") => Ok(What::Symlink(named(source, "the text of a link")?.into_os_string())),
        Some("dir") => Ok(What::Dir(words.mode(0o755)?)),
        Some("file") => Ok(What::File(content(source)?, words.mode(0o644)?)),
        Some("mask") => Ok(What::Mask),
        Some("chdir") => Ok(What::Chdir),
        Some("preset") => Ok(What::Preset(source.to_owned())),
        Some("none") => Err(Failure::refusal("type none needs the option bind or rbind").into()),
        _ => Err(unknown_type(fstype)),
    }
}

fn unknown_type(fstype: &OsStr) -> anyhow::Error {
    let known: Vec<&str> = FILESYSTEMS.iter().map(|(name, _)| *name).collect();
    Failure::refusal(format!("unknown type {}", show(fstype)))
        .hint(format!(
            "none with bind or rbind, {}, overlay, aufs, {}, dev, symlink, dir, file, mask, chdir, preset",
            known.join(", "),
            image::TYPES.map(|(name, _)| name).join(", ")
        ))
        .into()
}

/// fstab(5) also names devices by what is written on them, which nobody here reads.
fn device(source: &OsStr) -> Result<PathBuf> {
    let tags = ["LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=", "ID="];
    if tags.iter().any(|tag| source.as_bytes().starts_with(tag.as_bytes())) {
        return Err(Failure::refusal(format!("{}: name the device or the file itself", show(source))).into());
    }
    named(source, "the file of an image")
}

fn named(source: &OsStr, what: &str) -> Result<PathBuf> {
    if source.is_empty() {
        return Err(Failure::refusal(format!("{what} is empty")).into());
    }
    Ok(PathBuf::from(source))
}

/// `fd:N`, `text:TEXT`, or a file of the old root.
fn content(source: &OsStr) -> Result<Content> {
    let bytes = source.as_bytes();
    if let Some(text) = bytes.strip_prefix(b"text:") {
        return Ok(Content::Text(OsString::from_vec(text.to_vec())));
    }
    if let Some(number) = bytes.strip_prefix(b"fd:") {
        let fd = chain::values::number(OsStr::from_bytes(number)).and_then(|n| RawFd::try_from(n).ok());
        return fd.map(Content::Fd).ok_or_else(|| Failure::refusal(format!("{}: not fd:N", show(source))).into());
    }
    named(source, "the source of a file").map(Content::Copy)
}

fn overlay(words: &mut Words) -> Result<What> {
    let lowers = words.value("lowerdir")?.ok_or_else(|| Failure::refusal("an overlay needs lowerdir="))?;
    let (upper, work) = (words.value("upperdir")?, words.value("workdir")?);
    let upper = match (upper, work, words.flag("tmp")?) {
        (None, None, false) => Upper::None,
        (None, None, true) => Upper::Tmp,
        (Some(upper), Some(work), false) => {
            Upper::Kept { upper: named(&upper, "upperdir")?, work: named(&work, "workdir")? }
        }
        _ => return Err(Failure::refusal("an overlay takes upperdir= and workdir=, or tmp, or none of them").into()),
    };
    Ok(What::Overlay { lowers: layers(&lowers)?, upper, settings: words.take_rest() })
}

/// The branches of aufs as layers; what else was said goes to overlayfs, which has its own words for what it does not know.
fn aufs(words: &mut Words) -> Result<What> {
    let branches = dialect::take_branches(&mut words.rest)?;
    let work = words.value("workdir")?.map(|work| named(&work, "workdir")).transpose()?;
    let (lowers, upper) = dialect::as_layers(layers(&branches)?, work)?;
    Ok(What::Overlay { lowers, upper, settings: words.take_rest() })
}

/// `A:B:C`, the top layer first; a colon in a name is written `\:`, as overlayfs has it.
fn layers(list: &OsStr) -> Result<Vec<PathBuf>> {
    let mut layers = vec![vec![]];
    let mut bytes = list.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        match (byte, layers.last_mut()) {
            (b':', _) => layers.push(vec![]),
            (b'\\', Some(layer)) => layer.extend(bytes.next()),
            (_, Some(layer)) => layer.push(*byte),
            (_, None) => {}
        }
    }
    layers.into_iter().map(|layer| named(&OsString::from_vec(layer), "a layer of lowerdir")).collect()
}

/// The attributes that a kind of entry has where nothing else is said.
fn attributes(what: &What) -> Attributes {
    let mut attributes = Attributes::safe();
    match what {
        What::Filesystem { fstype, .. } => {
            FILESYSTEMS.iter().filter(|(name, _)| name == fstype).for_each(|(_, set)| attributes.set |= *set);
        }
        What::Image { fstype, .. } if image::TYPES.contains(&(fstype, false)) => {
            attributes.set |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        What::Dev => attributes.set |= NO_EXEC | MountAttrFlags::MOUNT_ATTR_RDONLY,
        _ => {}
    }
    attributes
}

/// The words of an options column, each to be taken by the one who understands it.
struct Words {
    set: MountAttrFlags,
    cleared: MountAttrFlags,
    atime: Option<MountAttrFlags>,
    nofail: bool,
    mkdir: u32,
    rest: Vec<Setting>,
}

impl Words {
    /// Takes the words that every entry understands.
    fn new(settings: Vec<Setting>) -> Result<Self> {
        let none = MountAttrFlags::empty();
        let mut words = Self { set: none, cleared: none, atime: None, nofail: false, mkdir: 0o755, rest: vec![] };
        settings.into_iter().try_for_each(|setting| words.sort(setting))?;
        Ok(words)
    }

    fn sort(&mut self, setting: Setting) -> Result<()> {
        let word = setting.key.to_str().unwrap_or("");
        match (word, &setting.value) {
            // `optional` is LXC's word.
            ("nofail" | "optional", None) => self.nofail = true,
            ("create", Some(value)) => dialect::check_create(value)?,
            ("comment", Some(_)) => {}
            (word, None) if dialect::IN_ANY_CASE.contains(&word) => {}
            ("X-mount.mkdir" | "x-mount.mkdir", None) => {}
            ("X-mount.mkdir" | "x-mount.mkdir", Some(mode)) => self.mkdir = octal_mode(mode)?,
            (comment, _) if comment.starts_with("x-") => {}
            (word, None) if self.attribute(word) => {}
            _ => self.rest.push(setting),
        }
        Ok(())
    }

    /// Where a word and its opposite are said, the last one counts, as in mount(8).
    fn attribute(&mut self, word: &str) -> bool {
        for (yes, no, flag) in ATTRIBUTES {
            if word == yes {
                self.set |= flag;
                self.cleared -= flag;
                return true;
            }
            if word == no {
                self.cleared |= flag;
                self.set -= flag;
                return true;
            }
        }
        let atime = ATIMES.iter().find(|(known, _)| *known == word).map(|(_, flag)| *flag);
        self.atime = atime.or(self.atime);
        atime.is_some()
    }

    fn attributes(&self, default: Attributes) -> Attributes {
        Attributes { set: (default.set - self.cleared) | self.set, atime: self.atime }
    }

    fn idmap(&mut self) -> Result<Option<Idmap>> {
        self.value("X-mount.idmap")?.map(|map| idmap::read(&map)).transpose()
    }

    /// Whether `word` was said.
    fn flag(&mut self, word: &str) -> Result<bool> {
        match self.take(word)? {
            None => Ok(false),
            Some(Setting { value: None, .. }) => Ok(true),
            Some(setting) => Err(Failure::refusal(format!("option {setting}: {word} takes no value")).into()),
        }
    }

    /// The value of `word`, if it was said.
    fn value(&mut self, word: &str) -> Result<Option<OsString>> {
        match self.take(word)? {
            None => Ok(None),
            Some(Setting { value: Some(value), .. }) => Ok(Some(value)),
            Some(_) => Err(Failure::refusal(format!("option {word} needs a value")).into()),
        }
    }

    fn mode(&mut self, default: u32) -> Result<u32> {
        self.value("mode")?.map_or(Ok(default), |mode| octal_mode(&mode))
    }

    fn take(&mut self, word: &str) -> Result<Option<Setting>> {
        let Some(place) = self.rest.iter().position(|setting| setting.key == word) else { return Ok(None) };
        let setting = self.rest.remove(place);
        if self.rest.iter().any(|again| again.key == word) {
            return Err(Failure::refusal(format!("option {word} is given twice")).into());
        }
        Ok(Some(setting))
    }

    /// What the filesystem is to understand: all but the words of mount(8) for itself, which are then unknown.
    fn take_rest(&mut self) -> Vec<Setting> {
        self.rest.extract_if(.., |setting| !setting.key.as_bytes().starts_with(b"X-")).collect()
    }

    fn refuse_rest(&self, what: &What) -> Result<()> {
        let mounted = matches!(
            what,
            What::Bind { .. } | What::Image { .. } | What::Filesystem { .. } | What::Overlay { .. } | What::Dev
        );
        if let Some(setting) = self.rest.first() {
            return Err(Failure::refusal(format!("unknown option {setting}")).into());
        }
        if !mounted && !(self.set | self.cleared).is_empty() {
            return Err(Failure::refusal("ro, nosuid and their like belong to a mount; this entry is none").into());
        }
        Ok(())
    }
}

/// A mode as chmod(1) writes it in octal. Bits that give somebody else's rights away are not for a plan.
fn octal_mode(word: &OsStr) -> Result<u32> {
    let digits = word.to_str().filter(|text| !text.is_empty() && text.bytes().all(|b| (b'0'..=b'7').contains(&b)));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mode| *mode <= 0o1777);
    mode.ok_or_else(|| Failure::refusal(format!("mode {}: not an octal mode up to 1777", show(word))).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Statement, statements};

    fn read(text: &str) -> Result<Entry> {
        match statements(OsStr::new("p"), text.as_bytes(), &|_| None)?.pop() {
            Some(Statement::Line(line)) => entry(line),
            _ => panic!("not one line: {text}"),
        }
    }

    fn refused(text: &str) -> String {
        format!("{:#}", read(text).unwrap_err())
    }

    #[test]
    fn a_mount_is_nosuid_and_nodev_unless_it_says_otherwise() {
        assert_eq!(read("/a /b none bind").unwrap().attributes.to_string(), "nosuid,nodev");
        assert_eq!(read("/a /b none bind,suid,dev,ro").unwrap().attributes.to_string(), "ro");
        assert_eq!(read("/a /b none bind,ro,rw,suid,dev").unwrap().attributes.to_string(), "rw");
        assert_eq!(read("p /proc proc defaults").unwrap().attributes.to_string(), "ro,nosuid,nodev,noexec");
        assert_eq!(read("p /proc proc rw").unwrap().attributes.to_string(), "nosuid,nodev,noexec");
        assert_eq!(read("p /proc proc rw,exec,noatime").unwrap().attributes.to_string(), "nosuid,nodev,noatime");
    }

    #[test]
    fn targets_are_absolute_and_straight() {
        assert_eq!(read("t /a//b/./c/ tmpfs").unwrap().target, Path::new("/a/b/c"));
        assert_eq!(read("t a/b/ tmpfs").unwrap().target, Path::new("/a/b"));
        assert_eq!(read("t ./a tmpfs").unwrap().target, Path::new("/a"));
        assert_eq!(refused("t a/../b tmpfs"), "p:1: target a/../b: '..' is refused");
        assert_eq!(refused("t /a/../b tmpfs"), "p:1: target /a/../b: '..' is refused");
        assert_eq!(refused("t none tmpfs"), "p:1: target none: not an absolute path");
    }

    #[test]
    fn an_overlay_names_its_layers() {
        let What::Overlay { lowers, upper, settings } =
            read("o /m overlay lowerdir=/a:/b\\:c,upperdir=/u,workdir=/w,xino=off").unwrap().what
        else {
            panic!("no overlay")
        };
        assert_eq!(lowers, [Path::new("/a"), Path::new("/b:c")]);
        assert_eq!(upper, Upper::Kept { upper: "/u".into(), work: "/w".into() });
        assert_eq!(settings[0].to_string(), "xino=off");
        assert_eq!(refused("o /m overlay upperdir=/u"), "p:1: an overlay needs lowerdir=");
        assert_eq!(refused("o /m overlay lowerdir=/a:"), "p:1: a layer of lowerdir is empty");
        assert!(refused("o /m overlay lowerdir=/a,upperdir=/u").contains("takes upperdir= and workdir="));
    }

    #[test]
    fn the_branches_of_aufs_are_an_overlay() {
        let read = |options: &str| read(&format!("none /m aufs {options}")).map(|entry| entry.to_string());
        let kept = "overlay /b:/c on /m, changes in /a (nosuid,nodev)";
        for options in ["br=/a=rw:/b=ro:/c=rr", "br:/a=rw:/b=ro:/c=ro", "dirs=/a:/b:/c", "br:/a:/b:/c"] {
            assert_eq!(read(options).unwrap(), kept, "{options}");
        }
        assert_eq!(read("br=/b=ro:/c=ro").unwrap(), "overlay /b:/c on /m (nosuid,nodev)");
        let work = |options: &str| match super::tests::read(&format!("none /m aufs {options}")).unwrap().what {
            What::Overlay { upper: Upper::Kept { work, .. }, .. } => work,
            other => panic!("{other:?}"),
        };
        assert_eq!(work("br=/a=rw:/b"), Path::new("/a.work"));
        assert_eq!(work("br=/a=rw:/b,workdir=/w"), Path::new("/w"));
        let refused = |options: &str| format!("{:#}", read(options).unwrap_err());
        assert!(refused("br=/a=rw:/b=rw").contains("branch /b: an overlay has one writable layer"));
        assert!(refused("br=/a=ro:/b=rw").contains("one writable layer"));
        assert!(refused("br=/a=rx:/b").contains("branch /a=rx: rw, ro or rr"));
        assert!(refused("br=/a:/b,dirs=/c").contains("branches are given twice: dirs=/c"));
        assert!(refused("sum").contains("aufs needs its branches"));
        assert!(refused("br==rw:/b").contains("a branch is empty"));
        assert!(refused("br=/a:/b,workdir=").contains("workdir is empty"));
    }

    #[test]
    fn entries_of_lxc_are_read_with_and_without_their_key() {
        let plain = read("/usr usr none bind,ro,create=dir,optional 0 0").unwrap();
        assert_eq!((plain.to_string().as_str(), plain.nofail), ("bind /usr on /usr (ro,nosuid,nodev)", true));
        for key in ["lxc.mount.entry = ", "lxc.mount.entry=", "lxc.mount.entry =", "lxc.mount.entry= "] {
            assert_eq!(read(&format!("{key}/usr usr none bind,ro,create=dir,optional 0 0")).unwrap(), plain, "{key}");
        }
        assert_eq!(refused("/usr usr none bind,create=link"), "p:1: create=link: dir or file");
        assert_eq!(refused("/usr usr none bind,relative"), "p:1: unknown option relative");
        assert!(refused("lxc.mount.entryx = a b none bind").starts_with("p:1: "));
        assert!(refused("lxc.rootfs.path = dir:/x").starts_with("p:1: "));
    }

    #[test]
    fn nothing_unknown_is_passed_over() {
        assert_eq!(refused("/a /b none ro"), "p:1: type none needs the option bind or rbind");
        assert_eq!(refused("/a /b none bind,frob=1"), "p:1: unknown option frob=1");
        assert_eq!(refused("/a /b btrfs ro"), "p:1: unknown type btrfs");
        assert_eq!(refused("/a /b none bind,bind"), "p:1: option bind is given twice");
        assert_eq!(refused("t /b tmpfs X-mount.subdir=x"), "p:1: unknown option X-mount.subdir=x");
        assert_eq!(refused("/a /b none bind=1"), "p:1: option bind=1: bind takes no value");
        assert_eq!(refused("x /b dir mode=4755"), "p:1: mode 4755: not an octal mode up to 1777");
        assert_eq!(refused("x /b dir ro"), "p:1: ro, nosuid and their like belong to a mount; this entry is none");
        assert_eq!(refused("fd:-1 /b file"), "p:1: fd:-1: not fd:N");
        assert!(read("/a /b none bind,x-systemd.automount,nofail").unwrap().nofail);
    }
}
