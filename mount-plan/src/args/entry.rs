//! What the columns of an entry mean. An option of the command line and a line of a plan come to the same columns,
//! so both forms are read here and cannot differ.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use chain::{Failure, Result, show, values};
use rustix::mount::MountAttrFlags;

use super::columns::Columns;
use super::dialect;
use super::options::Options;
use crate::model::{
    Attributes, Bind, Chdir, Content, DEV, DEVICES, Entry, FILESYSTEMS, Filesystem, IMAGES, Image, Mount, NULL, Origin,
    Overlay, Upper, What,
};

/// What the columns of one entry come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Entry(Entry),
    Chdir(Chdir),
    Preset(Preset),
}

/// Several entries under one name: [`super::preset`] has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    pub origin: Origin,
    pub name: OsString,
    /// All of them lie below this place.
    pub target: PathBuf,
    pub nofail: bool,
    pub mkdir: u32,
}

/// Gives the columns their meaning. An error has the place in front where they were written.
pub fn item(columns: Columns) -> Result<Item> {
    let origin = columns.origin.clone();
    meaning(columns).map_err(|error| origin.name(error))
}

fn meaning(columns: Columns) -> Result<Item> {
    let Columns { origin, source, target, fstype, options } = columns;
    let mut options = Options::new(options)?;
    // On a command line a relative target is a slip; in plans of LXC it is the rule.
    let target = place(&target, origin.0.is_some())?;
    let (bind, rbind) = (options.flag("bind")?, options.flag("rbind")?);
    let (what, more) = match fstype.to_str() {
        _ if bind || rbind => {
            (What::Mount(Mount::Bind(as_bind(&source, rbind, &mut options)?)), MountAttrFlags::empty())
        }
        Some("chdir") => {
            options.refuse_rest(false)?;
            return Ok(Item::Chdir(Chdir { origin, path: target }));
        }
        Some("preset") => {
            options.refuse_rest(false)?;
            let (nofail, mkdir) = (options.nofail, options.mkdir);
            return Ok(Item::Preset(Preset { origin, name: source, target, nofail, mkdir }));
        }
        _ => what(&source, &fstype, &mut options)?,
    };
    options.refuse_rest(matches!(what, What::Mount(_) | What::Dev(_)))?;
    let attributes = options.attributes(Attributes::safe_and(more));
    Ok(Item::Entry(Entry { origin, target, what, attributes, nofail: options.nofail, mkdir: options.mkdir }))
}

/// A place in the new root, from its top where it is not absolute. `..` is refused because it is never needed there, and
/// always suspicious; `none` is fstab(5)'s word for no place.
fn place(word: &OsStr, in_plan: bool) -> Result<PathBuf> {
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

fn as_bind(source: &OsStr, recursive: bool, options: &mut Options) -> Result<Bind> {
    let idmap = options.idmap()?;
    let subdir = options.value("X-mount.subdir")?.map(|part| named(&part, "X-mount.subdir")).transpose()?;
    Ok(Bind { source: named(source, "a source")?, recursive, subdir, idmap })
}

/// What a type stands for, and its default attributes besides the safe ones.
fn what(source: &OsStr, fstype: &OsStr, options: &mut Options) -> Result<(What, MountAttrFlags)> {
    if let Some((fstype, more)) = FILESYSTEMS.into_iter().find(|(known, _)| fstype == *known) {
        let settings = options.take_rest();
        return Ok((What::Mount(Mount::Filesystem(Filesystem { fstype, settings })), more));
    }
    if let Some((fstype, more)) = IMAGES.into_iter().find(|(known, _)| fstype == *known) {
        let (file, idmap) = (device(source)?, options.idmap()?);
        return Ok((What::Mount(Mount::Image(Image { fstype, file, idmap, settings: options.take_rest() })), more));
    }
    let what = match fstype.to_str() {
        Some("overlay") => What::Mount(Mount::Overlay(overlay(options)?)),
        Some("aufs") => What::Mount(Mount::Overlay(aufs(options)?)),
        Some("dev") => {
            return Ok((What::Dev(DEVICES.iter().map(|device| device.path.into()).collect()), DEV));
        }
        Some("symlink") => What::Symlink(named(source, "the text of a link")?.into_os_string()),
        Some("dir") => What::Dir(options.mode(0o755)?),
        Some("file") => What::File(content(source)?, options.mode(0o644)?),
        Some("mask") => What::Mask(NULL.path.into()),
        Some("none") => return Err(Failure::refusal("type none needs the option bind or rbind").into()),
        _ => return Err(unknown_type(fstype)),
    };
    Ok((what, MountAttrFlags::empty()))
}

fn unknown_type(fstype: &OsStr) -> anyhow::Error {
    Failure::refusal(format!("unknown type {}", show(fstype)))
        .hint(format!(
            "none with bind or rbind, {}, overlay, aufs, {}, dev, symlink, dir, file, mask, chdir, preset",
            FILESYSTEMS.map(|(name, _)| name).join(", "),
            IMAGES.map(|(name, _)| name).join(", ")
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
        let fd = values::integer(OsStr::from_bytes(number));
        return fd.map(Content::Fd).ok_or_else(|| Failure::refusal(format!("{}: not fd:N", show(source))).into());
    }
    named(source, "the source of a file").map(Content::Copy)
}

fn overlay(options: &mut Options) -> Result<Overlay> {
    let lowers = options.value("lowerdir")?.ok_or_else(|| Failure::refusal("an overlay needs lowerdir="))?;
    let (upper, work) = (options.value("upperdir")?, options.value("workdir")?);
    let upper = match (upper, work, options.flag("tmp")?) {
        (None, None, false) => Upper::None,
        (None, None, true) => Upper::Tmp,
        (Some(upper), Some(work), false) => {
            Upper::Kept { upper: named(&upper, "upperdir")?, work: named(&work, "workdir")? }
        }
        _ => return Err(Failure::refusal("an overlay takes upperdir= and workdir=, or tmp, or none of them").into()),
    };
    Ok(Overlay { lowers: layers(&lowers)?, upper, settings: options.take_rest() })
}

/// The branches of aufs as layers; all other options go to overlayfs, which has its own words for what it does not know.
fn aufs(options: &mut Options) -> Result<Overlay> {
    let branches = dialect::take_branches(&mut options.rest)?;
    let work = options.value("workdir")?.map(|work| named(&work, "workdir")).transpose()?;
    let (lowers, upper) = dialect::as_layers(layers(&branches)?, work)?;
    Ok(Overlay { lowers, upper, settings: options.take_rest() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::text::{Statement, statements};

    fn read(text: &str) -> Result<Entry> {
        match statements(OsStr::new("p"), text.as_bytes(), &|_| None)?.pop() {
            Some(Statement::Entry(columns)) => match item(columns)? {
                Item::Entry(entry) => Ok(entry),
                other => panic!("{text}: {other:?}"),
            },
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
        let What::Mount(Mount::Overlay(Overlay { lowers, upper, settings })) =
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
            What::Mount(Mount::Overlay(Overlay { upper: Upper::Kept { work, .. }, .. })) => work,
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
