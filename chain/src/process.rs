//! Processes as proc_pid_stat(5) shows them.

use std::fmt::Display;
use std::fs;
use std::io;

use nix::libc;

use crate::failure::{Call as _, Failure};
use crate::{Context as _, Result};

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
    /// CPU time of itself and of the children that it has waited for, in clock ticks.
    pub ticks: u64,
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
            ticks: [14, 15, 16, 17].into_iter().filter_map(number).sum(),
            start: number(22)?,
        })
    }

    /// Whether it has ended and only waits to be collected.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The process `pid`, a number or `self`; `None` where there is none, or none that this user may see.
pub fn process(pid: impl Display) -> Result<Option<Process>> {
    let path = format!("/proc/{pid}/stat");
    match fs::read(&path) {
        Ok(stat) => match Process::parse(&stat) {
            None => Err(Failure::refusal(format!("{path}: not understood")).into()),
            process => Ok(process),
        },
        // ESRCH: it ended between open and read.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error).call("read").context(path),
    }
}

/// Every process that this one may see, each as it is when it is asked for.
pub fn all() -> Result<impl Iterator<Item = Process>> {
    let entries = fs::read_dir("/proc").and_then(Iterator::collect::<io::Result<Vec<_>>>).call("read /proc")?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(numbers.filter_map(|pid| process(pid).ok().flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &[u8] = b" R 7 40 1 0 -1 4194304 95 0 0 0 3 4 5 6 20 0 1 0 8787 2 3\n";

    fn named(name: &[u8]) -> Option<Process> {
        Process::parse(&[b"42 (", name, b")", REST].concat())
    }

    #[test]
    fn no_name_shifts_the_fields() {
        let process = Process { pid: 42, state: 'R', parent: 7, group: 40, ticks: 18, start: 8787 };
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
}
