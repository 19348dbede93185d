//! The sources of the entries, opened.

use std::os::fd::OwnedFd;
use std::path::Path;

use chain::{Context as _, Hint as _, Result, message};
use nix::errno::Errno;
use rustix::fs::OFlags;

use super::open::{open_beneath, open_content, open_source};
use crate::model::{Bind, Content, Entry, Idmap, Image, Mount, Overlay, Source, Upper, What};
use crate::step::{left_out, whole};

const TOO_MANY: &str = "each source is held open until the root is complete: raise the hard limit (ulimit -Hn), or put \
rlimit-exec --nofile behind mount-plan";

/// What aufs did not need.
const NO_WORK: &str = "an empty directory on the filesystem of the changes, which overlayfs needs for itself (workdir=): \
make it first";

/// The entry with its sources open; `None` where one is missing and the entry says nofail.
pub fn opened(entry: Entry) -> Result<Option<Entry<Source>>> {
    match what(&entry) {
        Ok(what) => {
            let Entry { origin, target, attributes, nofail, mkdir, .. } = entry;
            Ok(Some(Entry { origin, target, what, attributes, nofail, mkdir }))
        }
        Err(error) if entry.nofail => {
            message::print_error(&left_out(&entry, error));
            Ok(None)
        }
        Err(error) => Err(error.hinted(&[(Errno::EMFILE, TOO_MANY)])).with_context(|| whole(&entry)),
    }
}

fn what(entry: &Entry) -> Result<What<Source>> {
    Ok(match &entry.what {
        What::Mount(mount) => What::Mount(opened_mount(mount, entry.attributes.read_only())?),
        What::Dev(devices) => What::Dev(devices.iter().map(any).collect::<Result<_>>()?),
        What::Symlink(text) => What::Symlink(text.clone()),
        What::Dir(mode) => What::Dir(*mode),
        What::File(Content::Fd(fd), mode) => What::File(Content::Fd(*fd), *mode),
        What::File(Content::Text(text), mode) => What::File(Content::Text(text.clone()), *mode),
        What::File(Content::Copy(path), mode) => What::File(Content::Copy(readable(path)?), *mode),
        What::Mask(null) => What::Mask(any(null)?),
    })
}

fn opened_mount(mount: &Mount, read_only: bool) -> Result<Mount<Source>> {
    Ok(match mount {
        Mount::Bind(Bind { source, recursive, subdir, idmap }) => {
            let source = match subdir {
                None => any(source)?,
                Some(part) => Source { file: open_beneath(directory(source)?, part)?, path: source.clone() },
            };
            Mount::Bind(Bind { source, recursive: *recursive, subdir: subdir.clone(), idmap: map(idmap.as_ref())? })
        }
        Mount::Filesystem(new) => Mount::Filesystem(new.clone()),
        Mount::Image(Image { fstype, file, idmap, settings }) => {
            let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
            let file = source(file, access, open_content)?;
            Mount::Image(Image { fstype, file, idmap: map(idmap.as_ref())?, settings: settings.clone() })
        }
        Mount::Overlay(Overlay { lowers, upper, settings }) => {
            let lowers = lowers.iter().map(directory).collect::<Result<_>>()?;
            let upper = match upper {
                Upper::None => Upper::None,
                Upper::Tmp => Upper::Tmp,
                Upper::Kept { upper, work } => {
                    Upper::Kept { upper: directory(upper)?, work: directory(work).hint(NO_WORK)? }
                }
            };
            Mount::Overlay(Overlay { lowers, upper, settings: settings.clone() })
        }
    })
}

/// mount_setattr(2) takes no namespace that was opened with O_PATH.
fn map(idmap: Option<&Idmap>) -> Result<Option<Idmap<Source>>> {
    Ok(match idmap {
        None => None,
        Some(Idmap::Ranges(ranges)) => Some(Idmap::Ranges(ranges.clone())),
        Some(Idmap::Namespace(path)) => Some(Idmap::Namespace(readable(path)?)),
    })
}

fn any(path: impl AsRef<Path>) -> Result<Source> {
    source(path, OFlags::empty(), open_source)
}

fn directory(path: impl AsRef<Path>) -> Result<Source> {
    source(path, OFlags::DIRECTORY, open_source)
}

fn readable(path: impl AsRef<Path>) -> Result<Source> {
    source(path, OFlags::RDONLY, open_content)
}

fn source(path: impl AsRef<Path>, flags: OFlags, open: fn(&Path, OFlags) -> Result<OwnedFd>) -> Result<Source> {
    Ok(Source { file: open(path.as_ref(), flags)?, path: path.as_ref().to_owned() })
}
