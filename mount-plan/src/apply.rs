//! The only effects, one function per kind of step.

mod carry;
mod context;
pub mod descriptor;
mod dev;
mod enter;
mod files;
mod image;
pub mod limit;
mod maps;
mod overlay;
mod owner;
pub mod stage;
mod tree;
mod walk;
pub mod wipe;

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use chain::{Call as _, Context as _, Hint as _, Result, message, refusal, show, sys};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags, fstat, openat, statx};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, mount_change};
use rustix::process::geteuid;

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
        Step::Owners(owners) => owner::prepare(stage, owners),
        Step::Private => private(),
        Step::EmptyRoot { writable } => empty_root(stage, *writable).map_err(hints::unprivileged),
        Step::Root(entry, mount) => root(stage, entry, mount).map_err(hints::unprivileged),
        Step::Place(entry, path) => or_left_out(entry, place(stage, entry, path)),
        Step::Leave(entry, mount, fd) => {
            or_left_out(entry, leave(stage, entry.attributes, mount, *fd).map_err(hints::unprivileged))
        }
        Step::Seal => stage.seal(),
        Step::Enter => enter::root(stage),
        Step::Chdir(chdirs) => enter::first_directory(stage, chdirs),
        Step::Stay(path) => enter::directory_or_root(stage, path),
        Step::SetPwd => {
            sys::set_variable("PWD", stage.directory.as_os_str());
            Ok(())
        }
    }
}

fn or_left_out(entry: &Entry<Source>, done: Result<()>) -> Result<()> {
    match done {
        Err(error) if entry.nofail => {
            message::print_error(&left_out(entry, error));
            Ok(())
        }
        result => result,
    }
}

/// What is mounted here stays here: otherwise attaching the new root could reach the machine's namespace. What is mounted
/// there comes in only where the namespace was made so (ns-unshare --propagation slave).
fn private() -> Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags).call("mount(MS_REC|MS_SLAVE)").map_err(hints::unprivileged).hinted(&hints::OLD_ROOT)
}

fn empty_root(stage: &mut Stage, writable: bool) -> Result<()> {
    let root = context::mount("tmpfs", &[Setting::value("mode", "755")], Attributes::safe().flags())?;
    stage.own(&root, !writable)?;
    stage.begin(root);
    Ok(())
}

fn root(stage: &mut Stage, entry: &Entry<Source>, mount: &Mount<Source>) -> Result<()> {
    let tree = tree(stage, entry.attributes, mount)?;
    stage.begin(tree);
    Ok(())
}

/// A mount that is no part of a root: nothing will be made in it, so it is read-only at once where it is to be.
fn leave(stage: &mut Stage, attributes: Attributes, mount: &Mount<Source>, fd: RawFd) -> Result<()> {
    let tree = tree(stage, attributes, mount)?;
    tree::set(&tree, false, attributes)?;
    stage.left.push((fd, tree));
    Ok(())
}

fn place(stage: &mut Stage, entry: &Entry<Source>, target: &Path) -> Result<()> {
    stage.makes_anywhere = entry.make;
    match &entry.what {
        What::Mount(mount) => place_mount(stage, entry, target, mount),
        What::Dev(devices) => dev::make(stage, entry, target, devices),
        What::Symlink(text) => files::link(stage, target, text),
        What::Dir(mode) => files::directory(stage, target, *mode),
        What::File(content, mode) => files::file(stage, target, content, *mode),
        What::Data(content, mode) => files::data(stage, target, content, *mode, entry.attributes),
        What::Chmod(mode) => files::chmod(stage, target, *mode),
        What::RemountRo => remount_read_only(stage, target),
        What::Mask(null) => files::mask(stage, target, null),
    }
}

fn place_mount(stage: &mut Stage, entry: &Entry<Source>, target: &Path, mount: &Mount<Source>) -> Result<()> {
    let (kind, last) = match mount {
        Mount::Bind(bind) if !is_directory(&bind.source)? => (Point::File, Last::Follow),
        Mount::Filesystem(new) if new.fstype != "tmpfs" => (Point::Dir(entry.mkdir), Last::Refuse),
        _ => (Point::Dir(entry.mkdir), Last::Follow),
    };
    // No place is made for what cannot be had.
    let tree = tree(stage, entry.attributes, mount)?;
    let point = stage.point(target, kind, last)?;
    stage.attach(&tree, &point)?;
    if let Mount::Filesystem(Filesystem { mixed: true, .. }) = mount { cover_controls(stage, &tree) } else { Ok(()) }
}

/// What of a proc controls the kernel.
const PROC_CONTROLS: [&str; 4] = ["sys", "sysrq-trigger", "irq", "bus"];

/// Covers the controls of a proc whose owner this is by a read-only mount of themselves. What access(2) says is no help: the
/// folders of /proc/sys are writable for nobody, and what is in them for their owner, without any capability.
fn cover_controls(stage: &mut Stage, proc: &OwnedFd) -> Result<()> {
    for name in PROC_CONTROLS {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let control = match openat(proc, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            control => control.call(&format!("openat({name})"))?,
        };
        if fstat(&control).call("fstat")?.st_uid != geteuid().as_raw() {
            continue;
        }
        // Before Linux 6.15 nothing in a detached tree can be cloned.
        stage.attach_root()?;
        let read_only = Attributes::only(MountAttrFlags::MOUNT_ATTR_RDONLY);
        let cover = tree::clone(&control, true, read_only).with_context(|| format!("cover {name}"))?;
        stage.attach(&cover, &control)?;
    }
    Ok(())
}

/// Of a detached tree mount_setattr(2) changes only the top, so the root is attached now.
fn remount_read_only(stage: &mut Stage, target: &Path) -> Result<()> {
    stage.attach_root()?;
    let found = stage.there(target)?;
    let facts = statx(&found, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).call("statx")?;
    if !facts.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(refusal!("{}: nothing is mounted there", show(target)));
    }
    tree::set(&found, false, Attributes::only(MountAttrFlags::MOUNT_ATTR_RDONLY))
}

fn is_directory(source: &Source) -> Result<bool> {
    let kind = file_type(source).map_err(|error| hints::fuse(source, error))?;
    Ok(kind == FileType::Directory)
}

/// What is to be mounted, attached nowhere yet.
fn tree(stage: &mut Stage, attributes: Attributes, mount: &Mount<Source>) -> Result<OwnedFd> {
    match mount {
        Mount::Bind(Bind { source, recursive, idmap, fresh, .. }) => {
            let tree = descriptor::clone_or_take(source, *recursive, attributes)?;
            if *fresh {
                stage.own(&tree, false)?;
            }
            map(stage, &tree, *recursive, idmap.as_ref(), source)?;
            Ok(tree)
        }
        Mount::Image(Image { fstype, file, idmap, settings }) => {
            let tree = image::mount(fstype, settings, attributes, &file.file)?;
            map(stage, &tree, false, idmap.as_ref(), file)?;
            Ok(tree)
        }
        Mount::Filesystem(new) => filesystem(stage, attributes, new),
        Mount::Overlay(layers) => overlay(stage, attributes, layers),
    }
}

/// Gives a detached tree the ids that the plan has for it: with all that is mounted below where it is `recursive`, and all of
/// it or nothing.
fn map(
    stage: &mut Stage,
    tree: &OwnedFd,
    recursive: bool,
    idmap: Option<&Idmap<Source>>,
    source: &Source,
) -> Result<()> {
    let namespace = match idmap {
        None => return Ok(()),
        Some(Idmap::Owner(shown)) => {
            let same = || tree.try_clone().call("fcntl(F_DUPFD_CLOEXEC)");
            return owner::show_as(stage, *shown, source, recursive, same).map(drop);
        }
        Some(Idmap::Ranges(ranges)) => stage.map(ranges)?,
        Some(Idmap::Namespace(namespace)) => &namespace.file,
    };
    sys::mount_idmap(tree, recursive, namespace)
        .call("mount_setattr(MOUNT_ATTR_IDMAP)")
        .map_err(|error| hints::idmap(&source.path, recursive, namespace, error))
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
fn overlay(stage: &mut Stage, attributes: Attributes, layers: &Overlay<Source>) -> Result<OwnedFd> {
    let tree = overlay::mount(stage, layers, attributes).map_err(|error| hints::overlay(&layers.lowers, error))?;
    if !matches!(layers.upper, Upper::None) {
        stage.own(&tree, attributes.read_only())?;
    } else if attributes.read_only() {
        stage.read_only_later(&tree)?;
    }
    Ok(tree)
}
