//! The files in /proc of the process that a step is about.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use chain::sys::Child;
use chain::{Call as _, Result, refusal, wait};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::hints;

/// Whose files in /proc a step writes.
pub enum Proc {
    /// This process's.
    Own,
    /// Those of the process whose folder this is.
    Of(OwnedFd),
}

impl Proc {
    /// A process's folder in /proc, open: a pid would mean another process in another /proc.
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new("/proc").join(name);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(AT_FDCWD, &path, flags, Mode::empty()).call(&format!("open {}", path.display())).map(Self::Of)
    }

    /// The folder of a child.
    pub fn of_child(child: &Child) -> Result<Self> {
        wait::proc_folder(child).map(Self::Of).map_err(hints::finding)
    }

    fn file(&self, name: &str, flags: OFlag) -> Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC;
        let opened = match self {
            Self::Own => openat(AT_FDCWD, &Path::new("/proc/self").join(name), flags, Mode::empty()),
            Self::Of(folder) => openat(folder, name, flags, Mode::empty()),
        };
        opened.call(&format!("open {name}"))
    }

    /// One of its files, open for reading.
    pub fn read(&self, name: &str) -> Result<OwnedFd> {
        self.file(name, OFlag::O_RDONLY)
    }

    /// The pid as this /proc has it.
    pub fn pid(&self) -> Result<String> {
        let mut status = String::new();
        File::from(self.read("status")?).read_to_string(&mut status).call("read status")?;
        let pid = status.lines().find_map(|line| line.strip_prefix("Pid:")).map(|pid| pid.trim().to_owned());
        pid.ok_or_else(|| refusal!("status has no pid"))
    }

    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.file(name, OFlag::O_WRONLY)?;
        let written = write(&file, text.as_bytes()).call(&format!("write {name}"))?;
        if written == text.len() {
            return Ok(());
        }
        Err(refusal!("write {name}: the kernel took {written} of {} bytes", text.len()))
    }
}
