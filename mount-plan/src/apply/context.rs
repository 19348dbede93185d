//! New filesystems by fsopen(2), fsconfig(2) and fsmount(2) (Linux 5.2): each is a detached mount until it is attached.
//! What the kernel writes into the log of the filesystem context is part of the message.

use std::os::fd::{AsFd, OwnedFd};

use chain::{Call as _, Failure, Result, show};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::model::Setting;

/// A new filesystem with these options, attached to nothing yet.
pub fn mount(fstype: &str, settings: &[Setting], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = Context::new(fstype)?;
    context.set_all(settings)?;
    context.mount(attributes)
}

/// A filesystem that is being configured (the "filesystem context" of fsopen(2)).
pub struct Context(OwnedFd);

impl Context {
    /// Begins a filesystem of this type.
    /// Errors: ENODEV where the kernel does not know the type, EPERM without CAP_SYS_ADMIN over the mount namespace.
    pub fn new(fstype: &str) -> Result<Self> {
        fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).call(&format!("fsopen({fstype})")).map(Self)
    }

    pub fn set_all<'a>(&self, settings: impl IntoIterator<Item = &'a Setting>) -> Result<()> {
        settings.into_iter().try_for_each(|setting| self.set(setting))
    }

    pub fn set(&self, Setting { key, value }: &Setting) -> Result<()> {
        let context = self.0.as_fd();
        match value {
            None => self.explained(&format!("fsconfig({})", show(key)), fsconfig_set_flag(context, key)),
            Some(value) => {
                let call = format!("fsconfig({}, {})", show(key), show(value));
                self.explained(&call, fsconfig_set_string(context, key, value))
            }
        }
    }

    /// Sets an option to an open file (Linux 6.13 for layers of an overlay); false where this kernel cannot.
    pub fn set_file(&self, key: &str, file: impl AsFd) -> Result<bool> {
        // EINVAL and, before Linux 6.5, EOPNOTSUPP: the option takes no descriptor here. EBADF: it takes none that was
        // opened with O_PATH (before 6.14).
        let unknown = [Errno::INVAL, Errno::OPNOTSUPP, Errno::BADF];
        self.known(&format!("fsconfig({key})"), fsconfig_set_fd(self.0.as_fd(), key, file), &unknown)
    }

    /// Sets an option to a value; false where this kernel does not know the option.
    pub fn set_if_known(&self, key: &str, value: &str) -> Result<bool> {
        let set = fsconfig_set_string(self.0.as_fd(), key, value);
        self.known(&format!("fsconfig({key}, {value})"), set, &[Errno::INVAL])
    }

    /// Makes the filesystem and mounts it, attached to nothing yet.
    pub fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd> {
        self.explained("fsconfig(FSCONFIG_CMD_CREATE)", fsconfig_create(self.0.as_fd()))?;
        let mounted = fsmount(self.0.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes);
        self.explained("fsmount", mounted)
    }

    fn explained<T>(&self, call: &str, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|errno| failure(call, errno, &self.log()))
    }

    /// False for an option, or a kind of value, that this kernel does not know; what it knows and refuses, it explains in
    /// words of its own.
    fn known(&self, call: &str, result: rustix::io::Result<()>, unknown: &[Errno]) -> Result<bool> {
        let Err(errno) = result else { return Ok(true) };
        let log = self.log();
        let silent = log.is_empty() || log.contains("Unknown parameter") || log.contains("Bad value");
        if silent && unknown.contains(&errno) { Ok(false) } else { Err(failure(call, errno, &log)) }
    }

    /// The messages in the log of the context, without their level; reading takes them out.
    fn log(&self) -> String {
        let mut lines = vec![];
        let mut buffer = [0; 1024];
        while let Ok(length) = rustix::io::read(&self.0, &mut buffer) {
            let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim().to_owned();
            lines.push(line.get(2..).filter(|_| line.as_bytes().get(1) == Some(&b' ')).unwrap_or(&line).to_owned());
        }
        lines.join("; ")
    }
}

fn failure(call: &str, errno: Errno, log: &str) -> anyhow::Error {
    let mut failure = Failure::call(call, nix::errno::Errno::from_raw(errno.raw_os_error()));
    if !log.is_empty() {
        failure.text.push_str(&format!(": {log}"));
    }
    failure.into()
}
