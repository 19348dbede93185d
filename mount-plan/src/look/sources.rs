//! The sources of the entries, opened.

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Hint as _, Result, message};
use nix::errno::Errno;
use rustix::fs::{OFlags, fstat};

use super::open::{Links, inherited, open_beneath, open_content, open_source};
use crate::model::{Bind, Content, Entry, Idmap, Image, Mount, Overlay, Owner, Source, Upper, What, descriptor, idmap};
use crate::step::{left_out, whole};

const TOO_MANY: &str = "each source is held open until the root is complete: raise the hard limit (ulimit -Hn), or put \
rlimit-exec --nofile behind mount-plan";

/// What aufs did not need.
const NO_WORK: &str = "an empty directory on the filesystem of the changes, which overlayfs needs for itself (workdir=): \
make it first";

/// The entry with its sources open; `None` where one is missing and the entry says nofail or X-mount.if-exists.
pub fn opened(entry: Entry) -> Result<Option<Entry<Source>>> {
    let links = if entry.no_links { Links::Refused } else { Links::Followed };
    match links.what(&entry) {
        Ok(what) => {
            let Entry { origin, target, attributes, nofail, mkdir, no_links, if_exists, make, .. } = entry;
            Ok(Some(Entry { origin, target, what, attributes, nofail, mkdir, no_links, if_exists, make }))
        }
        Err(error) if entry.if_exists && errno_of(&error) == Some(Errno::ENOENT) => Ok(None),
        Err(error) if entry.nofail => {
            message::print_error(&left_out(&entry, error));
            Ok(None)
        }
        Err(error) => Err(error.hinted(&[(Errno::EMFILE, TOO_MANY)])).with_context(|| whole(&entry)),
    }
}

/// The owners of the sources that are to be shown as somebody else's.
pub fn owners(entries: &[Entry<Source>]) -> Result<Vec<Owner>> {
    let mut owners = vec![];
    for entry in entries {
        let What::Mount(mount) = &entry.what else { continue };
        let Some(shown) = mount.owner() else { continue };
        let sources = match mount {
            Mount::Bind(bind) => vec![&bind.source],
            Mount::Overlay(Overlay { lowers, upper: Upper::Kept { upper, .. }, .. }) => {
                lowers.iter().chain([upper]).collect()
            }
            Mount::Overlay(Overlay { lowers, .. }) => lowers.iter().collect(),
            _ => vec![],
        };
        owners.extend(sources.into_iter().map(|source| owner(source, shown)).collect::<Result<Vec<_>>>()?);
    }
    Ok(owners)
}

/// The owner of a source, and the map that shows him as `shown`.
pub fn owner(source: &Source, shown: u32) -> Result<Owner> {
    let facts = fstat(source).call("fstat")?;
    let ranges = idmap::of_owner(facts.st_uid, facts.st_gid, shown);
    Ok(Owner { path: source.path.clone(), user: facts.st_uid, ranges })
}

impl Links {
    fn what(self, entry: &Entry) -> Result<What<Source>> {
        Ok(match &entry.what {
            What::Mount(mount) => What::Mount(self.mount(mount, entry.attributes.read_only())?),
            What::Dev(devices) => What::Dev(devices.iter().map(|device| self.any(device)).collect::<Result<_>>()?),
            What::Symlink(text) => What::Symlink(text.clone()),
            What::Dir(mode) => What::Dir(*mode),
            What::Chmod(mode) => What::Chmod(*mode),
            What::RemountRo => What::RemountRo,
            What::File(content, mode) => What::File(self.content(content)?, *mode),
            What::Data(content, mode) => What::Data(self.content(content)?, *mode),
            What::Mask(null) => What::Mask(self.any(null)?),
        })
    }

    fn mount(self, mount: &Mount, read_only: bool) -> Result<Mount<Source>> {
        Ok(match mount {
            Mount::Bind(Bind { source, recursive, subdir, idmap, fresh }) => {
                let source = match (subdir, descriptor(source.as_os_str())?) {
                    (_, Some(fd)) => held(source, fd)?,
                    (None, None) => self.any(source)?,
                    (Some(part), None) => {
                        Source { file: open_beneath(self.directory(source)?, part, self)?, path: source.clone() }
                    }
                };
                let (idmap, subdir) = (map(idmap.as_ref())?, subdir.clone());
                Mount::Bind(Bind { source, recursive: *recursive, subdir, idmap, fresh: *fresh })
            }
            Mount::Filesystem(new) => Mount::Filesystem(new.clone()),
            Mount::Image(Image { fstype, file, idmap, settings }) => {
                let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
                let file = self.source(file, access, open_content)?;
                Mount::Image(Image { fstype, file, idmap: map(idmap.as_ref())?, settings: settings.clone() })
            }
            Mount::Overlay(Overlay { lowers, upper, owner, settings }) => {
                let lowers = lowers.iter().map(|lower| self.directory(lower)).collect::<Result<_>>()?;
                let upper = match upper {
                    Upper::None => Upper::None,
                    Upper::Tmp => Upper::Tmp,
                    Upper::Kept { upper, work } => {
                        Upper::Kept { upper: self.directory(upper)?, work: self.directory(work).hint(NO_WORK)? }
                    }
                };
                Mount::Overlay(Overlay { lowers, upper, owner: *owner, settings: settings.clone() })
            }
        })
    }

    fn content(self, content: &Content) -> Result<Content<Source>> {
        Ok(match content {
            Content::Fd(fd) => Content::Fd(*fd),
            Content::Text(text) => Content::Text(text.clone()),
            Content::Copy(path) => Content::Copy(self.readable(path)?),
        })
    }

    fn any(self, path: impl AsRef<Path>) -> Result<Source> {
        self.source(path, OFlags::empty(), open_source)
    }

    fn directory(self, path: impl AsRef<Path>) -> Result<Source> {
        self.source(path, OFlags::DIRECTORY, open_source)
    }

    fn readable(self, path: impl AsRef<Path>) -> Result<Source> {
        self.source(path, OFlags::RDONLY, open_content)
    }

    fn source(
        self,
        path: impl AsRef<Path>,
        flags: OFlags,
        open: fn(&Path, OFlags, Self) -> Result<OwnedFd>,
    ) -> Result<Source> {
        Ok(Source { file: open(path.as_ref(), flags, self)?, path: path.as_ref().to_owned() })
    }
}

/// What the caller has on this descriptor.
fn held(path: &Path, fd: RawFd) -> Result<Source> {
    let file = inherited(fd)?.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
    Ok(Source { file, path: path.to_owned() })
}

/// mount_setattr(2) takes no namespace that was opened with O_PATH. Its path may lead over links: those of /proc are some.
fn map(idmap: Option<&Idmap>) -> Result<Option<Idmap<Source>>> {
    Ok(match idmap {
        None => None,
        Some(Idmap::Ranges(ranges)) => Some(Idmap::Ranges(ranges.clone())),
        Some(Idmap::Namespace(path)) => Some(Idmap::Namespace(Links::Followed.readable(path)?)),
        Some(Idmap::Owner(shown)) => Some(Idmap::Owner(*shown)),
    })
}
