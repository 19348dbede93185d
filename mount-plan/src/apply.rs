//! The only effects, one function per kind of step.

mod carry;
mod context;
mod dev;
mod elf;
mod enter;
mod files;
mod image;
pub mod limit;
mod maps;
mod overlay;
pub mod stage;
mod tree;
mod walk;
pub mod wipe;

use std::os::fd::OwnedFd;
use std::path::Path;

use chain::{Call as _, Hint as _, Result, message, sys};
use rustix::fs::FileType;
use rustix::mount::{MountPropagationFlags, mount_change};

use crate::hints;
use crate::look::open::file_type;
use crate::model::{Attributes, Bind, Entry, Filesystem, Idmap, Image, Mount, Overlay, Setting, Source, Upper, What};
use crate::step::{Step, left_out};
pub use carry::Carried;
use stage::Stage;
use walk::{Last, Point};

/// Does one step.
pub fn step(stage: &mut Stage, step: &Step<'_, Source>) -> Result<()> {
    match step {
        Step::Carry(crossing) => {
            stage.carried = Some(carry::take(crossing).map_err(hints::unprivileged)?);
            Ok(())
        }
        Step::Map(ranges) => stage.prepare_map(ranges),
        Step::Private => private(),
        Step::EmptyRoot { writable } => empty_root(stage, *writable).map_err(hints::unprivileged),
        Step::Root(entry, mount) => root(stage, entry, mount).map_err(hints::unprivileged),
        Step::Place(entry) => match place(stage, entry) {
            Err(error) if entry.nofail => {
                message::print_error(&left_out(entry, error));
                Ok(())
            }
            result => result,
        },
        Step::Seal => stage.seal(),
        Step::Enter => enter::root(stage),
        Step::Chdir(chdir) => enter::directory(stage, &chdir.path),
        Step::Stay(path) => enter::directory_or_root(stage, path),
    }
}

/// What is mounted here stays here: otherwise attaching the new root could reach the machine's namespace.
fn private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).call("mount(MS_REC|MS_PRIVATE)").map_err(hints::unprivileged).hinted(&hints::OLD_ROOT)
}

fn empty_root(stage: &mut Stage, writable: bool) -> Result<()> {
    let root = context::mount("tmpfs", &[Setting::value("mode", "755")], Attributes::safe().flags())?;
    stage.own(&root, !writable)?;
    stage.begin(root);
    Ok(())
}

fn root(stage: &mut Stage, entry: &Entry<Source>, mount: &Mount<Source>) -> Result<()> {
    let tree = tree(stage, entry.attributes, mount, |stage, tmpfs| stage.attach_below(tmpfs))?;
    stage.begin(tree);
    Ok(())
}

fn place(stage: &mut Stage, entry: &Entry<Source>) -> Result<()> {
    match &entry.what {
        What::Mount(mount) => place_mount(stage, entry, mount),
        What::Dev(devices) => dev::make(stage, entry, devices),
        What::Symlink(text) => files::link(stage, &entry.target, text),
        What::Dir(mode) => files::directory(stage, &entry.target, *mode),
        What::File(content, mode) => files::file(stage, &entry.target, content, *mode),
        What::Mask(null) => files::mask(stage, &entry.target, null),
    }
}

fn place_mount(stage: &mut Stage, entry: &Entry<Source>, mount: &Mount<Source>) -> Result<()> {
    let (kind, last) = match mount {
        Mount::Bind(bind) if !is_directory(&bind.source)? => (Point::File, Last::Follow),
        Mount::Filesystem(new) if new.fstype != "tmpfs" => (Point::Dir(entry.mkdir), Last::Refuse),
        _ => (Point::Dir(entry.mkdir), Last::Follow),
    };
    let (tree, point) = match mount {
        Mount::Bind(_) | Mount::Image(_) => {
            // No place is made for what cannot be had.
            let tree = tree(stage, entry.attributes, mount, |_, _| Ok(()))?;
            (tree, stage.point(&entry.target, kind, last)?)
        }
        Mount::Filesystem(_) | Mount::Overlay(_) => {
            let point = stage.point(&entry.target, kind, last)?;
            (tree(stage, entry.attributes, mount, |stage, tmpfs| stage.attach(tmpfs, &point))?, point)
        }
    };
    stage.attach(&tree, &point)
}

fn is_directory(source: &Source) -> Result<bool> {
    let kind = file_type(source).map_err(|error| hints::fuse(source, error))?;
    Ok(kind == FileType::Directory)
}

/// What is to be mounted, attached nowhere yet. `hide` attaches a mount where nobody looks.
fn tree(
    stage: &mut Stage,
    attributes: Attributes,
    mount: &Mount<Source>,
    hide: impl FnOnce(&mut Stage, &OwnedFd) -> Result<()>,
) -> Result<OwnedFd> {
    match mount {
        Mount::Bind(Bind { source, recursive, idmap, .. }) => {
            let tree = tree::clone(source, *recursive, attributes)
                .map_err(|error| hints::bind(&source.path, *recursive, error))?;
            map(stage, &tree, *recursive, idmap.as_ref(), &source.path)?;
            Ok(tree)
        }
        Mount::Image(Image { fstype, file, idmap, settings }) => {
            let tree = image::mount(fstype, settings, attributes, &file.file)?;
            map(stage, &tree, false, idmap.as_ref(), &file.path)?;
            Ok(tree)
        }
        Mount::Filesystem(new) => filesystem(stage, attributes, new),
        Mount::Overlay(layers) => overlay(stage, attributes, layers, hide),
    }
}

/// Gives a detached tree the ids that the plan has for it: with all that is mounted below where it is `recursive`, and all of
/// it or nothing.
fn map(stage: &Stage, tree: &OwnedFd, recursive: bool, idmap: Option<&Idmap<Source>>, source: &Path) -> Result<()> {
    let namespace = match idmap {
        None => return Ok(()),
        Some(Idmap::Ranges(ranges)) => stage.map(ranges)?,
        Some(Idmap::Namespace(namespace)) => &namespace.file,
    };
    sys::mount_idmap(tree, recursive, namespace)
        .call("mount_setattr(MOUNT_ATTR_IDMAP)")
        .map_err(|error| hints::idmap(source, recursive, namespace, error))
}

/// A tmpfs may be filled by later entries; it becomes read-only when they are all there. Others are read-only at once: in a user
/// namespace the kernel makes no proc and no sysfs that is more than the one that is there, which may be read-only.
fn filesystem(stage: &mut Stage, attributes: Attributes, new: &Filesystem) -> Result<OwnedFd> {
    let filled = new.fstype == "tmpfs";
    let first = if filled { attributes.writable() } else { attributes };
    let tree = context::mount(new.fstype, &new.settings, first.flags())
        .map_err(|error| hints::filesystem(new.fstype, error))?;
    if filled {
        stage.own(&tree, attributes.read_only())?;
    } else if attributes.read_only() {
        tree::set(&tree, false, attributes)?;
    }
    Ok(tree)
}

/// An overlay with an upper layer may be filled by later entries, like a tmpfs.
fn overlay(
    stage: &mut Stage,
    attributes: Attributes,
    layers: &Overlay<Source>,
    hide: impl FnOnce(&mut Stage, &OwnedFd) -> Result<()>,
) -> Result<OwnedFd> {
    let tree = overlay::mount(layers, attributes, |tmpfs| hide(stage, tmpfs))
        .map_err(|error| hints::overlay(&layers.lowers, error))?;
    if !matches!(layers.upper, Upper::None) {
        stage.own(&tree, attributes.read_only())?;
    } else if attributes.read_only() {
        stage.read_only_later(&tree)?;
    }
    Ok(tree)
}
