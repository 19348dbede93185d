//! Which processes of a cgroup belong to cg-run: those that started it, and what those have started.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use chain::Result;
use chain::process::{self, Process};
use nix::unistd::{Pid, geteuid};

use super::cgroup::Cgroup;
use super::descent::descendants;
use crate::model::leaf::CALLERS;

/// The processes in a cgroup itself, as they concern this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    Nobody,
    OnlySelf,
    /// This one, those above it, and what descends from the topmost of them, all of the same user; those above first.
    Family(Vec<u32>),
    Others,
}

/// The process that the caller knows, where it is another than this one; or 0.
static FIRST: AtomicI32 = AtomicI32::new(0);

/// This process has been divided: `first` is the one that the caller knows.
pub fn divided(first: Pid) {
    FIRST.store(first.as_raw(), Ordering::Relaxed);
}

/// The process that the caller knows, where it is another.
pub fn first() -> Option<Pid> {
    Some(FIRST.load(Ordering::Relaxed)).filter(|first| *first > 0).map(Pid::from_raw)
}

/// The processes of this very run.
pub fn own() -> Vec<u32> {
    first().map(|first| first.as_raw().unsigned_abs()).into_iter().chain([std::process::id()]).collect()
}

/// How often it is looked again where somebody is in no line with this process: its parent may just have ended or been moved.
const LOOKS: u32 = 10;

/// Who is in the cgroup; whether those besides this process are a family is looked at only where `families` matter, for it
/// takes a walk through /proc.
pub fn inside(cgroup: &Cgroup, families: bool) -> Result<Inside> {
    for _ in 0..LOOKS {
        match seen(cgroup, families)? {
            Inside::Others if families => std::thread::sleep(Duration::from_millis(1)),
            inside => return Ok(inside),
        }
    }
    Ok(Inside::Others)
}

fn seen(cgroup: &Cgroup, families: bool) -> Result<Inside> {
    let me = std::process::id();
    let members = members(cgroup)?;
    let own = own();
    match members.as_slice() {
        [] => return Ok(Inside::Nobody),
        members if members.iter().all(|pid| own.contains(pid)) => return Ok(Inside::OnlySelf),
        _ if !families => return Ok(Inside::Others),
        _ => {}
    }
    // Those that are aside already were there too, and may be above those that still are.
    let aside = cgroup.child(CALLERS).and_then(|aside| self::members(&aside)).unwrap_or_default();
    let all: Vec<Process> = process::all()?.collect();
    // Whoever has ended meanwhile is in nobody's way.
    let members: Vec<u32> = members.into_iter().filter(|pid| *pid == 0 || Path::new(&status(*pid)).exists()).collect();
    let family = family(me, &members, &aside, &all);
    Ok(family.filter(|family| family.iter().all(|pid| is_of_this_user(*pid))).map_or(Inside::Others, Inside::Family))
}

/// A process of another pid namespace is 0.
pub fn members(cgroup: &Cgroup) -> Result<Vec<u32>> {
    Ok(cgroup.read("cgroup.procs")?.split_whitespace().map(|pid| pid.parse().unwrap_or(0)).collect())
}

/// All members, if each is `me`, above it, or descends from the topmost above it that is a member or `aside`; those above `me`
/// come first.
fn family(me: u32, members: &[u32], aside: &[u32], all: &[Process]) -> Option<Vec<u32>> {
    let has = |pid: &u32| members.contains(pid) || aside.contains(pid);
    let parents: BTreeMap<u32, u32> = all.iter().map(|process| (process.pid, process.parent)).collect();
    let mut line = vec![me];
    while let Some(parent) = line.last().and_then(|pid| parents.get(pid)) {
        if !has(parent) || line.contains(parent) {
            break;
        }
        line.push(*parent);
    }
    line.reverse();
    let below: Vec<u32> = descendants(all, *line.first()?).iter().map(|process| process.pid).collect();
    let rest = members.iter().filter(|pid| !line.contains(pid));
    let known = has(&me) && rest.clone().all(|pid| below.contains(pid));
    known.then(|| line.iter().filter(|pid| members.contains(pid)).chain(rest).copied().collect())
}

fn status(pid: u32) -> String {
    format!("/proc/{pid}/status")
}

/// By all four of its user ids: one that has more rights than this user is not this user's. One that has ended is nobody's.
fn is_of_this_user(pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(status(pid)) else { return true };
    let ids = text.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let user = geteuid().to_string();
    ids.split_whitespace().count() == 4 && ids.split_whitespace().all(|id| id == user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Process> {
        // 1 is init, 5 a shell of the cgroup, 9 cg-run below it, 8 its neighbour in a pipe, 7 below that, 6 a daemon.
        let parents = [(1, 0), (5, 1), (9, 5), (8, 5), (7, 8), (6, 1)];
        parents.map(|(pid, parent)| Process { pid, parent, ..Process::default() }).to_vec()
    }

    #[test]
    fn those_above_come_first_and_all_below_them_belong() {
        assert_eq!(family(9, &[9, 7, 8, 5], &[], &all()), Some(vec![5, 9, 7, 8]));
        assert_eq!(family(9, &[9, 5], &[], &all()), Some(vec![5, 9]));
    }

    #[test]
    fn who_is_in_no_line_with_us_is_another() {
        assert_eq!(family(9, &[9, 5, 6], &[], &all()), None);
        assert_eq!(family(9, &[5, 8], &[], &all()), None, "cg-run itself is elsewhere");
        assert_eq!(family(9, &[9, 5, 0], &[], &all()), None, "of another pid namespace");
        assert_eq!(family(9, &[8], &[5, 9], &all()), Some(vec![8]), "born before the shell was moved");
        // Without the shell nobody says that the neighbour belongs to us.
        assert_eq!(family(9, &[9, 8], &[], &all()), None);
        assert_eq!(family(9, &[9, 4], &[], &all()), None, "gone, or hidden");
    }
}
