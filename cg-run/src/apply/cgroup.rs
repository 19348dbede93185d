//! What changes a cgroup: making, writing, killing, removing.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use chain::failure::errno_of;
use chain::{Call as _, Failure, Hint as _, Result, refusal, show};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use rustix::fs::{XattrFlags, fsetxattr};

use crate::hints;
use crate::look::cgroup::{Cgroup, is_populated, whole};
use crate::model::loan::Ids;

/// How long the killed may take to die. They are past every wait but those of a broken device.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How deep a payload with its own rights over the leaf may have nested cgroups before they are left to a person.
const DEPTH: usize = 64;

impl Cgroup {
    /// Makes the child cgroup `name`, which must be new.
    pub fn make(&self, name: &str) -> Result<Self> {
        mkdirat(self, name, Mode::from_bits_truncate(0o755)).call(&format!("mkdirat {}", show(name)))?;
        self.child(name)
    }

    /// Writes a file of it, by one write(2) as the kernel wants it.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        let written = self.opened(name, OFlag::O_WRONLY)?.write(value.as_bytes()).call(&format!("write {name}"))?;
        if written == value.len() { Ok(()) } else { Err(refusal!("write {name}: cut short")) }
    }

    /// Moves this process into it, which must be so new that the process is all that it holds. The kernel moves past a
    /// limit of processes that would keep one from being started there.
    pub fn enter(&self) -> Result<()> {
        // 0 is the process that writes.
        self.write("cgroup.procs", "0")?;
        match self.read_if_there("pids.max") {
            Some(most) if most.trim() == "0" => Err(Failure::call("write cgroup.procs", Errno::EAGAIN).into()),
            _ => Ok(()),
        }
    }

    /// Marks it (user.* attributes exist on cgroup v2 since Linux 5.7).
    pub fn set_mark(&self, name: &str, value: &str) -> Result<()> {
        fsetxattr(self, name, value.as_bytes(), XattrFlags::CREATE).call(&format!("fsetxattr {name}"))
    }

    /// The same for a mark that changes.
    pub fn note(&self, name: &str, value: &str) -> Result<()> {
        fsetxattr(self, name, value.as_bytes(), XattrFlags::empty()).call(&format!("fsetxattr {name}"))
    }

    /// Gives it to a user as cgroups(7) says ("Delegation containment"): what decides over its children, and not its own limits.
    /// He nests no more than will be removed.
    pub fn give(&self, to: Ids) -> Result<()> {
        if self.read_if_there("cgroup.max.depth").is_some_and(|most| most.trim() == "max") {
            self.write("cgroup.max.depth", &DEPTH.to_string())?;
        }
        let (uid, gid) = (Some(Uid::from_raw(to.uid)), Some(Gid::from_raw(to.gid)));
        [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"].iter().try_for_each(|name| {
            fchownat(self, *name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).call(&format!("fchownat {name}"))
        })
    }

    /// Enables controllers for its children.
    pub fn enable(&self, controllers: &[String]) -> Result<()> {
        let words: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
        self.write("cgroup.subtree_control", &words.join(" ")).hinted(hints::NOT_ENABLED)
    }

    /// Kills everything inside and below at once (cgroup.kill, Linux 5.14), and takes a freeze away: it would outlive
    /// the killed and catch the next process.
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")?;
        self.write("cgroup.freeze", "0").or_else(|error| match errno_of(&error) {
            Some(Errno::ENOENT) => Ok(()),
            _ => Err(error),
        })
    }

    /// Kills everything inside and waits until it is dead, at most `patience`.
    pub fn empty(&self, patience: Duration) -> Result<()> {
        let events = self.file("cgroup.events")?;
        if !is_populated(&whole(&events)?) {
            return Ok(());
        }
        self.kill()?;
        let deadline = Instant::now() + patience;
        while is_populated(&whole(&events)?) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.undead());
            }
            // kernfs reports a change as POLLPRI, once the file has been read before.
            let mut files = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut files, timeout)
                .or_else(|errno| if errno == Errno::EINTR { Ok(0) } else { Err(errno) })
                .call("poll")?;
        }
        Ok(())
    }

    fn undead(&self) -> anyhow::Error {
        let pids = self.read_if_there("cgroup.procs").unwrap_or_default();
        refusal!(
            "{}: does not die: process {}",
            show(&self.path),
            pids.split_whitespace().collect::<Vec<_>>().join(", ")
        )
        .hint("a process in state D (ps -o pid,stat,wchan) waits for a device; cg-run --gc removes the cgroup later")
    }

    /// Removes the child `name` with everything below. There must be no live process inside.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.remove_below(name, DEPTH)
    }

    fn remove_below(&self, name: &str, depth: usize) -> Result<()> {
        let remove = || unlinkat(self, name, UnlinkatFlags::RemoveDir);
        // A leaf is nearly always without children; only EBUSY (or ENOTEMPTY) sends us down.
        match remove() {
            Ok(()) => return Ok(()),
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if depth > 0 => {}
            Err(errno) => return Err(Failure::call(&format!("rmdir {}", show(self.path.join(name))), errno).into()),
        }
        let child = self.child(name)?;
        child.children()?.iter().try_for_each(|below| child.remove_below(below, depth - 1))?;
        remove().call(&format!("rmdir {}", show(self.path.join(name))))
    }
}
