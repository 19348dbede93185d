//! Who holds a lease: never a bare pid. A process is known by its pid and start time, seen from one pid namespace and
//! one time namespace, in one boot of the machine (proc_pid_stat(5), fields 1 and 22).

use std::os::unix::fs::MetadataExt as _;

use chain::process::process;
use chain::{Call as _, Context as _, Failure, Result};

/// A process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process id, as seen by who wrote this down.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot.
    pub start: u64,
    /// From where it was seen.
    pub view: View,
}

/// What a pid and a start time mean depends on this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The boot of the machine (/proc/sys/kernel/random/boot_id), its hexadecimal digits only.
    pub boot: String,
    /// The pid namespace, by inode number.
    pub pid_namespace: u64,
    /// The time namespace, by inode number (start times are shifted in it); 0 before Linux 5.6.
    pub time_namespace: u64,
}

/// Whether a holder is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// It runs.
    Yes,
    /// It has ended, or the machine was booted since.
    No,
    /// It was seen from another namespace: from here nobody can say.
    Unknown,
}

impl View {
    /// The view of this process.
    ///
    /// # Errors
    /// /proc that is not mounted.
    pub fn here() -> Result<Self> {
        let boot = read("/proc/sys/kernel/random/boot_id")?.chars().filter(char::is_ascii_hexdigit).collect();
        let pid_namespace = inode("/proc/self/ns/pid").call("stat").context("/proc/self/ns/pid")?;
        Ok(Self { boot, pid_namespace, time_namespace: inode("/proc/self/ns/time").unwrap_or(0) })
    }
}

impl Holder {
    /// The process `pid` as it is now.
    ///
    /// # Errors
    /// No such process.
    pub fn of(pid: u32) -> Result<Self> {
        let gone = || Failure::refusal(format!("pid {pid}: no such process"));
        Ok(Self { pid, start: start_time(pid)?.ok_or_else(gone)?, view: View::here()? })
    }

    /// Whether that very process still runs.
    ///
    /// # Errors
    /// /proc that cannot be read.
    pub fn alive(&self) -> Result<Alive> {
        let here = View::here()?;
        if here.boot != self.view.boot {
            return Ok(Alive::No);
        }
        if here != self.view {
            return Ok(Alive::Unknown);
        }
        Ok(if start_time(self.pid)? == Some(self.start) { Alive::Yes } else { Alive::No })
    }

    /// One word: `PID:START:BOOT:PIDNS:TIMENS`.
    #[must_use]
    pub fn word(&self) -> String {
        let View { boot, pid_namespace, time_namespace } = &self.view;
        format!("{}:{}:{boot}:{pid_namespace}:{time_namespace}", self.pid, self.start)
    }

    /// Reads [`Holder::word`]; `None` for anything else.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split(':');
        let number = |part: Option<&str>| chain::values::number(part?.as_ref());
        let (pid, start) = (number(parts.next())?, number(parts.next())?);
        let boot = parts.next().filter(|boot| boot.bytes().all(|b| b.is_ascii_hexdigit()))?.to_owned();
        let view = View { boot, pid_namespace: number(parts.next())?, time_namespace: number(parts.next())? };
        let holder = Self { pid: u32::try_from(pid).ok()?, start, view };
        parts.next().is_none().then_some(holder)
    }
}

/// When a process was started; `None` where there is none, or only its zombie.
fn start_time(pid: u32) -> Result<Option<u64>> {
    Ok(process(pid)?.filter(|process| !process.has_ended()).map(|process| process.start))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).call("read").context(path.to_owned())
}

fn inode(path: &str) -> std::io::Result<u64> {
    std::fs::metadata(path).map(|facts| facts.ino())
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};

    use super::*;

    #[test]
    fn a_zombie_holds_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        assert_eq!(start_time(child.id()).unwrap(), None);
        child.wait().unwrap();
    }

    #[test]
    fn this_process_lives_and_its_word_reads_back() {
        let me = Holder::of(std::process::id()).unwrap();
        assert_eq!(Holder::parse(&me.word()), Some(me.clone()));
        assert_eq!(me.alive().unwrap(), Alive::Yes);
        assert_eq!(Holder { start: me.start + 1, ..me.clone() }.alive().unwrap(), Alive::No);
        let elsewhere = View { pid_namespace: 1, ..me.view.clone() };
        assert_eq!(Holder { view: elsewhere, ..me.clone() }.alive().unwrap(), Alive::Unknown);
        let earlier = View { boot: "00".into(), ..me.view.clone() };
        assert_eq!(Holder { view: earlier, ..me }.alive().unwrap(), Alive::No);
    }

    #[test]
    fn a_word_is_read_whole_or_not_at_all() {
        for bad in ["", "1:2:ab:3", "1:2:ab:3:4:5", "-1:2:ab:3:4", "1:2:xyz:3:4", "5000000000:2:ab:3:4"] {
            assert_eq!(Holder::parse(bad), None, "{bad:?}");
        }
    }
}
