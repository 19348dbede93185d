//! Processes as proc_pid_stat(5) shows them, and what tells one from every other.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::Call as _;
use crate::values::integer;
use crate::{Context as _, Result, refusal};

/// One process, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id, in the numbers of the /proc that was read.
    pub pid: u32,
    /// `R`, `S`, `D`, `T`, `Z` ...
    pub state: char,
    /// Its parent's id; 0 where that is outside the pid namespace.
    pub parent: u32,
    /// Its process group; -1 where it is just being removed.
    pub group: i32,
    /// CPU time of itself, in clock ticks.
    pub ticks: u64,
    /// CPU time of the children that it has waited for, in clock ticks.
    pub ticks_of_children: u64,
    /// How many threads it has; 0 or 1 once it has ended.
    pub threads: u64,
    /// When it was started, in clock ticks since boot. With the pid it names one process of one boot.
    pub start: u64,
}

impl Process {
    /// Reads the text of a stat file. The name in parentheses may hold anything, parentheses, spaces and newlines included,
    /// and need not be UTF-8; what follows it holds no parenthesis. So the fields are counted from the last one.
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let begin = stat.iter().position(|byte| *byte == b'(')?;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(stat.get(..begin)?).ok()?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        // The first is field 3 of the manual page.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).copied();
        let number = |n| field(n)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.trim_ascii_end().parse().ok()?,
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            ticks: [14, 15].into_iter().filter_map(number).sum(),
            ticks_of_children: [16, 17].into_iter().filter_map(number).sum(),
            threads: number(20)?,
            start: number(22)?,
        })
    }

    /// Whether it has ended and only waits to be collected. A process whose first thread alone has ended shows `Z` too.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// The process `pid`, a number or `self`; `None` where there is none, or none that this user may see.
pub fn process(pid: impl Display) -> Result<Option<Process>> {
    let path = format!("/proc/{pid}/stat");
    match whole(&path) {
        Ok(stat) => match Process::parse(&stat) {
            None => Err(refusal!("{path}: not understood")),
            process => Ok(process),
        },
        // ESRCH: it ended between open and read.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error).call("read").context(path),
    }
}

/// A file of /proc. It does not tell its size: with room for it one call reads it, where reading by growing halves takes ten.
/// `take`, for a file alone is asked for its size and its place first.
/// Errors: what open(2) and read(2) say.
pub fn whole(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(4096);
    File::open(path)?.take(u64::MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Every process that this one may see, each as it is when it is asked for.
pub fn all() -> Result<impl Iterator<Item = Process>> {
    let entries = fs::read_dir("/proc").and_then(Iterator::collect::<io::Result<Vec<_>>>).call("read /proc")?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(numbers.filter_map(|pid| process(pid).ok().flatten()))
}

/// Whether this is a user namespace other than the first, which maps every id to itself (user_namespaces(7)). A map that cannot
/// be read counts as another's.
pub fn in_user_namespace() -> bool {
    let map = whole("/proc/self/uid_map").unwrap_or_default();
    String::from_utf8_lossy(&map).split_whitespace().ne(["0", "0", "4294967295"])
}

/// Whether this process is in a chroot(2), as far as it can tell. The kernel makes no user namespace for such a one. Either no
/// mount is at its root, or an ancestor in the same mount namespace sees the mount of that root at another place (mount ids
/// are unique in the whole kernel, and anybody may read mountinfo).
pub fn in_chroot() -> bool {
    let Some(own) = mounts("self") else { return false };
    let roots: Vec<&str> = own.iter().filter(|(_, point)| point == "/").map(|(id, _)| id.as_str()).collect();
    let elsewhere = |(id, point): &(String, String)| point != "/" && roots.contains(&id.as_str());
    let parent = |pid: &u32| process(pid).ok().flatten().map(|process| process.parent);
    let this = process("self").ok().flatten().map(|process| process.parent);
    let ancestors = std::iter::successors(this, parent).take_while(|pid| *pid != 0).take(1024);
    roots.is_empty() || ancestors.filter_map(mounts).flatten().any(|mount| elsewhere(&mount))
}

/// The ids and the mount points that a process sees (proc_pid_mountinfo(5)).
fn mounts(pid: impl Display) -> Option<Vec<(String, String)>> {
    let text = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
    let column = |line: &str, n| line.split(' ').nth(n).unwrap_or_default().to_owned();
    Some(String::from_utf8_lossy(&text).lines().map(|line| (column(line, 0), column(line, 4))).collect())
}

/// What tells a process from every other of the same boot, later and from another process.
///
/// A pid alone would be trusted after it has been given to another process; with the start time it is one process for as
/// long as the machine is up. Both mean something only in one pid namespace and (start times are shifted by it) one time
/// namespace, so these belong to it: a process of other namespaces is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The pid, as the process that wrote this down saw it.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start: u64,
    /// The inode of the pid namespace that it was seen from.
    pub pid_namespace: u64,
    /// The inode of the time namespace that it was seen from; 0 where the kernel has none (CONFIG_TIME_NS, Linux 5.6).
    pub time_namespace: u64,
}

/// Whether a process is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs,
    /// It has ended.
    Ended,
    /// It was seen from another pid or time namespace: nobody can say from here.
    Elsewhere,
    /// There may be such a process, but it is not shown here.
    Hidden,
}

impl Identity {
    /// The process `pid`, a number or `self`, seen from here. A zombie is none: it holds nothing any more.
    pub fn of(pid: impl Display) -> Result<Self> {
        let found = process(&pid)?.filter(|process| !process.has_ended());
        let process = found.ok_or_else(|| refusal!("pid {pid}: no such process"))?;
        let inode = |name: &str| fs::metadata(format!("/proc/self/ns/{name}")).map(|facts| facts.ino());
        Ok(Self {
            pid: process.pid,
            start: process.start,
            pid_namespace: inode("pid").call("stat /proc/self/ns/pid")?,
            time_namespace: inode("time").unwrap_or(0),
        })
    }

    /// Reads what [`Display`] writes; `None` for any other spelling, leading zeros included.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(str::as_ref);
        let pid = integer(parts.next()?)?;
        let mut number = || integer(parts.next()?);
        let identity = Self { pid, start: number()?, pid_namespace: number()?, time_namespace: number()? };
        (identity.to_string() == text).then_some(identity)
    }

    /// Whether it still runs, as seen by the process `here`, which asks.
    pub fn life(&self, here: &Self) -> Life {
        if (self.pid_namespace, self.time_namespace) != (here.pid_namespace, here.time_namespace) {
            return Life::Elsewhere;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Life::Ended };
        // The kernel is asked whether there is such a process: /proc may hide one that is there (hidepid).
        match pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| Errno::from_raw(errno.raw_os_error())) {
            Ok(_) => self.judged(process(self.pid).ok().flatten().as_ref()),
            // No process has the number now, or a mere thread of one.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => Life::Ended,
            Err(_) => Life::Hidden,
        }
    }

    /// The same, by what /proc shows under its number.
    fn judged(&self, now: Option<&Process>) -> Life {
        match now {
            None => Life::Hidden,
            Some(process) if process.start == self.start && !process.has_ended() => Life::Runs,
            Some(_) => Life::Ended,
        }
    }
}

impl Display for Identity {
    /// `PID-START-PIDNS-TIMENS`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.pid, self.start, self.pid_namespace, self.time_namespace)
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};

    use super::*;

    const REST: &[u8] = b" R 7 40 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787 2 3\n";

    fn named(name: &[u8]) -> Option<Process> {
        Process::parse(&[b"42 (", name, b")", REST].concat())
    }

    #[test]
    fn no_name_shifts_the_fields() {
        let (ticks, ticks_of_children) = (7, 11);
        let process =
            Process { pid: 42, state: 'R', parent: 7, group: 40, ticks, ticks_of_children, threads: 1, start: 8787 };
        let names: [&[u8]; 9] =
            [b"sh", b"", b"(", b")", b"a) S 1 (b", b") Z 1 1 1 1 1 ", b"(sd-pam)", b"a\n9 (b) R 1", b"\xff\xfe) \xff"];
        names.iter().for_each(|name| assert_eq!(named(name).as_ref(), Some(&process), "{name:?}"));
    }

    #[test]
    fn what_is_no_such_line_is_nothing() {
        let texts: [&[u8]; 7] = [
            b"",
            b"42 (sh",
            b"42 sh) R 7 40",
            b"42 (x) R 7",
            b"42 )x( R 7 40 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787",
            b"x (x) R 7 40 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787",
            b"42 (x) R \xff 40 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787",
        ];
        texts.iter().for_each(|text| assert_eq!(Process::parse(text), None, "{text:?}"));
    }

    #[test]
    fn who_is_just_being_removed_has_no_group() {
        let stat = b"42 (x) X 0 -1 -1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.group, process.has_ended()), (-1, true));
    }

    #[test]
    fn this_process_is_there_whatever_its_name() {
        fs::write("/proc/self/comm", b"\xff) Z 1 1\n").unwrap();
        let me = process("self").unwrap().unwrap();
        assert_eq!((me.pid, me.group), (std::process::id(), nix::unistd::getpgrp().as_raw()));
        assert!(all().unwrap().any(|process| process.pid == me.pid && process.start == me.start));
        assert_eq!(process(u32::MAX).unwrap(), None);
    }

    const IDENTITY: Identity = Identity { pid: 7, start: 100, pid_namespace: 1, time_namespace: 2 };

    #[test]
    fn a_process_without_its_first_thread_goes_on() {
        let shown = |threads| Process { state: 'Z', threads, ..Process::default() };
        assert_eq!([0, 1, 2].map(|threads| shown(threads).has_ended()), [true, true, false]);
    }

    fn seen(start: u64, state: char) -> Process {
        Process { pid: 7, state, start, ..Process::default() }
    }

    #[test]
    fn a_number_that_was_given_to_another_process_is_not_the_first() {
        assert_eq!(IDENTITY.judged(Some(&seen(100, 'S'))), Life::Runs);
        assert_eq!(IDENTITY.judged(Some(&seen(101, 'S'))), Life::Ended);
        assert_eq!(IDENTITY.judged(Some(&seen(100, 'Z'))), Life::Ended);
    }

    #[test]
    fn what_cannot_be_seen_is_not_judged() {
        assert_eq!(IDENTITY.judged(None), Life::Hidden);
        assert_eq!(IDENTITY.life(&Identity { pid_namespace: 9, ..IDENTITY }), Life::Elsewhere);
        assert_eq!(IDENTITY.life(&Identity { time_namespace: 9, ..IDENTITY }), Life::Elsewhere);
    }

    #[test]
    fn this_process_lives_and_its_double_does_not() {
        let me = Identity::of("self").unwrap();
        assert_eq!(me, Identity::of(std::process::id()).unwrap());
        assert_eq!(Identity::parse(&me.to_string()), Some(me));
        assert_eq!(me.life(&me), Life::Runs);
        assert_eq!(Identity { start: me.start + 1, ..me }.life(&me), Life::Ended);
        assert_eq!(Identity { pid: u32::MAX, ..me }.life(&me), Life::Ended);
    }

    #[test]
    fn a_zombie_is_no_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        let error = Identity::of(child.id()).unwrap_err();
        assert_eq!(error.to_string(), format!("pid {pid}: no such process"));
        child.wait().unwrap();
    }

    #[test]
    fn no_other_spelling_is_an_identity() {
        for bad in ["", "12", "12-345-1", "12-345-1-2-3", "012-345-1-2", "-1-345-1-2", "4294967296-1-1-1", "a-1-1-1"] {
            assert_eq!(Identity::parse(bad), None, "{bad:?}");
        }
    }
}
