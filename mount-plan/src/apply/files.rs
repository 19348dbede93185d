//! What is no mount, or only hides something: directories, links, files with content, masks.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::dev::node;
use super::stage::Stage;
use super::walk::{Last, Point};
use super::{context, tree};
use crate::look::open::{file_type, inherited, open_in};
use crate::model::{Attributes, Content, NULL, Setting, Source};

/// Makes a directory; one that is there already stays as it is.
pub fn directory(stage: &Stage, target: &Path, mode: u32) -> Result<()> {
    let found = stage.point(target, Point::Dir(mode), Last::Follow)?;
    match file_type(&found)? {
        FileType::Directory => Ok(()),
        _ => Err(refusal!("{} is there and is no directory", show(target))),
    }
}

/// Makes a symbolic link; the same one may be there already.
pub fn link(stage: &Stage, target: &Path, text: &OsStr) -> Result<()> {
    let parent = stage.parent(target)?;
    let name = target.file_name().unwrap_or_default();
    let made = symlinkat(text, &parent, name);
    let same = || readlinkat(&parent, name, vec![]).is_ok_and(|there| there.as_bytes() == text.as_bytes());
    if made == Err(Errno::EXIST) && same() { Ok(()) } else { made.call("symlinkat") }
}

/// Makes a file with this content. Where something is already, the file is mounted over it and nothing is overwritten
/// (CVE-2019-18837: a file of the root that is a link to one of the host).
pub fn file(stage: &mut Stage, target: &Path, content: &Content<Source>, mode: u32) -> Result<()> {
    let content = bytes(content)?;
    match open_in(stage.root()?, target, OFlags::empty()) {
        Ok(over) => {
            let tree = loose(stage, &content, mode, Attributes::safe())?;
            stage.attach(&tree, &over)
        }
        Err(_) => {
            let parent = stage.parent(target)?;
            written(&parent, target.file_name().unwrap_or_default(), &content, mode)
        }
    }
}

/// Mounts a file with this content, over whatever is there.
pub fn data(
    stage: &mut Stage,
    target: &Path,
    content: &Content<Source>,
    mode: u32,
    attributes: Attributes,
) -> Result<()> {
    let tree = loose(stage, &bytes(content)?, mode, attributes)?;
    let point = stage.point(target, Point::File, Last::Follow)?;
    stage.attach(&tree, &point)
}

/// Changes the mode of what is there. What is bound belongs to the host, where the change would stay.
pub fn chmod(stage: &Stage, target: &Path, mode: u32) -> Result<()> {
    let found = stage.there(target)?;
    if !stage.may_change(&found)? {
        return Err(refusal!("{} was not made by this plan", show(target))
            .hint("the mode would stay changed outside: -o X-mount.make says that it may"));
    }
    // The caller's /proc is still there: before Linux 6.6 no call takes a descriptor of O_PATH.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).call("chmod")?;
    let now = fstat(&found).call("fstat")?.st_mode & 0o7777;
    if now == mode { Ok(()) } else { Err(refusal!("the mode is {now:04o} instead")) }
}

/// A detached mount of one file with this content.
fn loose(stage: &mut Stage, content: &[u8], mode: u32, attributes: Attributes) -> Result<OwnedFd> {
    let tmpfs = context::mount("tmpfs", &[Setting::value("mode", "700")], Attributes::safe().flags())?;
    written(&tmpfs, OsStr::new("file"), content, mode)?;
    let file = openat(&tmpfs, "file", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("openat")?;
    let clone = || tree::clone(&file, false, attributes);
    match clone() {
        Err(error) if errno_of(&error) == Some(nix::errno::Errno::EINVAL) => stage.while_attached(&[&tmpfs], clone),
        result => result,
    }
}

/// The largest content, all of which is in memory: `/dev/zero` has no end, and a file with holes costs nobody its size.
const LARGEST: u64 = 256 << 20;

fn bytes(content: &Content<Source>) -> Result<Vec<u8>> {
    let file = match content {
        Content::Text(text) => return Ok(text.as_bytes().to_vec()),
        Content::Fd(fd) => inherited(*fd)?,
        Content::Copy(source) => source.as_fd(),
    };
    let file = file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
    let mut bytes = vec![];
    File::from(file).take(LARGEST + 1).read_to_end(&mut bytes).call("read of the content")?;
    if bytes.len() as u64 > LARGEST {
        return Err(refusal!("the content is larger than {LARGEST} bytes").hint("bind the file"));
    }
    Ok(bytes)
}

fn written(dir: &OwnedFd, name: &OsStr, content: &[u8], mode: u32) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::from_raw_mode(mode)).call("openat(O_CREAT|O_EXCL)")?;
    File::from(file).write_all(content).call("write")
}

/// Hides what is at the target: a directory under an empty one, anything else under the null device.
pub fn mask(stage: &mut Stage, target: &Path, null: &Source) -> Result<()> {
    let found = open_in(stage.root()?, target, OFlags::NOFOLLOW)
        .call(&format!("openat2({}, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)", show(target)))?;
    let cover = match file_type(&found)? {
        FileType::Symlink => return Err(refusal!("a symbolic link: mask what it leads to")),
        FileType::Directory => empty_directory()?,
        _ => node(&NULL, null)?,
    };
    stage.attach(&cover, &found)
}

fn empty_directory() -> Result<OwnedFd> {
    let settings = [Setting::value("mode", "755"), Setting::value("nr_inodes", "2"), Setting::value("size", "4096")];
    let more = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    context::mount("tmpfs", &settings, Attributes::safe_and(more).flags()).context("an empty directory")
}
