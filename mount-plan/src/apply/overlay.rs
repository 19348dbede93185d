//! Overlays: layers by descriptor, so that no path is used twice and no character of a name has a meaning.

use std::os::fd::{AsRawFd as _, OwnedFd};

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Failure, Result};
use nix::errno::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, chownat, fchmod, fstat, mkdirat, openat};

use super::context::{self, Context};
use crate::look::namespace::in_user_namespace;
use crate::model::{Attributes, Overlay, Setting, Source, Upper};

/// The options of a `tmp` overlay that are meant for its tmpfs.
const OF_TMPFS: [&str; 4] = ["size", "nr_inodes", "nr_blocks", "huge"];

/// What is to be built, in each form that [`built`] tries.
#[derive(Clone, Copy)]
struct Layers<'a> {
    lowers: &'a [Source],
    /// The upper directory and its work directory.
    changes: Option<(&'a OwnedFd, &'a OwnedFd)>,
    settings: &'a [Setting],
    attributes: Attributes,
}

/// A detached overlay. `hide` attaches a mount where nobody looks; a kernel before 6.15 takes no layer from a mount that is
/// attached nowhere.
pub fn mount(
    overlay: &Overlay<Source>,
    attributes: Attributes,
    hide: impl FnOnce(&OwnedFd) -> Result<()>,
) -> Result<OwnedFd> {
    let layers = Layers { lowers: &overlay.lowers, changes: None, settings: &overlay.settings, attributes };
    let changes = match &overlay.upper {
        Upper::None => return built(layers),
        Upper::Kept { upper, work } => return built(Layers { changes: Some((&upper.file, &work.file)), ..layers }),
        Upper::Tmp => Changes::new(&overlay.settings, &overlay.lowers).context("tmpfs for the changes")?,
    };
    let layers = Layers { changes: Some((&changes.upper, &changes.work)), ..layers };
    match built(layers) {
        Err(error) if errno_of(&error) == Some(Errno::EINVAL) => {
            hide(&changes.tmpfs)?;
            built(layers)
        }
        result => result,
    }
}

/// A tmpfs with the two directories that overlayfs wants.
struct Changes {
    tmpfs: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Changes {
    fn new(settings: &[Setting], lowers: &[Source]) -> Result<Self> {
        let mut own: Vec<Setting> = settings.iter().filter(|setting| of_tmpfs(setting)).cloned().collect();
        own.push(Setting::value("mode", "700"));
        let tmpfs = context::mount("tmpfs", &own, Attributes::safe().flags())?;
        let (upper, work) = (directory(&tmpfs, "upper")?, directory(&tmpfs, "work")?);
        if let Some(top) = lowers.first() {
            resemble(&upper, &top.file)?;
        }
        Ok(Self { tmpfs, upper, work })
    }
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
fn resemble(upper: &OwnedFd, lower: &OwnedFd) -> Result<()> {
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
fn built(layers: Layers<'_>) -> Result<OwnedFd> {
    let mut refused = None;
    for form in [LayerForm::Files, LayerForm::List, LayerForm::Names] {
        match attempt(layers, form) {
            Ok(Some(tree)) => return Ok(tree),
            Ok(None) => {}
            Err(error) if errno_of(&error) == Some(Errno::EINVAL) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::refusal("this kernel takes no layers").into()))
}

/// `None` where this kernel does not know the form.
fn attempt(layers: Layers<'_>, form: LayerForm) -> Result<Option<OwnedFd>> {
    let context = Context::new("overlay")?;
    let mut files: Vec<(&str, &OwnedFd)> = layers.lowers.iter().map(|lower| ("lowerdir+", &lower.file)).collect();
    if form == LayerForm::List {
        let list: Vec<String> = files.drain(..).map(|(_, file)| name(file)).collect();
        context.set(&Setting::value("lowerdir", list.join(":")))?;
    }
    files.extend(layers.changes.iter().flat_map(|(upper, work)| [("upperdir", *upper), ("workdir", *work)]));
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
fn name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
