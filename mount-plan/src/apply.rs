//! The only effects, one function per kind of step.

use std::os::fd::{AsFd as _, OwnedFd};

use chain::failure::{Call as _, Failure, errno_of};
use chain::{Hint as _, Result, message};
use nix::errno::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};

use crate::entry::{Attributes, Entry, Upper, What};
use crate::fs::Filesystem;
use crate::idmap::Idmap;
use crate::look::Source;
use crate::overlay::Overlay;
use crate::stage::Stage;
use crate::step::{Step, whole};
use crate::walk::{Last, Point};
use crate::{carry, dev, enter, files, hints, idmap, image, overlay, tree};

/// Does one step.
///
/// # Errors
/// The operation and the system call that failed.
pub fn step(stage: &mut Stage, step: &Step<'_>) -> Result<()> {
    match *step {
        Step::Carry(chosen) => {
            stage.carried = Some(carry::take(chosen).map_err(unprivileged)?);
            Ok(())
        }
        Step::Map(ranges) => stage.prepare_map(ranges),
        Step::Private => private(),
        Step::EmptyRoot { writable } => empty_root(stage, writable).map_err(unprivileged),
        Step::Root(entry, sources) => root(stage, entry, sources).map_err(unprivileged),
        Step::Place(entry, sources) => match place(stage, entry, sources) {
            Err(error) if entry.nofail => {
                message::print_error(&format!("{:#} (nofail: left out)", error.context(whole(entry))));
                Ok(())
            }
            result => result,
        },
        Step::Seal => stage.seal(),
        Step::Enter => enter::root(stage),
        Step::Chdir { entry, path } => enter::directory(stage, path, entry.is_some()),
    }
}

/// What is mounted here stays here: otherwise attaching the new root could reach the machine's namespace.
fn private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).call("mount(MS_REC|MS_PRIVATE)").map_err(unprivileged).map_err(hints::old_root)
}

fn unprivileged(error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::EPERM) => error.hint("CAP_SYS_ADMIN over the mount namespace is missing: ns-unshare --user --mount gives one to an ordinary user"),
        _ => error,
    }
}

fn empty_root(stage: &mut Stage, writable: bool) -> Result<()> {
    let attributes = Attributes::safe();
    let root = Filesystem::with("tmpfs", &[dev::setting("mode", "755")])?.mount(attributes.flags())?;
    stage.own(&root)?;
    if !writable {
        stage.read_only_later(root.try_clone().call("fcntl(F_DUPFD_CLOEXEC)")?);
    }
    stage.begin(root);
    Ok(())
}

fn root(stage: &mut Stage, entry: &Entry, sources: &[Source]) -> Result<()> {
    let tree = match &entry.what {
        What::Bind { .. } => bind(stage, entry, sources)?,
        What::Image { .. } => image(stage, entry, sources)?,
        What::Filesystem { .. } => filesystem(stage, entry)?,
        What::Overlay { .. } => layers(entry, sources, |tmpfs| stage.attach_below(tmpfs))?,
        _ => return Err(Failure::refusal("this cannot be the root").into()),
    };
    keep(stage, entry, &tree)?;
    stage.begin(tree);
    Ok(())
}

fn place(stage: &mut Stage, entry: &Entry, sources: &[Source]) -> Result<()> {
    match &entry.what {
        What::Bind { .. } => {
            let tree = bind(stage, entry, sources)?;
            let directory = sources.first().is_some_and(|source| source.directory);
            let kind = if directory { Point::Dir(entry.mkdir) } else { Point::File };
            let point = stage.place()?.point(&entry.target, kind, Last::Follow)?;
            stage.attach(&tree, &point)
        }
        What::Image { .. } => {
            let tree = image(stage, entry, sources)?;
            let point = stage.place()?.point(&entry.target, Point::Dir(entry.mkdir), Last::Follow)?;
            stage.attach(&tree, &point)
        }
        What::Filesystem { fstype, .. } => {
            let last = if *fstype == "tmpfs" { Last::Follow } else { Last::Refuse };
            let point = stage.place()?.point(&entry.target, Point::Dir(entry.mkdir), last)?;
            let tree = filesystem(stage, entry)?;
            stage.attach(&tree, &point)?;
            keep(stage, entry, &tree)
        }
        What::Overlay { .. } => {
            let point = stage.place()?.point(&entry.target, Point::Dir(entry.mkdir), Last::Follow)?;
            let tree = layers(entry, sources, |tmpfs| stage.attach(tmpfs, &point))?;
            stage.attach(&tree, &point)?;
            keep(stage, entry, &tree)
        }
        What::Dev => dev::make(stage, entry, sources),
        What::Symlink(text) => files::link(stage, entry, text),
        What::Dir(mode) => files::directory(stage, entry, *mode),
        What::File(content, mode) => files::file(stage, entry, content, *mode, sources),
        What::Mask => files::mask(stage, entry, sources),
        What::Chdir | What::Preset(_) => Err(Failure::refusal("this is no entry of its own").into()),
    }
}

fn bind(stage: &Stage, entry: &Entry, sources: &[Source]) -> Result<OwnedFd> {
    let What::Bind { source: path, recursive, idmap, .. } = &entry.what else {
        return Err(Failure::refusal("this is no bind").into());
    };
    let tree = tree::clone(first(sources)?.file.as_fd(), *recursive, entry.attributes).map_err(hints::bind)?;
    let Some(map) = map(stage, idmap.as_ref(), sources)? else { return Ok(tree) };
    idmap::apply(&tree, *recursive, map).map_err(|error| hints::idmap(path, *recursive, map, error))?;
    Ok(tree)
}

fn image(stage: &Stage, entry: &Entry, sources: &[Source]) -> Result<OwnedFd> {
    let What::Image { fstype, file, idmap, settings } = &entry.what else {
        return Err(Failure::refusal("this is no image").into());
    };
    let tree = image::mount(fstype, settings, entry.attributes, &first(sources)?.file)?;
    let Some(map) = map(stage, idmap.as_ref(), sources)? else { return Ok(tree) };
    idmap::apply(&tree, false, map).map_err(|error| hints::idmap(file, false, map, error))?;
    Ok(tree)
}

fn first(sources: &[Source]) -> Result<&Source> {
    sources.first().ok_or_else(|| Failure::refusal("the source was not opened").into())
}

/// The user namespace whose map was asked for, if one was.
fn map<'a>(stage: &'a Stage, idmap: Option<&Idmap>, sources: &'a [Source]) -> Result<Option<&'a OwnedFd>> {
    match idmap {
        None => Ok(None),
        Some(Idmap::Ranges(ranges)) => stage.map(ranges).map(Some),
        Some(Idmap::Namespace(_)) => match sources.get(1) {
            Some(source) => Ok(Some(&source.file)),
            None => Err(Failure::refusal("the user namespace was not opened").into()),
        },
    }
}

fn filesystem(stage: &mut Stage, entry: &Entry) -> Result<OwnedFd> {
    let What::Filesystem { fstype, settings } = &entry.what else {
        return Err(Failure::refusal("this is no filesystem").into());
    };
    let tree = Filesystem::with(fstype, settings)
        .and_then(|new| new.mount(entry.attributes.writable().flags()))
        .map_err(|error| hints::filesystem(fstype, error))?;
    if *fstype == "tmpfs" {
        stage.own(&tree)?;
    } else if entry.attributes.read_only() {
        tree::set(&tree, false, entry.attributes)?;
    }
    Ok(tree)
}

fn layers(entry: &Entry, sources: &[Source], hide: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<OwnedFd> {
    let What::Overlay { lowers, upper, settings } = &entry.what else {
        return Err(Failure::refusal("this is no overlay").into());
    };
    overlay::mount(Overlay { upper, settings, attributes: entry.attributes }, sources, hide)
        .map_err(|error| hints::overlay(lowers, error))
}

/// What the plan made may be filled by later entries; read-only it becomes when they are all there.
fn keep(stage: &mut Stage, entry: &Entry, tree: &OwnedFd) -> Result<()> {
    let made = match &entry.what {
        What::Filesystem { fstype, .. } => *fstype == "tmpfs",
        What::Overlay { upper, .. } => *upper != Upper::None,
        _ => false,
    };
    if made && !matches!(entry.what, What::Filesystem { .. }) {
        stage.own(tree)?;
    }
    if entry.attributes.read_only() && (made || matches!(entry.what, What::Overlay { .. })) {
        stage.read_only_later(tree.try_clone().call("fcntl(F_DUPFD_CLOEXEC)")?);
    }
    Ok(())
}
