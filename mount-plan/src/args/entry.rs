//! What the columns of an entry mean. An option of the command line and a line of a plan come to the same columns,
//! so both forms are read here and cannot differ.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use chain::text::meant;
use chain::{Hint as _, Result, refusal, show};
use rustix::mount::MountAttrFlags;

use super::columns::Columns;
use super::dialect;
use super::options::Options;
use crate::model::{
    Attributes, Bind, Chdir, Content, DEV, DEVICES, Entry, FILESYSTEMS, Filesystem, IMAGES, Idmap, Image, Mount, NULL,
    Origin, Overlay, Target, Upper, What, descriptor,
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
    let target = as_target(&target, origin.0.is_some())?;
    let (bind, rbind) = (options.flag("bind")?, options.flag("rbind")?);
    let (what, more) = match fstype.to_str() {
        _ if bind || rbind => {
            let recursive = rbind && !options.flag("norec")?;
            (What::Mount(Mount::Bind(as_bind(&source, recursive, &mut options)?)), MountAttrFlags::empty())
        }
        Some("chdir") => {
            options.refuse_rest(false)?;
            return Ok(Item::Chdir(Chdir { origin, path: in_root(target)?, nofail: options.nofail }));
        }
        Some("preset") => {
            options.refuse_rest(false)?;
            let (nofail, mkdir) = (options.nofail, options.mkdir);
            return Ok(Item::Preset(Preset { origin, name: source, target: in_root(target)?, nofail, mkdir }));
        }
        _ => what(&source, &fstype, &mut options)?,
    };
    options.refuse_rest(matches!(what, What::Mount(_) | What::Dev(_) | What::Data(..)))?;
    let of_a_path = [(options.no_links, "X-mount.no-links"), (options.if_exists, "X-mount.if-exists")];
    if let Some((_, word)) = of_a_path.iter().find(|(given, _)| *given) {
        if !has_a_path(&what)? {
            return Err(refusal!("{word}: this entry names no source by a path"));
        }
    }
    if options.make && !matches!(what, What::Dir(_) | What::Symlink(_) | What::Chmod(_)) {
        return Err(refusal!("X-mount.make: for directories, symbolic links and chmod"));
    }
    let target = if matches!(what, What::Mount(_)) { target } else { Target::Place(in_root(target)?) };
    let attributes = options.attributes(Attributes::safe_and(more));
    let Options { nofail, mkdir, no_links, if_exists, make, .. } = options;
    Ok(Item::Entry(Entry { origin, target, what, attributes, nofail, mkdir, no_links, if_exists, make }))
}

/// The place of what is no mount, and so cannot be a descriptor.
fn in_root(target: Target) -> Result<PathBuf> {
    match target {
        Target::Place(path) => Ok(path),
        Target::Fd(_) => Err(refusal!("target {target}: only a mount can be left as a descriptor")),
    }
}

/// Whether a file that the caller names is looked up for it.
fn has_a_path(what: &What) -> Result<bool> {
    Ok(match what {
        What::Mount(Mount::Bind(bind)) => descriptor(bind.source.as_os_str())?.is_none(),
        What::Mount(Mount::Image(_) | Mount::Overlay(_)) | What::File(Content::Copy(_), _) => true,
        What::Data(Content::Copy(_), _) => true,
        _ => false,
    })
}

fn as_target(word: &OsStr, in_plan: bool) -> Result<Target> {
    match descriptor(word) {
        Ok(None) => place(word, in_plan).map(Target::Place),
        Ok(Some(fd)) if fd > 2 => Ok(Target::Fd(fd)),
        _ => Err(refusal!("target {}: not fd:N, N being 3 or more", show(word))),
    }
}

/// A place in the new root, from its top where it is not absolute. `..` is refused because it is never needed there, and
/// always suspicious; `none` is fstab(5)'s word for no place.
fn place(word: &OsStr, in_plan: bool) -> Result<PathBuf> {
    let path = Path::new(word);
    let bad = |why: &str| refusal!("target {}: {why}", show(word));
    if !path.is_absolute() && (!in_plan || word.is_empty() || word == "none") {
        return Err(bad("not an absolute path"));
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(bad("'..' is refused"));
    }
    Ok(Path::new("/").join(path).components().collect())
}

fn as_bind(source: &OsStr, recursive: bool, options: &mut Options) -> Result<Bind> {
    let idmap = match (options.idmap()?, options.owner()?) {
        (Some(_), Some(_)) => return Err(refusal!("X-mount.idmap= and X-mount.owner=: one of them")),
        (idmap, owner) => idmap.or(owner.map(Idmap::Owner)),
    };
    let subdir = options.value("X-mount.subdir")?.map(|part| named(&part, "X-mount.subdir")).transpose()?;
    if descriptor(source)?.is_some() && subdir.is_some() {
        return Err(refusal!("X-mount.subdir= of {}: a mount is taken as it is", show(source)));
    }
    let fresh = options.flag("X-mount.fresh")?;
    if fresh && descriptor(source)?.is_none() {
        return Err(refusal!("X-mount.fresh is for a source fd:N, which the chain has made"));
    }
    Ok(Bind { source: named(source, "a source")?, recursive, subdir, idmap, fresh })
}

/// What a type stands for, and its default attributes besides the safe ones.
fn what(source: &OsStr, fstype: &OsStr, options: &mut Options) -> Result<(What, MountAttrFlags)> {
    if let Some((fstype, more)) = FILESYSTEMS.into_iter().find(|(known, _)| fstype == *known) {
        let mixed = fstype == "proc" && options.flag("mixed")?;
        let settings = options.take_rest();
        return Ok((What::Mount(Mount::Filesystem(Filesystem { fstype, settings, mixed })), more));
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
        Some("data") => What::Data(content(source)?, options.mode(0o600)?),
        Some("chmod") => What::Chmod(options.needed_mode()?),
        Some("remount-ro") => What::RemountRo,
        Some("mask") => What::Mask(NULL.path.into()),
        Some("none") => return Err(refusal!("type none needs the option bind or rbind")),
        _ => return Err(unknown_type(fstype)),
    };
    Ok((what, MountAttrFlags::empty()))
}

/// The types of entries that are no mounts of one filesystem.
const TYPES: [&str; 12] =
    ["overlay", "aufs", "dev", "symlink", "dir", "file", "data", "chmod", "remount-ro", "mask", "chdir", "preset"];

fn unknown_type(fstype: &OsStr) -> anyhow::Error {
    let mounted = [&FILESYSTEMS.map(|(name, _)| name)[..], &IMAGES.map(|(name, _)| name)].concat();
    let types = [&mounted[..], &TYPES].concat();
    let rest = format!("none with bind or rbind, {}", types.join(", "));
    refusal!("unknown type {}", show(fstype)).hint(meant(fstype, types, &rest))
}

/// fstab(5) also names devices by what is written on them, which nobody here reads.
fn device(source: &OsStr) -> Result<PathBuf> {
    let tags = ["LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=", "ID="];
    if tags.iter().any(|tag| source.as_bytes().starts_with(tag.as_bytes())) {
        return Err(refusal!("{}: name the device or the file itself", show(source)));
    }
    named(source, "the file of an image")
}

fn named(source: &OsStr, what: &str) -> Result<PathBuf> {
    if source.is_empty() {
        return Err(refusal!("{what} is empty"));
    }
    Ok(PathBuf::from(source))
}

/// `fd:N`, `text:TEXT`, or a file of the old root.
fn content(source: &OsStr) -> Result<Content> {
    let bytes = source.as_bytes();
    if let Some(text) = bytes.strip_prefix(b"text:") {
        return Ok(Content::Text(OsString::from_vec(text.to_vec())));
    }
    if let Some(fd) = descriptor(source)? {
        return Ok(Content::Fd(fd));
    }
    named(source, "the source of a file").map(Content::Copy)
}

fn overlay(options: &mut Options) -> Result<Overlay> {
    let lowers = options.value("lowerdir")?.ok_or_else(|| refusal!("an overlay needs lowerdir="))?;
    let (upper, work) = (options.value("upperdir")?, options.value("workdir")?);
    let upper = match (upper, work, options.flag("tmp")?) {
        (None, None, false) => Upper::None,
        (None, None, true) => Upper::Tmp,
        (Some(upper), Some(work), false) => {
            Upper::Kept { upper: named(&upper, "upperdir")?, work: named(&work, "workdir")? }
        }
        _ => return Err(refusal!("an overlay takes upperdir= and workdir=, or tmp, or none of them")),
    };
    let owner = options.owner()?;
    Ok(Overlay { lowers: layers(&lowers)?, upper, owner, settings: options.take_rest() })
}

/// The branches of aufs as layers; all other options go to overlayfs, which has its own words for what it does not know.
fn aufs(options: &mut Options) -> Result<Overlay> {
    let branches = dialect::take_branches(&mut options.rest)?;
    let work = options.value("workdir")?.map(|work| named(&work, "workdir")).transpose()?;
    let (lowers, upper) = dialect::as_layers(layers(&branches)?, work)?;
    Ok(Overlay { lowers, upper, owner: options.owner()?, settings: options.take_rest() })
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
mod tests;
