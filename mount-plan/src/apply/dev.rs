//! A minimal /dev: six devices of the host, each checked by descriptor to be what its name says (CVE-2025-31133),
//! terminals of its own, and the usual links.

use std::os::fd::OwnedFd;
use std::path::Path;

use chain::{Call as _, Context as _, Result, refusal};
use rustix::fs::{FileType, Mode, fstat, major, minor, mkdirat, mknodat, symlinkat};
use rustix::mount::MountAttrFlags;

use super::stage::Stage;
use super::walk::{Last, Point};
use super::{context, tree};
use crate::model::{Attributes, DEVICES, Device, Entry, Setting, Source};

/// The links of a minimal /dev.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes it at the entry's target.
pub fn make(stage: &mut Stage, entry: &Entry<Source>, target: &Path, devices: &[Source]) -> Result<()> {
    let point = stage.point(target, Point::Dir(entry.mkdir), Last::Refuse)?;
    let dev = context::mount("tmpfs", &[Setting::value("mode", "755")], entry.attributes.writable().flags())?;
    stage.own(&dev, entry.attributes.read_only())?;
    stage.attach(&dev, &point)?;
    for (device, source) in DEVICES.iter().zip(devices) {
        bind(stage, &dev, device, source).context(device.path)?;
    }
    let terminals = [Setting::flag("newinstance"), Setting::value("ptmxmode", "0666"), Setting::value("mode", "620")];
    submount(stage, &dev, "pts", "devpts", &terminals, MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    submount(stage, &dev, "shm", "tmpfs", &[Setting::value("mode", "1777")], MountAttrFlags::MOUNT_ATTR_NODEV)?;
    for (name, text) in LINKS {
        symlinkat(text, &dev, name).call(&format!("symlinkat({name})"))?;
    }
    Ok(())
}

fn bind(stage: &mut Stage, dev: &OwnedFd, device: &Device, source: &Source) -> Result<()> {
    let tree = node(device, source)?;
    mknodat(dev, device.name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0).call("mknodat")?;
    stage.attach_at(&tree, dev, device.name)
}

/// A detached clone of a device of the host, checked to be that device.
pub fn node(device: &Device, source: &Source) -> Result<OwnedFd> {
    let facts = fstat(source).call("fstat")?;
    let same = FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice
        && (major(facts.st_rdev), minor(facts.st_rdev)) == (device.major, device.minor);
    if !same {
        return Err(refusal!("{} is not the character device {}:{}", device.path, device.major, device.minor));
    }
    // Read-only keeps the node's mode and owner as the host has them; the device itself can be written all the same.
    let set = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    tree::clone(source, false, Attributes::only(set))
}

fn submount(
    stage: &mut Stage,
    dev: &OwnedFd,
    name: &str,
    fstype: &str,
    settings: &[Setting],
    more: MountAttrFlags,
) -> Result<()> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | more;
    let tree = context::mount(fstype, settings, flags).context(name.to_owned())?;
    mkdirat(dev, name, Mode::from_raw_mode(0o755)).call(&format!("mkdirat({name})"))?;
    stage.attach_at(&tree, dev, name)
}
