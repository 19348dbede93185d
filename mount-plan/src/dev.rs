//! A minimal /dev: six devices of the host, each checked by descriptor to be what its name says (CVE-2025-31133),
//! terminals of its own, and the usual links.

use std::os::fd::{AsFd, OwnedFd};

use chain::failure::{Call as _, Failure};
use chain::{Context as _, Result};
use rustix::fs::{FileType, Mode, fstat, major, minor, mkdirat, mknodat, symlinkat};
use rustix::mount::MountAttrFlags;

use crate::entry::{Attributes, DEVICES, Device, Entry, Setting};
use crate::fs::Filesystem;
use crate::look::Source;
use crate::stage::Stage;
use crate::tree;
use crate::walk::{Last, Point};

/// The links of a minimal /dev.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes it at the entry's target.
///
/// # Errors
/// The first part of it that cannot be had.
pub fn make(stage: &mut Stage, entry: &Entry, sources: &[Source]) -> Result<()> {
    let point = stage.place()?.point(&entry.target, Point::Dir(entry.mkdir), Last::Refuse)?;
    let dev = Filesystem::with("tmpfs", &[setting("mode", "755")])?.mount(entry.attributes.writable().flags())?;
    stage.own(&dev)?;
    stage.attach(&dev, &point)?;
    for (device, source) in DEVICES.iter().zip(sources) {
        bind(stage, &dev, device, source).context(device.path)?;
    }
    let terminals = [setting("newinstance", ""), setting("ptmxmode", "0666"), setting("mode", "620")];
    submount(stage, &dev, "pts", Filesystem::with("devpts", &terminals)?, MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    let memory = Filesystem::with("tmpfs", &[setting("mode", "1777")])?;
    submount(stage, &dev, "shm", memory, MountAttrFlags::MOUNT_ATTR_NODEV)?;
    for (name, text) in LINKS {
        symlinkat(text, &dev, name).call(&format!("symlinkat({name})"))?;
    }
    if entry.attributes.read_only() {
        stage.read_only_later(dev);
    }
    Ok(())
}

fn bind(stage: &mut Stage, dev: &OwnedFd, device: &Device, source: &Source) -> Result<()> {
    let tree = node(device, source)?;
    mknodat(dev, device.name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0).call("mknodat")?;
    stage.attach_at(&tree, dev, device.name)
}

/// A detached clone of a device of the host, checked to be that device.
///
/// # Errors
/// A source that is something else.
pub fn node(device: &Device, source: &Source) -> Result<OwnedFd> {
    let facts = fstat(&source.file).call("fstat")?;
    let same = FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice
        && (major(facts.st_rdev), minor(facts.st_rdev)) == (device.major, device.minor);
    if !same {
        let text = format!("{} is not the character device {}:{}", device.path, device.major, device.minor);
        return Err(Failure::refusal(text).into());
    }
    // Read-only keeps the node's mode and owner as the host has them; the device itself can be written all the same.
    let set = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    tree::clone(source.file.as_fd(), false, Attributes { set, atime: None })
}

fn submount(stage: &mut Stage, dev: &OwnedFd, name: &str, filesystem: Filesystem, extra: MountAttrFlags) -> Result<()> {
    let tree = filesystem.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | extra).context(name.to_owned())?;
    mkdirat(dev, name, Mode::from_raw_mode(0o755)).call(&format!("mkdirat({name})"))?;
    stage.attach_at(&tree, dev, name)
}

/// A setting by plain words; no value means a flag.
#[must_use]
pub fn setting(key: &str, value: &str) -> Setting {
    Setting { key: key.into(), value: (!value.is_empty()).then(|| value.into()) }
}
