//! Overlays: layers by descriptor, so that no path is used twice and no character of a name has a meaning.

use std::os::fd::{AsRawFd as _, OwnedFd};

use chain::failure::{Call as _, errno_of};
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

fn built(overlay: Overlay<'_>, lowers: &[&OwnedFd], changes: Option<(&OwnedFd, &OwnedFd)>) -> Result<OwnedFd> {
    let filesystem = Filesystem::new("overlay")?;
    set_lowers(&filesystem, lowers)?;
    if let Some((upper, work)) = changes {
        set_layer(&filesystem, "upperdir", upper)?;
        set_layer(&filesystem, "workdir", work)?;
    }
    // Only root of the first user namespace may write trusted.* attributes; user.* works elsewhere (Linux 5.11).
    if changes.is_some() && in_user_namespace() && overlay.settings.iter().all(|said| said.key != "userxattr") {
        filesystem.set(&setting("userxattr", ""))?;
    }
    overlay.settings.iter().filter(|said| !of_tmpfs(said)).try_for_each(|said| filesystem.set(said))?;
    let attributes: MountAttrFlags = overlay.attributes.writable().flags();
    filesystem.mount(attributes)
}

/// Layers by descriptor (Linux 6.13); by the descriptor's name in /proc, one by one (6.7) or in one list (before).
fn set_lowers(filesystem: &Filesystem, lowers: &[&OwnedFd]) -> Result<()> {
    let mut one_by_one = true;
    for lower in lowers {
        one_by_one = one_by_one
            && (filesystem.set_file("lowerdir+", lower)? || filesystem.set_if_known("lowerdir+", &name(lower))?);
    }
    if one_by_one {
        return Ok(());
    }
    let list: Vec<String> = lowers.iter().map(|lower| name(lower)).collect();
    filesystem.set(&setting("lowerdir", &list.join(":")))
}

fn set_layer(filesystem: &Filesystem, key: &str, file: &OwnedFd) -> Result<()> {
    if filesystem.set_file(key, file)? { Ok(()) } else { filesystem.set(&setting(key, &name(file))) }
}

/// The name of an open file for a kernel that takes only names: it leads to that file whatever its path is by now.
fn name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
