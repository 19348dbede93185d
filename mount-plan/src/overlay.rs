//! Overlays: layers by descriptor, so that no path is used twice and no character of a name has a meaning.

use std::os::fd::{AsRawFd as _, OwnedFd};

use chain::failure::{Call as _, Failure, errno_of};
use chain::{Context as _, Result};
use nix::errno::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, chownat, fchmod, fstat, mkdirat, openat};
use rustix::mount::MountAttrFlags;

use crate::dev::setting;
use crate::entry::{Attributes, Setting, Upper};
use crate::fs::Filesystem;
use crate::look::{Source, in_user_namespace};

/// The options of a `tmp` overlay that are meant for its tmpfs.
const OF_TMPFS: [&str; 4] = ["size", "nr_inodes", "nr_blocks", "huge"];

/// One overlay as the plan has it.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// Where changes go.
    pub upper: &'a Upper,
    /// Further options.
    pub settings: &'a [Setting],
    /// Attributes of its mount.
    pub attributes: Attributes,
}

/// A detached overlay. `sources`: the lower layers from the top, then upper and work where they are kept. `hide` attaches
/// a mount where nobody looks; a kernel before 6.15 takes no layer from a mount that is attached nowhere.
///
/// # Errors
/// What overlayfs says, in its own words.
pub fn mount(overlay: Overlay<'_>, sources: &[Source], hide: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<OwnedFd> {
    let mut layers: Vec<&OwnedFd> = sources.iter().map(|source| &source.file).collect();
    let changes = match overlay.upper {
        Upper::None => return built(overlay, &layers, None),
        Upper::Kept { .. } => {
            let work = layers.pop();
            let upper = layers.pop();
            return built(overlay, &layers, upper.zip(work));
        }
        Upper::Tmp => Changes::new(overlay.settings, sources).context("tmpfs for the changes")?,
    };
    let on_top = Some((&changes.upper, &changes.work));
    match built(overlay, &layers, on_top) {
        Err(error) if errno_of(&error) == Some(Errno::EINVAL) => {
            hide(&changes.tmpfs)?;
            built(overlay, &layers, on_top)
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
        own.push(setting("mode", "700"));
        let attributes = Attributes::safe().flags();
        let tmpfs = Filesystem::with("tmpfs", &own)?.mount(attributes)?;
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
/// An owner that is not mapped here cannot be given; then it is the caller's, as everything else that is changed.
fn resemble(upper: &OwnedFd, lower: &OwnedFd) -> Result<()> {
    let facts = fstat(lower).call("fstat")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(facts.st_uid), rustix::fs::Gid::from_raw(facts.st_gid));
    chownat(upper, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).unwrap_or_default();
    fchmod(upper, Mode::from_raw_mode(facts.st_mode & 0o7777)).call("fchmod")
}

/// How the kernel is told which directories are the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By descriptor (Linux 6.13).
    Files,
    /// By the descriptors' names in /proc, in one list: at most 256 bytes, which are some fifteen layers.
    List,
    /// The same names one by one (Linux 6.7).
    Names,
}

/// The overlay in the first form that this kernel takes. Which one that is, no call tells: an old kernel takes every word
/// and refuses the whole with EINVAL. Where all forms fail, the first that was understood has the best message.
fn built(overlay: Overlay<'_>, lowers: &[&OwnedFd], changes: Option<(&OwnedFd, &OwnedFd)>) -> Result<OwnedFd> {
    let mut refused = None;
    for form in [Form::Files, Form::List, Form::Names] {
        match attempt(overlay, lowers, changes, form) {
            Ok(Some(tree)) => return Ok(tree),
            Ok(None) => {}
            Err(error) if errno_of(&error) == Some(Errno::EINVAL) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::refusal("this kernel takes no layers").into()))
}

/// `None` where this kernel does not know the form.
fn attempt(
    overlay: Overlay<'_>,
    lowers: &[&OwnedFd],
    changes: Option<(&OwnedFd, &OwnedFd)>,
    form: Form,
) -> Result<Option<OwnedFd>> {
    let filesystem = Filesystem::new("overlay")?;
    if !set_lowers(&filesystem, lowers, form)? {
        return Ok(None);
    }
    for (key, file) in changes.iter().flat_map(|(upper, work)| [("upperdir", upper), ("workdir", work)]) {
        if !set_layer(&filesystem, key, file, form)? {
            return Ok(None);
        }
    }
    // Only root of the first user namespace may write trusted.* attributes; user.* works elsewhere (Linux 5.11).
    if changes.is_some() && in_user_namespace() && overlay.settings.iter().all(|said| said.key != "userxattr") {
        filesystem.set(&setting("userxattr", ""))?;
    }
    overlay.settings.iter().filter(|said| !of_tmpfs(said)).try_for_each(|said| filesystem.set(said))?;
    let attributes: MountAttrFlags = overlay.attributes.writable().flags();
    filesystem.mount(attributes).map(Some)
}

fn set_lowers(filesystem: &Filesystem, lowers: &[&OwnedFd], form: Form) -> Result<bool> {
    if form == Form::List {
        let list: Vec<String> = lowers.iter().map(|lower| name(lower)).collect();
        return filesystem.set(&setting("lowerdir", &list.join(":"))).map(|()| true);
    }
    for lower in lowers {
        if !set_layer(filesystem, "lowerdir+", lower, form)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn set_layer(filesystem: &Filesystem, key: &str, file: &OwnedFd, form: Form) -> Result<bool> {
    match form {
        Form::Files => filesystem.set_file(key, file),
        Form::Names | Form::List => filesystem.set_if_known(key, &name(file)),
    }
}

/// The name of an open file for a kernel that takes only names: it leads to that file whatever its path is by now.
fn name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
