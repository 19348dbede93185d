//! Overlays: layers by descriptor, so that no path is used twice and no character of a name has a meaning.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use chain::failure::errno_of;
use chain::process::in_user_namespace;
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use nix::errno::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags, chownat, fchmod, fstat, fstatvfs, mkdirat, openat};
use rustix::mount::MountAttrFlags;

use super::context::{self, Context};
use super::stage::Stage;
use super::{owner, tree};
use crate::look::open::{Links, open_beneath};
use crate::model::{Attributes, Overlay, Setting, Source, Upper};

/// The options of a `tmp` overlay that are meant for its tmpfs.
const OF_TMPFS: [&str; 4] = ["size", "nr_inodes", "nr_blocks", "huge"];

/// What is to be built, in each form that [`built`] tries.
struct Layers<'a> {
    lowers: Vec<BorrowedFd<'a>>,
    changes: Option<&'a Changes>,
    settings: &'a [Setting],
    attributes: Attributes,
}

/// A detached overlay. A kernel before 6.15 takes no layer from a mount that is attached nowhere: such layers are attached
/// for as long as it takes.
pub fn mount(stage: &mut Stage, overlay: &Overlay<Source>, attributes: Attributes) -> Result<OwnedFd> {
    let Overlay { lowers, upper, owner, settings } = overlay;
    let mut mapped =
        lowers.iter().map(|lower| mapped(stage, *owner, lower, || same(lower))).collect::<Result<Vec<_>>>()?;
    // All layers or none: a file must not have another owner once it has been changed.
    let owner = owner.filter(|_| mapped.iter().all(Option::is_some));
    let kept = match upper {
        Upper::Kept { upper, work } => Some(Changes::kept(stage, owner, upper, work)?),
        Upper::None | Upper::Tmp => None,
    };
    if owner.is_none() || kept.as_ref().is_some_and(|kept| kept.owner.is_none()) {
        mapped.fill_with(|| None);
    }
    let shown = lowers.iter().zip(&mapped).map(|(lower, mapped)| mapped.as_ref().map_or(lower.as_fd(), AsFd::as_fd));
    let lowers: Vec<_> = shown.collect();
    let changes = match upper {
        Upper::Tmp => Some(Changes::new(settings, lowers.first()).context("tmpfs for the changes")?),
        Upper::None | Upper::Kept { .. } => kept,
    };
    let layers = Layers { lowers, changes: changes.as_ref(), settings, attributes };
    let loose: Vec<_> =
        mapped.iter().flatten().chain(changes.iter().filter_map(|changes| changes.tree.as_ref())).collect();
    let built = || match changes.as_ref().and_then(|changes| changes.owner) {
        Some(id) => owner::making_files_of(id, || built(&layers)),
        None => built(&layers),
    };
    let tree = match built() {
        Err(error) if errno_of(&error) == Some(Errno::EINVAL) && !loose.is_empty() => {
            stage.while_attached(&loose, built)
        }
        result => result,
    }?;
    if changes.is_some() && fstatvfs(&tree).call("fstatvfs")?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(refusal!("overlayfs cannot write to its work directory, and made it read-only")
            .hint("dmesg says why; WORK must be one that the caller may write to"));
    }
    Ok(tree)
}

/// A detached clone of `directory` that shows the owner of `source` as `owner`, where that is wanted and can be had.
fn mapped(
    stage: &mut Stage,
    owner: Option<u32>,
    source: &Source,
    directory: impl FnOnce() -> Result<OwnedFd>,
) -> Result<Option<OwnedFd>> {
    let Some(shown) = owner else { return Ok(None) };
    let none = Attributes::only(MountAttrFlags::empty());
    owner::show_as(stage, shown, source, false, || tree::clone(directory()?, false, none))
}

fn same(source: &Source) -> Result<OwnedFd> {
    source.file.try_clone().call("fcntl(F_DUPFD_CLOEXEC)")
}

/// The two directories that overlayfs wants for changes.
struct Changes {
    /// What they lie on, where that is attached nowhere.
    tree: Option<OwnedFd>,
    /// Whom their owner is shown as, where he is shown as somebody else.
    owner: Option<u32>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Changes {
    /// In a tmpfs.
    fn new(settings: &[Setting], top: Option<&BorrowedFd<'_>>) -> Result<Self> {
        let mut own: Vec<Setting> = settings.iter().filter(|setting| of_tmpfs(setting)).cloned().collect();
        own.push(Setting::value("mode", "700"));
        let tmpfs = context::mount("tmpfs", &own, Attributes::safe().flags())?;
        let (upper, work) = (directory(&tmpfs, "upper")?, directory(&tmpfs, "work")?);
        if let Some(top) = top {
            resemble(&upper, top)?;
        }
        Ok(Self { tree: Some(tmpfs), owner: None, upper, work })
    }

    /// In directories of the old root. Overlayfs wants both on one mount, so that with other ids it is a clone of the
    /// directory around them, in which they are found again by their names, and compared.
    fn kept(stage: &mut Stage, owner: Option<u32>, upper: &Source, work: &Source) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let around = || openat(upper, "..", flags, Mode::empty()).call("open the directory around UPPER");
        Ok(match mapped(stage, owner, upper, around)? {
            None => Self { tree: None, owner: None, upper: same(upper)?, work: same(work)? },
            Some(tree) => {
                let (upper, work) = (found_again(&tree, upper)?, found_again(&tree, work)?);
                Self { tree: Some(tree), owner, upper, work }
            }
        })
    }
}

/// The directory `source`, in a clone of the one around it.
fn found_again(tree: &OwnedFd, source: &Source) -> Result<OwnedFd> {
    let identity = |file: BorrowedFd<'_>| fstat(file).map(|facts| (facts.st_dev, facts.st_ino));
    let name = source.path.file_name().unwrap_or_default();
    open_beneath(tree, Path::new(name), Links::Refused)
        .ok()
        .filter(|found| identity(found.as_fd()).is_ok_and(|found| identity(source.as_fd()) == Ok(found)))
        .ok_or_else(|| {
            refusal!("{}: X-mount.owner= needs UPPER and WORK in one directory, by their own names", show(source))
        })
}

fn of_tmpfs(setting: &Setting) -> bool {
    OF_TMPFS.iter().any(|key| setting.key == *key)
}

fn directory(tmpfs: &OwnedFd, name: &str) -> Result<OwnedFd> {
    mkdirat(tmpfs, name, Mode::from_raw_mode(0o755)).call("mkdirat")?;
    openat(tmpfs, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).call("openat")
}

/// The top directory of an overlay has the owner and the mode of its upper layer: they are to be those of the lower one.
/// An owner that is not mapped here cannot be set; then it is the caller, as of everything else that is changed.
fn resemble(upper: &OwnedFd, lower: impl AsFd) -> Result<()> {
    let facts = fstat(lower).call("fstat")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(facts.st_uid), rustix::fs::Gid::from_raw(facts.st_gid));
    chownat(upper, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).unwrap_or_default();
    fchmod(upper, Mode::from_raw_mode(facts.st_mode & 0o7777)).call("fchmod")
}

/// How the kernel is told which directories are the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LayerForm {
    /// By descriptor (Linux 6.13).
    Files,
    /// By the descriptors' names in /proc, in one list: at most 256 bytes, which are some fifteen layers.
    List,
    /// The same names one by one (Linux 6.7).
    Names,
}

/// The overlay in the first form that this kernel takes. Which one that is, no call tells: an old kernel takes every word
/// and refuses the whole with EINVAL. Where all forms fail, the first that was understood has the best message.
fn built(layers: &Layers<'_>) -> Result<OwnedFd> {
    let mut refused = None;
    for form in [LayerForm::Files, LayerForm::List, LayerForm::Names] {
        match attempt(layers, form) {
            Ok(Some(tree)) => return Ok(tree),
            Ok(None) => {}
            Err(error) if errno_of(&error) == Some(Errno::EINVAL) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| refusal!("this kernel takes no layers")))
}

/// `None` where this kernel does not know the form.
fn attempt(layers: &Layers<'_>, form: LayerForm) -> Result<Option<OwnedFd>> {
    let context = Context::new("overlay")?;
    let mut files: Vec<_> = layers.lowers.iter().map(|lower| ("lowerdir+", *lower)).collect();
    if form == LayerForm::List {
        let list: Vec<String> = files.drain(..).map(|(_, file)| name(file)).collect();
        context.set(&Setting::value("lowerdir", list.join(":")))?;
    }
    if let Some(Changes { upper, work, .. }) = layers.changes {
        files.extend([("upperdir", upper.as_fd()), ("workdir", work.as_fd())]);
    }
    for (key, file) in files {
        let known = match form {
            LayerForm::Files => context.set_file(key, file)?,
            LayerForm::List | LayerForm::Names => context.set_if_known(key, &name(file))?,
        };
        if !known {
            return Ok(None);
        }
    }
    // Only root of the first user namespace may write trusted.* attributes; user.* works elsewhere (Linux 5.11).
    if layers.changes.is_some() && in_user_namespace() && layers.settings.iter().all(|set| set.key != "userxattr") {
        context.set(&Setting::flag("userxattr"))?;
    }
    context.set_all(layers.settings.iter().filter(|setting| !of_tmpfs(setting)))?;
    context.mount(layers.attributes.writable().flags()).map(Some)
}

/// The name of an open file for a kernel that takes only names: it leads to that file whatever its path is by now.
fn name(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
